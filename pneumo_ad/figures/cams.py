"""Grad-CAM of a classifier of whole radiographs (the paper's Fig. 2)."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from pneumo_ad.figures.proportions import Proportions
from pneumo_ad.figures.style import FIELD, SMALL, STYLE, draw_outline, fitting, page_of_pictures, show


def grad_cam_panel(
    images: Sequence[npt.NDArray[np.uint8]],
    cams: Sequence[npt.NDArray[np.floating]],
    lung_fields: Sequence[npt.NDArray[np.uint8]],
    names: Sequence[str],
    shares: Sequence[float],
    proportions: Sequence[Proportions] | None = None,
) -> Figure:
    """Draw Fig. 2: radiographs above the same with Grad-CAM overlaid, lung field outlined, its share printed below.

    Args:
        images: Radiographs, (H, W) uint8 grey levels each.
        cams: Grad-CAM maps, (H, W) each, 0 or more; each is scaled by its own maximum.
        lung_fields: Lung fields, (H, W) of 0 and 1 each.
        names: Names of the radiographs.
        shares: Share of each map's sum inside its lung field, in [0, 1]; NaN where the map is 0 everywhere.
        proportions: Proportions of each radiograph; None for square pixels.
    """
    shapes = proportions or Proportions.as_seen(images)
    with mpl.rc_context(STYLE):
        figure, axes, side = page_of_pictures([shapes] * 2, len(images), 1.6, beside=1.05, above=1.1)
        for column, (image, cam, field, share) in enumerate(zip(images, cams, lung_fields, shares, strict=True)):
            for axis in axes[:, column]:
                show(axis, image, shape=shapes[column])
                draw_outline(axis, field, FIELD)
            axes[0, column].set_title(fitting(names[column], side), size=SMALL)
            strength = cam / (cam.max() or 1)
            # The overlay is transparent where the map is 0.
            over = axes[1, column]
            alpha = 0.75 * np.sqrt(strength)
            over.imshow(strength, cmap="inferno", vmin=0, vmax=1, alpha=alpha, aspect=over.get_aspect())
            caption = "Grad-CAM:\n0 everywhere" if np.isnan(share) else f"in the lung:\n{share:.0%} of Grad-CAM"
            axes[1, column].set_xlabel(f"{caption}\n{field.mean():.0%} of the area", size=SMALL)
        axes[0, 0].set_ylabel("radiograph,\nlung field outlined", size=SMALL)
        axes[1, 0].set_ylabel("with Grad-CAM\nof pneumonia", size=SMALL)
        bar = figure.colorbar(
            ScalarMappable(cmap="inferno"), ax=axes[1, :].tolist(), shrink=0.9, pad=0.01, panchor=False
        )
        bar.set_label("share of its own maximum", size=SMALL)
        bar.ax.tick_params(labelsize=SMALL)
    return figure
