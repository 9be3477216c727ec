"""`pneumo-ad add`: one more part of a project that `pneumo-ad new` wrote."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pneumo_ad.errors import ConfigError, did_you_mean
from pneumo_ad.runs.arguments import Arguments, Key, path
from pneumo_ad.runs.command import Command

USAGE = """\
pneumo-ad add net|loss|score|source|drawing|vocabulary|study NAME

Writes one more part into the project that the working folder lies in (see pneumo-ad new): a class or function, its
yaml and its test. It is a copy of the first one of its kind and works as it is; change it to what you want.

  net                  (B, 1, p, p) in [0, 1] -> Output, chosen by net=NAME
  loss                 (clean patch, Output) -> scalar, by loss=NAME
  score                residual map of a patch, higher is more anomalous, by score=NAME
  source               table with one row per picture, by data=NAME
  drawing              an anomaly drawn into normals, which module=drawing_detector learns to find, by drawing=NAME
  vocabulary           words by which people read the results, by vocabulary=NAME
  study                what differs from the defaults, and the axes of a sweep, by experiment=NAME
{keys}
"""


def add(arguments: str | Sequence[str] = (), **keywords: object) -> list[Path]:
    """Write a part, as `pneumo-ad add` does.

    Args:
        arguments: Arguments as on the command line: `["net", "wide"]`.
        keywords: `project`: folder of the project.

    Returns:
        The new files.

    Raises:
        ConfigError: No project, an unknown part, a name that Python cannot import or that is taken.
    """
    given = COMMAND.parse(arguments, keywords)
    from pneumo_ad.scaffold import add_part
    from pneumo_ad.scaffold.parts import GROUPS
    from pneumo_ad.scaffold.record import find_project

    if len(given.names) != 2:
        raise ConfigError(f"expected a part and a name: pneumo-ad add net NAME, got {' '.join(given.names) or 'none'}")
    part, name = given.names
    if part not in GROUPS:
        raise ConfigError(f"{part} is no part; expected one of {', '.join(GROUPS)}{did_you_mean(part, GROUPS)}")
    return add_part(given["project"] or find_project(Path.cwd()), part, name)


def _show(files: list[Path], given: Arguments) -> None:
    from pneumo_ad.scaffold.parts import command_of
    from pneumo_ad.scaffold.record import find_project

    part, name = given.names
    print("\n".join(os.path.relpath(file) for file in files))
    print(f"\nnext: pytest\nthen: {command_of(given['project'] or find_project(Path.cwd()), part, name)}")


COMMAND = Command(
    section="use",
    place=9,
    summary="one more net, loss, score, ... of that project",
    example="net NAME",
    run=add,
    show=_show,
    usage=USAGE,
    keys=(Key("project", "folder of the project (default: the one that the working folder lies in)", "DIR", path),),
    takes_names=True,
)
