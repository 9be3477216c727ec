"""Printed tables of `pneumo-ad audit`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pneumo_ad.labels import LABEL_WORDS, NORMAL, PNEUMONIA, Vocabulary
from pneumo_ad.metrics.catalogue import figure_with_interval
from pneumo_ad.metrics.shortcuts import WORDS, spoken

_WIDE = 130  # least width of the terminal, in columns, for the description of each shortcut


def print_audit(output: Path) -> None:
    """Print the tables and findings of an audit, and the folder of its files."""
    report = json.loads((output / "audit.json").read_text())
    console = Console(highlight=False)
    counts, terms = report["counts"], Vocabulary.kept_in(report)
    console.print(f"{counts['images']:,} {terms.images} of {counts['patients']:,} {terms.patients}")
    console.print(_counts(counts, terms))
    console.print(_sizes(report["sizes"]))
    shortcuts = pd.read_csv(output / "shortcuts.csv", keep_default_na=False)
    console.print(_shortcuts(shortcuts, terms, explained=console.width >= _WIDE))
    for finding in report["findings"]:
        console.print(f"[yellow]•[/yellow] {escape(finding)}", soft_wrap=True)
    if not report["findings"]:
        console.print("nothing was found that should not be there")
    console.print(f"tables and figure: {escape(str(output))}", soft_wrap=True)


def _counts(counts: dict[str, Any], terms: Vocabulary) -> Table:
    table = Table(title=f"{terms.images} (and {terms.patients})", title_justify="left")
    table.add_column("split")
    for words in LABEL_WORDS.values():
        table.add_column(terms.fill(words), justify="right")
    for split, by_label in counts["by_split"].items():
        cells = (by_label.get(label) for label in LABEL_WORDS)
        table.add_row(split, *(f"{cell['images']:,} ({cell['patients']:,})" if cell else "–" for cell in cells))
    return table


def _sizes(sizes: dict[str, dict[str, float]]) -> Table:
    table = Table(title="sizes of the files", title_justify="left")
    for name in ("", "least", "median", "largest"):
        table.add_column(name, justify="right" if name else "left")
    for name, row in sizes.items():
        digits = ".2f" if name == "aspect_ratio" else ",.0f"
        words = "width / height" if name == "aspect_ratio" else f"{name} (pixels)"
        table.add_row(words, *(format(row[key], digits) for key in ("min", "median", "max")))
    return table


def _shortcuts(shortcuts: pd.DataFrame, terms: Vocabulary, explained: bool) -> Table:
    brackets = f"in brackets: 95 % bootstrap interval by {terms.patient}"
    table = Table(
        title=f"how far trivial facts alone tell {terms.abnormal} from normal {terms.images}",
        title_justify="left",
        caption=f"AUROC above 0.5: {terms.abnormal} {terms.images} have more of it; {brackets}",
    )
    for name in ("shortcut", "median normal", f"median {terms.abnormal}", "AUROC"):
        table.add_column(name, justify="left" if name == "shortcut" else "right")
    if explained:
        table.add_column("what it is", style="dim")
    for row in shortcuts.to_dict("records"):
        medians = (_number(row[f"{label}_median"]) for label in (NORMAL, PNEUMONIA))
        if row["auroc"] != "":
            cell = figure_with_interval({key: float(row[key]) for key in ("auroc", "auroc_low", "auroc_high")}, "auroc")
        else:
            cell = f"[yellow]{row['omitted']}[/yellow]"
        words = [terms.fill(WORDS[row["shortcut"]])] if explained else []
        table.add_row(terms.fill(spoken(row["shortcut"])), *medians, cell, *words)
    return table


def _number(cell: str | float) -> str:
    return "–" if cell == "" else f"{float(cell):,.0f}" if abs(float(cell)) >= 100 else f"{float(cell):.2f}"
