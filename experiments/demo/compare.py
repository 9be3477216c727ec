"""Print the headline tables of evaluations side by side: python experiments/demo/compare.py FOLDER FOLDER ..."""

import json
import sys
from pathlib import Path

from rich.console import Console

from pneumo_ad.evaluation.summary import headline_table


def main(folders: list[Path]) -> None:
    """Read each run's metrics and print one table."""
    evaluations = {}
    for folder in folders:
        evaluations[folder.name] = json.loads((folder / "metrics.json").read_text())
    console = Console(highlight=False)
    console.print(
        headline_table(evaluations, "drawn radiographs: the detector that ships, and two presets on the test split")
    )
    console.print(
        "Read each column beside its own brightness: the presets' patches cover other shares of the chest, and patches "
        "of different size do not compare."
    )
    console.print(f"figures: {', '.join(str(folder / 'figures') for folder in folders)}")
    console.print(f"TensorBoard: tensorboard --logdir {folders[0].parent}")


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
