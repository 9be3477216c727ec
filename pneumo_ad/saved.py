"""Files of run folders, stores, predictions and exports, read as strangers' files: bounded, and named where damaged.

Whatever lies in the place of a file (half of it, another format, a folder, a pipe, a link that leads nowhere) ends in
one `DamagedError` with its name. Nothing is waited for, nothing is run, and memory is bounded by the file's size.
Heavy libraries are imported by the function that needs them.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any

import yaml  # type: ignore[import-untyped]

from pneumo_ad.errors import DamagedError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

KIB, MIB, GIB = 2**10, 2**20, 2**30
_DEEP = 50  # levels of lists and mappings; a config of this project has six
_LINE = 64 * KIB  # bytes of a table's line

Expected = Mapping[str, "type | UnionType | Expected"]


def is_there(file: Path) -> bool:
    """Whether anything lies in the place of a file: what is no file is not taken for a file that was never written."""
    return os.path.lexists(file)


@contextmanager
def opened(file: Path, most: int) -> Iterator[BufferedReader]:
    """A regular file of bounded size, open for reading; what cannot be read from it as expected is named.

    Args:
        file: To read.
        most: Bytes that it may have.

    Raises:
        DamagedError: It is no regular file, it is larger, it cannot be read, or the block raised `ValueError`, one of
            its kin, or ran out of memory or of depth.
    """
    try:
        # What is open is looked at: a pipe would be waited for, a device has no end.
        with open(os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as content:  # noqa: PTH123
            about = os.fstat(content.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise DamagedError(f"{file}: no regular file")
            if about.st_size > most:
                raise DamagedError(
                    f"{file}: {about.st_size / MIB:,.1f} MiB; expected at most {most / MIB:,.1f} MiB of such a file"
                )
            yield content
    except DamagedError:
        raise
    except OSError as reason:
        nowhere = isinstance(reason, FileNotFoundError) and is_there(file)
        words = "a link that leads nowhere" if nowhere else reason.strerror or str(reason)
        raise DamagedError(f"{file}: cannot be read ({words})") from reason
    except RecursionError as reason:
        raise DamagedError(f"{file}: lists or mappings are nested too deep") from reason
    except (ValueError, LookupError, TypeError, OverflowError, MemoryError, EOFError, SyntaxError) as reason:
        raise DamagedError(f"{file}: damaged, or not what this project writes ({in_a_line(reason)})") from reason


def file_digest(file: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits.

    Raises:
        DamagedError: It cannot be read, or is no regular file.
    """
    with opened(file, 64 * GIB) as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def in_a_line(reason: BaseException) -> str:
    r"""What an error says, in at most 200 characters; its name where it says nothing.

    >>> in_a_line(ValueError("one\n  two")), in_a_line(EOFError())
    ('one two', 'EOFError')
    """
    words = " ".join(str(reason).split())
    words = words if len(words) <= 200 else f"{words[:200]} ..."
    return f"KeyError: {words}" if isinstance(reason, KeyError) else words or type(reason).__name__


def read_text(file: Path, most: int = MIB) -> str:
    """A text in UTF-8.

    Raises:
        DamagedError: See `opened`.
    """
    with opened(file, most) as content:
        return content.read(most + 1).decode("utf-8")


def read_json(file: Path, expected: Expected | None = None, most: int = 8 * MIB) -> dict[str, Any]:
    """A JSON mapping.

    Args:
        file: To read.
        expected: Keys that must be there, with the type of their values, or with those of a mapping within.
        most: Bytes that it may have.

    Raises:
        DamagedError: See `opened`; no mapping, a key that stands twice, is missing, or holds another type.
    """
    with opened(file, most) as content:
        found = json.loads(content.read(most + 1).decode("utf-8"), object_pairs_hook=_without_doubles)
        check_mapping(found, expected or {})
    return found


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"the key {Counter(key for key, _ in pairs).most_common(1)[0][0]!r} stands twice")
    return found


def check_mapping(found: Any, expected: Expected, key: str = "") -> None:
    """See that a value read from a file is a mapping with some keys.

    Args:
        found: The value.
        expected: See `read_json`.
        key: Under which it stands, for the message; empty for the whole file.

    Raises:
        ValueError: It is not; names the key.

    >>> check_mapping({"about": {"subset": 3}}, {"about": {"subset": str}})
    Traceback (most recent call last):
    ...
    ValueError: about.subset is int, expected str
    """
    if not isinstance(found, dict):
        raise ValueError(f"{key or 'it'} is {type(found).__name__}, expected a mapping")
    for name, kind in expected.items():
        below = f"{key}.{name}".lstrip(".")
        if name not in found:
            raise ValueError(f"{below} is missing")
        if isinstance(kind, Mapping):
            check_mapping(found[name], kind, below)
        elif not isinstance(found[name], kind):
            words = getattr(kind, "__name__", str(kind))
            raise ValueError(f"{below} is {type(found[name]).__name__}, expected {words}")


def read_yaml(file: Path, make: Callable[[str], Any], most: int = MIB) -> Any:
    """Yaml, which may not repeat itself by reference: a kilobyte of aliases makes more nodes than memory holds.

    Args:
        file: To read.
        make: Text -> what it holds, for example `OmegaConf.create`; called once its size and depth are known.
        most: Bytes that it may have.

    Raises:
        DamagedError: See `opened`; an alias, or mappings nested too deep.
    """
    with opened(file, most) as content:
        text = content.read(most + 1).decode("utf-8")
        try:
            _check_yaml(text)
            return make(text)
        except yaml.YAMLError as reason:
            raise ValueError(in_a_line(reason)) from reason


def _check_yaml(text: str) -> None:
    depth = 0
    fast = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # it takes no surrogates, as of names that are no UTF-8
    for event in yaml.parse(text, Loader=yaml.SafeLoader if "\\ud" in text.lower() else fast):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"line {event.start_mark.line + 1} repeats another node (*{event.anchor}); write it out")
        if isinstance(event, yaml.ScalarEvent) and depth == 0:
            raise ValueError("neither a mapping nor a list")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEP:
            raise ValueError(f"line {event.start_mark.line + 1} is nested deeper than {_DEEP} levels")


def read_table(
    file: Path, columns: Mapping[str, type], most: int = 64 * MIB, dtype: Any = str, **options: Any
) -> pd.DataFrame:
    """A csv with a heading; a blank cell is "", and no word is taken for a missing value.

    Args:
        file: To read.
        columns: That must be there: `str` for words, `float` for numbers (a blank is none).
        most: Bytes that it may have.
        dtype: As of `pandas.read_csv`; default: every cell as text.
        options: More of `pandas.read_csv`.

    Raises:
        DamagedError: See `opened`; a column that is missing or holds other than numbers, an endless line.
    """
    import pandas as pd

    with opened(file, most) as content:
        _check_lines(content)
        table = pd.read_csv(content, encoding="utf-8", index_col=False, dtype=dtype, keep_default_na=False, **options)
        lacks = [name for name in columns if name not in table]
        if lacks:
            raise ValueError(f"no column {', '.join(lacks)}; it has {', '.join(map(str, table.columns[:8])) or 'none'}")
        for name, kind in columns.items():
            if kind is float and not pd.api.types.is_numeric_dtype(table[name]):
                pd.to_numeric(table[name].replace("", None))  # says which cell is none
        return table


def _check_lines(content: BufferedReader) -> None:
    """A line without an end would become millions of columns; half of a last line, a row with blanks."""
    last = b""
    while part := content.read(_LINE):
        if b"\n" not in part and len(part) == _LINE:
            raise ValueError(f"a line of more than {_LINE // KIB} KiB")
        last = part
    if last and not last.endswith(b"\n"):
        raise ValueError("it ends in the midst of a line")
    content.seek(0)


def map_array(file: Path, dtype: npt.DTypeLike, shape: tuple[int | None, ...], most: int | None = None) -> np.ndarray:
    """An npy file, memory-mapped.

    Args:
        file: To read.
        dtype: That it must have.
        shape: That it must have; None for a side of any length.
        most: Bytes that it may have; default: any number, as nothing is read.

    Raises:
        DamagedError: See `opened`; objects, less data than its heading says, another type or shape.
    """
    import numpy as np

    with opened(file, most if most is not None else 2**62) as content:
        if content.read(len(np.lib.format.MAGIC_PREFIX)) != np.lib.format.MAGIC_PREFIX:
            raise ValueError("no npy file")  # which numpy would take for a pickle, and advise to open
        found = np.load(file, mmap_mode="r", allow_pickle=False)
        check_array(found, dtype, shape)
    return found


def read_arrays(file: Path, most: int = GIB) -> dict[str, np.ndarray]:
    """Every array of an npz that `numpy.savez` wrote.

    Args:
        file: To read.
        most: Bytes that it may have.

    Raises:
        DamagedError: See `opened`; compressed or objects: neither is what this project writes.
    """
    import numpy as np

    with opened(file, most) as content:
        with open_zip(content):
            pass
        content.seek(0)
        with np.load(content, allow_pickle=False) as held:
            return {name: held[name] for name in held.files}


def check_array(found: Any, dtype: npt.DTypeLike, shape: tuple[int | None, ...]) -> None:
    """See that an array is what was expected.

    Args:
        found: The array.
        dtype: That it must have.
        shape: That it must have; None for a side of any length.

    Raises:
        ValueError: It is not; says what it is.
    """
    import numpy as np

    if not isinstance(found, np.ndarray):
        raise ValueError("no array")
    fits = len(shape) == found.ndim and all(want in (None, has) for want, has in zip(shape, found.shape, strict=True))
    if found.dtype != np.dtype(dtype) or not fits:
        words = " x ".join("any" if side is None else str(side) for side in shape)
        raise ValueError(f"{found.dtype} of {' x '.join(map(str, found.shape))}, expected {np.dtype(dtype)} of {words}")


@contextmanager
def open_zip(content: BufferedReader) -> Iterator[zipfile.ZipFile]:
    """A zip archive whose members are whole by their checksums and stored as they are.

    Unpacked it is thus no larger than the file: none of the archives of this project is compressed.

    Args:
        content: Open for reading.

    Raises:
        ValueError: No archive, one that is compressed, or a member that is damaged.
    """
    try:
        if content.read(4) != b"PK\x03\x04":
            raise ValueError("no archive")
        with zipfile.ZipFile(content) as archive:
            members = archive.infolist()
            packed = [one.filename for one in members if one.compress_type != zipfile.ZIP_STORED]
            if packed or sum(one.file_size for one in members) > os.fstat(content.fileno()).st_size:
                raise ValueError(f"{packed[0] if packed else 'its content'} is compressed, or repeated")
            if (bad := archive.testzip()) is not None:
                raise ValueError(f"the checksum of {bad} is wrong")
            yield archive
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as reason:
        raise ValueError(in_a_line(reason)) from reason
