"""A command whose config Hydra composes: Hydra parses the overrides, makes the run folder and starts the jobs."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence

from pneumo_ad.errors import ConfigError, UserError, ending_in_words
from pneumo_ad.runs.grammar import hydra_words

Work = Callable[..., object]

_FAILED = "error: "


def run_hydra(config_name: str, arguments: Sequence[str], work: Work, has_folder: bool = True) -> None:
    """Hand over to Hydra.

    Args:
        config_name: A config of `pneumo_ad.conf`; the command's name, with `_` for `-`.
        arguments: As typed.
        work: Does a job, given its config; imports what it needs when it is called.
        has_folder: Whether a job has a run folder, which says whether it is done already.

    Raises:
        ConfigError: Overrides that Hydra cannot take, in a line.
        SystemExit: With 1, where jobs of a sweep failed, or for an error that nobody expected.
    """
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.errors import CompactHydraException
    from hydra.types import RunMode
    from omegaconf import DictConfig

    from pneumo_ad.runs.jobs import run_job
    from pneumo_ad.runs.sweeps import complete

    def do(config: DictConfig) -> None:
        if has_folder:
            run_job(config, work)
        else:
            work(config)

    @hydra.main(version_base="1.3", config_path="pkg://pneumo_ad.conf", config_name=config_name)
    def task(config: DictConfig) -> None:
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            try:
                do(config)
            except UserError as reason:  # told when all jobs are through, of one; an exit would end them
                logging.getLogger(__name__).error("%s", reason)
                raise CompactHydraException(f"{_FAILED}{reason}") from None
        else:
            with ending_in_words():
                do(config)

    sys.argv = [f"pneumo-ad {config_name.replace('_', '-')}", *complete(config_name, arguments)]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # or Hydra prints a page of its own, and exits
    try:
        task()
    except CompactHydraException as reason:
        if str(reason).startswith(_FAILED):
            print(reason, file=sys.stderr)
            raise SystemExit(1) from None
        raise ConfigError(hydra_words(reason)) from reason
    except UserError:
        raise
    except OSError as reason:
        if not reason.filename:
            raise
        raise ConfigError(f"{reason.filename}: {reason.strerror}") from reason
    except Exception:
        traceback.print_exc()
        raise SystemExit(1) from None
