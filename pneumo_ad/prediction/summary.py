"""Printed summary of `pneumo-ad predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pneumo_ad.labels import Vocabulary


def print_prediction(output: Path, story: dict[str, Any], new: int) -> None:
    """Print the counts and warnings of `predict.json`, and the output folder.

    Args:
        output: Output folder.
        story: Content of `predict.json`.
        new: Number of files scored in this call.
    """
    console, counts, terms = Console(highlight=False), story["counts"], Vocabulary.kept_in(story)
    table = Table(title=f"prediction: {escape(str(output))}", title_justify="left", show_header=False)
    table.add_column(style="dim")
    table.add_column(justify="right")
    table.add_row("files", f"{counts['files']:,}")
    table.add_row("  judged", f"{counts['predicted']:,}" + (f" ({new:,} new)" if new < counts["predicted"] else ""))
    table.add_row("  unreadable", f"[red]{counts['unreadable']:,}[/red]" if counts["unreadable"] else "0")
    table.add_row(f"  ignored, no {terms.images}", f"{counts['ignored']:,}")
    table.add_row("anomalous", f"{counts['anomalous']:,}")
    table.add_row("undecided", f"{counts['undecided']:,}")
    table.add_row("declared false-alarm rate", f"{story['false_alarm_rate']:g}")
    whose = "normals of calibrate=" if story["asked"].get("calibrate") else "held-out normals"
    table.add_row(f"{whose} it rests on", f"{story['held_out_normals']:,}")
    console.print(table)
    for words, count in sorted(story["warnings"].items(), key=lambda item: -item[1]):
        console.print(f"[yellow]{count:,} × {escape(words)}[/yellow]")
    console.print(f"tables and pictures: {escape(str(output))}")
    if terms.warning:
        console.print(f"[dim]For research. {terms.warning}[/dim]")
