"""Safe reading of files in run folders, stores, predictions and exports, as if they were untrusted.

Whatever is in the place of a file (half of it, another format, a folder, a pipe, a broken link) raises one
`DamagedError` with its name. Reading neither blocks nor executes code, and memory is bounded by the file's size. Heavy
libraries are imported by the function that needs them.
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
_DEEP = 50  # most levels of lists and mappings; a config of this project has six
_LINE = 64 * KIB  # most bytes of a table's line

Expected = Mapping[str, "type | UnionType | Expected"]


def is_there(file: Path) -> bool:
    """Whether anything exists at a path, a broken link included: it is then damaged and not just missing."""
    return os.path.lexists(file)


@contextmanager
def opened(file: Path, most: int) -> Iterator[BufferedReader]:
    """Open a regular file of bounded size for reading; errors of the block become one that names the file.

    Args:
        file: File to read.
        most: Largest size of the file in bytes.

    Raises:
        DamagedError: It is no regular file, it is larger, it cannot be read, or the block raised `ValueError` or a
            similar error, or ran out of memory or recursion depth.
    """
    try:
        # Checked by the open descriptor, non-blocking: opening a pipe would block, and a device has no end.
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
    """Compute the SHA-256 of a file, 64 hexadecimal digits.

    Raises:
        DamagedError: It cannot be read, or is no regular file.
    """
    with opened(file, 64 * GIB) as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def in_a_line(reason: BaseException) -> str:
    r"""Return the message of an error on one line of at most 200 characters; its type if it has none.

    >>> in_a_line(ValueError("one\n  two")), in_a_line(EOFError())
    ('one two', 'EOFError')
    """
    words = " ".join(str(reason).split())
    words = words if len(words) <= 200 else f"{words[:200]} ..."
    return f"KeyError: {words}" if isinstance(reason, KeyError) else words or type(reason).__name__


def read_text(file: Path, most: int = MIB) -> str:
    """Read a text in UTF-8.

    Raises:
        DamagedError: See `opened`.
    """
    with opened(file, most) as content:
        return content.read(most + 1).decode("utf-8")


def read_json(file: Path, expected: Expected | None = None, most: int = 8 * MIB) -> dict[str, Any]:
    """Read a JSON mapping.

    Args:
        file: File to read.
        expected: Required key -> type of its value, or the required keys of a nested mapping.
        most: Largest size of the file in bytes.

    Raises:
        DamagedError: See `opened`; no mapping, a repeated or missing key, or a value of another type.
    """
    with opened(file, most) as content:
        mapping = json.loads(content.read(most + 1).decode("utf-8"), object_pairs_hook=_without_doubles)
        check_mapping(mapping, expected or {})
    return mapping


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        raise ValueError(f"the key {Counter(key for key, _ in pairs).most_common(1)[0][0]!r} stands twice")
    return mapping


def check_mapping(found: Any, expected: Expected, key: str = "") -> None:
    """Check that a value read from a file is a mapping with the expected keys and types.

    Args:
        found: Value to check.
        expected: See `read_json`.
        key: Key of the value, for the message; empty for the whole file.

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
    """Read YAML without aliases, as a kilobyte of them can make more nodes than fit in memory.

    Args:
        file: File to read.
        make: Parser of the text, for example `OmegaConf.create`; called after size and depth are checked.
        most: Largest size of the file in bytes.

    Raises:
        DamagedError: See `opened`; an alias, or lists or mappings nested too deep.
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
    fast = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # refuses surrogates, which stand for names that are no UTF-8
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
    """Read a csv with a header; a blank cell is "", and no word is taken for a missing value.

    Args:
        file: File to read.
        columns: Required column -> `str` for text, `float` for numbers (blank cells may occur).
        most: Largest size of the file in bytes.
        dtype: See `pandas.read_csv`; default: every cell as text.
        options: Further options of `pandas.read_csv`.

    Raises:
        DamagedError: See `opened`; a missing column, a cell of a `float` column that is no number, a line that is too
            long or cut.
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
                pd.to_numeric(table[name].replace("", None))  # its error names the cell that is no number
        return table


def _check_lines(content: BufferedReader) -> None:
    """Refuse a long line, which could become millions of columns, and a cut last line, which would get blanks."""
    last = b""
    while block := content.read(_LINE):
        if b"\n" not in block and len(block) == _LINE:
            raise ValueError(f"a line of more than {_LINE // KIB} KiB")
        last = block
    if last and not last.endswith(b"\n"):
        raise ValueError("it ends in the midst of a line")
    content.seek(0)


def map_array(file: Path, dtype: npt.DTypeLike, shape: tuple[int | None, ...], most: int | None = None) -> np.ndarray:
    """Memory-map an npy file.

    Args:
        file: File to map.
        dtype: Required dtype.
        shape: Required shape; None for an axis of any length.
        most: Largest size of the file in bytes; default: any, as nothing is read.

    Raises:
        DamagedError: See `opened`; Python objects, less data than the header says, another dtype or shape.
    """
    import numpy as np

    with opened(file, most if most is not None else 2**62) as content:
        if content.read(len(np.lib.format.MAGIC_PREFIX)) != np.lib.format.MAGIC_PREFIX:
            raise ValueError("no npy file")  # numpy would take it for a pickle, and advise to load it
        array = np.load(file, mmap_mode="r", allow_pickle=False)
        check_array(array, dtype, shape)
    return array


def read_arrays(file: Path, most: int = GIB) -> dict[str, np.ndarray]:
    """Read every array of an npz file that `numpy.savez` wrote.

    Args:
        file: File to read.
        most: Largest size of the file in bytes.

    Raises:
        DamagedError: See `opened`; compressed data or Python objects, which this project does not write.
    """
    import numpy as np

    with opened(file, most) as content:
        with open_zip(content):
            pass
        content.seek(0)
        with np.load(content, allow_pickle=False) as held:
            return {name: held[name] for name in held.files}


def check_array(found: Any, dtype: npt.DTypeLike, shape: tuple[int | None, ...]) -> None:
    """Check dtype and shape of an array.

    Args:
        found: Array of any shape.
        dtype: Required dtype.
        shape: Required shape; None for an axis of any length.

    Raises:
        ValueError: Another dtype or shape, or no array; says what came.
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
    """Open a zip archive without compression, after a check of its members' checksums.

    The unpacked members are thus no larger than the file. No archive of this project is compressed.

    Args:
        content: File, open for reading.

    Raises:
        ValueError: No archive, a compressed one, or a damaged member.
    """
    try:
        if content.read(4) != b"PK\x03\x04":
            raise ValueError("no archive")
        with zipfile.ZipFile(content) as archive:
            members = archive.infolist()
            packed = [member.filename for member in members if member.compress_type != zipfile.ZIP_STORED]
            if packed or sum(member.file_size for member in members) > os.fstat(content.fileno()).st_size:
                raise ValueError(f"{packed[0] if packed else 'its content'} is compressed, or repeated")
            if (bad := archive.testzip()) is not None:
                raise ValueError(f"the checksum of {bad} is wrong")
            yield archive
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as reason:
        raise ValueError(in_a_line(reason)) from reason
