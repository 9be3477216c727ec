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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from filelock import FileLock, Timeout
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from pneumo_ad.errors import DataError, UserError, print_safely
from pneumo_ad.runs import resolvers  # noqa: F401 - its words stand in the configs that come by here
from pneumo_ad.runs.record import keep_recipe, read_run_json, recorded, without_place

log = logging.getLogger(__name__)

Work = Callable[[DictConfig], object]

INTERRUPTED = 143  # the exit status of a process that SIGTERM ended
LINGER = 10.0  # seconds that workers of a process that was killed may hold its folder


class BusyError(UserError):
    """Another process is at a run."""


def run_job(config: DictConfig, work: Work) -> None:
    """Do a job in the folder that Hydra gave it, unless the job is finished already.

    In a sweep a job that fails does not end the others: the reason stands in its `run.json` and in the leaderboard.

    Args:
        config: Config of this job; its `run_dir` is set here.
        work: Function that does the job; called only where there is something to do, as it imports what it needs.

    Raises:
        UserError: The folder holds a run of another recipe. Outside a sweep also errors of `work`, and `BusyError`.
    """
    if multiprocessing.current_process().name != "MainProcess":
        end_with_parent()
        print_safely()
    folder = Path(HydraConfig.get().runtime.output_dir)
    in_sweep = HydraConfig.get().mode == RunMode.MULTIRUN
    try:
        with lock(folder, wait=1 if in_sweep else LINGER):
            keep_recipe(folder, config, HydraConfig.get().overrides.task, HydraConfig.instance().cfg)
            if read_run_json(folder).get("status") == "finished":
                log.info("finished already: %s", os.path.relpath(folder))
                return
            config.run_dir = str(folder)
            try:
                with recorded(folder):
                    work(config)
            except UserError as reason:
                if not in_sweep:
                    raise
                log.error("%s failed: %s", folder.name, without_place(str(reason), folder))
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


@contextmanager
def lock(folder: Path, wait: float = 1) -> Iterator[None]:
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
