"""Checks of an installation: versions, device, cache folder, extras; one finding each."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Literal, NamedTuple

from packaging.requirements import Requirement

from pneumo_ad import __version__
from pneumo_ad.errors import UserError
from pneumo_ad.files import cache_dir, writable_cache
from pneumo_ad.saved import GIB, in_a_line

_SHOWN = ("torch", "lightning", "hydra-core", "omegaconf", "albumentations", "numpy", "pandas", "pydicom")
# Extra of pyproject.toml -> its purpose.
EXTRAS = {
    "launchers": "sweeps in parallel processes and on clusters",
    "tune": "pneumo-ad tune",
    "features": "net=feature_gaussian",
    "download": "pneumo-ad download",
    "mlflow": "logger=mlflow",
    "wandb": "logger=wandb",
    "notebooks": "running notebooks/",
    "export": "pneumo-ad export format=onnx",
    "dicom": "results as DICOM objects, DICOMweb, a DICOM node",
    "docs": "make docs",
}


class Finding(NamedTuple):
    """Result of one check.

    Attributes:
        state: `ok`; `missing`, for an optional part; `fails`.
        part: Part that was checked.
        detail: Measured values, or the reason of a failure with its remedy.
    """

    state: Literal["ok", "missing", "fails"]
    part: str
    detail: str


def checked(part: str, check: Callable[[], str]) -> Finding:
    """Run a check; any exception becomes a finding.

    Args:
        part: Name of the checked part.
        check: Function that returns the detail of a check that passed.

    >>> checked("disk", lambda: "12 GiB free"), checked("disk", lambda: str(1 / 0))[2]
    (Finding(state='ok', part='disk', detail='12 GiB free'), 'ZeroDivisionError: division by zero')
    """
    try:
        return Finding("ok", part, check())
    except UserError as reason:
        return Finding("fails", part, str(reason))
    except Exception as reason:
        return Finding("fails", part, f"{type(reason).__name__}: {in_a_line(reason)}")


def installation() -> Iterator[Finding]:
    """Check versions, device, cache folder and extras."""
    yield Finding("ok", "version", f"{__version__} on Python {platform.python_version()}, {platform.platform()}")
    yield checked("packages", lambda: ", ".join(f"{name} {version(name)}" for name in _SHOWN))
    yield checked("device", _device)
    yield checked("cache", _cache)
    yield checked("locks", _locks)
    yield from map(_extra, EXTRAS)


def _device() -> str:
    import torch

    threads = f"{torch.get_num_threads()} threads on {os.cpu_count()} cores"
    if not torch.cuda.is_available():
        return f"CPU, {threads}; no CUDA device"
    devices = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    names = ", ".join(f"{one.name} ({one.total_memory / GIB:.0f} GiB)" for one in devices)
    return f"{names}, CUDA {torch.version.cuda}; {threads}"


def _cache() -> str:
    folder = writable_cache()
    held = sum(entry.stat().st_size for entry in folder.rglob("*") if entry.is_file())
    free = shutil.disk_usage(folder).free
    return f"{folder}, {held / GIB:.2f} GiB, {free / GIB:.1f} GiB free"


def _locks() -> str:
    """Check that a second lock on a file is refused, as two processes that build a store need it."""
    from filelock import FileLock, Timeout

    file = cache_dir() / ".doctor.lock"
    try:
        with FileLock(file):
            try:
                with FileLock(file, timeout=0):
                    pass
            except Timeout:
                return f"flock works in {cache_dir()}"
        raise UserError(
            f"flock does nothing in {cache_dir()}, so two processes could write one store at once; "
            "name a folder on a local disk: PNEUMO_AD_CACHE=DIR"
        )
    except OSError as reason:
        raise UserError(f"flock fails in {cache_dir()} ({reason.strerror}): PNEUMO_AD_CACHE=DIR") from reason
    finally:
        with suppress(OSError):
            file.unlink()


def _extra(name: str) -> Finding:
    purpose = EXTRAS[name]
    absent = [package for package in packages_of_extra(name) if not _is_installed(package)]
    if not absent:
        return Finding("ok", f"[{name}]", purpose)
    return Finding("missing", f"[{name}]", f'{purpose}: no {", ".join(absent)}; pip install "pneumo_ad[{name}]"')


def packages_of_extra(extra: str) -> list[str]:
    """Names of the packages that an extra of this project installs.

    Args:
        extra: Name of the extra in pyproject.toml.
    """
    needs = map(Requirement, requires("pneumo_ad") or ())
    return [need.name for need in needs if need.marker and need.marker.evaluate({"extra": extra})]


def _is_installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True
