"""Opacities as bounding boxes, read from a csv and drawn as masks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from math import ceil, isfinite
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from pneumo_ad.data.sources.listing import match_names, read_listing
from pneumo_ad.data.words import first_few
from pneumo_ad.errors import DataError

Box = tuple[float, float, float, float]  # x, y of the upper left corner, width, height, in pixels of the upright image

_SIDES = ["x", "y", "width", "height"]
_ROUNDING = 1.0  # pixels by which a box may leave its image: other programs round, or count from 1


def read_boxes(csv: str | Path, files: pd.DataFrame, folder: Path) -> dict[str, str]:
    """Read `image, x, y, width, height`, a row per box, in pixels of the file; further columns are ignored.

    A row whose four numbers are blank means that the image has no opacity. The csv of the *RSNA Pneumonia Detection
    Challenge* (Shih et al. 2019, Radiology: Artificial Intelligence), with `patientId` for `image`, has this form.

    Args:
        csv: File to read.
        files: Columns `image` and `path`: every image of the folder.
        folder: Folder of the images; the csv may name an image by its path below this folder.

    Returns:
        Name of an image -> its boxes as in the table: JSON, sorted, without repetition; `"[]"` if it has no opacity.

    Raises:
        DataError: A name of no image (`match_names`); rows whose numbers are not finite, or whose width or height is
            not above 0; images with both boxes and a blank row. Names lines and images.
    """
    listed = read_listing(csv, ["image", *_SIDES], renamed={"patientId": "image"})
    listed["image"] = match_names(listed["image"], files, folder, csv)
    blank = (listed[_SIDES].apply(lambda column: column.str.strip()) == "").all(axis=1)
    # A decimal comma; before three digits it may be that of thousands, and is refused.
    points = listed[_SIDES].replace(r"^\s*(-?\d+),(\d{1,2}|\d{4,})\s*$", r"\1.\2", regex=True)
    numbers = points.apply(pd.to_numeric, errors="coerce").astype(float)
    _refuse(csv, listed[~blank & ~np.isfinite(numbers).all(axis=1)], "hold something that is not a number")
    _refuse(csv, listed[(numbers[["width", "height"]] <= 0).any(axis=1)], "have a width or height that is not above 0")
    both = set(listed.loc[blank, "image"]) & set(listed.loc[~blank, "image"])
    _refuse(csv, listed[blank & listed["image"].isin(both)], "are blank (no anomaly), while other rows give boxes,")
    boxes: dict[str, set[Box]] = {image: set() for image in listed["image"]}
    for image, x, y, width, height in numbers.assign(image=listed["image"])[~blank][["image", *_SIDES]].to_numpy():
        boxes[image].add((x, y, width, height))
    return {image: json.dumps(sorted(distinct)) for image, distinct in boxes.items()}


def _refuse(csv: str | Path, rows: pd.DataFrame, what: str) -> None:
    if len(rows):
        shown = first_few(
            f"line {line} ({row['image']}: {', '.join(f'{side}={row[side]!s}' for side in _SIDES)})"
            for line, (_, row) in zip(rows.index + 2, rows.iterrows(), strict=True)
        )
        raise DataError(
            f"{csv}: {len(rows)} rows {what} where x, y, width and height in pixels were expected, or four blanks for "
            f"no anomaly: {shown}"
        )


def parse_boxes(text: str) -> list[Box]:
    """Parse the boxes of a table's cell.

    Raises:
        DataError: Anything but a JSON list of four finite numbers each, the last two above 0.

    >>> parse_boxes("[[10, 20, 5, 7.5]]")
    [(10.0, 20.0, 5.0, 7.5)]
    >>> parse_boxes("[]")
    []
    """
    try:
        boxes = [(float(x), float(y), float(width), float(height)) for x, y, width, height in json.loads(text)]
    except (TypeError, ValueError) as reason:
        raise DataError(f"{text!r} is no JSON list of [x, y, width, height]") from reason
    for box in boxes:
        if not all(map(isfinite, box)) or min(box[2:]) <= 0:
            raise DataError(f"{list(box)} is no box: four finite numbers, width and height above 0, were expected")
    return boxes


def draw_boxes(boxes: Iterable[Box], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Draw boxes as a mask: a pixel is set if its centre is in a box; a box sets at least one pixel.

    Args:
        boxes: Boxes in pixels; those that exceed the image by at most one pixel, as by rounding, are clipped.
        size: Height and width of the image in pixels.

    Returns:
        Mask, (size) bool.

    Raises:
        DataError: A box that exceeds the image by more.

    >>> draw_boxes([(1, 0, 2, 1)], (2, 4)).astype(int).tolist()
    [[0, 1, 1, 0], [0, 0, 0, 0]]
    """
    mask = np.zeros(size, dtype=bool)
    for x, y, width, height in boxes:
        out = max(-x, -y, x + width - size[1], y + height - size[0])
        if out > _ROUNDING:
            raise DataError(
                f"the box x={x:g}, y={y:g}, width={width:g}, height={height:g} leaves its image of {size[1]} pixels in "
                f"width and {size[0]} in height by {out:g}; boxes are in pixels of the file, from its upper left corner"
            )
        mask[_pixels(y, height, size[0]), _pixels(x, width, size[1])] = True
    return mask


def _pixels(start: float, length: float, side: int) -> slice:
    """Pixels of an axis whose centres are in [start, start + length)."""
    first = min(max(ceil(start - 0.5), 0), side - 1)
    return slice(first, max(ceil(start + length - 0.5), first + 1))
