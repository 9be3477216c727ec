"""Record of a run in its folder: the recipe in `.hydra`; status, times and counts in `run.json`."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import UnionType
from typing import Any, Literal, NamedTuple

from filelock import FileLock, Timeout
from omegaconf import DictConfig, ListConfig, OmegaConf
from packaging.version import InvalidVersion, Version

from pneumo_ad import __version__
from pneumo_ad.errors import ConfigError, DamagedError, DataError, UserError, printable, system_words
from pneumo_ad.files import replace_paths, write_json, write_text
from pneumo_ad.runs import resolvers  # noqa: F401 - registers the resolvers that configs use
from pneumo_ad.runs.dot_hydra import CONFIG, HYDRA, OVERRIDES, read_config
from pneumo_ad.runs.past import check_dropped, to_today
from pneumo_ad.runs.search_path import places_of
from pneumo_ad.runs.trust import name_own
from pneumo_ad.saved import MIB, check_mapping, is_there, read_json

_ENDS = ("finished", "failed", "interrupted", "running")  # values of `status` in `run.json`
# Keys of `run.json` that commands read, with their types.
_RUN_JSON: dict[str, type | UnionType] = {
    "status": str,
    "reason": str,
    "command": list,
    "seed": int,
    "commit": str | None,
    "pneumo_ad": str,
    "epochs": int,
    "steps": int,
    "parameters": int,
    "seconds_preparing": int | float,
    "seconds_training": int | float,
    "seconds_evaluating": int | float,
}
_EPOCHS = "trainer.max_epochs"
_WATCHING = ("callbacks.progress", "callbacks.curves")
Word = Literal["finished", "failed", "interrupted", "running", "unfinished"]


class Status(NamedTuple):
    """Status of a run.

    Attributes:
        word: `finished`; `failed`; `interrupted` (ended by a signal, with progress saved); `running`; `unfinished`
            (killed, or never begun).
        reason: Reason of a failure, else empty.
    """

    word: Word
    reason: str = ""


def runs_below(folder: Path) -> str:
    """Return a hint for an error message: runs below a folder that is no run; empty if there are none."""
    found = sorted(path.parent for depth in ("*", "*/*") for path in folder.glob(f"{depth}/.hydra"))
    return f"; runs below it: {', '.join(map(str, found[:5]))}" if found else ""


def status(folder: Path) -> Status:
    """Return the status of the run in a folder; `failed` if its `run.json` cannot be read."""
    try:
        story = read_run_json(folder)
    except DamagedError as reason:
        return Status("failed", str(reason))
    word = story.get("status", "unfinished")
    if word == "running":
        try:
            with FileLock(folder / ".lock", timeout=0):
                word = "unfinished"  # no process holds the lock: it was killed
        except Timeout:
            pass
    return Status(word, story.get("reason", ""))


def keep_recipe(folder: Path, config: DictConfig, overrides: Iterable[str], hydra: Any) -> None:
    """Save a job's config, its overrides and Hydra's own config in `.hydra`.

    Hydra would do so before the job begins and overwrite existing files; here a folder with another recipe is refused.

    Args:
        folder: The run folder.
        config: Config of the job.
        overrides: Overrides as they were typed.
        hydra: Hydra's own config, which holds the search path.

    Raises:
        ConfigError: The folder holds a run of another config (names the differences) or of a later version, or the
            config has a removed key.
        DamagedError: The saved config cannot be read.
    """
    check_dropped(flatten(_plain(config)))
    name_own(config, places_of(hydra.hydra.runtime), folder)
    file = folder / CONFIG
    if is_there(file):
        later = made_by_later(folder)
        if later and read_run_json(folder).get("status") != "finished":
            raise ConfigError(
                f"{folder} was begun by pneumo_ad {later}, which is later than this one, {__version__}: go on with it "
                "by that version"
            )
        saved = read_config(folder)
        changed = differences(saved, to_today(config))
        if trains_longer(saved, config, changed):
            extend(folder, saved, config)
        elif changed:
            raise ConfigError(
                f"{folder} holds a run of another config, and a run cannot change once it has begun: "
                f"{'; '.join(changed[:5])}{' ...' if len(changed) > 5 else ''}. Give the same values, or another "
                "folder: hydra.run.dir=DIR (hydra.sweep.dir=DIR for a sweep)"
            )
        return
    file.parent.mkdir(exist_ok=True)
    typed = OmegaConf.to_container(overrides) if isinstance(overrides, ListConfig) else list(overrides)
    write_text(folder / OVERRIDES, OmegaConf.to_yaml(OmegaConf.create(typed)))
    write_text(folder / HYDRA, OmegaConf.to_yaml(hydra))
    write_text(file, OmegaConf.to_yaml(config))  # last: if it exists, the other files do


def trains_longer(saved: DictConfig, config: DictConfig, changed: Iterable[str]) -> bool:
    """Whether a config differs from the saved one only by more epochs.

    Args:
        saved: Config of the run folder.
        config: New config.
        changed: Their `differences`.

    >>> ten, twenty = (OmegaConf.create({"trainer": {"max_epochs": epochs}}) for epochs in (10, 20))
    >>> trains_longer(ten, twenty, differences(ten, twenty)), trains_longer(twenty, ten, differences(twenty, ten))
    (True, False)
    """
    before, after = (OmegaConf.select(one, _EPOCHS) for one in (saved, config))
    counted = isinstance(before, int) and isinstance(after, int) and 0 < before < after
    return counted and [one.partition(":")[0] for one in changed] == [_EPOCHS]


def extend(folder: Path, saved: DictConfig, config: DictConfig) -> None:
    """Let a run train for more epochs; its present `run.json` and `metrics.json` are copied to `earlier/`.

    Args:
        folder: The run folder.
        saved: Config in it.
        config: The same with a larger `trainer.max_epochs`.

    Raises:
        ConfigError: The learning rate of the run follows a schedule, which ends with the last epoch.
    """
    from pneumo_ad.runs.checkpoints import read_checkpoint  # imports torch

    before, after = (OmegaConf.select(one, _EPOCHS) for one in (saved, config))
    last = folder / "checkpoints" / "last.ckpt"
    if is_there(last) and read_checkpoint(last).get("lr_schedulers"):
        raise ConfigError(
            f"{folder}: the learning rate of this run follows a schedule that ends with epoch {before}; a run of "
            f"{after} epochs starts anew, in another folder: {_EPOCHS}={after} hydra.run.dir=DIR"
        )
    kept = folder / "earlier" / f"{before}_epochs"
    for name in ("run.json", "metrics.json"):
        if is_there(folder / name) and not is_there(kept / name):
            kept.mkdir(parents=True, exist_ok=True)
            write_text(kept / name, (folder / name).read_text(encoding="utf-8"))
    update_run_json(folder, status="interrupted")  # first: a run recorded as finished would not continue
    write_text(folder / CONFIG, OmegaConf.to_yaml(config))


def differences(saved: DictConfig | dict[str, Any], config: DictConfig | dict[str, Any]) -> list[str]:
    """List the differences of two configs as `key: saved value -> new value`, interpolations unresolved.

    Args:
        saved: Config of the run folder.
        config: New config.

    >>> differences(OmegaConf.create({"net": {"width": 8}, "seed": 0}), OmegaConf.create({"net": {"width": 9}}))
    ['net.width: 8 -> 9', 'seed: 0 -> (absent)']
    """
    # Not part of a run's recipe: axes of a sweep or search, which may grow, and what only shows how it goes.
    before, after = (
        {
            key: value
            for key, value in flatten(_plain(one)).items()
            if key.split(".")[0] not in ("run_dir", "sweep", "tune") and not key.startswith(_WATCHING)
        }
        for one in (saved, config)
    )
    absent = "(absent)"
    return [
        f"{key}: {before.get(key, absent)} -> {after.get(key, absent)}"
        for key in dict.fromkeys([*before, *after])
        if before.get(key, absent) != after.get(key, absent)
    ]


def _plain(config: DictConfig | dict[str, Any]) -> dict[Any, Any]:
    plain = config if isinstance(config, dict) else OmegaConf.to_container(config)
    assert isinstance(plain, dict)
    return plain


def flatten(node: Any, prefix: str = "") -> dict[str, Any]:
    """Flatten nested dicts to one with dotted keys; an empty dict is a value.

    Args:
        node: Nested dicts, lists and values.
        prefix: Key of the node itself.

    >>> flatten({"a": {"b": 1, "c": {}}, "d": [2]})
    {'a.b': 1, 'a.c': {}, 'd': [2]}
    """
    if not isinstance(node, dict) or (not node and prefix):
        return {prefix: node}
    flat: dict[str, Any] = {}
    for key, value in node.items():
        flat |= flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return flat


@contextmanager
def recorded(folder: Path) -> Iterator[None]:
    """Record in `run.json` that a job runs, and its status at the end."""
    update_run_json(folder, status="running", reason="")
    try:
        yield
    except UserError as reason:
        _record_failure(folder, str(reason))
        raise
    except Exception as reason:
        if isinstance(reason, OSError) and reason.strerror:  # of the system; others are errors of a library
            _record_failure(folder, system_words(reason))
            raise DataError(system_words(reason)) from reason
        if type(reason).__module__.startswith("submitit."):  # a cluster job that timed out too often to be requeued
            update_run_json(folder, status="interrupted", reason=printable(str(reason)))
            raise
        words = printable("".join(traceback.format_exception_only(reason)).strip(), lines=True)
        _record_failure(folder, words)
        raise
    except (SystemExit, KeyboardInterrupt):
        update_run_json(folder, status="interrupted")
        raise
    update_run_json(folder, status="finished")


def _record_failure(folder: Path, words: str) -> None:
    with suppress(OSError):  # a full disk; the run then counts as `unfinished`, which it is
        update_run_json(folder, status="failed", reason=without_place(words, folder))


def read_run_json(folder: Path) -> dict[str, Any]:
    """Read `run.json`; empty if there is none.

    Args:
        folder: The run folder.

    Raises:
        DamagedError: The file cannot be read, so that it is unknown whether the run finished.
    """
    file = folder / "run.json"
    if not is_there(file):
        return {}
    story = read_json(file, most=MIB)
    try:
        check_mapping(story, {key: kind for key, kind in _RUN_JSON.items() if key in story})
        if (word := story.get("status", "running")) not in _ENDS:
            raise ValueError(f"status is {word!r}, expected {', '.join(_ENDS)}")
    except ValueError as reason:
        raise DamagedError(f"{file}: {reason}") from reason
    return story


def is_later(version: str) -> bool:
    """Whether a version of this project is later than the running one.

    >>> is_later("99.1"), is_later("0.0.1"), is_later("an unknown version")
    (True, False, False)
    """
    try:
        return Version(version) > Version(__version__)
    except InvalidVersion:
        return False


def made_by_later(folder: Path) -> str:
    """Return the version that made a run if it is later than the running one, else an empty string.

    Args:
        folder: The run folder.
    """
    version: str = read_run_json(folder).get("pneumo_ad", "")
    return version if is_later(version) else ""


def update_run_json(folder: Path, **facts: Any) -> None:
    """Add facts to `run.json`.

    Args:
        folder: The run folder.
        facts: Values by key.
    """
    write_json(folder / "run.json", read_run_json(folder) | facts)


@contextmanager
def timed(folder: Path, key: str) -> Iterator[None]:
    """Add the duration of a block in seconds, even if it fails, to a sum in `run.json`.

    Args:
        folder: The run folder.
        key: Key in `run.json`, `seconds_...`.
    """
    before, started = read_run_json(folder).get(key, 0), time.perf_counter()
    try:
        yield
    finally:
        update_run_json(folder, **{key: round(before + time.perf_counter() - started, 1)})


def without_place(reason: str, folder: Path) -> str:
    """Shorten the run folder's path in a reason to its name, as the folder may move or be published."""
    return replace_paths(reason, {str(folder): folder.name})
