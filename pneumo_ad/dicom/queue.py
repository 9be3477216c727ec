"""Queue of received instances in a folder: what was acknowledged outlives the process."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Condition
from typing import NamedTuple

from pneumo_ad.dicom.addresses import is_uid
from pneumo_ad.errors import DataError
from pneumo_ad.files import atomic_write, delete_partial

_WAITING, _SENDING = "waiting", "sending"
SUFFIX = ".dcm"

# Size in bytes and a digest of the content: what `prediction.inputs.File` calls its stamp.
Stamp = tuple[int, int]


class QueueFullError(DataError):
    """As many instances wait as may."""


class OtherContentError(DataError):
    """An instance that is there already, with other content."""


class Instance(NamedTuple):
    """A received instance.

    Attributes:
        uid: SOP Instance UID.
        path: File, named by the UID.
        stamp: Size and digest of the file.
    """

    uid: str
    path: Path
    stamp: Stamp


class InstanceQueue:
    """Instances that wait to be judged, and instances whose results wait to be sent; safe for threads.

    A file is written aside, flushed to the disk and renamed, for its owner alone (0600). It is renamed to another
    folder once it was judged and is deleted once that was sent, so that a process that is killed loses no instance.

    Args:
        folder: Folder of the queue; created, for its owner alone.
        most: Most instances in the queue.
        known: Stamp of an instance that was judged and is no longer in the queue, by its UID; None for another.
    """

    def __init__(self, folder: Path, most: int, known: Callable[[str], Stamp | None] = lambda _: None) -> None:
        self._most, self._known = most, known
        self._changed = Condition()
        self._folders = {name: folder / name for name in (_WAITING, _SENDING)}
        self._held: dict[str, dict[str, Stamp | None]] = {}  # None: read when it is asked for
        for name, place in self._folders.items():
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            delete_partial(place)
            found = sorted(place.glob(f"*{SUFFIX}"), key=lambda path: (path.stat().st_mtime_ns, path.name))
            self._held[name] = {path.stem: None for path in found if is_uid(path.stem)}
        folder.chmod(0o700)

    def __len__(self) -> int:
        """Number of instances in the queue."""
        return sum(map(len, self._held.values()))

    @property
    def waiting(self) -> int:
        """Number of instances that are not judged yet."""
        return len(self._held[_WAITING])

    @property
    def unsent(self) -> int:
        """Number of instances that are judged and not sent yet."""
        return len(self._held[_SENDING])

    def put(self, uid: str, content: Iterable[bytes], seconds: float = 0) -> bool:
        """Append an instance.

        Args:
            uid: SOP Instance UID, see `is_uid`.
            content: Parts of the file, in order.
            seconds: Longest wait for room in the queue.

        Returns:
            Whether it is new; False for one that is in the queue or was judged, with the same content.

        Raises:
            QueueFullError: The queue holds as many as it may.
            OtherContentError: It is there with other content, which stays.
            OSError: It cannot be written, for example as the disk is full.
        """
        assert is_uid(uid)
        parts = list(content)
        stamp = _stamp(parts)
        with self._changed:
            before = next((self._stamp(name, uid) for name in self._held if uid in self._held[name]), self._known(uid))
            if before is not None and before != stamp:
                raise OtherContentError(
                    f"instance {uid} came again with other content; the first is judged, this one is refused. An "
                    "instance UID must belong to one content: send the other under a UID of its own"
                )
            if before is not None:
                return False
            if not self._changed.wait_for(lambda: len(self) < self._most, seconds):
                raise QueueFullError(
                    f"instance {uid} is refused: {self.waiting} instances wait to be judged and {self.unsent} to be "
                    f"sent, and the queue takes {self._most}; send it again later, or give a larger queue="
                )
            path = self._path(_WAITING, uid)
            with atomic_write(path) as aside, open(aside, "wb", opener=_own) as file:
                file.writelines(parts)
                file.flush()
                os.fsync(file.fileno())  # the sender may delete its own once this is acknowledged
            self._held[_WAITING][uid] = stamp
            self._changed.notify_all()
        return True

    def take(self, most: int, seconds: float = 0) -> list[Instance]:
        """Return the first instances that wait to be judged; they stay until `judged`.

        Args:
            most: Most instances to return.
            seconds: Longest wait for the first.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._held[_WAITING], seconds)
            return self._first(_WAITING, most)

    def take_judged(self, seconds: float = 0) -> list[Instance]:
        """Return the instances that wait to be sent; they stay until `sent`.

        Args:
            seconds: Longest wait for the first.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._held[_SENDING], seconds)
            return self._first(_SENDING, len(self._held[_SENDING]))

    def judged(self, uid: str, send: bool) -> None:
        """Move an instance that was judged on.

        Args:
            uid: SOP Instance UID.
            send: Whether something of it is to be sent; else its file is deleted.
        """
        with self._changed:
            stamp = self._held[_WAITING].pop(uid)
            path = self._path(_WAITING, uid)
            if send:
                path.rename(self._path(_SENDING, uid))
                self._held[_SENDING][uid] = stamp
            else:
                path.unlink()
            self._changed.notify_all()

    def sent(self, uid: str) -> None:
        """Delete an instance that was sent."""
        with self._changed:
            self._path(_SENDING, uid).unlink()
            del self._held[_SENDING][uid]
            self._changed.notify_all()

    def _first(self, name: str, most: int) -> list[Instance]:
        uids = list(self._held[name])[:most]
        return [Instance(uid, self._path(name, uid), self._stamp(name, uid)) for uid in uids]

    def _stamp(self, name: str, uid: str) -> Stamp:
        stamp = self._held[name][uid] or _stamp([self._path(name, uid).read_bytes()])
        self._held[name][uid] = stamp
        return stamp

    def _path(self, name: str, uid: str) -> Path:
        return self._folders[name] / f"{uid}{SUFFIX}"


def _stamp(parts: Iterable[bytes]) -> Stamp:
    size, digest = 0, hashlib.sha256()
    for part in parts:
        size += len(part)
        digest.update(part)
    return size, int.from_bytes(digest.digest()[:6], "big")  # 48 bits: exact in every JSON reader


def _own(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
