"""A new project: its frame and a first part of each kind, rendered from the templates."""

from __future__ import annotations

from pathlib import Path

from pneumo_ad import __version__
from pneumo_ad.errors import ConfigError
from pneumo_ad.files import atomic_folder, write_text
from pneumo_ad.scaffold.names import check_package
from pneumo_ad.scaffold.parts import GROUPS, context_of
from pneumo_ad.scaffold.record import Change, Record
from pneumo_ad.scaffold.render import render

# First parts by kind of project: part -> name. None is a choice of this project.
_RADIOGRAPHS = {"source": "site", "net": "shallow", "loss": "charbonnier", "score": "brighter", "study": "first"}
_FIRST = {"radiographs": _RADIOGRAPHS, "images": _RADIOGRAPHS | {"score": "squared", "vocabulary": "ours"}}


def create_project(folder: Path, kind: str, package: str = "") -> list[Change]:
    """Write a project.

    Args:
        folder: Folder to make; it may exist if it is empty.
        kind: One of `render.KINDS`.
        package: Name of its package; empty for that of the folder.

    Returns:
        The written files.

    Raises:
        ConfigError: The folder is not empty or the working folder itself, or see `names.check_package`.
    """
    if folder.resolve() == Path.cwd():
        raise ConfigError(f"{folder} is the working folder; name the folder to make: pneumo-ad new DIR")
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ConfigError(
            f"{folder} is no empty folder; name another, or bring the project in it up to date: pneumo-ad new "
            f"{folder} --update"
        )
    named = package or folder.name.replace("-", "_")
    check_package(named, f"name={package}" if package else f"{folder}, whose name the package takes,", folder)
    record = Record(__version__, named, kind, render_project(named, kind))
    with atomic_folder(folder) as aside:
        for path, text in record.files.items():
            (aside / path).parent.mkdir(parents=True, exist_ok=True)
            write_text(aside / path, text)
        record.write(aside)
    return [Change("new", path) for path in record.files]


def render_project(package: str, kind: str) -> dict[str, str]:
    """Render a new project, path -> text.

    Args:
        package: Name of its package.
        kind: One of `render.KINDS`.
    """
    own = {GROUPS[part]: name for part, name in _FIRST[kind].items()}
    rendered = render("project", context_of(package, kind) | {"own": own})
    for part, name in _FIRST[kind].items():
        rendered |= render(part, context_of(package, kind, part, name) | {"own": own})
    return dict(sorted(rendered.items()))
