"""Decoded, resized radiographs and masks as memory-mapped uint8 on disk: built once, shared by every run.

A store is a folder `<cache>/stores/<key>` with `images.npy` (N, H, W), `lung.npy` and `opacity.npy` (N, H, W; 0 and 1;
holes where there is no mask), `table.csv` and `store.json`. Its key is a digest of the files (name, size, modification
time), boxes, image size and fit. It is written aside and renamed when whole; a lock lets a second builder wait and then
use the first one's.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from filelock import FileLock, Timeout
from tqdm.auto import tqdm

from pneumo_ad.data.boxes import draw_boxes, parse_boxes
from pneumo_ad.data.fit import Fit, fit_image, fit_mask, place
from pneumo_ad.data.radiograph import read_grey, read_mask
from pneumo_ad.data.window import displayed
from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.paths import cache_dir
from pneumo_ad.placement import Placement
from pneumo_ad.threads import reading_threads

OnError = Literal["raise", "skip"]

_FORMAT = 2  # raise it when what the files hold changes: old stores are then left alone and new ones built
_AHEAD = 4  # radiographs decoded ahead of the one that is written, for each thread
_ASPECT_TOLERANCE = 0.02  # a mask may be smaller than its image, but must show the same picture


@dataclass(frozen=True)
class Store:
    """An open store: row i of every array and of the table is the same radiograph.

    Attributes:
        images: (N, H, W) uint8, memory-mapped, grey levels 0-255.
        lung: (N, H, W) uint8 of 0 and 1 from mask files; zeros where `table.has_lung` is false.
        opacity: The same for opacities, from mask files or boxes, with `table.has_opacity`.
        table: The source's table for the images that could be read, with `height`, `width` (the file's own),
            `window_low`, `window_high`, `top`, `left`, `fitted_height`, `fitted_width` (see `Placement`), and `truth`:
            "mask" or "boxes" where that tells of opacities, else "".
        skipped: name -> reason for each file that was left out.
        folder: Where it lies; `key` is the folder's name.
        shards: The stores that it joins, in the order of its rows (`shards.join_stores`); none where it is one itself.
    """

    images: npt.NDArray[np.uint8]
    lung: npt.NDArray[np.uint8]
    opacity: npt.NDArray[np.uint8]
    table: pd.DataFrame
    skipped: dict[str, str]
    folder: Path
    shards: tuple[Store, ...] = ()

    @property
    def parts(self) -> tuple[Store, ...]:
        """The stores that hold its arrays: its shards, or itself."""
        return self.shards or (self,)

    @property
    def key(self) -> str:
        """Digest of what went in."""
        return self.folder.name

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of every image in pixels."""
        return self.images.shape[1], self.images.shape[2]

    def __len__(self) -> int:
        return len(self.images)

    def placement(self, row: int) -> Placement:
        """Where radiograph `row` lies inside its fitted image."""
        return Placement.of_rows(self.table.iloc[[row]])[0]

    def content(self, rows: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
        """(len(rows), H, W) of 0 and 1: what is radiograph and not padding."""
        inside = np.empty((len(rows), *self.image_size), dtype=np.uint8)
        for mask, placement in zip(inside, Placement.of_rows(self.table.iloc[rows]), strict=True):
            mask[:] = placement.content(self.image_size)
        return inside


def store_key(table: pd.DataFrame, image_size: tuple[int, int], fit: Fit) -> str:
    """Digest of the files behind a table and of what is made of them; labels and splits do not change it.

    Args:
        table: One row per radiograph (`check_table`).
        image_size: (height, width) of fitted radiographs in pixels.
        fit: `squash` or `pad`.
    """
    digest = hashlib.sha256(json.dumps([_FORMAT, list(image_size), fit]).encode())
    table = (table if "boxes" in table.columns else table.assign(boxes="")).sort_values("image")
    columns = (table[name] for name in ("image", "path", "lung", "opacity", "boxes"))
    for image, *paths, boxes in zip(*columns, strict=True):
        for path in paths:
            stat = os.stat(path) if path else None  # noqa: PTH116 - a `Path` of each takes longer than to ask the disk
            digest.update(repr((image, str(path), stat and (stat.st_size, stat.st_mtime_ns))).encode())
        if boxes:
            digest.update(repr((image, boxes)).encode())
    return digest.hexdigest()[:16]


def _entries(table: pd.DataFrame) -> list[dict[str, str]]:
    """What a store is made of, by radiograph."""
    table = table if "boxes" in table.columns else table.assign(boxes="")
    entries: list[dict[str, str]] = table[["image", "path", "lung", "opacity", "boxes"]].to_dict("records")  # type: ignore[assignment]
    return entries


def open_store(
    table: pd.DataFrame,
    image_size: tuple[int, int],
    fit: Fit = "squash",
    on_error: OnError = "raise",
    cache: Path | None = None,
) -> Store:
    """Open the store of a table, building it where it is not there yet.

    Args:
        table: A checked table (`check_table`).
        image_size: Height and width in pixels.
        fit: See `place`.
        on_error: What to do with a file that cannot be read: `raise`, or `skip` it by name with its reason.
        cache: Folder of stores; default `cache_dir() / "stores"`.

    Raises:
        DataError: A file that cannot be read or a box outside its image (`on_error=raise`), no file that can be used,
            or no room on the disk.
        ConfigError: An unknown `on_error`.
    """
    check_on_error(on_error)
    folder = store_folder(table, image_size, fit, cache)
    if not (folder / "store.json").is_file():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not (folder / "store.json").is_file():  # nobody built it while we waited
                _build(table, image_size, fit, on_error, folder)
    return read_store(folder, table, on_error)


def check_on_error(on_error: OnError) -> None:
    """Raises `ConfigError` for what is not known."""
    if on_error not in ("raise", "skip"):
        raise ConfigError(f"on_error={on_error!r} is not known; expected 'raise' or 'skip'")


def store_folder(table: pd.DataFrame, image_size: tuple[int, int], fit: Fit, cache: Path | None = None) -> Path:
    """Where the store of a table lies, or will; it is whole where the folder holds `store.json`.

    Args:
        table: See `open_store`.
        image_size: See `open_store`.
        fit: See `open_store`.
        cache: See `open_store`.
    """
    return (cache if cache is not None else cache_dir() / "stores") / store_key(table, image_size, fit)


def read_store(folder: Path, table: pd.DataFrame, on_error: OnError) -> Store:
    """Open a store that is there.

    Args:
        folder: Of the store (`store_folder`).
        table: The table that it was built of; labels and splits are taken from it.
        on_error: See `open_store`.

    Raises:
        DataError: It was built without files that cannot be read (`on_error=raise`).
    """
    about = json.loads((folder / "store.json").read_text())
    skipped: dict[str, str] = about["skipped"]
    if skipped and on_error == "raise":
        raise _unreadable(skipped)
    measured = pd.read_csv(folder / "table.csv", dtype={"image": str}, keep_default_na=False)
    # Labels and splits come from today's table: they are not part of the key.
    own = table.drop(columns=[name for name in measured.columns if name != "image"], errors="ignore")
    joined = measured.merge(own, on="image", how="left", validate="1:1")
    # The key holds the boxes: those of today's table are those that were drawn.
    kinds = ["boxes" if entry["boxes"] else "mask" if entry["opacity"] else "" for entry in _entries(joined)]
    joined["truth"] = kinds
    images, lung, opacity = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("images", "lung", "opacity"))
    mark_used(folder)
    return Store(images, lung, opacity, joined, skipped, folder)


def mark_used(folder: Path) -> None:
    """`pneumo-ad store` shows when a store was last used; one of somebody else's, or on a disk for reading, does not.

    Args:
        folder: Of the store.
    """
    with suppress(OSError):
        os.utime(folder / "store.json")


def _build(table: pd.DataFrame, image_size: tuple[int, int], fit: Fit, on_error: OnError, folder: Path) -> None:
    aside = folder.with_suffix(".partial")
    shutil.rmtree(aside, ignore_errors=True)  # of a builder that was killed: we hold the lock, so nobody writes it
    entries = _entries(table)
    rows = len(entries) + sum(bool(one["lung"]) + bool(one["opacity"] or one["boxes"]) for one in entries)
    needed = rows * image_size[0] * image_size[1]
    free = shutil.disk_usage(folder.parent).free
    if needed > free:
        raise DataError(
            f"the store needs {needed / 2**20:.0f} MiB and {folder.parent} has {free / 2**20:.0f} MiB free; "
            "clear stores with `pneumo-ad store clear=all` or set PNEUMO_AD_CACHE to a larger disk"
        )
    try:
        with _full_disk_named(folder.parent):
            aside.mkdir()
            _write(table, image_size, fit, on_error, aside)
            aside.rename(folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _write(table: pd.DataFrame, image_size: tuple[int, int], fit: Fit, on_error: OnError, aside: Path) -> None:
    skipped: dict[str, str] = {}
    measured = []
    with ExitStack() as files:
        writers = {
            name: files.enter_context(_Rows(aside / f"{name}.npy", len(table), image_size))
            for name in ("images", "lung", "opacity")
        }
        for entry, result in _decode_all(table, image_size, fit):
            if isinstance(result, DataError):
                skipped[entry["image"]] = str(result)
                continue
            arrays, facts = result
            for name, writer in writers.items():
                writer.write(arrays.get(name))
            measured.append({"image": entry["image"], **facts})
        if skipped and (on_error == "raise" or not measured):
            raise _unreadable(skipped)
        for writer in writers.values():
            writer.finish()
    pd.DataFrame(measured).to_csv(aside / "table.csv", index=False)
    about = {"format": _FORMAT, "image_size": image_size, "fit": fit, "images": len(measured), "skipped": skipped}
    about["source"] = os.path.commonpath([str(Path(path).absolute().parent) for path in table["path"]])
    (aside / "store.json").write_text(json.dumps(about, indent=1))


@contextmanager
def _full_disk_named(folder: Path) -> Iterator[None]:
    """Turns the system's error about a full disk into one that says what to do."""
    try:
        yield
    except OSError as reason:
        if reason.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise DataError(
            f"the disk of {folder} is full ({reason.strerror}); nothing was kept. Clear stores with "
            "`pneumo-ad store clear=all` or set PNEUMO_AD_CACHE to a larger disk"
        ) from reason


def _unreadable(skipped: dict[str, str]) -> DataError:
    shown = "\n  ".join(list(skipped.values())[:10])
    more = f"\n  ... and {len(skipped) - 10} more" if len(skipped) > 10 else ""
    return DataError(
        f"{len(skipped)} radiographs cannot be used (on_error=skip leaves them out, by name):\n  {shown}{more}"
    )


_Decoded = tuple[dict[str, npt.NDArray[np.uint8]], dict[str, float]]


def _decode(entry: dict[str, str], image_size: tuple[int, int], fit: Fit) -> _Decoded:
    pixels, window = read_grey(entry["path"])
    height, width = pixels.shape
    if min(height, width) < 2:
        raise DataError(f"{entry['path']}: {height} x {width} pixels are not a radiograph; expected at least 2 x 2")
    image, placement = fit_image(displayed(pixels, window), image_size, fit)
    arrays = {"images": image}
    for kind in ("lung", "opacity"):
        if entry[kind]:
            mask = read_mask(entry[kind])
            _check_mask(entry, kind, mask.shape, (height, width))
            arrays[kind] = fit_mask(_like(mask, (height, width), image_size, fit), image_size, fit)
    if entry["boxes"]:
        try:
            drawn = draw_boxes(parse_boxes(entry["boxes"]), (height, width))
        except DataError as reason:
            raise DataError(f"{entry['path']}: {reason}") from None
        arrays["opacity"] = fit_mask(drawn, image_size, fit)
    facts = {"height": height, "width": width, "window_low": window[0], "window_high": window[1]}
    facts |= {"top": placement.top, "left": placement.left}
    facts |= {"fitted_height": placement.height, "fitted_width": placement.width}
    return arrays, facts | {"has_lung": bool(entry["lung"]), "has_opacity": bool(entry["opacity"] or entry["boxes"])}


def _like(
    mask: npt.NDArray[np.bool_], size: tuple[int, int], image_size: tuple[int, int], fit: Fit
) -> npt.NDArray[np.bool_]:
    """A mask of another scale, brought to the placement of its image (rounding may differ by a pixel otherwise)."""
    if mask.shape == size or place(mask.shape, image_size, fit) == place(size, image_size, fit):
        return mask
    return fit_image(mask.astype(np.uint8) * 255, size, "squash")[0] >= 128


def _check_mask(entry: dict[str, str], kind: str, mask: tuple[int, int], image: tuple[int, int]) -> None:
    # A mask at another resolution is welcome; another shape means another picture.
    if abs(np.log((mask[0] / mask[1]) / (image[0] / image[1]))) > _ASPECT_TOLERANCE:
        raise DataError(
            f"{entry[kind]}: the {kind} mask is {mask[0]} x {mask[1]} pixels and its image {entry['path']} is "
            f"{image[0]} x {image[1]}; expected the same size or the same aspect ratio"
        )


def _decode_all(
    table: pd.DataFrame, image_size: tuple[int, int], fit: Fit
) -> Iterator[tuple[dict[str, str], _Decoded | DataError]]:
    entries = _entries(table)

    def attempt(entry: dict[str, str]) -> _Decoded | DataError:
        try:
            return _decode(entry, image_size, fit)
        except DataError as reason:
            return reason

    # Threads, not processes: Pillow decodes and resizes outside the interpreter's lock.
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


class _Rows:
    """Writes an .npy file row by row through ordinary writes: a full disk is then an error and not a bus error.

    Rows of zeros for masks that are not there are left out, as holes: they read as zeros and take no room on the disk.
    """

    def __init__(self, path: Path, rows: int, shape: tuple[int, int]) -> None:
        # Unbuffered: nothing is left to be written, and to fail, when the file is closed.
        self._file = path.open("wb", buffering=0)
        self._shape = shape
        self._written = 0
        self._header(rows)

    def __enter__(self) -> _Rows:
        return self

    def __exit__(self, *reason: object) -> None:
        self._file.close()

    def _header(self, rows: int) -> None:
        # numpy pads the header so that the first axis may grow or shrink in place.
        header = {"descr": "|u1", "fortran_order": False, "shape": (rows, *self._shape)}
        buffer = io.BytesIO()
        np.lib.format.write_array_header_1_0(buffer, header)
        self._all(buffer.getbuffer())

    def _all(self, content: memoryview) -> None:
        while content:  # an unbuffered write may stop in the middle
            content = content[self._file.write(content) :]

    def write(self, row: npt.NDArray[np.uint8] | None) -> None:
        """Write a row; None is a hole."""
        if row is None:
            self._file.seek(self._shape[0] * self._shape[1], os.SEEK_CUR)
        else:
            self._all(np.ascontiguousarray(row).data.cast("B"))
        self._written += 1

    def finish(self) -> None:
        """Give the header the number of rows that were written, and wait for the disk."""
        end = self._file.truncate()  # it may end in a hole
        self._file.seek(0)
        self._header(self._written)
        assert end == self._file.tell() + self._written * self._shape[0] * self._shape[1]
        os.fsync(self._file.fileno())


def cached_array(
    store: Store,
    name: str,
    compute: Callable[[], Iterable[npt.NDArray[np.uint8]]],
    shape: tuple[int, int] | None = None,
) -> npt.NDArray[np.uint8]:
    """An array kept beside a store (for example lung fields), computed once, written aside and renamed when whole.

    Args:
        store: The store it belongs to.
        name: File name without suffix; must tell apart whatever changes the result.
        compute: Gives the array's rows, all at once as an array or one by one, so that memory does not grow with them.
        shape: Of a row; default: that of an image.

    Returns:
        The array, memory-mapped.
    """
    path = store.folder / f"{name}.npy"
    if not path.is_file():
        with FileLock(f"{path}.lock"):
            if not path.is_file():
                aside = path.with_suffix(".partial")
                try:
                    with _full_disk_named(path.parent), _Rows(aside, len(store), shape or store.image_size) as rows:
                        for row in compute():
                            rows.write(row)
                        rows.finish()
                    aside.rename(path)
                finally:
                    aside.unlink(missing_ok=True)
    kept: npt.NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return kept


@dataclass(frozen=True)
class StoreInfo:
    """A store on disk, as `pneumo-ad store` lists it.

    Attributes:
        folder: Where it lies.
        images: Radiographs in it.
        image_size: (height, width) of fitted radiographs in pixels.
        fit: `squash` or `pad`.
        source: Folder of the files it was made of.
        bytes: On disk.
        used: When it was last opened.
    """

    folder: Path
    images: int
    image_size: tuple[int, int]
    fit: str
    source: str
    bytes: int
    used: float


def list_stores(cache: Path | None = None) -> list[StoreInfo]:
    """Every whole store, the last used first."""
    cache = cache if cache is not None else cache_dir() / "stores"
    stores = []
    for about_file in cache.glob("*/store.json"):
        if about_file.parent.suffix == ".partial":  # under way, or left by who was killed: see `clear_leftovers`
            continue
        about = json.loads(about_file.read_text())
        size = sum(_room(file.stat()) for file in about_file.parent.iterdir())
        image_size = (int(about["image_size"][0]), int(about["image_size"][1]))
        stores.append(
            StoreInfo(
                about_file.parent,
                about["images"],
                image_size,
                about["fit"],
                about["source"],
                size,
                about_file.stat().st_mtime,
            )
        )
    return sorted(stores, key=lambda store: -store.used)


def _room(stat: os.stat_result) -> int:
    """Bytes on the disk, without holes where the system tells."""
    return stat.st_blocks * 512 if hasattr(stat, "st_blocks") else stat.st_size


def clear_store(folder: Path) -> None:
    """Delete one store; whoever has it open keeps reading it until they close it (on POSIX)."""
    gone = folder.with_suffix(".partial")
    with FileLock(f"{folder}.lock"):
        folder.rename(gone)  # one step: a store is either whole or not there
        shutil.rmtree(gone)


def clear_leftovers(cache: Path | None = None) -> int:
    """Delete what killed builds left behind, and say how many; builds that are under way are left alone."""
    cache = cache if cache is not None else cache_dir() / "stores"
    cleared = 0
    for left in cache.glob("*.partial"):
        try:
            with FileLock(left.with_suffix(".lock"), timeout=0):
                shutil.rmtree(left)
                cleared += 1
        except Timeout:
            continue
    return cleared
