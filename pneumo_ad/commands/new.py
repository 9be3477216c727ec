"""`pneumo-ad new`: a project of the user's own, on top of this one."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pneumo_ad.errors import ConfigError
from pneumo_ad.runs.arguments import Key, one_of, path, switch
from pneumo_ad.runs.command import Command

if TYPE_CHECKING:
    from pneumo_ad.scaffold import Change

USAGE = """\
pneumo-ad new DIR [kind=images] [name=NAME]
pneumo-ad new [DIR] --update

Writes a project of your own into a new folder: a package with a data source, net, loss and score, each with its yaml
and test, a study with a sweep, a notebook, and what runs the tests (GitHub Actions, GitLab, pre-commit). Once it is
installed, or trusted (trust=NAME), pneumo-ad knows its choices: pneumo-ad train experiment=first data.root=RADIOGRAPHS.
`pneumo-ad add` writes one more part.

--update merges the templates of a later pneumo_ad into the project: edits stay, or lie between git's conflict marks.

{keys}

Exit status: 0, or 1 where an update left a conflict.
"""


def new(arguments: str | Sequence[str] = (), **keywords: object) -> list[Change]:
    """Write a project, or update one, as `pneumo-ad new` does.

    Args:
        arguments: Arguments as on the command line: `["mine", "kind=images"]`.
        keywords: `kind`, `name`, `update=True`.

    Returns:
        Files that were written, and what became of each.

    Raises:
        ConfigError: A folder that is not empty, a name that Python cannot import or that is taken, or an unknown key;
            to update: no project, or one with conflicts.
    """
    given = COMMAND.parse(arguments, keywords)
    from pneumo_ad.scaffold import create_project, update_project

    if len(given.names) != 1 and not (given["update"] and not given.names):
        raise ConfigError(f"expected one folder: pneumo-ad new DIR, got {' '.join(given.names) or 'none'}")
    folder = path(given.names[0]) if given.names else Path()
    return update_project(folder) if given["update"] else create_project(folder, given["kind"], given["name"])


def _run(arguments: list[str]) -> None:
    arguments = ["update=true" if one == "--update" else one for one in arguments]
    given, changes = COMMAND.parse(arguments), new(arguments)
    if given["update"]:
        for change in changes:
            print(f"{change.state:<9} {change.path}")
        conflicts = sum(change.state == "conflict" for change in changes)
        print(f"{len(changes)} files changed, {conflicts} with conflicts to resolve")
        if conflicts:
            raise SystemExit(1)
    else:
        folder = shlex.quote(given.names[0])
        print(
            f"{folder} has {len(changes)} files, and README.md says what they are\n\n"
            f'next: cd {folder} && pip install -e ".[dev]" && pytest\n'
            "then: pneumo-ad train experiment=first data.root=DIR"
        )


COMMAND = Command(
    section="use",
    place=8,
    summary="write a project of your own on top of this one",
    example="DIR [kind=images] [--update]",
    run=_run,
    usage=USAGE,
    keys=(
        Key(
            "kind",
            "radiographs (default), or images: any pictures, with or without masks",
            "KIND",
            one_of("radiographs", "images"),
            "radiographs",
        ),
        Key("name", "name of the package (default: that of the folder)", "NAME", default=""),
        Key("update", "the same as --update", "true", switch, False),
    ),
    takes_names=True,
)
