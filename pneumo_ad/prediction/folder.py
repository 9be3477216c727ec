"""Output folder of a prediction, with a record of finished files so that the same command resumes."""

from __future__ import annotations

import errno
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pneumo_ad.errors import DamagedError, DataError, printable
from pneumo_ad.files import PARTIAL, delete_partial, write_json, write_text
from pneumo_ad.prediction import written
from pneumo_ad.prediction.dicom_objects import OBJECTS
from pneumo_ad.prediction.inputs import File, named
from pneumo_ad.prediction.pipeline import Outcome
from pneumo_ad.prediction.rows import FAILED, PREDICTIONS, Row, write_table
from pneumo_ad.prediction.shard import Shard
from pneumo_ad.saved import GIB, check_mapping, in_a_line, is_there, read_json

_LOCK = ".lock"
_DONE, _PARTS = "done.json", "parts"
_PATIENCE = 3600  # seconds in which another process of the same command reads or writes the tables of all files
_OWN = ("predictions.csv", "failed.csv", "report.html", written.CALIBRATION, written.LIST, _DONE, written.STORY)
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_CLOSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG}


class OutputFolder:
    """Output folder of predictions, with a record of finished files in parts.

    A file that was scored before is done if its size and time have not changed since.

    `predict.json` holds settings and state; `parts/` holds the record so far, and `done.json` the whole record once all
    is finished; `written.txt` lists the pictures. A shard keeps its record and its list in a folder of its own below
    `parts/`, where no other process writes.

    Args:
        folder: Folder to write to; to be used within `writable`, which creates it.
        asked: Settings of the prediction by key, compared with those of an earlier one in the folder.
        overwrite: Whether to delete the output of an earlier `predict` and start again; other files are left alone.
        shard: Shard that is judged here; None for the whole input.

    Raises:
        DataError: The folder holds other files, or a prediction with other settings; the message names them.
    """

    def __init__(self, folder: Path, asked: dict[str, Any], overwrite: bool, shard: Shard | None = None) -> None:
        self.folder, self._asked = folder, asked
        self._records = folder / _PARTS / shard.name if shard else folder / _PARTS
        self._list = self._records if shard else folder  # folder of the list of pictures
        self._written: dict[str, str] = {}  # name of a picture -> digest
        before = check_folder(folder, overwrite)
        if before is not None and overwrite:
            self._delete()
            before = None
        elif before is not None:
            self._check(before["asked"])
        self.finished = before is not None and before["state"] == "finished"
        self._done = {entry["file"]: entry for entry in self._entries()}
        self._written = self._pictures_there()
        self._tell("unfinished", {})  # first: it marks all else as written by predict
        written.write_list(folder, self._written)
        parts = [int(part.stem) for part in self._records.glob("*.json") if part.stem.isdecimal()]
        self._next_part = max(parts, default=-1) + 1
        if shard:
            self._records.mkdir(parents=True, exist_ok=True)

    def _check(self, before: dict[str, Any]) -> None:
        # A moved run, or another version of the package, is no difference if `judge` is the same.
        asked = self._asked
        differs = [key for key in asked if before.get(key) != asked[key] and key not in ("run", "pneumo_ad")]
        if differs:
            keys = [key for key in (("run", *differs) if "judge" in differs else differs) if key != "judge"]
            words = "; ".join(f"{key}={before.get(key)} there, {key}={asked[key]} now" for key in keys)
            changed = " (its weights, settings or held-out normals)" if "judge" in differs else ""
            raise DataError(
                f"output={self.folder} holds a prediction that was asked for otherwise{changed}: {words}. Name another "
                "folder, or add overwrite=true to replace what predict wrote there"
            )

    def _entries(self, damaged: bool = False) -> Iterator[dict[str, Any]]:
        """Read the record entry of each file; damaged records are skipped if `damaged`, else an error."""
        parts = sorted((self.folder / _PARTS).rglob("*.json"), key=_age)  # of shards, too
        for file in filter(is_there, (self.folder / _DONE, *parts)):
            try:
                yield from self._checked(file, foreign=damaged)
            except DamagedError as reason:
                if not damaged:
                    raise DataError(f"{reason}; overwrite=true begins anew") from None

    def _checked(self, file: Path, foreign: bool) -> list[dict[str, Any]]:
        """Read and check the entries of one record; pictures must lie within this folder unless `foreign`."""
        entries: list[dict[str, Any]] = read_json(file, {"files": list}, GIB)["files"]
        try:
            for entry in entries:
                check_mapping(entry, {"file": str, "stamp": list, "row": dict | None, "reason": str}, "files")
                row = entry["row"]
                if row is not None:
                    check_mapping(row, {"file": str, "warnings": str, "anomalous": bool | None}, entry["file"])
                for picture in _pictures(row):
                    if not _lies_in(picture, self.folder) and not foreign:  # raises for what is no path
                        raise ValueError(f"{picture} lies elsewhere")
        except (ValueError, TypeError) as reason:
            raise DamagedError(f"{file}: not what predict writes ({in_a_line(reason)})") from reason
        return [_in_todays_words(entry) for entry in entries]

    def _pictures_there(self) -> dict[str, str]:
        """Return name -> digest of pictures from the list; from the files where an earlier version wrote no list."""
        names = [name for row in self.predicted for name in _pictures(row)]
        listed = written.read_list(self.folder, {printable(name) for name in names})
        digests = {}
        for name in names:
            known = listed.get(printable(name), set())
            digests[name] = next(iter(known)) if len(known) == 1 else written.digest_of(self.folder / name)
        return {name: digest for name, digest in digests.items() if digest}

    def _delete(self) -> None:
        for entry in self._entries(damaged=True):
            self._delete_pictures(entry)
        shutil.rmtree(self.folder / _PARTS, ignore_errors=True)
        for name in _OWN:  # predict.json last: without it the others would not be known as predict's
            (self.folder / name).unlink(missing_ok=True)

    def _delete_pictures(self, entry: dict[str, Any], but: Row | None = None) -> None:
        for name in set(_pictures(entry["row"])) - set(_pictures(but)):
            self._written.pop(name, None)
            # The record may be foreign: nothing outside this folder's pictures is deleted.
            if _lies_in(name, self.folder):
                (self.folder / name).unlink(missing_ok=True)
                _remove_empty((self.folder / name).parent, self.folder)

    def stamp_of(self, name: str) -> tuple[int, int] | None:
        """Return the stamp of a file that is done, by its name; None for another."""
        entry = self._done.get(name)
        return tuple(entry["stamp"]) if entry else None

    def left(self, files: Sequence[File]) -> list[File]:
        """Return the files that are not done yet."""
        done = {name: tuple(entry["stamp"]) for name, entry in self._done.items()}
        return [file for file in files if done.get(file.name) != file.stamp]

    def reconcile(self, files: Sequence[File]) -> int:
        """Count files that were scored and are now missing, whose rows stay; drop missing files that failed.

        Args:
            files: All files of the input, radiographs or not.
        """
        kinds = {file.name: file.kind for file in files}
        for name in [name for name in self._done if kinds.get(name) != "radiograph"]:
            if name in kinds or self._done[name]["row"] is None:  # now listed as another kind, or failed and missing
                self._delete_pictures(self._done.pop(name))
        return len(set(self._done) - set(kinds))

    @property
    def _sorted(self) -> list[dict[str, Any]]:
        return sorted(self._done.values(), key=lambda entry: entry["file"])

    @property
    def predicted(self) -> list[Row]:
        """Rows of `predictions.csv` so far, sorted by file name."""
        return [entry["row"] for entry in self._sorted if entry["row"] is not None]

    def keep(self, outcomes: Sequence[tuple[File, Outcome]]) -> None:
        """Record the outcomes of some files atomically."""
        entries, pictures = [], dict[str, str]()
        for file, outcome in outcomes:
            row, reason = (None, printable(outcome)) if isinstance(outcome, str) else (dict(outcome), "")
            pictures |= row.pop("digests") if row else {}
            if before := self._done.get(file.name):
                self._delete_pictures(before, but=row)
            entries.append({"file": file.name, "stamp": file.stamp, "row": row, "reason": reason})
        self._written |= pictures
        self._records.mkdir(parents=True, exist_ok=True)  # `finish` deletes it, and more may come
        written.add_to_list(self._list, pictures)
        write_json(self._records / f"{self._next_part:06d}.json", {"files": entries})
        self._next_part += 1
        self._done |= {entry["file"]: entry for entry in entries}

    def finish(self, others: Sequence[File], about: dict[str, Any], state: str = "finished") -> dict[str, Any]:
        """Write the tables and `predict.json`.

        Args:
            others: Files that are no radiographs, or cannot be opened.
            about: Further content of `predict.json`, by key.
            state: `finished`, or `unfinished` where more is to come.

        Returns:
            Content of `predict.json`.
        """
        entries = self._sorted
        # Rows of an earlier version lack the number of normals; the same predictor has the same number.
        predicted = [{"normals": about["held_out_normals"]} | row for row in self.predicted]
        failed = [{"file": e["file"], "kind": "unreadable", "reason": e["reason"]} for e in entries if e["row"] is None]
        failed += [{"file": file.name, "kind": file.kind, "reason": file.reason} for file in others]
        write_table(self.folder / "predictions.csv", PREDICTIONS, predicted)
        write_table(self.folder / "failed.csv", FAILED, sorted(failed, key=lambda row: row["file"]))
        write_text(self.folder / _DONE, json.dumps({"files": entries}) + "\n")
        written.write_list(self.folder, self._written)
        kinds, decisions = Counter(row["kind"] for row in failed), [row["anomalous"] for row in predicted]
        counts = {"files": len(predicted) + len(failed), "predicted": len(predicted)}
        counts |= {"unreadable": kinds["unreadable"], "ignored": kinds["ignored"]}
        counts |= {"anomalous": decisions.count(True), "undecided": decisions.count(None)}
        warnings = Counter(words for row in predicted for words in row["warnings"].split("; ") if words)
        story = self._tell(state, {"counts": counts, "warnings": warnings, **about})
        self._delete_records()
        return story

    def _delete_records(self) -> None:
        parts = self.folder / _PARTS
        for file in parts.glob("*.json"):
            file.unlink()
        for place in parts.glob("*/"):
            with suppress(Timeout), FileLock(lock := _lock_of(place), timeout=0):  # not of a shard at work
                shutil.rmtree(place)
                lock.unlink()
        with suppress(OSError):  # not empty
            parts.rmdir()

    def _tell(self, state: str, more: dict[str, Any]) -> dict[str, Any]:
        story = {"state": state, "asked": self._asked, **more}
        write_json(self.folder / written.STORY, story)
        return story


def check_folder(folder: Path, overwrite: bool) -> dict[str, Any] | None:
    """Check that predictions may be written to a folder, without writing to it.

    Args:
        folder: Output folder, which may be missing.
        overwrite: Whether output of an earlier `predict` may be replaced.

    Returns:
        Content of `predict.json`, empty where it is damaged and may be replaced; None where there is none.

    Raises:
        DataError: The folder holds files that predict did not write, with names of output files or without `overwrite`;
            or a damaged `predict.json` without `overwrite`.
    """
    if not folder.is_dir():
        return None
    if is_there(folder / written.STORY):
        try:
            return read_json(folder / written.STORY, {"asked": dict, "state": str})
        except DamagedError as reason:
            if overwrite:
                return {}
            raise DataError(f"{reason}: not what predict writes; name another output, or add overwrite=true") from None
    names = (file.name for file in folder.iterdir())
    others = sorted(name for name in names if name != _LOCK and not PARTIAL.search(name))
    in_the_way = [name for name in others if name in (*_OWN, _PARTS, *written.FOLDERS)]
    shown = named(in_the_way or others, most=3)
    if in_the_way:
        raise DataError(f"output={folder} holds {shown}, which predict did not write there. Name another folder")
    if others and not overwrite:
        raise DataError(
            f"output={folder} is not empty ({shown}) and predict did not write it. Name another folder, or add "
            "overwrite=true: predictions are then written among those files, which stay"
        )
    return None


def _pictures(row: Row | None) -> list[str]:
    """Names of the pictures and DICOM objects that a row lists."""
    if row is None:
        return []
    objects = [f"{row['dicom']}/{kind}.dcm" for kind in OBJECTS] if row.get("dicom") else []
    return [row[key] for key in ("map", "overlay") if row.get(key)] + objects


def _in_todays_words(entry: dict[str, Any]) -> dict[str, Any]:
    """Make the names of an entry `printable`, which an earlier version did not."""
    row = entry["row"]
    return entry | {"file": printable(entry["file"]), "row": row and row | {"file": printable(row["file"])}}


def _lies_in(name: str, folder: Path) -> bool:
    """Whether a recorded picture lies in the picture folders of a folder, with no link out of it."""
    parts = Path(name).parts
    among = bool(parts) and parts[0] in written.FOLDERS and ".." not in parts
    return among and (folder / name).resolve().is_relative_to(folder.resolve())


def _age(file: Path) -> int:
    return file.stat().st_mtime_ns


def _remove_empty(folder: Path, top: Path) -> None:
    while folder != top and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def _lock_of(records: Path) -> Path:
    """Lock of the shard with these records."""
    return records.with_name(f"{records.name}.lock")


@contextmanager
def writable(folder: Path, shard: Shard | None = None) -> Iterator[FileLock]:
    """Create and lock a folder for writing by this process alone; see `shared` for that of a shard.

    Args:
        folder: Output folder.
        shard: Shard that is judged; its process waits for the others, which hold the lock for a short time.

    Raises:
        DataError: The folder cannot be written to, its disk is full, or another `predict` writes to it.
    """
    busy = DataError(f"output={folder}: another predict is writing there")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / _LOCK)
        with lock.acquire(timeout=_PATIENCE if shard else 0):
            if shard is None:
                for records in (folder / _PARTS).glob("*/"):
                    with FileLock(_lock_of(records), timeout=0):  # Timeout: a shard is at work
                        pass
                _delete_partial(folder)
            yield lock
    except Timeout:
        raise busy from None
    except OSError as reason:
        if reason.errno in FULL:
            raise DataError(f"the disk of {folder} is full ({reason.strerror}); the same command goes on") from reason
        if reason.errno in _CLOSED:
            words = f"{reason.filename or ''} {reason.strerror}"
            raise DataError(f"output={folder} cannot be written to: {words}") from reason
        raise


@contextmanager
def shared(lock: FileLock, folder: Path, shard: Shard) -> Iterator[None]:
    """Release the lock of a folder for the block, which writes only what is of a shard, and hold the shard's own.

    Args:
        lock: Lock of the folder, held.
        folder: Output folder.
        shard: Shard that is judged in the block.

    Raises:
        DataError: Another process is at the shard.
    """
    records = folder / _PARTS / shard.name
    own = FileLock(_lock_of(records), timeout=0)
    try:
        own.acquire()
    except Timeout:
        raise DataError(f"output={folder}: another predict is at {shard} there") from None
    try:
        delete_partial(records)
        lock.release()
        yield
        lock.acquire(timeout=_PATIENCE)
    finally:
        own.release()


def _delete_partial(folder: Path) -> None:
    """Delete what killed processes left; nobody else writes there now."""
    pictures = (below for name in written.FOLDERS for below in (folder / name).glob("**/"))
    for place in (folder, *(folder / _PARTS).glob("**/"), *pictures):
        delete_partial(place)
