"""Radiographs brought to one sharpness and one distribution of grey levels within the lung field.

What still tells the classes apart afterwards is neither exposure nor sharpness at the scale of a pixel. The idea of
histogram specification (Gonzalez & Woods, Digital Image Processing), here towards the mean quantile function of all the
radiographs, as in Wasserstein averages of histograms (Agueh & Carlier 2011, SIAM J. Math. Anal.), and alternated with
blur. No label is looked at.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scipy.optimize import brentq

from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.files import reading_threads
from pneumo_ad.metrics.shortcuts import inner_field, laplacian

_RANKS = (np.arange(4096) + 0.5) / 4096  # at which quantile functions are kept
_FINE = 16  # steps per grey level in which blurred images are ranked
_MOST_SIGMA = 6.0  # pixels; a radiograph that needs more is blurred by this much and stays a little sharper
_CLOSE = 1e-4  # pixels: how well a sigma is found; sharpness is then off by less than 0.1 %
_REACHED = 0.01  # of the reference's sharpness: how far off still counts as matched


@dataclass(frozen=True)
class Reference:
    """What radiographs are brought to.

    Attributes:
        levels: (4096,) grey levels 0-255 of the common distribution, at evenly spaced ranks.
        sharpness: Mean absolute Laplacian within the lung field, in grey levels.
    """

    levels: npt.NDArray[np.float64]
    sharpness: float


@dataclass(frozen=True)
class Matched:
    """Radiographs after matching, and what was done to them.

    Attributes:
        images: (I, H, W) uint8; where `fill` was asked for, each pixel outside the lung field has the grey level of the
            nearest one inside, so that neither surroundings nor padding nor an edge between them and the lung is left
            to be read.
        sigma: (I,) standard deviation of the Gaussian blur in pixels, 0 for those left as sharp as they were.
        reached: (I,) bool, false where sharpness is not the reference's: the radiographs that were duller from the
            start, and any that no blur allowed here makes dull enough.
        reference: Reference that they were matched to.
    """

    images: npt.NDArray[np.uint8]
    sigma: npt.NDArray[np.float64]
    reached: npt.NDArray[np.bool_]
    reference: Reference


def matchable(lung_fields: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """(N, H, W) of 0 and 1 -> (N,) bool: whether there is a lung field in which sharpness can be measured."""
    return np.array([bool(inner_field(np.asarray(field)).any()) for field in lung_fields], dtype=bool)


def match(
    images: npt.NDArray[np.uint8],
    lung_fields: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.integer] | None = None,
    quantile: float = 0.05,
    fill: bool = True,
) -> Matched:
    """Match radiographs to each other.

    The aspect ratio is not touched: open the store with `fit=pad` to bring that to common as well.

    Args:
        images: (N, H, W) uint8, memory-mapped or not; read one by one.
        lung_fields: (N, H, W) of 0 and 1.
        rows: (I,) rows to match to each other; default all.
        quantile: The radiographs are blurred to this quantile of their sharpness; duller ones stay as they are.
        fill: Whether what lies outside the lung field is filled in from within, for nets that see patches of lung. The
            chest around the lung is else blurred and mapped like the lung, for nets that need to see it.

    Raises:
        ConfigError: A quantile outside [0, 1].
        DataError: Rows without a lung field (`matchable` tells them), or no rows.
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
    """What to bring radiographs to: their mean quantile function, and a low quantile of their sharpness under it.

    Args:
        images: (N, H, W) uint8 fitted radiographs.
        lung_fields: (N, H, W) uint8 of 0 and 1.
        rows: (I,) row numbers in the table.
        quantile: Share of radiographs that are less sharp than what all are blurred to.

    Raises:
        ConfigError: `quantile` is not in [0, 1].
        DataError: There is no radiograph, or one without a lung field.
    """
    if not 0 <= quantile <= 1:
        raise ConfigError(f"quantile={quantile} must lie in [0, 1]")
    if not len(rows):
        raise DataError("no radiograph to match")
    blind = [int(row) for row in rows if not inner_field(np.asarray(lung_fields[row])).any()]
    if blind:
        raise DataError(f"{len(blind)} radiographs have no lung field to be matched in: rows {blind[:10]}")

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
    """Match one radiograph: (H, W) uint8 and its field of 0 and 1 -> (H, W) uint8 and the sigma of its blur in pixels.

    Blurring narrows the distribution and matching widens it again, which sharpens: so the blur is sought whose result
    *after* matching has the reference's sharpness.

    Args:
        image: (H, W) uint8.
        lung_field: (H, W) of 0 and 1.
        reference: Reference, as `find_reference` returns it.
        fill: See `match`.
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
    """Grey levels mapped by their mid-rank within the field, equal ones alike; monotone, from 0 to 0 and 255 to 255."""
    fine = np.rint(np.asarray(image, dtype=np.float32) * _FINE).astype(np.int32)
    counts = np.bincount(fine[field], minlength=255 * _FINE + 1)
    ranks = (np.cumsum(counts) - counts / 2) / counts.sum()
    table, steps = np.interp(ranks, _RANKS, levels), np.arange(len(counts))
    low, high = np.flatnonzero(counts)[[0, -1]]
    beyond = (steps < low) | (steps > high)  # of the field's own range: straight on to the ends of the scale
    table[beyond] = np.interp(steps[beyond], [0, low, high, steps[-1]], [0, table[low], table[high], 255])
    return np.rint(table).astype(np.uint8)[fine]


def _sharpness(image: npt.NDArray[np.uint8], field: npt.NDArray[np.bool_]) -> float:
    return float(np.abs(laplacian(image)[inner_field(field)]).mean())


def _around(field: npt.NDArray[np.integer], margin: int) -> tuple[slice, slice]:
    """The box of a field, wider by what a blur reaches."""
    down, right = (np.flatnonzero(field.any(axis=axis)) for axis in (1, 0))
    top, left = (max(0, int(side[0]) - margin) for side in (down, right))
    return slice(top, int(down[-1]) + margin + 1), slice(left, int(right[-1]) + margin + 1)
