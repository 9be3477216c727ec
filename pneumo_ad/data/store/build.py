"""Building of a store: files are decoded ahead in threads, written row by row, renamed when complete."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import astuple
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from pneumo_ad.data.fit import Fit, fit_mask, place
from pneumo_ad.data.fitted import read_fitted
from pneumo_ad.data.progress import progress_bar
from pneumo_ad.data.readers.radiograph import read_mask
from pneumo_ad.data.sources.boxes import draw_boxes, parse_boxes
from pneumo_ad.data.store.array_file import ArrayFile, whole_folder
from pneumo_ad.data.store.contents import FILE, as_table, contents_of
from pneumo_ad.errors import DataError
from pneumo_ad.files import reading_threads, replace_paths

OnError = Literal["raise", "skip"]

FORMAT = 3  # increase it when the content of the files changes: old stores are then ignored and new ones built
_MEASURED = ["image", "height", "width", "window_low", "window_high", "top", "left", "fitted_height", "fitted_width"]
_MEASURED += ["has_lung", "has_opacity", "bytes"]  # columns of `table.csv`
_AHEAD = 4  # radiographs decoded ahead of the one being written, per thread
_ASPECT_TOLERANCE = 0.02  # most |log| of the ratio of the aspect ratios of a mask, which may be smaller, and its image


def entries_of(table: pd.DataFrame) -> list[dict[str, str]]:
    """List the input of a store: `image`, `path`, `lung`, `opacity` and `boxes` of each radiograph.

    Args:
        table: Checked table (`check_table`).
    """
    table = table.assign(boxes=table.get("boxes", ""))
    return table[["image", "path", "lung", "opacity", "boxes"]].to_dict("records")  # type: ignore[return-value]


def build_store(
    table: pd.DataFrame,
    image_size: tuple[int, int],
    fit: Fit,
    on_error: OnError,
    folder: Path,
    may_be_empty: bool = False,
) -> None:
    """Build a store in a temporary folder, and rename it when complete; the caller holds the lock.

    Args:
        table: See `open_store`.
        image_size: See `open_store`.
        fit: See `open_store`.
        on_error: See `open_store`.
        folder: Folder of the store (`store_folder`).
        may_be_empty: Whether the store may hold no radiograph, as a part of one may (`on_error=skip`).

    Raises:
        DataError: See `open_store`; no files are left then.
    """
    entries = entries_of(table)
    rows = len(entries) + sum(bool(entry["lung"]) + bool(entry["opacity"] or entry["boxes"]) for entry in entries)
    with whole_folder(folder, rows * image_size[0] * image_size[1]) as aside:
        _write(table, image_size, fit, on_error, aside, may_be_empty)


def _write(
    table: pd.DataFrame, image_size: tuple[int, int], fit: Fit, on_error: OnError, aside: Path, may_be_empty: bool
) -> None:
    skipped: dict[str, str] = {}
    measured, contents = [], []
    with ExitStack() as files:
        writers = {
            name: files.enter_context(ArrayFile(aside / f"{name}.npy", len(table), image_size))
            for name in ("images", "lung", "opacity")
        }
        for entry, result in _decode_all(table, image_size, fit):
            if isinstance(result, DataError):
                skipped[entry["image"]] = str(result)
                continue
            measured.append(result.measured)
            contents += result.contents
            for name, writer in writers.items():
                writer.write(result.arrays.get(name))
        if skipped and (on_error == "raise" or not (measured or may_be_empty)):
            raise unreadable(skipped)
        for writer in writers.values():
            writer.finish()
    pd.DataFrame(measured, columns=_MEASURED).to_csv(aside / "table.csv", index=False)
    as_table(contents).to_csv(aside / FILE, index=False)
    about = {"format": FORMAT, "image_size": image_size, "fit": fit, "images": len(measured)}
    about["skipped"] = name_files(skipped, table, absolute=True)
    about["source"] = os.path.commonpath([str(Path(path).absolute().parent) for path in table["path"]])
    (aside / "store.json").write_text(json.dumps(about, indent=1))


def name_files(reasons: dict[str, str], table: pd.DataFrame, absolute: bool) -> dict[str, str]:
    """Rewrite file names in the reasons why radiographs are left out: to absolute paths, or to those of a table.

    Args:
        reasons: Name of a radiograph -> reason.
        table: Checked table (`check_table`).
        absolute: Whether to write absolute paths, as a store does, which tables with other relative paths may open.
    """
    named = {}
    for entry in entries_of(table[table["image"].isin(list(reasons))]):
        files = [(entry[kind], os.path.abspath(entry[kind])) for kind in ("path", "lung", "opacity") if entry[kind]]  # noqa: PTH100
        instead = dict(files if absolute else [(whole, typed) for typed, whole in files])
        named[entry["image"]] = replace_paths(reasons[entry["image"]], instead)
    return reasons | named


def unreadable(skipped: dict[str, str]) -> DataError:
    """Return the error for radiographs that cannot be used.

    Args:
        skipped: Name of a radiograph -> reason.
    """
    more = [f"... and {len(skipped) - 10} more"] if len(skipped) > 10 else []
    return DataError(
        f"{len(skipped)} images cannot be used (on_error=skip leaves them out, by name):",
        *(f"  {words}" for words in [*list(skipped.values())[:10], *more]),
    )


class _Decoded(NamedTuple):
    """Data of one radiograph for a store: fitted arrays, a value for each of `_MEASURED`, and rows of `contents_of`."""

    arrays: dict[str, npt.NDArray[np.uint8]]
    measured: tuple[object, ...]
    contents: list[dict[str, object]]


def _decode(entry: dict[str, str], image_size: tuple[int, int], fit: Fit) -> _Decoded:
    image, placement, size, window, *_ = read_fitted(entry["path"], image_size, fit)
    arrays = {"images": image}
    for kind in ("lung", "opacity"):
        if entry[kind]:
            arrays[kind] = _fitted_mask(entry, kind, size, image_size, fit)
    if entry["boxes"]:
        try:
            drawn = draw_boxes(parse_boxes(entry["boxes"]), size)
        except DataError as reason:
            raise DataError(f"{entry['path']}: {reason}") from None
        arrays["opacity"] = fit_mask(drawn, image_size, fit)
    contents = contents_of(entry)
    masked = bool(entry["lung"]), bool(entry["opacity"] or entry["boxes"])
    numbers = (*size, *map(float, window), *astuple(placement), *masked, contents[0]["bytes"])
    return _Decoded(arrays, (entry["image"], *numbers), contents)


def _fitted_mask(
    entry: dict[str, str], kind: str, size: tuple[int, int], image_size: tuple[int, int], fit: Fit
) -> npt.NDArray[np.uint8]:
    """Read the mask of an image of some size, and fit it as the image."""
    mask = read_mask(entry[kind])
    (height, width), (rows, columns) = mask.shape, size
    # Another resolution is accepted; another aspect ratio means that the mask belongs to another image.
    if abs(np.log((height / width) / (rows / columns))) > _ASPECT_TOLERANCE:
        raise DataError(
            f"{entry[kind]}: the {kind} mask is {height} x {width} pixels and its image {entry['path']} is "
            f"{rows} x {columns}; expected the same size or the same aspect ratio"
        )
    if place(mask.shape, image_size, fit) != place(size, image_size, fit):  # which rounding can cause
        mask = fit_mask(mask, size, "squash").view(np.bool_)
    return fit_mask(mask, image_size, fit)


def _decode_all(
    table: pd.DataFrame, image_size: tuple[int, int], fit: Fit
) -> Iterator[tuple[dict[str, str], _Decoded | DataError]]:
    entries = entries_of(table)

    def attempt(entry: dict[str, str]) -> _Decoded | DataError:
        try:
            return _decode(entry, image_size, fit)
        except DataError as reason:
            return reason

    # Threads, not processes: Pillow releases the GIL while it decodes and resizes.
    threads = reading_threads()
    pool = ThreadPoolExecutor(threads)
    ahead: deque[Future[_Decoded | DataError]] = deque()
    try:
        with progress_bar(total=len(entries), desc="store", unit="image") as bar:
            for number, entry in enumerate(entries):
                while len(ahead) < threads * _AHEAD and number + len(ahead) < len(entries):
                    ahead.append(pool.submit(attempt, entries[number + len(ahead)]))
                yield entry, ahead.popleft().result()
                bar.update()
    finally:
        pool.shutdown(cancel_futures=True)
