"""Representation of results at a prompt and in a notebook: a title, facts in two columns, tables. No heavy imports."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

_STYLE = "text-align:left;vertical-align:top"


def as_text(title: str, facts: Mapping[str, object]) -> str:
    """Format facts as text, one a line; empty ones are left out.

    Args:
        title: First line.
        facts: Name -> value.

    >>> print(as_text("Run('runs/a')", {"net": "VAE", "overrides": "", "data": "phantom"}))
    Run('runs/a')
      net   VAE
      data  phantom
    """
    shown = {name: str(value) for name, value in facts.items() if value not in (None, "")}
    width = max(map(len, shown), default=0)
    lines = [line.rstrip() for name, value in shown.items() for line in _aligned(name.ljust(width), value)]
    return "\n".join([title, *lines])


def _aligned(name: str, value: str) -> list[str]:
    first, *others = value.splitlines() or [""]
    return [f"  {name}  {first}", *(f"  {' ' * len(name)}  {line}" for line in others)]


def as_html(title: str, facts: Mapping[str, object], table: pd.DataFrame | None = None) -> str:
    """Format facts as HTML, with a table below; empty facts are left out.

    Args:
        title: Title above the facts.
        facts: Name -> value.
        table: Table of few rows; its numbers get three digits.

    >>> as_html("run <a>", {"net": "VAE"}).count("&lt;a&gt;")
    1
    """
    rows = "".join(
        f'<tr><th style="{_STYLE}">{escape(name)}</th><td style="{_STYLE}">{escape(str(value))}</td></tr>'
        for name, value in facts.items()
        if value not in (None, "")
    )
    below = "" if table is None else table.to_html(index=False, na_rep="", float_format="{:.3f}".format)
    return f"<div><b>{escape(title)}</b><table>{rows}</table>{below}</div>"
