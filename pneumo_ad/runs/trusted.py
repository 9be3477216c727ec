"""Trusted names and packages, and their yaml. No heavy imports, and no package is imported.

Trusted are names in a file of the user's config folder, and the packages of installed projects that require pneumo_ad.
"""

from __future__ import annotations

import logging
import re
import sys
import sysconfig
from collections.abc import Iterable
from functools import cache
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path

from pneumo_ad.files import config_dir, write_text

log = logging.getLogger(__name__)


def is_trusted_package(package: str) -> bool:
    """Whether a package is trusted as a whole.

    Args:
        package: Name of a top-level package.
    """
    if not package.isidentifier() or package == "pneumo_ad":
        return False
    return (package in named() and is_own(package)) or package in extensions(tuple(sys.path))


def own_conf() -> dict[str, Path]:
    """Map the trusted packages that hold yaml to its folder, `conf` of the package; in the order of their names."""
    found = {}
    for package in filter(is_trusted_package, sorted(named() | extensions(tuple(sys.path)))):
        spec = find_spec(package)
        for place in (spec and spec.submodule_search_locations) or ():
            if Path(place, "conf").is_dir():
                found[package] = Path(place, "conf")
    return found


def is_own(package: str) -> bool:
    """Whether a whole package may be trusted: it lies outside the folders of installed packages, or is missing.

    Args:
        package: Name of a top-level package.
    """
    if package in sys.stdlib_module_names or package in ("pneumo_ad", "__main__"):
        return False
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        return False
    if spec is None or package in extensions(tuple(sys.path)):
        return True
    places = [Path(place) for place in spec.submodule_search_locations or [spec.origin or ""]]
    standard = Path(sysconfig.get_paths()["stdlib"])
    return not any(
        {"site-packages", "dist-packages"} & set(one.parts) or one.is_relative_to(standard) for one in places
    )


@cache
def extensions(path: tuple[str, ...]) -> frozenset[str]:
    """Packages of installed projects that require pneumo_ad: the user installed them for it.

    Args:
        path: Folders where projects are installed, `sys.path`.
    """
    packages: set[str] = set()
    for project in distributions(path=list(path)):
        needs = {_canonical(need) for need in project.requires or () if "extra ==" not in need}
        if "pneumo-ad" in needs and _canonical(project.name) != "pneumo-ad":
            listed = (project.read_text("top_level.txt") or "").split()
            packages |= set(
                listed or {file.parts[0].removesuffix(".py") for file in project.files or () if ".." not in file.parts}
            )
    return frozenset(name for name in packages if name.isidentifier() and name not in sys.stdlib_module_names)


def _canonical(requirement: str) -> str:
    """Normalise the name in a requirement: `Pneumo_AD[tune]>=1` -> `pneumo-ad`."""
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]*", requirement.strip())[0]).lower()  # type: ignore[index]


def file_of_names() -> Path:
    """Return the file of trusted names, one per line; it need not exist."""
    return config_dir() / "trusted.txt"


_here: set[str] = set()  # names of this process, if the file cannot be written


def named() -> set[str]:
    """Read the trusted names."""
    file = file_of_names()
    return _here | set(file.read_text(encoding="utf-8").splitlines() if file.is_file() else ())


def keep(names: Iterable[str]) -> None:
    """Add names to the file; if it cannot be written, they hold until this process ends, with a warning.

    Args:
        names: Names to trust.
    """
    from filelock import FileLock  # slow to import

    file = file_of_names()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(file.with_suffix(".lock")):
            write_text(file, "".join(f"{name}\n" for name in sorted(named().union(names))))
    except OSError as reason:
        _here.update(names)
        log.warning("%s cannot be written (%s): what was named holds until this process ends", file, reason)
