"""Figure of an audit."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from pneumo_ad.figures import COLOURS
from pneumo_ad.figures.style import STYLE, page
from pneumo_ad.labels import LABEL_WORDS, NORMAL, PNEUMONIA, RADIOGRAPH, Vocabulary
from pneumo_ad.metrics.ranking import Interval
from pneumo_ad.metrics.shortcuts import Values, spoken

_COLUMNS = 3
_BINS = 40
_AXES = {
    "brightness": "mean grey level",
    "contrast": "standard deviation (grey levels)",
    "sharpness": "mean |Laplacian| (grey levels)",
    "sharpness_centre": "mean |Laplacian| (grey levels)",
    "border_blackness": "share of black pixels at the border",
    "native_resolution": "√(height × width) of the file (pixels)",
    "aspect_ratio": "width / height of the file",
    "jpeg_size": "bytes of the file (kB)",
    "lung_area": "share of the {image}",
    "lung_brightness": "mean grey level",
    "lung_contrast": "standard deviation (grey levels)",
    "lung_sharpness": "mean |Laplacian| (grey levels)",
}


def class_distributions(
    values: Values,
    labels: npt.NDArray[np.str_],
    aurocs: dict[str, Interval],
    names: Sequence[str],
    terms: Vocabulary = RADIOGRAPH,
) -> Figure:
    """Draw histograms of shortcuts by class, a panel each.

    Args:
        values: Name of a shortcut -> (N,) values.
        labels: (N,) normal, pneumonia or other.
        aurocs: Name of a shortcut -> AUROC with its interval.
        names: Shortcuts to draw, in this order; at least one.
        terms: Words for what the images show.
    """
    with mpl.rc_context(STYLE):
        columns = min(_COLUMNS, len(names))
        rows = -(-len(names) // columns)
        figure = page(2.6 * columns + 0.6, 2.1 * rows + 0.5)
        axes = figure.subplots(rows, columns, squeeze=False)
        for axis, name in zip(axes.flat, names, strict=False):
            value = values[name] / (1000 if name == "jpeg_size" else 1)
            known = np.isin(labels, (NORMAL, PNEUMONIA)) & ~np.isnan(value)
            # Without these limits a few extreme files would put all others into one bin.
            low, high = np.quantile(value[known], [0.002, 0.998])
            bins = np.linspace(low, high if high > low else low + 1, _BINS + 1)
            for label in (NORMAL, PNEUMONIA):
                of_class = np.clip(value[known & (labels == label)], bins[0], bins[-1])
                share = 100 * np.histogram(of_class, bins=bins)[0] / max(len(of_class), 1)
                axis.stairs(share, bins, fill=True, alpha=0.3, color=COLOURS[label])
                words = f"{terms.fill(LABEL_WORDS[label])} (n = {len(of_class):,})"
                axis.stairs(share, bins, linewidth=1.2, color=COLOURS[label], label=words)
            interval = aurocs[name]
            found = f"AUROC {interval.value:.3f} ({interval.low:.3f}–{interval.high:.3f})"
            axis.set_title(f"{terms.fill(spoken(name))}\n{found}", fontsize=9)
            axis.set(xlabel=terms.fill(_AXES[name]), xlim=(bins[0], bins[-1]))
            axis.set_ylim(bottom=0)
        for axis in axes.flat[len(names) :]:
            axis.set_axis_off()
        figure.supylabel(f"share of the class's {terms.images} (%)", fontsize=9)
        handles, labelled = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labelled, loc="outside upper center", ncols=2)
    return figure
