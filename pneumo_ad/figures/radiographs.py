"""Whole radiographs and their lung fields (the paper's Figs. 1 and 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from pneumo_ad.figures.proportions import Proportions
from pneumo_ad.figures.style import FIELD, SMALL, STYLE, draw_outline, fitting, page_of_pictures, show
from pneumo_ad.labels import RADIOGRAPH, Vocabulary

# Not a grey, so that it is not mistaken for a pixel of the lung.
BACKGROUND = "#c6dbef"

Images = Sequence[npt.NDArray[np.uint8]]


def sample_rows(
    rows: Mapping[str, tuple[Images, Sequence[str]]], proportions: Mapping[str, Sequence[Proportions]] | None = None
) -> Figure:
    """Draw Fig. 1: a row of radiographs per class.

    Args:
        rows: Radiographs, (H, W) uint8 grey levels each, and their names, by class; at least one radiograph.
        proportions: Proportions of each radiograph, by class; None for square pixels.
    """
    shapes = proportions or {name: Proportions.as_seen(pictures) for name, (pictures, _) in rows.items()}
    most = max(len(pictures) for pictures, _ in rows.values())
    with mpl.rc_context(STYLE):
        figure, axes, side = page_of_pictures(list(shapes.values()), most, 1.65, 0.35, above=0.25 * len(rows))
        for row, (name, (pictures, names)) in zip(axes, rows.items(), strict=True):
            for axis in row[len(pictures) :]:
                axis.set_visible(False)
            for axis, image, words, shape in zip(row, pictures, names, shapes[name], strict=False):
                show(axis, image, shape=shape)
                axis.set_xlabel(fitting(words, side), size=SMALL, labelpad=2)
            row[0].set_ylabel(name)
    return figure


def painted(image: npt.NDArray[np.uint8], field: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """Paint everything outside a lung field in one colour, (H, W, 3) in [0, 1].

    Args:
        image: (H, W) uint8 grey levels.
        field: (H, W) lung field, 0 or 1.
    """
    return np.where(field[..., None] == 1, image[..., None] / 255, np.array(to_rgb(BACKGROUND)))


def lung_fields(
    images: Images,
    fields: Images,
    names: Sequence[str],
    proportions: Sequence[Proportions] | None = None,
    terms: Vocabulary = RADIOGRAPH,
) -> Figure:
    """Draw Fig. 5, a column per radiograph: plain, with the lung field outlined, and with all else in one colour.

    Args:
        images: Radiographs, (H, W) uint8 grey levels each.
        fields: Lung fields, (H, W) of 0 and 1 each.
        names: Names of the radiographs.
        proportions: Proportions of each radiograph; None for square pixels.
        terms: Words for what the images show.
    """
    shapes = proportions or Proportions.as_seen(images)
    with mpl.rc_context(STYLE):
        figure, axes, side = page_of_pictures([shapes] * 3, len(images), 1.6, beside=0.35, above=0.5)
        for column, (image, field, name, shape) in enumerate(zip(images, fields, names, shapes, strict=True)):
            show(axes[0, column], image, shape=shape)
            show(axes[1, column], image, shape=shape)
            draw_outline(axes[1, column], field, FIELD)
            show(axes[2, column], painted(image, field), shape=shape)
            axes[0, column].set_title(fitting(name, side), size=SMALL)
        for axis, words in zip(axes[:, 0], (terms.image, terms.field, f"{terms.region} alone"), strict=True):
            axis.set_ylabel(words)
    return figure
