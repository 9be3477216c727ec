"""Writer of a report as one HTML file without network requests.

External input (file names, configs) never becomes markup: words are escaped into text, the rest is JSON that the page's
script puts into text nodes. A content security policy blocks any other script.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import vl_convert

from pneumo_ad.data.progress import progress_bar
from pneumo_ad.files import atomic_write
from pneumo_ad.labels import LABEL_WORDS
from pneumo_ad.report.encoding import base64_of, colour_stops, coloured_map, grey_picture, outline_path
from pneumo_ad.report.histogram import grouped, linked_histogram, score_edges
from pneumo_ad.report.page import LUNG_FIELD, MARKED, RESIDUAL, TRUTH, Headline, Page, Radiograph

_UNITS = {RESIDUAL: "grey levels of difference"}  # units of maps other than the unit of the score
_MASK_CLASSES = {LUNG_FIELD: "field", TRUTH: "truth", MARKED: "marked"}  # of the page's style
_SCALE = (0.005, 0.995)  # quantiles of map values at the ends of the colour scale


def write_report(page: Page, file: Path) -> Path:
    """Write a report atomically.

    Args:
        page: Content of the report.
        file: HTML file to write; its folder exists.

    Returns:
        `file`.
    """
    scripts = {"library": _library(), "script": _part("page.js")}
    hashes = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts.values())
    text = Template(page.vocabulary.fill(_part("page.html"))).substitute(
        scripts,
        title=html.escape(page.title),
        subtitle=html.escape(page.subtitle),
        hashes=" ".join(f"'sha256-{digest}'" for digest in hashes),
        style=_part("page.css"),
        headline=_headline(page.headline, page.vocabulary.patient),
        notes="".join(f"<li>{html.escape(note)}</li>" for note in page.notes),
        config=html.escape(page.config),
        data=embedded(content(page)),
    )
    with atomic_write(file) as aside:
        aside.write_text(text, encoding="utf-8")
    return file


def embedded(value: dict[str, Any]) -> str:
    r"""Encode a value as JSON that any HTML parser takes for text: ASCII, without `<`, `>` and `&`.

    >>> embedded({"name": "</script>\u2028"})
    '{"name":"\\u003c/script\\u003e\\u2028"}'
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for mark in "<>&":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return text


def content(page: Page) -> dict[str, Any]:
    """Build the data of the page's script: words, numbers, pictures as data URIs, windows as typed arrays in base64."""
    groups, of = grouped(page.radiographs, page.vocabulary)
    everything = np.concatenate([*(one.windows.scores for one in page.radiographs), np.zeros(0)])
    edges = score_edges(everything)
    scales = _scales(page) | dict(page.map_scales)
    grids: dict[str, int] = {}
    return {
        "scoreName": page.score_name,
        "unit": page.unit,
        "thresholds": page.thresholds.finite if page.thresholds is not None and page.thresholds.finite else None,
        "kinds": [page.vocabulary.fill(name) for name in page.thresholds.words] if page.thresholds is not None else [],
        "words": {name: getattr(page.vocabulary, name) for name in ("image", "images", "healthy", "anomaly")},
        "maskClasses": {page.layer_words(name): kind for name, kind in _MASK_CLASSES.items()},
        "normals": page.normals,
        "whose": page.whose,
        "marked": page.marked,
        "groups": [group.name for group in groups],
        "edges": [float(edges[0]), float(edges[-1])],
        "beyond": int((everything > edges[-1]).sum()),
        "chart": linked_histogram(page, groups, of, edges),
        "maps": {
            name: {"low": low, "high": high, "unit": _UNITS.get(name, page.unit)}
            for name, (low, high) in scales.items()
        },
        "stops": colour_stops(),
        "radiographs": [
            _radiograph(one, own, grids, scales, page)
            for one, own in zip(progress_bar(page.radiographs, desc="report", unit="image"), of, strict=True)
        ],
        "grids": [json.loads(grid) for grid in grids],  # in order of first use
    }


def _radiograph(
    one: Radiograph,
    of: np.ndarray,
    grids: dict[str, int],
    scales: dict[str, tuple[float, float]],
    page: Page,
) -> dict[str, Any]:
    windows, thresholds = one.windows, page.thresholds
    # Radiographs of one run share their windows: positions are stored once.
    grid = json.dumps([base64_of(windows.top, "<u2"), base64_of(windows.left, "<u2"), windows.side])
    pictures, masks = {}, {}
    for name, layer in one.layers.items():
        if layer.dtype == bool:
            masks[page.layer_words(name)] = outline_path(layer)
        else:
            pictures[name] = coloured_map(layer, *scales[name]) if name in scales else grey_picture(layer)
    predicted = windows.kind_predicted
    return {
        "name": one.name,
        "label": page.vocabulary.fill(LABEL_WORDS.get(one.label, one.label)),
        "score": one.score,
        "p": one.p_value,
        "anomalous": one.anomalous,
        "remarks": list(one.remarks),
        "predicted": None
        if predicted is None or thresholds is None
        else [int((predicted == kind).sum()) for kind in thresholds.kinds],  # in the order of `kinds`
        "height": one.picture.shape[0],
        "width": one.picture.shape[1],
        "aspect": one.aspect or one.picture.shape[1] / one.picture.shape[0],
        "picture": grey_picture(one.picture),
        "pictures": pictures,
        "masks": masks,
        "grid": grids.setdefault(grid, len(grids)),
        "scores": base64_of(windows.scores, "<f4"),
        "groups": base64_of(of, "u1"),
    }


def _scales(page: Page) -> dict[str, tuple[float, float]]:
    """Compute the ends of the colour scale of each kind of map, the same for all radiographs.

    Only the lung counts, where it is known: values outside vary more, and would leave the lungs in one colour.
    """
    values_of: dict[str, list[np.ndarray]] = {}
    for one in page.radiographs:
        for name, layer in one.layers.items():
            if np.issubdtype(layer.dtype, np.floating):
                field = one.layers.get(LUNG_FIELD)
                counted = np.isfinite(layer) & (field if field is not None and field.any() else True)
                values_of.setdefault(name, []).append(layer[counted])
    scales = {}
    for name, parts in values_of.items():
        values = np.concatenate(parts)
        low, high = np.quantile(values, _SCALE).tolist() if values.size else (0.0, 1.0)
        scales[name] = (low, high if high > low else low + 1)
    return scales


def _headline(rows: Sequence[Headline], patient: str) -> str:
    """Format the table of metrics as HTML, with intervals by `patient`; empty without rows."""
    if not rows:
        return ""
    cells = []
    for row in rows:
        value = f"{row.value:.3f}" + (f" <small>({row.low:.3f}–{row.high:.3f})</small>" if row.low is not None else "")
        shortcut = "" if row.shortcut is None else f"{row.shortcut:.3f} <small>{html.escape(row.shortcut_name)}</small>"
        refines = ' class="refines"' if row.metric.startswith(" ") else ""
        name = html.escape(row.metric.strip())
        cells.append(f'<tr><th scope="row"{refines}>{name}</th><td>{value}</td><td>{shortcut}</td></tr>')
    return (
        "<h2>How good it is</h2>"
        '<div class="table"><table><thead><tr><th scope="col">metric</th><th scope="col">value (95 % interval)</th>'
        '<th scope="col">best score that needs no model</th></tr></thead>'
        f"<tbody>{''.join(cells)}</tbody></table></div>"
        f"<p>Intervals are by {patient}. Beside each AUROC stands the best of brightness, contrast, sharpness and so "
        "on, on the same samples, whichever way round it ranks: a score that does not beat it has found nothing.</p>"
    )


@cache
def _library() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script, from `vl_convert`."""
    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    # Inside a script element these would end it, or change how the parser finds its end.
    bundle = bundle.replace("\r\n", "\n").replace("</script", "<\\/script")
    assert "<!--" not in bundle
    assert "\r" not in bundle
    return bundle


@cache
def _part(name: str) -> str:
    return (files("pneumo_ad.report") / name).read_text(encoding="utf-8")
