"""Display transform of a DICOM header: modality LUT, then VOI LUT or window (PS3.3, C.11.1 and C.11.2).

If both are linear, the pixels stay as stored and the window is converted to stored values, so that a radiograph of 16
bits does not become floating point. Overlays, shutters and presentation states are ignored; pixel padding is excluded
from the percentiles only.
"""

from __future__ import annotations

from collections.abc import MutableSequence
from math import isnan, nan
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi
from scipy.special import expit

from pneumo_ad.data.readers.dicom_words import code_of
from pneumo_ad.data.readers.window import Window, intensity_window
from pneumo_ad.errors import DataError

# Levels by which the interval is narrower than WindowWidth: half a level on each side (C.11.2.1.2.1, C.11.2.1.3.2).
_NARROWER = {"LINEAR": 1.0, "LINEAR_EXACT": 0.0, "SIGMOID": 0.0}


def shown(path: str | Path, pixels: npt.NDArray[Any], dataset: Dataset) -> tuple[npt.NDArray[Any], Window]:
    """Apply the header's LUTs, and find the window: of its VOI LUT, the first of its windows, or `intensity_window`.

    Args:
        path: File to name in the messages.
        pixels: (H, W) integers as stored.
        dataset: Header of the file.

    Returns:
        Grey values, (H, W), and the two of them that become 0 and 1, the first above the second if high values are
        dark. Grey values are integers as stored, entries of a LUT, or float32 in [0, 1] after a sigmoid.

    Raises:
        DataError: Nothing but padding, a slope of 0, an unknown VOI LUT function, or a window that all pixels are below
            or above.
    """
    pixels, window = _brought_to(path, pixels, dataset)
    return pixels, window if dataset.PhotometricInterpretation == "MONOCHROME2" else window[::-1]


def _brought_to(path: str | Path, pixels: npt.NDArray[Any], dataset: Dataset) -> tuple[npt.NDArray[Any], Window]:
    slope, intercept = _number(dataset, "RescaleSlope", 1.0), _number(dataset, "RescaleIntercept", 0.0)
    if slope == 0:
        raise DataError(f"{path}: RescaleSlope 0 makes all pixels the same; expected another number")
    inside = pixels[~_padding(pixels, dataset)] if "PixelPaddingValue" in dataset else pixels
    if not inside.size:
        raise DataError(f"{path}: holds nothing but padding (PixelPaddingValue {dataset.PixelPaddingValue})")
    bits = int(dataset.BitsStored)
    if dataset.get("ModalityLUTSequence"):
        bits = int(dataset.ModalityLUTSequence[0].LUTDescriptor[2])
        pixels = inside = apply_modality_lut(pixels, dataset)
        slope, intercept = 1.0, 0.0
    if dataset.get("VOILUTSequence"):
        levels = pixels if (slope, intercept) == (1, 0) else np.rint(pixels * slope + intercept).astype(np.int32)
        return apply_voi(levels, dataset), (0.0, 2.0 ** int(dataset.VOILUTSequence[0].LUTDescriptor[2]) - 1)
    function = str(dataset.get("VOILUTFunction") or "LINEAR").upper()
    if function not in _NARROWER:
        name = code_of(function)
        raise DataError(f"{path}: VOI LUT function {name} is not known; expected {', '.join(_NARROWER)}")
    width, center = _number(dataset, "WindowWidth", 0.0), _number(dataset, "WindowCenter", nan)
    span = width - _NARROWER[function]
    if span <= 0 or isnan(center):  # some headers without a window have one of width 0
        low, high = (0.0, 2.0**bits - 1) if pixels.dtype == np.uint8 else intensity_window(inside)
        return pixels, (low, high) if slope > 0 else (high, low)
    if function == "SIGMOID":
        distance = (pixels.astype(np.float32) * slope + intercept - center) / width
        return expit(4 * distance, dtype=np.float32), (0.0, 1.0)
    middle = center - _NARROWER[function] / 2
    low, high = (middle - span / 2 - intercept) / slope, (middle + span / 2 - intercept) / slope
    if inside.max() <= min(low, high) or inside.min() >= max(low, high):
        first, last = sorted((float(inside.min()) * slope + intercept, float(inside.max()) * slope + intercept))
        raise DataError(
            f"{path}: nothing is to be seen in its window (center {center:g}, width {width:g}): its values are "
            f"{first:g} to {last:g}"
        )
    return pixels, (low, high)


def _padding(pixels: npt.NDArray[Any], dataset: Dataset) -> npt.NDArray[np.bool_]:
    """Find the padding pixels, (H, W) bool (C.7.5.1.1.2)."""
    value = dataset.PixelPaddingValue
    low, high = sorted(map(int, (value, dataset.get("PixelPaddingRangeLimit", value))))
    return (pixels >= low) & (pixels <= high)


def _number(dataset: Dataset, name: str, default: float) -> float:
    """Read the first value of an element; `default` if it has none."""
    value = dataset.get(name)
    values = value if isinstance(value, MutableSequence) else [value]
    return default if not len(values) or values[0] in (None, "") else float(values[0])
