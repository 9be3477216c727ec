"""Print the headline tables of two or more runs side by side: python experiments/demo/compare.py RUN RUN ..."""

import json
import sys
from pathlib import Path

from rich.console import Console

from pneumo_ad.summary import headline_table


def main(folders: list[Path]) -> None:
    """Read each run's metrics and print one table."""
    evaluations = {}
    for folder in folders:
        about = json.loads((folder / "metrics.json").read_text())
        evaluations[f"{json.loads((folder / 'run.json').read_text())['name']} ({about['score']})"] = about["metrics"]
    console = Console(highlight=False)
    console.print(headline_table(evaluations, "drawn radiographs, test split: the paper's preset and a better one"))
    console.print(
        "Patches of the presets cover other shares of the chest, so brightness, too, scores differently for each: compare "
        "a column with the brightness of its own run:"
    )
    for name, metrics in evaluations.items():
        for kind in ("outside", "opacity"):
            key = f"patch/auroc_{kind}_vs_healthy"
            console.print(
                f"  {name}: {kind} vs healthy lung {metrics[key]:.3f}, brightness alone {metrics['brightness/' + key]:.3f}"
            )
    console.print(f"TensorBoard: tensorboard --logdir {folders[0].parent}")


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
