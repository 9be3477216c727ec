"""Processes that train one run together: `python -m pneumo_ad.runs.ddp_worker RUN [PROCESSES]`; see `runs.ddp`."""

from __future__ import annotations

import logging
import os
import sys
import threading
import warnings
from pathlib import Path

from pneumo_ad.errors import UserError, print_safely
from pneumo_ad.files import write_text
from pneumo_ad.runs.ddp import FAILED, WORKER
from pneumo_ad.runs.jobs import INTERRUPTED


def start(run_dir: Path, processes: int) -> None:
    """Start the processes with torchrun and wait; errors that a process printed are not repeated.

    Args:
        run_dir: The run folder.
        processes: Number of processes.
    """
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    try:
        run.main(["--standalone", f"--nproc-per-node={processes}", "-m", WORKER, str(run_dir)])
    except ChildFailedError:
        raise SystemExit(1) from None
    except SignalException:
        raise SystemExit(INTERRUPTED) from None


def train_one_of_several(run_dir: Path) -> None:
    """Train as one of several processes."""
    threading.Thread(target=_end_with_first, daemon=True).start()
    print_safely()
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    if os.environ["RANK"] != "0":
        warnings.simplefilter("ignore")  # rank 0 gives the same warnings
    from pneumo_ad.loggers import closing
    from pneumo_ad.runs.compose import build_all
    from pneumo_ad.runs.run_config import saved_config
    from pneumo_ad.runs.training import build_parts, fit

    config = saved_config(run_dir)
    try:
        parts, loggers = build_parts(config), build_all(config.logger)
        with closing(loggers):
            fit(config, *parts, loggers)
    except UserError as reason:
        if os.environ["RANK"] == "0":  # all processes fail with the same error
            write_text(run_dir / FAILED, f"{type(reason).__name__}\n{reason}")
        raise SystemExit(2) from None


def _end_with_first() -> None:
    os.read(0, 1)  # returns when the process that called `launch` is gone
    os._exit(1)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        start(Path(sys.argv[1]), int(sys.argv[2]))
    else:
        train_one_of_several(Path(sys.argv[1]))
