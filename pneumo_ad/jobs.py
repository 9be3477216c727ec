"""One Hydra job and its run folder: claimed, its recipe kept, how it ended recorded.

The same job started again does only what is left to do: nothing where it had finished, the rest where it was killed.
Nothing heavy is imported here, so that a sweep passes over its finished runs in no time.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Literal, NamedTuple

from filelock import FileLock, Timeout
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf

from pneumo_ad import resolvers  # noqa: F401 - its words stand in the configs that come by here
from pneumo_ad.dot_hydra import CONFIG, HYDRA, OVERRIDES, read_config
from pneumo_ad.errors import ConfigError, DamagedError, DataError, UserError
from pneumo_ad.files import write_json, write_text
from pneumo_ad.paths import replace_paths
from pneumo_ad.printable import print_safely, printable
from pneumo_ad.saved import MIB, check_mapping, is_there, read_json
from pneumo_ad.search_path import places_of
from pneumo_ad.trust import name_own

log = logging.getLogger(__name__)

Word = Literal["finished", "failed", "interrupted", "running", "unfinished"]
Work = Callable[[DictConfig], object]

INTERRUPTED = 143  # the exit status of a process that SIGTERM ended
# What commands read of `run.json`.
_ENDS = ("finished", "failed", "interrupted", "running")
_TOLD: dict[str, type | UnionType] = {
    "status": str,
    "reason": str,
    "command": list,
    "seed": int,
    "commit": str | None,
    "pneumo_ad": str,
    "epochs": int,
    "steps": int,
    "parameters": int,
    "seconds_training": int | float,
}
LINGER = 10.0  # seconds that workers of a process that was killed may hold its folder


class BusyError(UserError):
    """Another process is at a run."""


class Status(NamedTuple):
    """How a run stands.

    Attributes:
        word: `finished`; `failed`; `interrupted` (it was told to end, and saved); `running`; `unfinished` (it was
            killed, or never began).
        reason: Why it failed, else empty.
    """

    word: Word
    reason: str = ""


def run_job(config: DictConfig, load: Callable[[], Work]) -> None:
    """Do a job in the folder that Hydra gave it, unless that is done already.

    In a sweep a job that fails does not end the others: the reason stands in its `run.json` and in the leaderboard.

    Args:
        config: Of this job; its `run_dir` is filled in.
        load: Gives the work; called only where there is something to do, as it imports what the work needs.

    Raises:
        UserError: The folder holds a run of another recipe. Outside a sweep also the work's own, and `BusyError`.
    """
    if multiprocessing.current_process().name != "MainProcess":
        end_with_parent()
        print_safely()
    folder = Path(HydraConfig.get().runtime.output_dir)
    in_sweep = HydraConfig.get().mode == RunMode.MULTIRUN
    try:
        with claim(folder, wait=1 if in_sweep else LINGER):
            keep_recipe(folder, config, HydraConfig.get().overrides.task, HydraConfig.instance().cfg)
            if read_story(folder).get("status") == "finished":
                log.info("finished already: %s", os.path.relpath(folder))
                return
            config.run_dir = str(folder)
            try:
                with recorded(folder):
                    load()(config)
            except UserError as reason:
                if not in_sweep:
                    raise
                log.error("%s failed: %s", folder.name, _without_place(str(reason), folder))
            except Exception:
                if not in_sweep:
                    raise
                log.exception("%s failed", folder.name)
    except BusyError as reason:
        if not in_sweep:  # in a sweep the other process is a worker like this one
            raise
        log.warning("%s", reason)


@cache
def end_with_parent() -> None:
    """Watch from a launcher's worker that who started it is there: joblib's workers would otherwise train on alone."""
    parent = os.getppid()

    def gone() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)

    end_after(gone)


def end_after(gone: Callable[[], object]) -> None:
    """End this process once `gone` returns, in a thread beside the work: a training saves first, as at SIGTERM."""

    def watch() -> None:
        gone()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)
        os._exit(INTERRUPTED)

    threading.Thread(target=watch, daemon=True).start()


def runs_below(folder: Path) -> str:
    """A hint for who named a folder of runs instead of a run; empty where there is none."""
    found = sorted(path.parent for depth in ("*", "*/*") for path in folder.glob(f"{depth}/.hydra"))
    return f"; runs below it: {', '.join(map(str, found[:5]))}" if found else ""


def status(folder: Path) -> Status:
    """How the run in a folder stands; failed, where its `run.json` cannot be read."""
    try:
        story = read_story(folder)
    except DamagedError as reason:
        return Status("failed", str(reason))
    word = story.get("status", "unfinished")
    if word == "running":
        try:
            with FileLock(folder / ".lock", timeout=0):
                word = "unfinished"  # nobody is at it: it was killed
        except Timeout:
            pass
    return Status(word, story.get("reason", ""))


@contextmanager
def claim(folder: Path, wait: float = 1) -> Iterator[None]:
    """Hold a run folder, so that two processes never write it at once; released by the system when a process dies.

    Args:
        folder: The run folder.
        wait: Seconds to wait for another process to leave.

    Raises:
        BusyError: Another process is at it.
        DataError: The folder cannot be made or written to, or something else lies in the place of its lock.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", timeout=wait)
        lock.acquire()
    except Timeout:
        raise BusyError(f"{folder}: another process is at this run; it is left to it") from None
    except OSError as reason:
        raise DataError(
            f"{folder / '.lock'}: the folder cannot be held for this process ({reason.strerror})"
        ) from reason
    try:
        yield
    finally:
        lock.release()


def keep_recipe(folder: Path, config: DictConfig, overrides: Iterable[str], hydra: Any) -> None:
    """Save a job's config, its overrides and Hydra's own config in `.hydra`.

    Hydra would do so before the job begins, over whatever lies there; here a folder with another recipe is refused.

    Args:
        folder: The run folder.
        config: Of the job.
        overrides: As they were typed.
        hydra: Hydra's own config, which knows the search path.

    Raises:
        ConfigError: The folder holds a run of another config; names what differs.
        DamagedError: The config there cannot be read.
    """
    name_own(config, places_of(hydra.hydra.runtime), folder)
    file = folder / CONFIG
    if is_there(file):
        changed = differences(read_config(folder), config)
        if changed:
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
    write_text(file, OmegaConf.to_yaml(config))  # last: where it stands, the rest does


def differences(saved: DictConfig, config: DictConfig) -> list[str]:
    """`key: saved value -> new value` for every key of two configs that differs, interpolations as they are written.

    Args:
        saved: The config of the run folder.
        config: The one asked for.

    >>> differences(OmegaConf.create({"net": {"width": 8}, "seed": 0}), OmegaConf.create({"net": {"width": 9}}))
    ['net.width: 8 -> 9', 'seed: 0 -> (absent)']
    """
    # A recipe's axes are not part of a run's own recipe: a sweep or a search may grow.
    before, after = (
        flatten({key: value for key, value in _plain(one).items() if key not in ("run_dir", "sweep", "tune")})
        for one in (saved, config)
    )
    absent = "(absent)"
    return [
        f"{key}: {before.get(key, absent)} -> {after.get(key, absent)}"
        for key in dict.fromkeys([*before, *after])
        if before.get(key, absent) != after.get(key, absent)
    ]


def _plain(config: DictConfig) -> dict[Any, Any]:
    plain = OmegaConf.to_container(config)
    assert isinstance(plain, dict)
    return plain


def flatten(node: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one, by dotted key; an empty dict is a value.

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
    """Write into `run.json` that a job runs and how it ends."""
    tell(folder, status="running", reason="")
    try:
        yield
    except UserError as reason:
        tell(folder, status="failed", reason=_without_place(str(reason), folder))
        raise
    except Exception as reason:
        words = printable("".join(traceback.format_exception_only(reason)).strip(), lines=True)
        tell(folder, status="failed", reason=_without_place(words, folder))
        raise
    except (SystemExit, KeyboardInterrupt):
        tell(folder, status="interrupted")
        raise
    tell(folder, status="finished")


def _without_place(reason: str, folder: Path) -> str:
    """A reason that stays in the run folder, which may move or be shown, and says no more than its name."""
    return replace_paths(reason, {str(folder): folder.name})


def read_story(folder: Path) -> dict[str, Any]:
    """What `run.json` tells; empty where there is none.

    Args:
        folder: The run folder.

    Raises:
        DamagedError: It is there and cannot be read: nobody knows then whether the run finished.
    """
    file = folder / "run.json"
    if not is_there(file):
        return {}
    story = read_json(file, most=MIB)
    try:
        check_mapping(story, {key: kind for key, kind in _TOLD.items() if key in story})
        if (word := story.get("status", "running")) not in _ENDS:
            raise ValueError(f"status is {word!r}, expected {', '.join(_ENDS)}")
    except ValueError as reason:
        raise DamagedError(f"{file}: {reason}") from reason
    return story


def tell(folder: Path, **facts: Any) -> None:
    """Add facts to `run.json`.

    Args:
        folder: The run folder.
        facts: By key.
    """
    write_json(folder / "run.json", read_story(folder) | facts)
