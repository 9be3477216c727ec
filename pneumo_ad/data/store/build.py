"""Building of a store: files are decoded ahead in threads, written row by row, renamed when complete."""

from __future__ import annotations

import json
import os
import shutil
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm.auto import tqdm

from pneumo_ad.data.fit import Fit, fit_image, fit_mask, place
from pneumo_ad.data.fitted import read_fitted
from pneumo_ad.data.readers.radiograph import read_mask
from pneumo_ad.data.sources.boxes import draw_boxes, parse_boxes
from pneumo_ad.data.store.array_file import ArrayFile, full_disk_named
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
    table = table if "boxes" in table.columns else table.assign(boxes="")
    entries: list[dict[str, str]] = table[["image", "path", "lung", "opacity", "boxes"]].to_dict("records")  # type: ignore[assignment]
    return entries


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
    aside = folder.with_suffix(".partial")
    shutil.rmtree(aside, ignore_errors=True)  # left by a killed builder: as we hold the lock, nobody writes to it
    entries = entries_of(table)
    rows = len(entries) + sum(bool(entry["lung"]) + bool(entry["opacity"] or entry["boxes"]) for entry in entries)
    check_room(folder.parent, rows * image_size[0] * image_size[1])
    try:
        with full_disk_named(folder.parent):
            aside.mkdir()
            _write(table, image_size, fit, on_error, aside, may_be_empty)
            aside.rename(folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def check_room(cache: Path, needed: int) -> None:
    """Check that a store fits on the disk.

    Args:
        cache: Folder of stores.
        needed: Size of the store in bytes.

    Raises:
        DataError: It does not.
    """
    free = shutil.disk_usage(cache).free
    if needed > free:
        raise DataError(
            f"the store needs {needed / 2**20:.0f} MiB and {cache} has {free / 2**20:.0f} MiB free; "
            "clear stores with `pneumo-ad store clear=all` or set PNEUMO_AD_CACHE to a larger disk"
        )


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
            arrays, facts, held = result
            contents += held
            for name, writer in writers.items():
                writer.write(arrays.get(name))
            measured.append({"image": entry["image"], **facts})
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
        f"{len(skipped)} radiographs cannot be used (on_error=skip leaves them out, by name):",
        *(f"  {words}" for words in [*list(skipped.values())[:10], *more]),
    )


class _Decoded(NamedTuple):
    """Data of one radiograph for a store: fitted arrays, measurements, and rows of `contents_of`."""

    arrays: dict[str, npt.NDArray[np.uint8]]
    facts: dict[str, float]
    contents: list[dict[str, object]]


def _decode(entry: dict[str, str], image_size: tuple[int, int], fit: Fit) -> _Decoded:
    image, placement, size, window, *_ = read_fitted(entry["path"], image_size, fit)
    arrays = {"images": image}
    for kind in ("lung", "opacity"):
        if entry[kind]:
            mask = read_mask(entry[kind])
            _check_mask(entry, kind, mask.shape, size)
            arrays[kind] = fit_mask(_like(mask, size, image_size, fit), image_size, fit)
    if entry["boxes"]:
        try:
            drawn = draw_boxes(parse_boxes(entry["boxes"]), size)
        except DataError as reason:
            raise DataError(f"{entry['path']}: {reason}") from None
        arrays["opacity"] = fit_mask(drawn, image_size, fit)
    facts = {"height": size[0], "width": size[1], "window_low": float(window[0]), "window_high": float(window[1])}
    facts |= {"top": placement.top, "left": placement.left}
    facts |= {"fitted_height": placement.height, "fitted_width": placement.width}
    facts |= {"has_lung": bool(entry["lung"]), "has_opacity": bool(entry["opacity"] or entry["boxes"])}
    contents = contents_of(entry)
    return _Decoded(arrays, facts | {"bytes": int(str(contents[0]["bytes"]))}, contents)


def _like(
    mask: npt.NDArray[np.bool_], size: tuple[int, int], image_size: tuple[int, int], fit: Fit
) -> npt.NDArray[np.bool_]:
    """Resize a mask to the size of its image if their placements differ, which rounding can cause."""
    if mask.shape == size or place(mask.shape, image_size, fit) == place(size, image_size, fit):
        return mask
    return fit_image(mask.astype(np.uint8) * 255, size, "squash")[0] >= 128


def _check_mask(entry: dict[str, str], kind: str, mask: tuple[int, int], image: tuple[int, int]) -> None:
    # Another resolution is accepted; another aspect ratio means that the mask belongs to another image.
    if abs(np.log((mask[0] / mask[1]) / (image[0] / image[1]))) > _ASPECT_TOLERANCE:
        raise DataError(
            f"{entry[kind]}: the {kind} mask is {mask[0]} x {mask[1]} pixels and its image {entry['path']} is "
            f"{image[0]} x {image[1]}; expected the same size or the same aspect ratio"
        )


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
        with tqdm(total=len(entries), desc="store", unit="image") as bar:
            for number, entry in enumerate(entries):
                while len(ahead) < threads * _AHEAD and number + len(ahead) < len(entries):
                    ahead.append(pool.submit(attempt, entries[number + len(ahead)]))
                yield entry, ahead.popleft().result()
                bar.update()
    finally:
        pool.shutdown(cancel_futures=True)
