"""What `pneumo-ad cluster` prints when it ends."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console
from rich.table import Table


def cluster_table(found: dict[str, float], title: str) -> Table:
    """A row per clustering, in the order of `clusters.json`, with intervals.

    Args:
        found: What `clusters.json` holds.
        title: Above the table.
    """
    caption = "best match looks at the truth; by SAD does not. In brackets: 95 % bootstrap interval by patient"
    table = Table(
        "clusters of", "adjusted Rand", "best-match macro F1", "macro F1 by SAD", title=title, caption=caption
    )
    for key in found:
        name, _, metric = key.rpartition("/")
        if metric == "adjusted_rand":
            by_sad = f"{name}/macro_f1_by_sad"
            cells = [_cell(found, f"{name}/{one}") for one in ("adjusted_rand", "best_match_macro_f1")]
            table.add_row(
                name.replace("_", " ").replace("/", ",\n"), *cells, f"{found[by_sad]:.3f}" if by_sad in found else "–"
            )
    table.add_section()
    for key, value in found.items():
        if key.startswith("thresholds"):
            table.add_row(key.removesuffix("/macro_f1").replace("_", " "), "–", "–", f"{value:.3f}")
    return table


def _cell(found: dict[str, float], key: str) -> str:
    return f"{found[key]:.3f}\n[dim]({found[key + '_low']:.3f}–{found[key + '_high']:.3f})[/dim]"


def print_clusters(output: Path, title: str) -> None:
    """Print the table of a `clusters.json`, what was left out of it and why, and where everything lies.

    Args:
        output: Folder that holds it.
        title: Heading of the table.
    """
    found = json.loads((output / "clusters.json").read_text())
    about = found["about"]
    console = Console(highlight=False)
    if about["match"]:
        console.print(cluster_table(found, title))
    by_reason: dict[str, list[str]] = {}
    for key, reason in about["omitted"].items():
        by_reason.setdefault(reason, []).append(key)
    for reason, keys in by_reason.items():
        console.print(f"[yellow]left out, {reason}: {', '.join(keys)}[/yellow]")
    console.print(
        f"{found['counts/images']} radiographs, {found['counts/patches']:,} windows, "
        f"{found['counts/patches_mixed']:,} of them mixed and left out of the figures; clusters fitted on "
        f"{about['fitted_on']['windows']:,} validation windows"
    )
    console.print(f"tables and figures: {output}")
