"""Training in several processes, one per device.

Lightning's launcher repeats the command line in each process. In a multirun that is the whole sweep, and the processes
silently train different runs. Here a job passes its run folder to torchrun: each process reads the saved config of
that run and ignores the command line.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from pneumo_ad import errors
from pneumo_ad.errors import ConfigError, UserError
from pneumo_ad.runs.jobs import INTERRUPTED

FAILED = ".failed_process"  # file in a run folder: error message of a process that failed
WORKER = "pneumo_ad.runs.ddp_worker"


def count_processes(trainer: DictConfig) -> int:
    """Count the processes of a `trainer` config: one per device.

    Raises:
        ConfigError: More than one machine, or a strategy that starts its own processes.
    """
    cuda = trainer.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    devices: Any = trainer.devices
    if devices in ("auto", -1, "-1"):
        processes = torch.cuda.device_count() if cuda else 1
    elif isinstance(devices, str):
        processes = int(devices) if devices.isdecimal() else len(devices.strip(",").split(","))
    else:
        processes = devices if isinstance(devices, int) else len(devices)
    if processes > 1:
        strategy = str(trainer.get("strategy", "auto"))
        if strategy.endswith(("fork", "spawn", "notebook")) or strategy == "dp":
            raise ConfigError(f"trainer.strategy={strategy} is not supported; trainer=ddp starts a process per device")
        if trainer.get("num_nodes", 1) != 1:
            raise ConfigError(
                f"trainer.num_nodes={trainer.num_nodes}: one run trains on the devices of one machine; a sweep uses "
                "many machines (hydra/launcher=submitit_slurm)"
            )
    return processes


def launch(run_dir: Path, processes: int) -> None:
    """Train the run of a folder in several processes of this machine, and wait for them.

    Args:
        run_dir: The run folder.
        processes: Number of processes.

    Raises:
        UserError: A process failed with an error that the user can fix.
        RuntimeError: A process failed otherwise; its output stands above.
        SystemExit: With `INTERRUPTED`, after SIGTERM.
    """
    (run_dir / FAILED).unlink(missing_ok=True)
    # A scheduler's variables describe this process, not its children.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SLURM_")}
    environment["OMP_NUM_THREADS"] = str(max(1, torch.get_num_threads() // processes))
    command = [sys.executable, "-m", WORKER, str(run_dir), str(processes)]
    # Nothing is written to this pipe: it closes when this process dies, however it was killed, and the children end.
    child = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE)
    terminated = threading.Event()

    def pass_on(number: int, frame: object) -> None:
        terminated.set()
        child.terminate()

    in_main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, pass_on) if in_main else None
    try:
        status = child.wait()
    except BaseException:
        child.terminate()
        child.wait()
        raise
    finally:
        if in_main:
            signal.signal(signal.SIGTERM, before)
    if terminated.is_set():
        raise SystemExit(INTERRUPTED)
    failed = run_dir / FAILED
    if failed.is_file():
        kind, *lines = failed.read_text().split("\n")
        raise getattr(errors, kind, UserError)(*lines)
    if status:
        raise RuntimeError(f"one of {processes} processes failed with exit status {status}; see above")
