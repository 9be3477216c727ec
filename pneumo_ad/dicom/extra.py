"""Check that the packages of the extra `dicom` are installed."""

from __future__ import annotations

from importlib.util import find_spec

from pneumo_ad.errors import ConfigError


def check_extra(option: str, *packages: str) -> None:
    """Check that packages are installed, before anything is read.

    Args:
        option: Option that needs them, for the message.
        packages: Names of the packages to import.

    Raises:
        ConfigError: One is missing; says how to install it.
    """
    if missing := [package for package in packages if find_spec(package) is None]:
        raise ConfigError(f'{option} needs {", ".join(missing)}: pip install "pneumo_ad[dicom]"')
