"""Matching of radiographs to one sharpness and one distribution of grey levels within the lung field.

Differences between classes that remain are neither exposure nor sharpness at the scale of a pixel. The method is
histogram specification (Gonzalez & Woods, Digital Image Processing) to the mean quantile function of all radiographs,
as in Wasserstein averages of histograms (Agueh & Carlier 2011, SIAM J. Math. Anal.), combined with blur. No label is
used.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt, find_objects, gaussian_filter
from scipy.optimize import brentq

from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.files import reading_threads
from pneumo_ad.metrics.shortcuts import inner_field, laplacian

_RANKS = (np.arange(4096) + 0.5) / 4096  # of quantile functions
_FINE = 16  # steps per grey level in which blurred images are ranked
_MOST_SIGMA = 6.0  # pixels; a radiograph that needs more blur gets this much and stays slightly sharper
_CLOSE = 1e-4  # pixels: tolerance of sigma; the error of sharpness is then below 0.1 %
_REACHED = 0.01  # relative difference from the reference's sharpness that counts as matched


@dataclass(frozen=True)
class Reference:
    """Common distribution of grey levels and common sharpness, the target of matching.

    Attributes:
        levels: (4096,) grey levels 0-255 of the common distribution, at evenly spaced ranks.
        sharpness: Mean absolute Laplacian within the lung field, in grey levels.
    """

    levels: npt.NDArray[np.float64]
    sharpness: float


@dataclass(frozen=True)
class Matched:
    """Matched radiographs, with the blur applied to each.

    Attributes:
        images: (I, H, W) uint8; where `fill` was asked for, each pixel outside the lung field has the grey level of the
            nearest one inside, so that no information is left in surroundings, padding or the edge of the lung.
        sigma: (I,) standard deviation of the Gaussian blur in pixels, 0 for radiographs that were not blurred.
        reached: (I,) bool, false where sharpness is not the reference's: radiographs less sharp from the start, and
            any that the largest blur leaves too sharp.
        reference: Reference of the matching.
    """

    images: npt.NDArray[np.uint8]
    sigma: npt.NDArray[np.float64]
    reached: npt.NDArray[np.bool_]
    reference: Reference


def matchable(lung_fields: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Return (N,) bool, radiographs whose lung field, (N, H, W) of 0 and 1, allows sharpness to be measured."""
    return np.array([bool(inner_field(np.asarray(field)).any()) for field in lung_fields], dtype=bool)


def match(
    images: npt.NDArray[np.uint8],
    lung_fields: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.integer] | None = None,
    quantile: float = 0.05,
    fill: bool = True,
) -> Matched:
    """Match radiographs to each other.

    The aspect ratio is not changed: open the store with `fit=pad` to keep it free of squashing.

    Args:
        images: (N, H, W) uint8, memory-mapped or not; read one by one.
        lung_fields: (N, H, W) uint8 of 0 and 1.
        rows: (I,) rows to match to each other; default all.
        quantile: Quantile of sharpness, in [0, 1], to which radiographs are blurred; less sharp ones stay as they are.
        fill: Whether pixels outside the lung field are filled in from within, for nets of patches. Otherwise the chest
            around the lung is blurred and mapped like the lung, for nets of whole radiographs.

    Raises:
        ConfigError: A quantile outside [0, 1].
        DataError: Rows without a lung field (see `matchable`), or no rows.
    """
    rows = np.arange(len(images)) if rows is None else np.asarray(rows)
    reference = find_reference(images, lung_fields, rows, quantile)
    matched = np.empty((len(rows), *images.shape[1:]), dtype=np.uint8)
    sigma, sharpness = np.zeros(len(rows)), np.zeros(len(rows))

    def one(place: int) -> None:
        image, field = np.asarray(images[rows[place]]), np.asarray(lung_fields[rows[place]])
        matched[place], sigma[place] = match_one(image, field, reference, fill)
        sharpness[place] = _sharpness(matched[place], field == 1)

    with ThreadPoolExecutor(reading_threads()) as pool:
        list(pool.map(one, range(len(rows))))
    reached = np.abs(sharpness - reference.sharpness) <= _REACHED * reference.sharpness
    return Matched(matched, sigma, reached, reference)


def find_reference(
    images: npt.NDArray[np.uint8],
    lung_fields: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.integer],
    quantile: float = 0.05,
) -> Reference:
    """Compute the reference: the mean quantile function of radiographs, and a low quantile of sharpness under it.

    Args:
        images: (N, H, W) uint8 fitted radiographs.
        lung_fields: (N, H, W) uint8 of 0 and 1.
        rows: (I,) rows of `images`.
        quantile: Quantile of sharpness, in [0, 1].

    Raises:
        ConfigError: `quantile` is not in [0, 1].
        DataError: No radiograph, or one without a lung field.
    """
    if not 0 <= quantile <= 1:
        raise ConfigError(f"quantile={quantile} must lie in [0, 1]")
    if not len(rows):
        raise DataError("no image to match")
    if blind := rows[~matchable(lung_fields[rows])].tolist():
        raise DataError(f"{len(blind)} images have no field to be matched in: rows {blind[:10]}")

    def quantiles(row: int) -> npt.NDArray[np.int64]:
        inside = np.sort(np.asarray(images[row])[np.asarray(lung_fields[row]) == 1])
        return inside[(_RANKS * len(inside)).astype(np.int64)].astype(np.int64)

    with ThreadPoolExecutor(reading_threads()) as pool:
        # A sum of integers does not depend on the order of the radiographs.
        levels = sum(pool.map(quantiles, rows), np.zeros(len(_RANKS), dtype=np.int64)) / len(rows)

        def sharpness(row: int) -> float:
            field = np.asarray(lung_fields[row]) == 1
            return _sharpness(_specify(np.asarray(images[row]), field, levels), field)

        return Reference(levels, float(np.quantile(list(pool.map(sharpness, rows)), quantile)))


def match_one(
    image: npt.NDArray[np.uint8], lung_field: npt.NDArray[np.integer], reference: Reference, fill: bool = True
) -> tuple[npt.NDArray[np.uint8], float]:
    """Match one radiograph to a reference.

    Blur narrows the distribution and specification widens it again, which sharpens: sigma is therefore solved for the
    sharpness *after* specification.

    Args:
        image: (H, W) uint8 grey levels.
        lung_field: (H, W) of 0 and 1.
        reference: From `find_reference`.
        fill: See `match`.

    Returns:
        (H, W) uint8, and the sigma of its blur in pixels.
    """
    box = _around(lung_field, int(np.ceil(4 * _MOST_SIGMA)))

    def blurred(sigma: float, part: tuple[slice, slice] = box) -> npt.NDArray[np.uint8]:
        smooth = gaussian_filter(image[part].astype(np.float32), sigma) if sigma else image[part]
        return _specify(smooth, lung_field[part] == 1, reference.levels)

    def excess(sigma: float) -> float:
        return _sharpness(blurred(sigma), lung_field[box] == 1) - reference.sharpness

    sigma = 0.0
    if excess(0.0) > 0:
        sigma = _MOST_SIGMA if excess(_MOST_SIGMA) > 0 else float(brentq(excess, 0.0, _MOST_SIGMA, xtol=_CLOSE))
    whole = blurred(sigma, np.s_[:, :])
    if not fill:
        return whole, sigma
    nearest = distance_transform_edt(lung_field == 0, return_distances=False, return_indices=True)
    return whole[tuple(nearest)], sigma


def _specify(
    image: npt.NDArray[np.generic], field: npt.NDArray[np.bool_], levels: npt.NDArray[np.float64]
) -> npt.NDArray[np.uint8]:
    """Map grey levels by their mid-rank within the field; monotone, with 0 -> 0 and 255 -> 255."""
    fine = np.rint(np.asarray(image, dtype=np.float32) * _FINE).astype(np.int32)
    counts = np.bincount(fine[field], minlength=255 * _FINE + 1)
    ranks = (np.cumsum(counts) - counts / 2) / counts.sum()
    table, steps = np.interp(ranks, _RANKS, levels), np.arange(len(counts))
    low, high = np.flatnonzero(counts)[[0, -1]]
    beyond = (steps < low) | (steps > high)  # outside the field's range: linear to the ends of the scale
    table[beyond] = np.interp(steps[beyond], [0, low, high, steps[-1]], [0, table[low], table[high], 255])
    return np.rint(table).astype(np.uint8)[fine]


def _sharpness(image: npt.NDArray[np.uint8], field: npt.NDArray[np.bool_]) -> float:
    return float(np.abs(laplacian(image)[inner_field(field)]).mean())


def _around(field: npt.NDArray[np.integer], margin: int) -> tuple[slice, slice]:
    """Return the bounding box of a field, wider by `margin` pixels, the reach of a blur."""
    down, right = (slice(max(0, side.start - margin), side.stop + margin) for side in find_objects(field)[0])
    return down, right
