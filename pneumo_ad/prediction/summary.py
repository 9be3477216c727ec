"""Printed summary of `pneumo-ad predict`."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pneumo_ad.inference.predictor import HELD_OUT, normals_of
from pneumo_ad.labels import Vocabulary
from pneumo_ad.prediction.predicted import Predicted

_NAMED = 5  # files, at most, of each list


def print_prediction(found: Predicted) -> None:
    """Print the counts of a prediction, the most anomalous files and those with warnings, and the output folder.

    Args:
        found: The prediction, finished.
    """
    output, story, new = found.folder, found.story, found.new
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
    site = story["asked"].get("calibrate")
    table.add_row(f"{normals_of(site) if site else HELD_OUT} it rests on", f"{story['held_out_normals']:,}")
    console.print(table)
    rows = found.predictions
    if (called := rows[rows["anomalous"].fillna(False)].sort_values("score", ascending=False, kind="stable")).size:
        console.print("the most anomalous (column score):")
        print_named(
            console,
            [f"{file}: {score:.3g}" for file, score in zip(called["file"], called["score"], strict=True)],
            "anomalous",
        )
    warned = rows[rows["warnings"] != ""]
    print_named(
        console,
        [f"{file}: {words}" for file, words in zip(warned["file"], warned["warnings"], strict=True)],
        "warnings",
    )
    console.print(f"tables and pictures: {escape(str(output))}")
    if terms.warning:
        console.print(f"[dim]For research. {terms.warning}[/dim]")


def print_named(console: Console, lines: Sequence[str], column: str) -> None:
    """Print the first of some lines about files, and how many more there are.

    Args:
        console: Console to print to.
        lines: A line for each file.
        column: Column of `predictions.csv` that tells the others.
    """
    for line in lines[:_NAMED]:
        console.print(f"[yellow]  {escape(line)}[/yellow]", soft_wrap=True)
    if len(lines) > _NAMED:
        console.print(f"[yellow]  and {len(lines) - _NAMED:,} more: column {column}[/yellow]")
