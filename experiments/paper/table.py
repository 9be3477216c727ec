"""Print a study's runs as one markdown table: python experiments/paper/table.py NAME=METRICS_JSON ..."""

import json
import sys
from pathlib import Path

from pneumo_ad.metrics.catalogue import figure_with_interval

ROWS = {
    "patch/sad_median_normal_lung": "median SAD, normal lung",
    "patch/sad_median_healthy": "median SAD, healthy lung",
    "patch/sad_median_opacity": "median SAD, opacity",
    "patch/sad_median_outside": "median SAD, outside",
    "patch/sad_median_pneumonia": "median SAD, pneumonia radiographs",
    "patch/auroc_opacity_vs_healthy": "patch AUROC, opacity / healthy lung",
    "patch/auroc_outside_vs_healthy": "patch AUROC, outside / healthy lung",
    "patch/macro_f1": "patch macro F1",
    "patch/auroc_pneumonia_vs_normal": "patch AUROC, pneumonia / normal origin",
    "patch/auroc_pneumonia_vs_normal_in_lung": "the same, in the lung",
    "pixel/auroc": "pixel AUROC, opacity / rest",
    "pixel/auroc_in_lung": "the same, in the lung",
    "pixel/average_precision": "pixel average precision",
    "image/auroc": "image AUROC, pneumonia / normal",
    "image/average_precision": "image average precision",
}


def cell(metrics: dict[str, float], key: str) -> str:
    """Value, with its interval where it has one."""
    in_grey_levels = key in metrics and "sad" in key
    return f"{metrics[key]:.2f}" if in_grey_levels else figure_with_interval(metrics, key)


def main(arguments: list[str]) -> None:
    """Print the table; the last column is brightness alone on the first run's patches."""
    runs = {name: json.loads(Path(path).read_text()) for name, path in (a.split("=", 1) for a in arguments)}
    first = next(iter(runs.values()))
    print(f"| | {' | '.join(runs)} | brightness alone |")
    print("|---|" + "---|" * (len(runs) + 1))
    for key, words in ROWS.items():
        if any(key in metrics for metrics in runs.values()):
            cells = [cell(metrics, key) for metrics in runs.values()] + [cell(first, f"brightness/{key}")]
            print(f"| {words} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main(sys.argv[1:])
