"""What a command prints when it ends: where things lie and the headline table."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path

from rich.console import Console
from rich.table import Table

HEADLINE = {
    "patch/auroc_outside_vs_healthy": "patch AUROC outside / healthy lung",
    "patch/auroc_opacity_vs_healthy": "patch AUROC opacity / healthy lung",
    "patch/macro_f1": "patch macro F1 of the three kinds",
    "patch/auroc_pneumonia_vs_normal": "patch AUROC pneumonia / normal origin",
    "patch/auroc_pneumonia_vs_normal_in_lung": "  in the lung",
    "pixel/auroc": "pixel AUROC opacity / rest",
    "pixel/auroc_in_lung": "  in the lung",
    "pixel/average_precision": "pixel average precision",
    "image/auroc": "image AUROC pneumonia / normal",
    "image/average_precision": "image average precision",
}
MEDIANS = ("normal_lung", "healthy", "opacity", "outside", "pneumonia")


def _cell(metrics: dict[str, float], key: str) -> str:
    if key not in metrics:
        return "–"
    interval = (
        f" [dim]({metrics[key + '_low']:.3f}–{metrics[key + '_high']:.3f})[/dim]" if key + "_low" in metrics else ""
    )
    return f"{metrics[key]:.3f}{interval}"


def headline_table(evaluations: dict[str, dict[str, float]], title: str) -> Table:
    """The headline metrics of one or more runs, each beside mean brightness on the same patches.

    Args:
        evaluations: By name, the `metrics` of a `metrics.json`.
        title: Above the table.
    """
    table = Table(title=title, title_justify="left", caption="in brackets: 95 % bootstrap interval by patient")
    table.add_column("metric")
    for name in evaluations:
        table.add_column(name)
        table.add_column("brightness alone", style="dim")
    for key, words in HEADLINE.items():
        if any(key in metrics for metrics in evaluations.values()):
            columns = ((_cell(metrics, key), _cell(metrics, f"brightness/{key}")) for metrics in evaluations.values())
            table.add_row(words, *chain.from_iterable(columns))
    table.add_section()
    for kind in MEDIANS:
        key = f"patch/sad_median_{kind}"
        if any(key in metrics for metrics in evaluations.values()):
            cells = ((f"{metrics[key]:.2f}" if key in metrics else "–", "") for metrics in evaluations.values())
            table.add_row(f"median SAD, {kind.replace('_', ' ')}", *chain.from_iterable(cells))
    return table


def print_evaluation(output: Path, title: str) -> None:
    """Print the table of a `metrics.json`, what was left out of it and why, and where everything lies."""
    found = json.loads((output / "metrics.json").read_text())
    about = found["about"]
    console = Console(highlight=False)
    console.print(headline_table({about["score"]: found}, title))
    console.print(
        f"{found['counts/images']} radiographs ({found['counts/images_normal']} normal, "
        f"{found['counts/images_pneumonia']} pneumonia, {found['counts/images_other']} other) of "
        f"{found['counts/patients']} patients; {found['counts/patches']:,} patches, "
        f"{found['counts/patches_mixed']:,} of them mixed and left out of the patch metrics"
    )
    for key in ("images_seen_in_training", "images_skipped", "images_without_lung"):
        if found.get(f"counts/{key}"):
            console.print(f"[yellow]{found[f'counts/{key}']} {key.replace('_', ' ')}[/yellow]")
    by_reason: dict[str, list[str]] = {}
    for key, reason in about["omitted"].items():
        if not key.startswith("brightness/"):
            by_reason.setdefault(reason, []).append(key)
    for reason, keys in by_reason.items():
        console.print(f"[yellow]left out, {reason}: {', '.join(keys)}[/yellow]")
    console.print(f"tables and figures: {output}")
