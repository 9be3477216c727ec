"""`pneumo-ad classify`: the paper's preliminary experiment, a CNN on whole radiographs with Grad-CAM."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pneumo_ad.runs.command import Command
from pneumo_ad.runs.hydra_command import run_hydra

if TYPE_CHECKING:
    from omegaconf import DictConfig

USAGE = """\
pneumo-ad classify [group=choice] [key=value] ...

Trains a small CNN that classifies whole radiographs as pneumonia or normal, split by patient, and
measures it on the test split: accuracy, balanced accuracy and AUROC, and the share of its Grad-CAM
that lies inside the lung field. resume=RUN continues a run; -m seed=0,1,2 sweeps. Groups, with
the default of each and its choices:

{groups}

Keys in common use, with their defaults; --cfg job prints all:

  data.root=DIR          folder of radiographs, for all sources but the phantoms
  image_size=256         side, or [height,width], of fitted radiographs in pixels
  fit=squash             or pad, which keeps the aspect ratio
  net.dropout=0.5        share of units left out in training
  trainer.max_epochs=10  epochs of training
  batch_size=16          radiographs in a batch
  optimizer.lr=0.001     learning rate
  seed=0                 of weights and batches
"""


def classify(config: DictConfig) -> dict[str, float]:
    """Train and measure the classifier of a config in its `run_dir`, from the last checkpoint if there is one.

    Returns:
        Metrics; see `run_classifier`.

    Raises:
        UserError: The configured training is not possible.
    """
    from pneumo_ad.classifier.examination import FIGURE
    from pneumo_ad.runs.classifying import run_classifier
    from pneumo_ad.runs.jobs import in_sweep
    from pneumo_ad.runs.provenance import provenance_of
    from pneumo_ad.runs.record import update_run_json

    run_dir = Path(config.run_dir)
    update_run_json(run_dir, **provenance_of(config))
    metrics = run_classifier(config, split_of=run_dir)
    if not in_sweep():
        _print(metrics, f"{config.name}: test split, {metrics['counts/images']} radiographs")
        print(f"run: {run_dir}\nFig. 2: {run_dir / 'figures' / FIGURE}.png")
    return metrics


def _print(metrics: dict[str, float], title: str) -> None:
    from rich.console import Console
    from rich.table import Table

    from pneumo_ad.classifier.examination import PAPER
    from pneumo_ad.metrics.catalogue import figure_with_interval
    from pneumo_ad.runs.classifying import HEADLINE

    table = Table(title=title, title_justify="left", caption="in brackets: 95 % bootstrap interval by patient")
    for column in ("metric", "CNN", "always pneumonia", "the paper, on other radiographs"):
        table.add_column(column)
    for key in HEADLINE:
        beside = figure_with_interval(metrics, f"always_pneumonia/{key}")
        table.add_row(
            key.replace("_", " "),
            figure_with_interval(metrics, key),
            beside,
            f"{PAPER[key]:.3f}" if key in PAPER else "–",
        )
    shortcuts = [key for key in metrics if key.startswith("shortcut/") and not key.endswith(("_low", "_high"))]
    table.add_section()
    for key in shortcuts:
        table.add_row(f"auroc of {key.rsplit('/', 1)[-1]} alone", figure_with_interval(metrics, key), "–", "–")
    table.add_section()
    for prefix, words in (("cam/", "pneumonia"), ("cam/normal/", "normal")):
        table.add_row(
            f"share of Grad-CAM in the lung, {words}", figure_with_interval(metrics, f"{prefix}share_in_lung"), "–", "–"
        )
        table.add_row(
            "  the lung's share of the area", figure_with_interval(metrics, f"{prefix}lung_share_of_area"), "–", "–"
        )
    console = Console(highlight=False)
    console.print(table)
    console.print(f"The paper's {PAPER['accuracy']:.1%} does not compare: {PAPER['reason']}.")
    for key, words in (("cam_zero_pneumonia", "radiographs with pneumonia"), ("cam_zero_normal", "normal radiographs")):
        if metrics[f"counts/{key}"]:
            console.print(
                f"Grad-CAM is 0 everywhere in {metrics[f'counts/{key}']} {words}: left out, named in metrics.json"
            )


COMMAND = Command(
    section="train",
    place=3,
    summary="the paper's first try: a CNN on whole radiographs, Grad-CAM",
    example="(data=... data.root=...; resume=RUN)",
    run=partial(run_hydra, "classify", work=classify),
    usage=USAGE,
    config="classify",
    alone=True,
)
