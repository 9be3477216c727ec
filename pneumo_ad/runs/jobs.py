"""One Hydra job and its run folder: lock, saved recipe, recorded status.

A job that is started again does only the remaining work, none if it had finished. No heavy imports, so that a sweep
skips its finished runs at once.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import cache
from pathlib import Path

from filelock import FileLock, Timeout
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from pneumo_ad.errors import DataError, DivergedError, UserError
from pneumo_ad.files import delete_partial
from pneumo_ad.runs import resolvers  # noqa: F401 - registers the resolvers that configs use
from pneumo_ad.runs.record import keep_recipe, read_run_json, recorded, without_place
from pneumo_ad.saved import is_there, read_json

log = logging.getLogger(__name__)

Work = Callable[[DictConfig], object]

INTERRUPTED = 143  # exit status after SIGTERM
_FIGURES = ("pixel/auroc_in_lung", "patch/auroc_opacity_vs_healthy", "image/auroc")
_WRITTEN = (".hydra", "checkpoints", "figures", "maps", "validation_scores")  # written under the lock
LINGER = 10.0  # seconds for which workers of a killed process may still hold its lock


class BusyError(UserError):
    """Another process holds the lock of the run."""


def run_job(config: DictConfig, work: Work) -> None:
    """Run a job in the folder that Hydra gave it, unless the job is finished.

    A failed job does not end its sweep: the reason is recorded in its `run.json` and shown in the leaderboard.

    Args:
        config: Config of this job; its `run_dir` is set here.
        work: Function that does the job, with its own imports; called only if the job is not finished.

    Raises:
        UserError: The folder holds a run of another recipe. Outside a sweep also errors of `work`, and `BusyError`.
    """
    folder = Path(HydraConfig.get().runtime.output_dir)
    swept = in_sweep()
    try:
        with lock(folder, wait=1 if swept else LINGER), nullcontext() if swept else _removed_if_refused(folder):
            keep_recipe(folder, config, HydraConfig.get().overrides.task, HydraConfig.instance().cfg)
            if read_run_json(folder).get("status") == "finished":
                print(f"finished already: {os.path.relpath(folder)}", flush=True)
                return
            config.run_dir = str(folder)
            if swept:
                print(f"{folder.name}: begins", flush=True)
            try:
                with recorded(folder):
                    work(config)
            except UserError as reason:
                if not swept:
                    raise
                log.error("%s failed: %s", folder.name, without_place(str(reason), folder))
            except Exception:
                if not swept:
                    raise
                log.exception("%s failed", folder.name)
            else:
                if swept:
                    print(f"{folder.name}: {_outcome(folder)}", flush=True)
    except BusyError as reason:
        if not swept:  # in a sweep, another worker does the job
            raise
        log.warning("%s", reason)


def in_sweep() -> bool:
    """Whether this process runs a job of a multirun."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def _outcome(folder: Path) -> str:
    """Return run time and main metrics of a finished job in one line."""
    story = read_run_json(folder)
    seconds = sum(story.get(f"seconds_{part}", 0) for part in ("preparing", "training", "evaluating"))
    metrics = read_json(folder / "metrics.json") if is_there(folder / "metrics.json") else {}
    figures = (f"{key} {metrics[key]:.3f}" for key in _FIGURES if isinstance(metrics.get(key), float))
    return ", ".join([f"finished in {seconds:.0f} s", *figures])


@contextmanager
def _removed_if_refused(folder: Path) -> Iterator[None]:
    """Remove a new folder and its empty parents if its job is refused before it has trained."""
    is_new = {entry.name for entry in folder.iterdir()} <= {f"{HydraConfig.get().job.name}.log", ".lock"}
    try:
        yield
    except UserError as reason:
        if is_new and not isinstance(reason, DivergedError) and not any((folder / "checkpoints").glob("*")):
            shutil.rmtree(folder)
            for parent in folder.parents:
                if parent == Path.cwd() or Path.cwd() not in parent.parents:
                    break
                with suppress(OSError):  # not empty
                    parent.rmdir()
        raise


@cache
def end_with_parent() -> None:
    """End this worker process when its parent dies; joblib's workers would otherwise continue to train."""
    parent = os.getppid()

    def gone() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)

    end_after(gone)


def end_after(gone: Callable[[], object]) -> None:
    """Start a thread that ends this process once `gone` returns; a training saves a checkpoint first, as on SIGTERM."""

    def watch() -> None:
        gone()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)
        os._exit(INTERRUPTED)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def lock(folder: Path, wait: float = 1) -> Iterator[None]:
    """Lock a run folder, so that two processes never write to it at once; the system unlocks it when a process dies.

    Args:
        folder: The run folder.
        wait: Seconds to wait for another process to release the lock.

    Raises:
        BusyError: Another process holds the lock.
        DataError: The folder cannot be created or written to, or its lock is not a file.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", timeout=wait)
        lock.acquire()
    except Timeout:
        raise BusyError(f"{folder}: another process is at this run; nothing was changed") from None
    except OSError as reason:
        raise DataError(
            f"{folder / '.lock'}: the folder cannot be locked for this process ({reason.strerror})"
        ) from reason
    try:
        for place in (folder, *(folder / name for name in _WRITTEN)):
            delete_partial(place)  # no other process writes there
        yield
    finally:
        lock.release()
