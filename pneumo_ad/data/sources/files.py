"""What lies in a folder of radiographs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from pneumo_ad.data.radiograph import SUFFIXES, looks_like_radiograph
from pneumo_ad.errors import DataError


def list_files(folder: Path, recursive: bool = False) -> pd.DataFrame:
    """Columns `image` (path below the folder, without its suffix where that leaves all names apart) and `path`.

    Args:
        folder: That exists.
        recursive: Also what lies in its folders.

    Raises:
        DataError: No radiograph; says what there is instead.
    """
    files = images_in(folder, recursive)
    if not files:
        raise DataError(
            f"{folder}: no image found (looked for {', '.join(sorted(SUFFIXES))}, and DICOM by content); it holds "
            f"{content_of(folder)}"
        )
    whole = [file.relative_to(folder).as_posix() for file in files]
    # The end of a DICOM number (1.2.840.10) is no suffix.
    names = [
        name.removesuffix(file.suffix) if file.suffix.lower() in SUFFIXES else name
        for name, file in zip(whole, files, strict=True)
    ]
    if len(set(names)) < len(names):  # a.png beside a.jpg
        names = whole
    return pd.DataFrame({"image": names, "path": [str(file) for file in files]})


def existing_folder(path: str | Path) -> Path:
    """The path of a folder that exists.

    Raises:
        DataError: It does not; names the nearest that does, and what it holds.
    """
    path = Path(path).expanduser()
    if not path.is_dir():
        near = next(parent for parent in path.parents if parent.is_dir())
        raise DataError(f"{path}: no such folder; the nearest that exists is {near}, which holds {content_of(near)}")
    return path


def images_in(folder: Path, recursive: bool = False) -> list[Path]:
    """Files that look like radiographs, sorted.

    Args:
        folder: That exists.
        recursive: Also what lies in its folders.
    """
    found = folder.rglob("*") if recursive else folder.iterdir()
    return sorted(file for file in found if looks_like_radiograph(file))


def content_of(folder: Path) -> str:
    """The first few names in a folder, for messages."""
    names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in folder.iterdir())
    return ", ".join(names[:6]) + (f", ... ({len(names)} entries)" if len(names) > 6 else "") if names else "nothing"
