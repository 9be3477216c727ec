"""TODO: docstring."""

from __future__ import annotations

import logging
import os
import threading
import warnings
from pathlib import Path

from pneumo_ad.errors import UserError, print_safely
from pneumo_ad.files import write_text
from pneumo_ad.runs.ddp import _FAILED
from pneumo_ad.runs.jobs import INTERRUPTED


def start(run_dir: Path, processes: int) -> None:
    """Start the processes with torchrun and wait; what one of them has said need not be said again.

    Args:
        run_dir: The run folder.
        processes: How many.
    """
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    try:
        run.main(["--standalone", f"--nproc-per-node={processes}", "-m", "pneumo_ad.runs.ddp", str(run_dir)])
    except ChildFailedError:
        raise SystemExit(1) from None
    except SignalException:
        raise SystemExit(INTERRUPTED) from None


def train_one_of_several(run_dir: Path) -> None:
    """One of the processes."""
    threading.Thread(target=_end_with_first, daemon=True).start()
    print_safely()
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    if os.environ["RANK"] != "0":
        warnings.simplefilter("ignore")  # the first process says the same
    from pneumo_ad.commands.train import build_parts, fit
    from pneumo_ad.loggers import closing
    from pneumo_ad.runs.compose import build_all
    from pneumo_ad.runs.run import saved_config

    config = saved_config(run_dir)
    try:
        parts, loggers = build_parts(config), build_all(config.logger)
        with closing(loggers):
            fit(config, *parts, loggers)
    except UserError as reason:
        if os.environ["RANK"] == "0":  # all of them fail alike
            write_text(run_dir / _FAILED, str(reason))
        raise SystemExit(2) from None


def _end_with_first() -> None:
    os.read(0, 1)  # comes back when the process that called `launch` is gone
    os._exit(1)
