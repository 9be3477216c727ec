"""Hydra's launcher of SLURM jobs, with checks before they start and words for those that SLURM ends.

`Launcher` takes the place of submitit's under its name, `hydra/launcher=submitit_slurm`. submitit alone asks `sacct`
for states, which fails at every poll where a cluster keeps no accounts, and then waits for a cancelled job for ever.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher
from submitit.core.core import Job
from submitit.core.job_environment import JobEnvironment
from submitit.core.utils import FailedJobError, UncompletedJobError
from submitit.slurm.slurm import SlurmInfoWatcher, SlurmJob

from pneumo_ad.errors import ConfigError, did_you_mean
from pneumo_ad.files import cache_dir, writable_cache
from pneumo_ad.saved import in_a_line

log = logging.getLogger(__name__)

_NAME = "hydra/launcher=submitit_slurm"
_ID = ".folder_id"  # file by which a node recognises a folder: random digits
_PATIENCE = 60  # seconds to wait for a node that is asked what it sees
_PRINT = 'hostname; for file; do cat "$file" 2>/dev/null; echo; done'  # a line for each file
_OVER = {
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED"),
    *("TIMEOUT", "FORGOTTEN"),
}  # states that a job does not leave
_PLACED = ("partition", "account", "qos", "constraint", "exclude")  # options that choose the nodes of a job


class Launcher(SlurmLauncher):
    """Launcher of SLURM jobs.

    Attributes:
        ended_early: Numbers of jobs that SLURM ended before they were done.
        folder_ids: Files that every node must see, with their content.
    """

    ended_early: ClassVar[list[str]] = []
    folder_ids: dict[str, str]

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Check, submit the jobs, and wait until all have ended.

        Args:
            job_overrides: Overrides of each job.
            initial_job_idx: Number of the first job.

        Raises:
            ConfigError: No SLURM here, an unknown partition, several tasks a job, a folder that nodes do not see, or
                jobs that SLURM refuses.
        """
        assert self.config is not None
        _check_cluster(self.params)
        self.folder_ids = dict(map(_identify, (writable_cache(), Path(self.config.hydra.sweep.dir))))
        _check_seen(self.folder_ids, self.params)
        SlurmJob.watcher, SlurmJob.results = _Watcher(delay_s=30), _results  # type: ignore[method-assign, assignment]
        logs = Path(self.params["submitit_folder"]).parent
        print(f"{len(job_overrides)} jobs for SLURM: squeue --me shows them, their logs are in {logs}", flush=True)
        try:
            return super().launch(job_overrides, initial_job_idx)
        except FailedJobError as reason:  # of sbatch, not of a job
            raise ConfigError(f"{_NAME}: SLURM refuses the jobs: {in_a_line(reason)}") from None

    def __call__(self, *arguments: Any, **keywords: Any) -> JobReturn:
        """Run a job, on its node; a node that does not see the folders does nothing.

        Args:
            arguments: See submitit's launcher.
            keywords: See submitit's launcher.
        """
        unseen = [file for file, content in self.folder_ids.items() if _content(file) != content]
        if unseen:
            return JobReturn(status=JobStatus.FAILED, _return_value=_unseen(unseen, os.uname().nodename))
        os.register_at_fork(after_in_child=_ignore_warning)
        return super().__call__(*arguments, **keywords)


def _ignore_warning() -> None:
    """Ignore the signal before the time limit, which SLURM sends to all processes of a job, in a forked one."""
    signal.signal(JobEnvironment._usr_sig(), signal.SIG_IGN)


def take_over() -> list[str]:
    """Put `Launcher` in the place of submitit's launcher; returns its list `ended_early`, emptied."""
    Plugins.instance().class_name_to_class[f"{SlurmLauncher.__module__}.{SlurmLauncher.__name__}"] = Launcher
    Launcher.ended_early.clear()
    return Launcher.ended_early


def _asked(*command: str, **options: Any) -> tuple[bool, str]:
    """Whether a command of SLURM succeeds; with what it prints, or the last line of why it fails."""
    done = subprocess.run(command, capture_output=True, text=True, **options)
    last = in_a_line(RuntimeError(done.stderr.strip().rpartition("\n")[2]))
    return not done.returncode, last if done.returncode else done.stdout


def _check_cluster(launcher: Mapping[str, Any]) -> None:
    """Check that there is a SLURM here that knows the partition, and that a job is one task.

    Raises:
        ConfigError: Any of these is not so.
    """
    if missing := [name for name in ("sbatch", "srun", "squeue", "sinfo") if shutil.which(name) is None]:
        raise ConfigError(
            f"{_NAME}: {missing[0]} is not on the PATH; expected a machine that submits jobs to SLURM. Start the "
            "command on such a machine, or use the cores of this one: hydra/launcher=joblib"
        )
    for key in ("nodes", "tasks_per_node"):
        if launcher.get(key, 1) != 1:
            raise ConfigError(
                f"hydra.launcher.{key}={launcher[key]}: expected 1, as a job is one task, which another would repeat. "
                "Several processes in a task: trainer=ddp trainer.devices=2 hydra.launcher.cpus_per_task=2"
            )
    answers, words = _asked("sinfo", "--noheader", "--format=%R")
    if not answers:
        raise ConfigError(f"{_NAME}: SLURM does not answer; expected its partitions from `sinfo`, which says: {words}")
    partitions = sorted(set(words.split()))
    for name in (launcher.get("partition") or "").split(","):
        if name and name not in partitions:
            raise ConfigError(
                f"hydra.launcher.partition={name} is not known to this cluster; expected one of "
                f"{', '.join(partitions)}{did_you_mean(name, partitions)}"
            )
    keeps_accounts, words = _asked("sacct", "--noheader", "--jobs=1")
    if not keeps_accounts:
        log.warning("sacct knows no jobs here (%s); squeue shows them until some minutes after their end", words)


def _identify(folder: Path) -> tuple[str, str]:
    """Return a file of a folder, written if it is missing, and its content, which tells the folder from others."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder.absolute() / _ID
    with suppress(FileExistsError), file.open("x") as new:
        new.write(secrets.token_hex(8))
    return str(file), _content(file)


def _content(file: str | Path) -> str:
    try:
        return Path(file).read_text()
    except OSError:
        return ""


def _check_seen(folder_ids: Mapping[str, str], launcher: Mapping[str, Any]) -> None:
    """Ask one node of those that jobs may run on, by a job of a second, whether it sees the folders.

    Raises:
        ConfigError: It does not.
    """
    placed = [f"--{key}={launcher[key]}" for key in _PLACED if launcher.get(key)]
    # Within a job of SLURM, its variables would make this a step of that job.
    outside = {key: value for key, value in os.environ.items() if not key.startswith("SLURM_") or key == "SLURM_CONF"}
    options = ["--job-name=pneumo-ad", "--ntasks=1", "--time=1", f"--immediate={_PATIENCE}", "--chdir=/", *placed]
    answers, words = _asked("srun", *options, "sh", "-c", _PRINT, "sh", *folder_ids, env=outside)
    if not answers:
        log.warning("no node was free within %d s to be asked what it sees (%s): each job looks", _PATIENCE, words)
        return
    node, *contents = words.splitlines()
    if unseen := [file for file, seen in zip(folder_ids, contents, strict=True) if seen != folder_ids[file]]:
        raise _unseen(unseen, node)


def _unseen(files: Sequence[str], node: str) -> ConfigError:
    folder = Path(files[0]).parent
    remedy = "PNEUMO_AD_CACHE=DIR" if folder == cache_dir().absolute() else "hydra.sweep.dir=DIR"
    return ConfigError(
        f"{folder} is not on node {node}, or is another folder there; expected one that all nodes share. Name one on a "
        f"file system of the cluster: {remedy}"
    )


class _Watcher(SlurmInfoWatcher):
    """States of jobs by `squeue`, for a user's jobs at once."""

    def _make_command(self) -> list[str] | None:
        waiting = self._registered - self._finished
        return ["squeue", "--me", "--array", "--states=all", "--noheader", "--format=%i|%T|%N"] if waiting else None

    def read_info(self, string: bytes | str) -> dict[str, dict[str, str]]:
        """Read the output of `squeue`.

        Args:
            string: Lines `job|state|node`.

        Returns:
            Number of a job -> `JobID`, `State` and `NodeList`. SLURM forgets a job some minutes after its end.
        """
        text = string if isinstance(string, str) else string.decode()
        gone = {job: {"State": "FORGOTTEN"} for job in self._registered - self._finished}
        found: dict[str, dict[str, str]] = super().read_info(f"JobID|State|NodeList\n{text}")
        return gone | found

    def is_done(self, job_id: str, mode: str = "standard") -> bool:
        """Whether a job has ended for good.

        Args:
            job_id: Number of the job.
            mode: See submitit.
        """
        return self.get_state(job_id, mode=mode) in _OVER


def _results(job: SlurmJob[Any]) -> list[Any]:
    """Wait for a job; one without a result is named, and the others are waited for."""
    try:
        return list(Job.results(job))
    except UncompletedJobError:
        Launcher.ended_early.append(job.job_id)
        log.error(
            "job %s was ended by SLURM before it was done (%s); the same command goes on with it. Its log: %s",
            *(job.job_id, job.state, job.paths.stderr),
        )
        return [JobReturn(status=JobStatus.COMPLETED)]
