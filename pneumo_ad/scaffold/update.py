"""Update of a project to later templates, by `git merge-file` of the text it was written from, the new, the user's."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from packaging.version import Version

from pneumo_ad import __version__
from pneumo_ad.errors import ConfigError
from pneumo_ad.files import atomic_write
from pneumo_ad.scaffold.project import render_project
from pneumo_ad.scaffold.record import Change, Record, State, read_record

_MARK = b"<<<<<<< "


def update_project(project: Path) -> list[Change]:
    """Merge the present templates into a project. Every edit of the user's stays, or lies between git's marks.

    Args:
        project: Folder of the project.

    Returns:
        Changed files, and those that were to be changed and are as the user left them.

    Raises:
        ConfigError: No project, written by a later version, marks of an earlier conflict, or git is not installed.
        DamagedError: See `read_record`.
    """
    record = read_record(project)
    if Version(record.version) > Version(__version__):
        raise ConfigError(
            f"{project} was written by pneumo_ad {record.version}, which is later than this one, {__version__}"
        )
    fresh = render_project(record.package, record.kind)
    changed = sorted(path for path in {*record.files, *fresh} if record.files.get(path) != fresh.get(path))
    yours = {path: (project / path).read_bytes() if (project / path).is_file() else None for path in changed}
    marked = [path for path, text in yours.items() if text and any(map(_is_mark, text.splitlines()))]
    if marked:
        raise ConfigError(f"{project / marked[0]} holds marks of a conflict ({_MARK.decode()}...): resolve it first")
    labels = ("yours", f"pneumo_ad {record.version}", f"pneumo_ad {__version__}")
    results = {
        path: _merge(_bytes(record.files.get(path)), _bytes(fresh.get(path)), own, labels)
        for path, own in yours.items()
    }
    for path, (_, text) in results.items():
        _write(project / path, text)
    Record(__version__, record.package, record.kind, fresh).write(project)
    return [Change(state, path) for path, (state, _) in results.items()]


def _is_mark(line: bytes) -> bool:
    return line.startswith(_MARK)


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


def _merge(
    base: bytes | None, fresh: bytes | None, yours: bytes | None, labels: tuple[str, str, str]
) -> tuple[State, bytes | None]:
    """Merge a file that the templates changed; None: there is no file."""
    if yours == fresh:
        return "kept", yours
    if yours == base:
        return ("new" if base is None else "deleted" if fresh is None else "updated"), fresh
    if yours is None or fresh is None:  # one deleted what the other changed
        return "kept", yours
    return _merge_texts(base or b"", fresh, yours, labels)


def _merge_texts(base: bytes, fresh: bytes, yours: bytes, labels: tuple[str, str, str]) -> tuple[State, bytes]:
    if shutil.which("git") is None:
        raise ConfigError("pneumo-ad new --update needs git, which is not installed: it merges by `git merge-file`")
    with tempfile.TemporaryDirectory() as place:
        files = [Path(place, name) for name in ("yours", "base", "fresh")]
        for file, text in zip(files, (yours, base, fresh), strict=True):
            file.write_bytes(text)
        options = [option for label in labels for option in ("-L", label)]
        done = subprocess.run(["git", "merge-file", "-p", *options, *map(str, files)], capture_output=True)
    if not 0 <= done.returncode <= 127:  # the number of conflicts, at most 127
        raise ConfigError(f"git merge-file failed: {done.stderr.decode(errors='replace').strip()}")
    return ("conflict" if done.returncode else "merged"), done.stdout


def _write(file: Path, text: bytes | None) -> None:
    if text is None:
        file.unlink(missing_ok=True)
        return
    if file.is_file() and file.read_bytes() == text:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(file) as aside:
        aside.write_bytes(text)
        if file.exists():
            shutil.copymode(file, aside)
