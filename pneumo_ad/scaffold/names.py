"""Names of projects and parts: they become modules, classes, functions and choices."""

from __future__ import annotations

import keyword
import re
import sys
from importlib.util import find_spec
from pathlib import Path

from pneumo_ad.errors import ConfigError

LONGEST = 32  # characters: the lines of the templates stay below 120
_OWN_FOLDERS = ("conf", "notebooks", "runs", "sweeps", "tests")  # of a project or of what it writes


def check_name(name: str, what: str) -> None:
    """Check that Python can import a name, and that it fits every place where the templates put it.

    Args:
        name: Name to check.
        what: Beginning of the message: the argument that gave it.

    Raises:
        ConfigError: The name is no lower-case identifier, a keyword, or too long; suggests one.
    """
    if re.fullmatch(r"[a-z]([a-z0-9_]*[a-z0-9])?", name) and not keyword.iskeyword(name) and len(name) <= LONGEST:
        return
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_0123456789")[:LONGEST].strip("_")
    if keyword.iskeyword(plain):
        plain += "_1"
    raise ConfigError(
        f"{what} must be a name that Python can import: small letters, digits and _, a letter first, at most {LONGEST} "
        f"characters, no word of Python's{f'; for example {plain}' if plain else ''}"
    )


def check_package(name: str, what: str, folder: Path) -> None:
    """Check that a package can have a name.

    Args:
        name: Name of the package.
        what: See `check_name`.
        folder: Folder of the project, which may lie on Python's path itself.

    Raises:
        ConfigError: See `check_name`; or there is such a module here, or a folder of the project has the name.
    """
    check_name(name, what)
    if name in sys.stdlib_module_names or name in _OWN_FOLDERS:
        raise ConfigError(f"{what} is taken, by {'Python' if name not in _OWN_FOLDERS else 'a folder of each project'}")
    spec = find_spec(name)
    places = list(spec.submodule_search_locations or [spec.origin or ""]) if spec else []
    taken = [place for place in places if Path(place).resolve() != folder.resolve()]
    if taken:
        raise ConfigError(f"{what} is taken: Python would import {taken[0]}. Choose another: name=NAME")


def class_name(name: str) -> str:
    """Convert the name of a module to that of its class.

    >>> class_name("wide_net")
    'WideNet'
    """
    return "".join(word.capitalize() for word in name.split("_"))
