"""Files of anomaly maps: 16-bit PNG or `.npy`, in the frame of the radiograph."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pneumo_ad.prediction.written import write_picture

Floats = npt.NDArray[np.float32]

_STEPS = 65534  # from grey 1 (low) to 65535 (high); grey 0 marks pixels without a window


def scale_of(anomaly: Floats) -> tuple[float, float]:
    """Return lowest and highest value of an (h, w) map; NaN for a map without any window."""
    known = anomaly[~np.isnan(anomaly)]
    return (float(known.min()), float(known.max())) if len(known) else (np.nan, np.nan)


def write_map(path: Path, anomaly: Floats, unit: str) -> str:
    """Write an anomaly map and return the digest of the file (`write_picture`).

    Args:
        path: File to write. `.png`: 16-bit grey, value = low + (grey - 1) / 65534 * (high - low), grey 0 where no
            window lies; `low`, `high` and `unit` are text chunks. `.npy`: float32 with NaN.
        anomaly: (h, w) float32 map in units of the score, NaN where no window lies.
        unit: Unit of the score, for example grey levels.
    """
    file = BytesIO()
    if path.suffix == ".npy":
        np.save(file, anomaly)
        return write_picture(path, file)
    low, high = scale_of(anomaly)
    share = (anomaly - low) / (high - low) if high > low else np.zeros_like(anomaly)
    grey = np.where(np.isnan(anomaly), 0, 1 + np.rint(np.nan_to_num(share) * _STEPS)).astype(np.uint16)
    text = PngInfo()
    for key, value in (("low", repr(low)), ("high", repr(high)), ("unit", unit)):
        text.add_text(key, value)
    Image.fromarray(grey).save(file, "PNG", pnginfo=text)
    return write_picture(path, file)


def read_map(path: Path) -> Floats:
    """Read a map of `write_map`: (h, w) float32, NaN where no window lies; PNG exact to (high - low) / 65534 / 2."""
    if path.suffix == ".npy":
        values: Floats = np.load(path, allow_pickle=False)
        return values
    with Image.open(path) as image:
        low, high = float(image.info["low"]), float(image.info["high"])
        grey = np.asarray(image).astype(np.float64)
    return np.where(grey == 0, np.nan, low + (grey - 1) / _STEPS * (high - low)).astype(np.float32)
