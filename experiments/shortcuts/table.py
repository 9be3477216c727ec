"""Models and shortcuts on the same radiographs, as they are and matched.

python experiments/shortcuts/table.py NAME=RUN ...
"""

import sys
from pathlib import Path

from pneumo_ad.metrics.catalogue import figure_with_interval
from pneumo_ad.metrics.metrics_json import read_metrics

MODEL = ("image/auroc", "image/auroc_matched")
LEVELS = ("shortcut/image/", "shortcut/image_matched/")


def main(arguments: list[str]) -> None:
    """Print the table; the shortcuts are those of the first run, the strongest first."""
    runs = {name: read_metrics(Path(path)) for name, path in (a.split("=", 1) for a in arguments)}
    first = next(iter(runs.values()))
    print("| score | image AUROC | matched |")
    print("|---|---|---|")
    for name, metrics in runs.items():
        print(f"| **{name}** | {' | '.join(figure_with_interval(metrics, key) for key in MODEL)} |")
    names = [
        key.removeprefix(LEVELS[0])
        for key in first
        if key.startswith(LEVELS[0]) and not key.endswith(("_low", "_high"))
    ]
    for name in sorted(names, key=lambda name: -abs(first[LEVELS[0] + name] - 0.5)):
        cells = (figure_with_interval(first, level + name) for level in LEVELS)
        print(f"| {name.replace('_', ' ')} | {' | '.join(cells)} |")
    matched, not_matched = (first[f"counts/images_{word}"] for word in ("matched", "unmatched"))
    print(f"\nmatched: {matched} radiographs; {not_matched} could not be")


if __name__ == "__main__":
    main(sys.argv[1:])
