"""Hydra commands: Hydra parses the overrides, composes the config, creates the run folder and starts the jobs."""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress

from pneumo_ad.errors import ConfigError, UserError, ending_in_words, print_safely
from pneumo_ad.runs.check_keys import refusal
from pneumo_ad.runs.verbosity import hush_others, set_log_level

Work = Callable[..., object]

_FAILED = "error: "


def run_hydra(config_name: str, arguments: Sequence[str], work: Work, has_folder: bool = True) -> None:
    """Run a command through Hydra.

    Args:
        config_name: Name of a config of `pneumo_ad.conf`, which is the command's name with `_` for `-`.
        arguments: Arguments as typed.
        work: Function that does a job, given its config; it imports what it needs when it is called.
        has_folder: Whether a job has a run folder, which records whether the job is finished.

    Raises:
        ConfigError: Invalid overrides, with Hydra's reason in one line.
        SystemExit: With 1, if jobs of a sweep failed or were ended early, or after an unexpected error.
    """
    import hydra
    from hydra.errors import CompactHydraException
    from omegaconf import DictConfig

    from pneumo_ad.runs.jobs import end_with_parent, in_sweep, run_job
    from pneumo_ad.runs.sweeps import complete, config_dir

    def do(config: DictConfig) -> None:
        if multiprocessing.current_process().name != "MainProcess":  # a launcher's worker
            end_with_parent()
            print_safely()
        hush_others()
        set_log_level(logging.WARNING if in_sweep() else logging.INFO)
        if has_folder:
            run_job(config, work)
        else:
            work(config)

    @hydra.main(version_base="1.3", config_path="pkg://pneumo_ad.conf", config_name=config_name)
    def task(config: DictConfig) -> None:
        if in_sweep():
            try:
                do(config)
            except UserError as reason:  # raised after all jobs; an exit would end the sweep
                logging.getLogger(__name__).error("%s", reason)
                raise CompactHydraException(f"{_FAILED}{reason}") from None
        else:
            with ending_in_words():
                do(config)

    completed = complete(config_name, arguments)
    sys.argv = [f"pneumo-ad {config_name.replace('_', '-')}", *completed]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # otherwise Hydra prints its own report and exits
    ended_early: list[str] = []
    if {"-m", "--multirun"} & set(completed):
        with suppress(ImportError):  # the launchers are optional
            from pneumo_ad.runs.slurm_launcher import take_over

            ended_early = take_over()
    try:
        task()
    except CompactHydraException as reason:
        if str(reason).startswith(_FAILED):
            print(reason, file=sys.stderr)
            raise SystemExit(1) from None
        overrides = [one for one in completed if one[0] == "~" or ("=" in one and one[0] != "-")]
        raise ConfigError(refusal(reason, config_name, overrides, config_dir(completed))) from reason
    except (UserError, OSError):
        raise
    except Exception as reason:
        if isinstance(cause := reason.__cause__, OSError):  # the log file, which Hydra opens first
            raise cause from None
        traceback.print_exc()
        raise SystemExit(1) from None
    if ended_early:
        raise SystemExit(1)
