"""Limits on the size of a radiograph and their number in a file, checked before memory is allocated for pixels."""

from __future__ import annotations

from pathlib import Path

from pneumo_ad.errors import DataError

# Detectors have up to 20 megapixels, scans of a whole spine about 50. While it is read, a radiograph takes up to
# twelve bytes a pixel: 1.2 GB here.
MOST_PIXELS = 100_000_000

ONE = "expected one image a file. Save the one you mean as such"


def check_size(path: str | Path, height: int, width: int) -> None:
    """Refuse an image of more than `MOST_PIXELS`.

    Args:
        path: File to name in the message.
        height: Height in pixels.
        width: Width in pixels.

    Raises:
        DataError: It is larger; names the file and its size.
    """
    if height * width > MOST_PIXELS:
        raise DataError(
            f"{path}: {height} x {width} are {height * width / 1e6:.0f} megapixels; at most {MOST_PIXELS / 1e6:.0f} "
            "are read, to keep memory bounded. Make it smaller first"
        )
