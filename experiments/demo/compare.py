"""Print the demo's evaluations side by side: python experiments/demo/compare.py FOLDER FOLDER ..."""

import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pneumo_ad.labels import RADIOGRAPH
from pneumo_ad.metrics.catalogue import HEADLINE, figure_with_interval

SHOWN = {
    "patch/auroc_opacity_vs_healthy": "patch AUROC opacity / healthy lung",
    "patch/auroc_outside_vs_healthy": "patch AUROC outside / healthy lung",
    "pixel/auroc_in_lung": "pixel AUROC opacity / rest of the lung",
    "pixel/pointing_game_in_lung": "pointing game in the lung",
    "image/auroc": RADIOGRAPH.fill(HEADLINE["image/auroc"]),
    "false_alarms/image": "normals called anomalous, 0.05 declared",
}


def main(folders: list[Path]) -> None:
    """Read each run's metrics and print one table."""
    found = {folder.name: json.loads((folder / "metrics.json").read_text()) for folder in folders}
    table = Table(title="drawn radiographs, test split")
    for name in ("", *found):
        table.add_column(name)
    for key, words in SHOWN.items():
        table.add_row(words, *(_cell(metrics, key) for metrics in found.values()))
    console = Console(highlight=False)
    console.print(table)
    console.print(
        "detector: ships with pneumo_ad, trained on real normal radiographs; it never saw these drawings. paper, "
        "denoiser: trained on them. The denoiser's patches cover another share of the chest: read each column beside "
        "its own brightness. The detector finds opacities alone: outside is no anomaly to it. Its false alarms are "
        "held against real normals; normals of the source itself (calibrate=DIR) bring them down."
    )
    console.print(f"figures: {', '.join(str(folder / 'figures') for folder in folders)}")
    console.print(f"TensorBoard: tensorboard --logdir {folders[0].parent}")


def _cell(metrics: dict[str, float], key: str) -> str:
    """A figure, its interval, and what brightness reaches on the same samples."""
    brightness = metrics.get(f"brightness/{key}")
    beneath = "" if brightness is None else f"\n[dim]{brightness:.3f} brightness[/dim]"
    return figure_with_interval(metrics, key) + beneath


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
