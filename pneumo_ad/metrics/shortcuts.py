"""Shortcuts: trivial properties of a radiograph that separate the classes without regard to disease.

A model that ranks no better than the best shortcut has shown nothing (Geirhos et al. 2020, Nature Machine Intelligence;
DeGrave et al. 2021, Nature Machine Intelligence, for chest radiographs).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from pneumo_ad.files import reading_threads
from pneumo_ad.metrics.catalogue import LEVELS, scarcity
from pneumo_ad.metrics.ranking import Interval, Patients, Scores, Truth, auroc_with_interval
from pneumo_ad.patches.placement import Placement

Values = dict[str, npt.NDArray[np.float64]]

STRONG = 0.6  # AUROC in either direction from which a shortcut is reported

_FRAME = 1 / 16  # of each side: the border frame
_BLACK = 16  # grey level up to which a pixel counts as black; JPEG rarely keeps 0

WORDS = {
    "brightness": "mean grey level of the {image}",
    "contrast": "standard deviation of its grey levels",
    "sharpness": "mean absolute Laplacian, grey levels",
    "sharpness_centre": "mean absolute Laplacian of the central half of both sides",
    "border_blackness": f"share of pixels up to grey level {_BLACK} in the outer 1/16 of each side",
    "native_resolution": "square root of the file's height × width, pixels",
    "aspect_ratio": "width / height of the file",
    "jpeg_size": "bytes of the file, whatever its format",
    "lung_area": "share of the {image} inside the {field}",
    "lung_brightness": "mean grey level inside the {field}",
    "lung_contrast": "standard deviation inside the {field}",
    "lung_sharpness": "mean absolute Laplacian inside the {field}, grey levels",
}


def laplacian(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.int16]:
    """Compute the Laplacian of the four neighbours: (H, W) uint8 -> (H - 2, W - 2) int16, border pixels left out.

    >>> laplacian(np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], dtype=np.uint8))
    array([[4]], dtype=int16)
    """
    x = image.astype(np.int16)
    return x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:] - 4 * x[1:-1, 1:-1]


def inner_field(field: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    """Return pixels whose four neighbours lie in the field too: (H, W) of 0 and 1 -> (H - 2, W - 2) bool.

    Only there is the Laplacian of lung alone.
    """
    f = field.astype(bool)
    return f[1:-1, 1:-1] & f[:-2, 1:-1] & f[2:, 1:-1] & f[1:-1, :-2] & f[1:-1, 2:]


def pixel_shortcuts(
    images: npt.NDArray[np.uint8], table: pd.DataFrame, rows: npt.NDArray[np.integer] | None = None
) -> Values:
    """Compute the shortcuts in the pixels of radiographs, padding left out.

    Args:
        images: (N, H, W) uint8 fitted radiographs, memory-mapped or not; read one by one.
        table: N rows with `top`, `left`, `fitted_height`, `fitted_width`: place of the radiograph in its image.
        rows: (I,) rows to measure; default all.

    Returns:
        `brightness`, `contrast`, `sharpness`, `sharpness_centre`, `border_blackness`: (I,) each, see `WORDS`.
    """
    placements = Placement.of_rows(table)

    def of(row: int) -> tuple[float, ...]:
        image = placements[row].inner(np.asarray(images[row]))
        # A radiograph of fewer than 3 pixels on a side has no Laplacian: sharpness 0.
        edges = np.abs(laplacian(image)) if min(image.shape) > 2 else np.zeros((1, 1))
        h, w = edges.shape
        centre = edges[h // 4 : h - h // 4, w // 4 : w - w // 4]
        frame = np.ones(image.shape, dtype=bool)
        height, width = image.shape
        down, right = max(1, round(height * _FRAME)), max(1, round(width * _FRAME))
        frame[down : height - down, right : width - right] = False
        black = (image[frame] <= _BLACK).mean()
        return image.mean(), image.std(), edges.mean(), centre.mean(), black

    names = ("brightness", "contrast", "sharpness", "sharpness_centre", "border_blackness")
    return _each(names, of, range(len(images)) if rows is None else rows)


def lung_shortcuts(
    images: npt.NDArray[np.uint8],
    lung_fields: npt.NDArray[np.uint8],
    table: pd.DataFrame,
    rows: npt.NDArray[np.integer] | None = None,
) -> Values:
    """Compute the shortcuts in the lung field; NaN, except for the area, where no lung was found.

    Args:
        images: As in `pixel_shortcuts`.
        lung_fields: (N, H, W) uint8 of 0 and 1.
        table: As in `pixel_shortcuts`.
        rows: (I,) rows to measure; default all.

    Returns:
        `lung_area`, `lung_brightness`, `lung_contrast`, `lung_sharpness`: (I,) each, see `WORDS`.
    """
    placements = Placement.of_rows(table)

    def of(row: int) -> tuple[float, ...]:
        field = np.asarray(lung_fields[row])
        image = np.asarray(images[row])
        inside, edges = image[field == 1], np.abs(laplacian(image)[inner_field(field)])
        share = placements[row].inner(field).mean()
        return (share, inside.mean(), inside.std(), edges.mean()) if len(edges) else (share, *[np.nan] * 3)

    names = ("lung_area", "lung_brightness", "lung_contrast", "lung_sharpness")
    return _each(names, of, range(len(images)) if rows is None else rows)


def file_shortcuts(table: pd.DataFrame, rows: npt.NDArray[np.integer] | None = None) -> Values:
    """Compute the shortcuts in the file itself: resolution, aspect ratio and size, without its pixels.

    Args:
        table: Columns `height` and `width` of the file in pixels, and `bytes`.
        rows: (I,) rows to measure; default all.

    Returns:
        `native_resolution`, `aspect_ratio`, `jpeg_size`: (I,) each, see `WORDS`.
    """
    chosen = table if rows is None else table.iloc[rows]
    height, width, size = (chosen[name].to_numpy(dtype=np.float64) for name in ("height", "width", "bytes"))
    return {"native_resolution": np.sqrt(height * width), "aspect_ratio": width / height, "jpeg_size": size}


def image_shortcuts(
    images: npt.NDArray[np.uint8],
    table: pd.DataFrame,
    lung_fields: npt.NDArray[np.uint8] | None = None,
    rows: npt.NDArray[np.integer] | None = None,
) -> Values:
    """Compute all shortcuts: (I,) float64 by name, in the order of `WORDS`; see the three functions above.

    Args:
        images: (N, H, W) uint8 fitted radiographs.
        table: N rows, one per radiograph (`check_table`).
        lung_fields: (N, H, W) uint8 of 0 and 1; None leaves out `lung_shortcuts`.
        rows: (I,) rows to measure; default all.
    """
    values = pixel_shortcuts(images, table, rows) | file_shortcuts(table, rows)
    return values if lung_fields is None else values | lung_shortcuts(images, lung_fields, table, rows)


def shortcut_aurocs(
    values: Mapping[str, Scores], positive: Truth, negative: Truth, patient: Patients
) -> tuple[dict[str, Interval], dict[str, str]]:
    """Compute the AUROC of each shortcut alone, positives against negatives.

    Args:
        values: Name of the shortcut -> (I,) values; NaN where not known.
        positive: (I,) bool, pneumonia.
        negative: (I,) bool, normal; radiographs that are neither are left out.
        patient: (I,) patient of each radiograph.

    Returns:
        Name -> AUROC with its 95 % interval, above 0.5 where positives have higher values; and name -> reason for
        shortcuts left out.
    """
    aurocs: dict[str, Interval] = {}
    omitted: dict[str, str] = {}
    sides = ((negative, "normal"), (positive, "{abnormal}"))
    for name, value in values.items():
        known = (positive | negative) & ~np.isnan(value)
        count, few = min(((int((side & known).sum()), word) for side, word in sides), key=lambda pair: pair[0])
        if reason := scarcity(count, f"{few} {{images}}"):
            omitted[name] = reason
        elif np.ptp(value[known]) == 0:
            omitted[name] = "the same for every {image}"
        else:
            aurocs[name] = auroc_with_interval(value[known], positive[known], patient[known])
    return aurocs, omitted


def strength(auroc: float) -> float:
    """Return the AUROC in the better direction, in [0.5, 1]: a shortcut that ranks backwards is as good.

    >>> strength(0.25)
    0.75
    """
    return max(auroc, 1 - auroc)


class Shortcut(NamedTuple):
    """A shortcut: name, AUROC as measured (below 0.5 where positives have lower values), and direction in words.

    The words are a template of `labels.Vocabulary.fill`.
    """

    name: str
    auroc: float  # in [0, 1]
    words: str


def best_shortcut(aurocs: Mapping[str, float]) -> Shortcut | None:
    """Return the strongest shortcut in either direction, the first of equals; None where there is none.

    >>> best_shortcut({"brightness": 0.6, "sharpness": 0.2})
    Shortcut(name='sharpness', auroc=0.2, words='lower sharpness')
    """
    if not aurocs:
        return None
    name = max(aurocs, key=lambda key: strength(aurocs[key]))
    direction = "higher" if aurocs[name] >= 0.5 else "lower"
    return Shortcut(name, aurocs[name], f"{direction} {spoken(name)}")


def spoken(name: str) -> str:
    """Return the display name of a shortcut, a template of `labels.Vocabulary.fill`.

    >>> spoken("jpeg_size"), spoken("lung_area")
    ('JPEG size', '{region} area')
    """
    return name.replace("_", " ").replace("jpeg", "JPEG").replace("lung", "{region}")


def _each(names: tuple[str, ...], of: Callable[[int], tuple[float, ...]], rows: Iterable[int]) -> Values:
    # Threads suffice: numpy releases the GIL. Each holds one image at a time.
    with ThreadPoolExecutor(reading_threads()) as pool:
        measured = list(pool.map(of, rows))
    columns = np.array(measured, dtype=np.float64).reshape(-1, len(names)).T
    return dict(zip(names, columns, strict=True))


def strongest_shortcut(metrics: Mapping[str, Any], key: str) -> Shortcut | None:
    """Return the strongest shortcut, in either direction, on the samples of an AUROC.

    Args:
        metrics: Metrics by key, as in `metrics.json`.
        key: Key of the AUROC.
    """
    level = LEVELS.get(key, "")
    own = best_shortcut(_alone(metrics, level))
    # The origin of a patch is the class of its radiograph: shortcuts of whole images apply too.
    whole = best_shortcut(_alone(metrics, "image")) if level.startswith("patch_origin") else None
    if whole is None or (own is not None and strength(own.auroc) >= strength(whole.auroc)):
        return own
    return whole._replace(words=f"the {{image}}'s {whole.words}")


def _alone(metrics: Mapping[str, Any], level: str) -> dict[str, float]:
    """Name of each shortcut of a level -> AUROC."""
    beginning = f"shortcut/{level}/"
    return {
        name.removeprefix(beginning): value
        for name, value in metrics.items()
        if name.startswith(beginning) and not name.endswith(("_low", "_high"))
    }
