"""Parts of a project: one class or function, its yaml and its test."""

from __future__ import annotations

import shlex
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from packaging.version import Version

from pneumo_ad import __version__
from pneumo_ad.errors import ConfigError
from pneumo_ad.files import write_text
from pneumo_ad.runs.arguments import choices
from pneumo_ad.runs.trusted import extensions, is_trusted_package
from pneumo_ad.scaffold.names import check_name, class_name
from pneumo_ad.scaffold.record import read_record
from pneumo_ad.scaffold.render import render

# Part -> group of its yaml.
GROUPS = {
    "net": "net",
    "loss": "loss",
    "score": "score",
    "source": "data",
    "drawing": "drawing",
    "vocabulary": "vocabulary",
    "study": "experiment",
}


def add_part(project: Path, part: str, name: str) -> list[Path]:
    """Write one more part into a project: a class or function, its yaml and its test; some parts have no class.

    Args:
        project: Folder of the project.
        part: Key of `GROUPS`.
        name: Name of the module and of the choice; the class is named after it.

    Returns:
        The new files.

    Raises:
        ConfigError: No project, a name that Python cannot import, or that a choice of the group, a file or folder has.
    """
    record = read_record(project)
    argument = f"{part} {name}"
    check_name(name, argument)
    conf, group = project / record.package / "conf", GROUPS[part]
    if name in {*choices(group), *_own(conf, group)}:
        raise ConfigError(f"{argument}: there is {group}={name} already; choose another name")
    wanted = render(part, context_of(record.package, record.kind, part, name, conf))
    taken = [path for path in wanted if path.endswith(f"{name}.py") and (project / path).exists()]
    if taken:
        raise ConfigError(f"{argument}: {taken[0]} is there already; choose another name")
    written = [project / path for path in wanted if not (project / path).exists()]
    for file in written:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, wanted[file.relative_to(project).as_posix()])
    return written


def command_of(project: Path, part: str, name: str) -> str:
    """Return the command that trains with a part, as it works where the project is not installed, too.

    Args:
        project: Folder of the project.
        part: Key of `GROUPS`.
        name: Name of the part.
    """
    package = read_record(project).package
    before = ["module=drawing_detector"] if part == "drawing" else []
    needs_data = part == "source" or (part == "study" and _own(project / package / "conf", "data"))
    words = [*before, f"{GROUPS[part]}={name}", *(["data.root=DIR"] if needs_data else [])]
    path = ""
    if package not in extensions(tuple(sys.path)):  # of installed projects nothing need be said
        if find_spec(package) is None:
            path = f"PYTHONPATH={shlex.quote(str(project.resolve()))}${{PYTHONPATH:+:$PYTHONPATH}} "
        words += [f"trust={package}"] if not is_trusted_package(package) else []
    return f"{path}pneumo-ad train {' '.join(words)}"


def context_of(package: str, kind: str, part: str = "", name: str = "", conf: Path | None = None) -> dict[str, Any]:
    """Return the variables of the templates.

    Args:
        package: Name of the package.
        kind: Kind of project.
        part: Key of `GROUPS`; empty for the project itself.
        name: Name of the part.
        conf: Folder of the project's yaml, whose first choice of each group a study takes.
    """
    own = {group: _own(conf, group)[:1] for group in GROUPS.values()} if conf else {}
    return {
        "package": package,
        "kind": kind,
        "name": name,
        "class_name": class_name(name),
        "own": {group: names[0] for group, names in own.items() if names},
        "version": Version(__version__).public,
    }


def _own(conf: Path, group: str) -> list[str]:
    """Choices of a group in a folder of yaml, sorted."""
    return sorted(file.stem for file in (conf / group).glob("*.yaml"))
