"""Histograms of patch scores (the paper's Fig. 9)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from pneumo_ad.figures.style import COLOURS, NAMES, STYLE, page
from pneumo_ad.labels import RADIOGRAPH, Vocabulary

_BINS = 80


def binned(
    scores: Mapping[str, npt.NDArray[np.floating]],
) -> tuple[npt.NDArray[np.float64], dict[str, npt.NDArray[np.int64]]]:
    """Count scores in bins shared by all groups; the last bin includes all larger scores.

    Args:
        scores: Scores by name of the group, arrays of any shape; empty groups are left out.

    Returns:
        (81,) bin edges, and (80,) counts by name of the group.
    """
    groups = {name: np.asarray(values).ravel() for name, values in scores.items() if np.size(values)}
    everything = np.concatenate(list(groups.values())) if groups else np.zeros(1)
    low, most, nearly_all = np.quantile(everything, [0, 0.9, 0.98])
    high = min(nearly_all, 1.3 * most)  # a long tail would leave only a few bins to the modes
    edges = np.linspace(min(low, 0), high if high > low else low + 1, _BINS + 1)
    return edges, {name: np.histogram(np.minimum(values, edges[-1]), edges)[0] for name, values in groups.items()}


def score_histogram(
    scores: Mapping[str, npt.NDArray[np.floating]],
    thresholds: Sequence[float] = (),
    unit: str = "SAD (grey levels per pixel)",
    title: str = "",
    words: str = "",
    radiographs: Mapping[str, int] | None = None,
    terms: Vocabulary = RADIOGRAPH,
) -> Figure:
    """Draw Fig. 9: histograms of patch scores, one outline per group, thresholds as vertical lines.

    Args:
        scores: Scores by name of the group (`COLOURS`), arrays of any shape; empty groups are left out.
        thresholds: Thresholds to mark, in units of the score.
        unit: Label of the score axis: name and unit.
        title: Title above the figure.
        words: Text beside the legend.
        radiographs: Number of radiographs that the scores of each group come from, or None.
        terms: Words for what the images show.
    """
    edges, counts = binned(scores)
    with mpl.rc_context(STYLE):
        figure = page(6.4, 4.2)
        axis = figure.subplots()
        for name, count in counts.items():
            share, colour = 100 * count / count.sum(), COLOURS.get(name, "0.5")
            axis.stairs(share, edges, fill=True, alpha=0.25, color=colour)
            counted = f"{NAMES.get(name, name)}: {counted_words(int(count.sum()), (radiographs or {}).get(name))}"
            axis.stairs(share, edges, color=colour, linewidth=1.4, label=terms.fill(counted))
        for number, value in enumerate(thresholds):
            label = None if number else "thresholds, fitted on validation"
            axis.axvline(min(value, edges[-1]), color="black", linestyle="--", linewidth=1, label=label)
        axis.set(xlabel=f"{unit}; the last bar holds all above", ylabel="share of the group's patches (%)", title=title)
        axis.set_xlim(edges[0], edges[-1])
        if counts:
            legend = figure.legend(loc="outside lower center", title=words or None, alignment="left")
            legend.get_title().set_fontsize(7.5)
            axis.set_ylim(top=axis.get_ylim()[1] * 1.05)
    return figure


def counted_words(windows: int, radiographs: int | None, noun: str = "patches") -> str:
    """Count windows and the radiographs that they come from, in a template.

    Args:
        windows: Number of windows.
        radiographs: Number of radiographs; None where it is not known.
        noun: Name of several windows.

    >>> counted_words(1200, 12), counted_words(100, 1), counted_words(100, None)
    ('1,200 patches of 12 {images}', '100 patches of 1 {image} (n = 1)', '100 patches')
    """
    if radiographs is None:
        return f"{windows:,} {noun}"
    return f"{windows:,} {noun} of " + (f"{radiographs:,} {{images}}" if radiographs != 1 else "1 {image} (n = 1)")
