"""Record in a project of the text that it was written from, the base of later merges; and changes of its files."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from packaging.version import Version

from pneumo_ad.errors import ConfigError, DamagedError
from pneumo_ad.files import write_json
from pneumo_ad.saved import in_a_line, is_there, read_json
from pneumo_ad.scaffold.render import KINDS

FILE = ".pneumo_ad.json"
State = Literal["new", "updated", "merged", "conflict", "deleted", "kept"]


class Change(NamedTuple):
    """Change of a file by an update.

    Attributes:
        state: `new`; `updated`, which had no edit; `merged` with the user's edits; `conflict`, where it holds git's
            marks; `deleted`, which the templates have no more; `kept`, as the user edited or deleted it.
        path: Path within the project.
    """

    state: State
    path: str


@dataclass(frozen=True)
class Record:
    """Content of the record.

    Attributes:
        version: Version of pneumo_ad whose templates were rendered.
        package: Name of the package.
        kind: Kind of project.
        files: Path within the project -> text as it was rendered.
    """

    version: str
    package: str
    kind: str
    files: dict[str, str]

    def write(self, project: Path) -> None:
        """Write the record.

        Args:
            project: Folder of the project.
        """
        write_json(project / FILE, asdict(self))


def read_record(project: Path) -> Record:
    """Read the record of a project.

    Args:
        project: Folder of the project.

    Raises:
        ConfigError: The folder holds no project that `pneumo-ad new` wrote.
        DamagedError: The record cannot be read, or names files outside of the project.
    """
    if not is_there(project / FILE):
        raise ConfigError(f"{project} holds no {FILE}: it is no project that pneumo-ad new wrote")
    content = read_json(project / FILE, {"version": str, "package": str, "kind": str, "files": dict})
    record = Record(content["version"], content["package"], content["kind"], content["files"])
    try:
        Version(record.version)
        if record.kind not in KINDS or not record.package.isidentifier():
            raise ValueError(f"kind {record.kind!r} or package {record.package!r} is none that is known")
        for path, text in record.files.items():
            if not isinstance(text, str) or Path(path).is_absolute() or ".." in Path(path).parts:
                raise ValueError(f"{path!r} is no file of the project")
    except ValueError as reason:
        raise DamagedError(f"{project / FILE}: {in_a_line(reason)}") from reason
    return record


def find_project(start: Path) -> Path:
    """Return the project that a folder lies in.

    Args:
        start: Folder of the project, or one below it.

    Raises:
        ConfigError: It lies in none.
    """
    for folder in (start, *start.parents):
        if is_there(folder / FILE):
            return folder
    raise ConfigError(
        f"{start} lies in no project that pneumo-ad new wrote ({FILE} is missing); begin one: pneumo-ad new DIR"
    )
