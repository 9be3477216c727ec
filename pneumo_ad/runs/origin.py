"""Resolution of the paths in a run's config from any working directory, and checks that the files are unchanged.

A relative path refers to the folder in which it was typed. That folder is recorded in the run's `.hydra/hydra.yaml`,
the one file that holds absolute paths and is never shown. A path that no longer exists is tried relative to the run,
as data and run can move together. Output names a path as it was typed.
"""

from __future__ import annotations

import copy
import inspect
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pneumo_ad.data.fit import sides
from pneumo_ad.data.sources.paths import path_column
from pneumo_ad.data.store.contents import FILE, changed_files, read_contents
from pneumo_ad.data.store.store import Store, earlier_key
from pneumo_ad.errors import DataError, UserError
from pneumo_ad.files import replace_paths, write_text
from pneumo_ad.runs.compose import build
from pneumo_ad.runs.device import place_lungs
from pneumo_ad.runs.dot_hydra import HYDRA, read_runtime
from pneumo_ad.runs.record import read_run_json
from pneumo_ad.runs.shipped import is_shipped
from pneumo_ad.saved import is_there

log = logging.getLogger(__name__)

# Groups whose paths lie in the run folder.
_OF_THE_RUN = ("callbacks", "logger", "trainer")
_OTHERS = "evaluate others, data=folder data.root=DIR data.split=test; calibrate=DIR takes normals of your own"
_AS_OTHERS = "evaluate the new data as others: data.root=... data.split=test output=..."


class Origin:
    """A run's config with its paths resolved from any working directory.

    Args:
        config: Config of the run, with overrides applied.
        folder: The run folder.
        overrides: Newly typed overrides, whose paths are relative to the current working directory.
    """

    def __init__(self, config: DictConfig, folder: Path, overrides: Sequence[str] = ()) -> None:
        self._config = config
        self.folder = folder
        given = {override.lstrip("+").partition("=")[0] for override in overrides}
        self._found: dict[str, str] = {}  # key -> absolute path
        self._absent: dict[str, str] = {}  # key -> first words of an error message
        self._namesakes: list[str] = []  # typed paths that also exist, as other files, below the working directory
        instead: dict[str, str] = {}
        for key, typed, surely in _paths(config):
            here = os.path.abspath(typed)  # noqa: PTH100 - links stay links
            if any(f"{key}.".startswith(f"{one}.") for one in given):
                location = here
            elif not (location := self._leads(key, typed)):
                continue
            if surely or _there(location) or _there(here):
                self._found[key] = location
                if location != here:
                    instead[location] = str(Path(typed))
                    if not _there(location):
                        self._absent[key] = (
                            f"{key}={typed} is neither where it was typed when the run was started nor, "
                        )
                        self._absent[key] += "seen from the run, where it was then"
                    elif _there(here):
                        self._namesakes.append(f"{key}={typed}")
        self._typed = instead

    def _leads(self, key: str, typed: str) -> str:
        """Absolute path of a path typed when the run was started; "" if the run does not record where."""
        if _there(typed) and os.path.isabs(typed):  # noqa: PTH117
            return os.path.normpath(typed)
        start = _started(self.folder)
        then = os.path.normpath(os.path.join(start.cwd, typed))  # noqa: PTH118
        if not os.path.isabs(then):  # noqa: PTH117
            self._absent[key] = f"no .hydra/hydra.yaml tells where {key}={typed} was typed"
            return ""
        below = os.path.relpath(then, start.folder) if start.folder else None
        beside = [os.path.normpath(os.path.join(now, below)) for now in _names_of(self.folder) if below]  # noqa: PTH118
        return next(filter(_there, [then, *beside]), then)

    @cached_property
    def located(self) -> DictConfig:
        """The config with absolute paths in place of those that, as typed, lead elsewhere from here."""
        changes = {key: found for key, found in self._found.items() if found in self._typed}
        if not changes:
            return self._config
        config = copy.deepcopy(self._config)
        for key, found in changes.items():
            OmegaConf.update(config, key, found)
        return config

    @property
    def data(self) -> DictConfig:
        """The config's node `data` with absolute paths, by which two configs are compared."""
        config = copy.deepcopy(self._config)
        for key, found in self._found.items():
            if key.startswith("data."):
                OmegaConf.update(config, key, found)
        return config.get("data")

    def shown(self, text: str) -> str:
        """Replace absolute paths in a text by the paths as they were typed."""
        return replace_paths(text, self._typed)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Name paths as they were typed in errors for the user."""
        try:
            yield
        except UserError as reason:
            if (words := self.shown(str(reason))) == str(reason):
                raise
            raise type(reason)(words) from reason

    def datamodule(self, own: bool = True, table: pd.DataFrame | None = None, **changes: Any) -> Any:
        """Build the data module of the config.

        Args:
            own: Whether the data are those of the run's training; if so, their contents are checked when they are
                opened.
            table: Table of some radiographs; default: all of the source.
            changes: Arguments of the data module in place of the config's.

        Raises:
            DataError: The data are missing, or the run's own data changed since its training.
            ConfigError: See `compose.build`.
        """
        if table is not None:
            changes["table"] = table
        for key, words in self._absent.items():
            if table is None and is_shipped(self.folder):
                raise DataError(f"the radiographs that the shipped detector learnt from are no part of it: {_OTHERS}")
            if table is None or not key.startswith("data."):
                raise DataError(f"{self.folder}: {words}. Put it back, a link will do, or {_AS_OTHERS}")
        for one in self._namesakes if table is None else []:
            log.warning("%s is that of %s, not what has the same name here", one, self.folder)
        with self.explained():
            datamodule = build(self.located.datamodule, **changes)
        place_lungs(datamodule.radiographs.lungs, self.located.trainer)
        datamodule.radiographs.opened = partial(self._opened, own=own)
        return datamodule

    def _opened(self, opening: Callable[[], Store], own: bool) -> Store:
        """Open a store, check its contents against the run, and name its files as they were typed."""
        with self.explained():
            store = opening()
        if own:
            check_contents(store, self.folder)
        if not self._typed:
            return store
        skipped = {image: self.shown(reason) for image, reason in store.skipped.items()}
        files = {name: path_column(map(self.shown, store.table[name])) for name in ("path", "lung", "opacity")}
        return replace(store, table=store.table.assign(**files), skipped=skipped)

    def compare_with_earlier(self, table: pd.DataFrame, saved: DictConfig) -> None:
        """Warn if names, sizes or times of files changed, for a run of a version that recorded no contents.

        Args:
            table: Table of the run's own radiographs.
            saved: Config of the run.
        """
        known = read_run_json(self.folder).get("store")
        if is_there(self.folder / FILE) or not (self.folder / "split.csv").is_file():
            return
        if earlier_key(table, sides(saved.image_size), saved.fit, self.shown) != known:
            log.warning(
                "%s was made before contents were kept with a run, and names, sizes or times of its files are others "
                "today: whether they still hold what it was trained on cannot be told",
                self.folder,
            )


def keep_contents(store: Store, folder: Path) -> None:
    """Record in `files.csv` the contents of a run's training files, for `check_contents`.

    Args:
        store: Open store.
        folder: The run folder.
    """
    write_text(folder / FILE, store.contents.to_csv(index=False))


def check_contents(store: Store, folder: Path) -> None:
    """Check that files have the contents that they had when a run was trained; times and locations may differ.

    Args:
        store: Open store of the run's radiographs or of some of them.
        folder: The run folder.

    Raises:
        DataError: Contents differ (names the radiographs), or the run's `files.csv` cannot be read.
    """
    if not is_there(folder / FILE):
        return
    known = read_contents(folder / FILE)
    changed = changed_files(known, store.contents)
    gone = [image for image in dict.fromkeys(known["image"]) if image in store.skipped]
    if changed or gone:
        named = [f"{image} ({', '.join(kinds)})" for image, kinds in changed.items()]
        named += [f"{image} (no longer to be read)" for image in gone]
        raise DataError(
            f"the data of {folder} changed since it was trained: {len(named)} of {known['image'].nunique()} images"
            f" hold something else under the same name: {', '.join(named[:5])}{', ...' if len(named) > 5 else ''}. "
            f"Restore them, or {_AS_OTHERS}"
        )


def check_labels(table: pd.DataFrame, known: pd.DataFrame, folder: Path) -> None:
    """Check that radiographs have the labels and patients that they had when a run was trained.

    Args:
        table: Table of the run's radiographs.
        known: Columns `label` and `patient` at the training, indexed by radiograph.
        folder: The run folder.

    Raises:
        DataError: Labels or patients differ; names the radiographs.
    """
    now = table.set_index("image")
    named = []
    for column in known.columns.intersection(["label", "patient"]):
        then, today = known[column].align(now[column].astype(str), join="inner")
        named += [f"{image} ({column} {then[image]}, now {today[image]})" for image in then.index[then != today]]
    if named:
        raise DataError(
            f"the data of {folder} changed since it was trained: {len(named)} labels or patients are others: "
            f"{', '.join(named[:5])}{', ...' if len(named) > 5 else ''}. Restore them, or {_AS_OTHERS}"
        )


class _Start(NamedTuple):
    """Working directory and run folder at the start of a run, both absolute; "" if not recorded."""

    cwd: str
    folder: str


def _started(folder: Path) -> _Start:
    """Recorded start of a run; of a training inside a run folder, that of the outer run."""
    for above, below in ((folder, ""), (folder.parent.parent, os.path.relpath(folder, folder.parent.parent))):
        file = above / HYDRA
        if is_there(file):
            stat = file.lstat()
            start = _noted(above, stat.st_mtime_ns, stat.st_size)
            return start._replace(folder=os.path.join(start.folder, below)) if start.folder and below else start  # noqa: PTH118
    return _Start("", "")


@cache
def _noted(folder: Path, *stamp: int) -> _Start:
    """Read the start recorded in `.hydra`, cached by the file's time and size (`stamp`).

    Raises:
        DamagedError: See `read_runtime`.
    """
    runtime = read_runtime(folder)
    began = "" if OmegaConf.is_missing(runtime, "output_dir") else runtime.get("output_dir", "")
    return _Start(str(runtime.cwd), str(began))


def _names_of(folder: Path) -> dict[str, None]:
    """Absolute path of a folder, and the same with links resolved."""
    return dict.fromkeys((os.path.abspath(folder), os.path.realpath(folder)))  # noqa: PTH100


def _there(path: str) -> bool:
    return os.path.exists(path)  # noqa: PTH110


def _paths(config: DictConfig) -> Iterator[tuple[str, str, bool]]:
    """Key and value of each possible path in a config, and whether its annotation is `Path`."""
    for key in map(str, config):
        if (
            key not in _OF_THE_RUN
            and not OmegaConf.is_missing(config, key)
            and not OmegaConf.is_interpolation(config, key)
        ):
            node = config[key]
            if isinstance(node, DictConfig):
                yield from _below(node, key)


def _below(node: DictConfig, prefix: str) -> Iterator[tuple[str, str, bool]]:
    target = node.get("_target_")
    said = _arguments(target) if isinstance(target, str) else {}
    for name in map(str, node):
        if OmegaConf.is_missing(node, name):
            continue
        key = f"{prefix}.{name}"
        try:
            value = node[name]
        except OmegaConfBaseException:
            continue  # `build` reports what is wrong with the node
        if isinstance(value, DictConfig):
            if not OmegaConf.is_interpolation(node, name):
                yield from _below(value, key)
        elif name in said and isinstance(value, str) and value and not value.startswith("~"):
            yield key, value, said[name]


@cache
def _arguments(target: str) -> dict[str, bool]:
    """Arguments that are paths by annotation (True), or may be: strings or unannotated, without a default."""
    try:
        parameters = inspect.signature(get_object(target)).parameters.values()
    except (ImportError, ValueError, TypeError, AttributeError):
        return {}
    empty = inspect.Parameter.empty
    is_path = {}
    for arg in parameters:
        words = str(arg.annotation)
        if "Path" in words:
            is_path[arg.name] = True
        elif (arg.annotation is empty or words.startswith(("str", "<class 'str'"))) and arg.default in (empty, None):
            is_path[arg.name] = False
    return is_path
