"""Packages of the extra `dicom`, imported where they are used."""

from __future__ import annotations

import logging
from importlib.util import find_spec

from pneumo_ad.errors import ConfigError


def check_installed(what: str, package: str) -> None:
    """Check that a package of the extra is there, and silence its log, which holds what peers and servers send.

    Args:
        what: Key or command that needs the package, for the message.
        package: Python package.

    Raises:
        ConfigError: It is not installed.
    """
    if find_spec(package) is None:
        raise ConfigError(f'{what} needs {package}, which is not installed: pip install "pneumo_ad[dicom]"')
    logging.getLogger(package).setLevel(logging.CRITICAL + 1)
