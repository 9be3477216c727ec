"""A finished run as ready objects: the one door for evaluation, notebooks and other projects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from pneumo_ad import __version__
from pneumo_ad.data.datamodule import PatchDataModule
from pneumo_ad.errors import ConfigError, DataError, UserError
from pneumo_ad.modules.base import NetModule
from pneumo_ad.nets.finite import check_weights
from pneumo_ad.runs.checkpoints import no_larger_than, read_checkpoint
from pneumo_ad.runs.compose import build, change_saved, compose_config
from pneumo_ad.runs.dot_hydra import CONFIG, read_config
from pneumo_ad.runs.origin import Origin
from pneumo_ad.runs.past import OPENS
from pneumo_ad.runs.record import read_run_json, runs_below
from pneumo_ad.runs.run_config import check_config
from pneumo_ad.runs.search_path import saved_search_path
from pneumo_ad.runs.split import keep_split
from pneumo_ad.runs.sweeps import folder_name
from pneumo_ad.runs.trust import check_saved
from pneumo_ad.saved import in_a_line, is_there

# The weights depend on these.
FIXED = ("net", "loss", "corruption", "optimizer", "augment", "module", "seed", "view")


@dataclass(frozen=True)
class Run:
    """A run folder, opened.

    Attributes:
        folder: The run folder.
        config: Its config, with the overrides that were asked for.
        module: The trained module, in evaluation mode, on the CPU.
        checkpoint: The file the weights came from.
        data_changed: Whether the overrides replaced the data the run was trained on.
        overrides: As they were asked for.
    """

    folder: Path
    config: DictConfig
    module: NetModule
    checkpoint: Path
    data_changed: bool
    overrides: tuple[str, ...]

    @cached_property
    def datamodule(self) -> PatchDataModule:
        """Its data, looked for at first use: a run can judge other files where they are not at hand.

        Raises:
            DataError: They are not there, or are not what the run was trained on.
            ConfigError: See `compose.build`.
        """
        datamodule = self.some_data()
        if not self.data_changed:
            keep_split(datamodule, self.folder)
            self.origin.compare_with_earlier(datamodule.table, saved_config(self.folder))
        return datamodule

    def some_data(self, table: pd.DataFrame | None = None, **changes: Any) -> PatchDataModule:
        """A data module of the config, of some radiographs or with other arguments; see `Origin.datamodule`."""
        with explained(self.folder, ConfigError), named(self.folder / CONFIG, ConfigError):
            datamodule: PatchDataModule = self.origin.datamodule(not self.data_changed, table, **changes)
        return datamodule

    @cached_property
    def origin(self) -> Origin:
        """Where the paths of its config lead from here."""
        return Origin(self.config, self.folder, self.overrides)

    @property
    def own_overrides(self) -> list[str]:
        """Those of the overrides that count for the run's own data too: what they say of other data is left out."""
        of_data = ("data=", "data.", *(("shards=", "missing_shards=") if self.data_changed else ()))
        return [override for override in self.overrides if not override.lstrip("+").startswith(of_data)]

    def own_datamodule(self) -> PatchDataModule:
        """The run's own data, whatever the overrides say of other data; see `datamodule`."""
        if not self.data_changed:
            return self.datamodule
        return load_run(self.folder, self.own_overrides, str(self.checkpoint)).datamodule


def load_run(run_dir: str | Path, overrides: Sequence[str] = (), checkpoint: str = "best") -> Run:
    """Rebuild a run from its folder.

    Args:
        run_dir: Written by `pneumo-ad train`.
        overrides: Changes to its config, for example `["data=masks", "data.root=/radiographs"]`.
        checkpoint: `best`, `last`, or the path of a checkpoint file.

    Raises:
        DataError: Not a run folder, no whole checkpoint in it (says what is there), or that of another net.
        DivergedError: Weights that are not finite.
        ConfigError: See `change_saved`.
    """
    folder = Path(run_dir)
    config = saved_config(folder)
    changed = change_saved(config, overrides, FIXED, saved_search_path(folder))
    weights = find_checkpoint(folder, checkpoint)
    held = read_checkpoint(weights)
    origin = Origin(changed, folder, overrides)
    with explained(folder, UserError), origin.explained():
        with named(folder / CONFIG), no_larger_than(held["state_dict"]):
            check_config(changed)
            module: NetModule = build(origin.located.module)
        with named(weights):
            module.on_load_checkpoint(held)
            check_weights(held["state_dict"], module, weights)
            module.load_state_dict(held["state_dict"])
    others = origin.data != Origin(config, folder).data
    if others and not any(override.lstrip("+").startswith("shards=") for override in overrides):
        changed.shards = 1  # said how the run's own data lie
    return Run(folder, changed, module.eval(), weights, others, tuple(overrides))


def saved_config(folder: Path) -> DictConfig:
    """The config that a run was started with.

    Raises:
            DataError: Not a run folder, or its config cannot be read.
        ConfigError: It would build what is not trusted; see `trust.check_saved`.
    """
    if not is_there(folder / CONFIG):
        raise DataError(f"{folder}: not a run folder (no {CONFIG}){runs_below(folder)}")
    config = read_config(folder)
    config.run_dir = str(folder)
    check_saved(config, folder)
    return config


@contextmanager
def explained(folder: Path, errors: type[UserError]) -> Iterator[None]:
    """Adds to such errors what may be behind them: the run is of another version of this project.

    Args:
        folder: The run folder.
        errors: Those that are meant.

    Raises:
        ConfigError: Its config has no such key.
    """
    try:
        yield
    except OmegaConfBaseException as reason:
        words = f"{folder}: {str(reason).splitlines()[0]}"
        raise ConfigError(*filter(None, (words, other_version(folder)))) from reason
    except errors as reason:
        if words := other_version(folder):
            raise type(reason)(*reason.args, words) from reason
        raise


@contextmanager
def named(file: Path, errors: type[UserError] = UserError) -> Iterator[None]:
    """Adds to errors the name of the file that they come from, and makes errors for the user of all others.

    Args:
        file: Of a run folder: whatever it holds can fail in any way.
        errors: Those of the user's that the name is added to.

    Raises:
        DataError: Whatever was no error for the user.
    """
    try:
        yield
    except UserError as reason:
        if isinstance(reason, errors) and str(file) not in str(reason):
            raise type(reason)(f"{file}: {reason}") from reason
        raise
    except OmegaConfBaseException:  # see `explained`
        raise
    except Exception as reason:
        raise DataError(f"{file}: nothing can be made of it ({in_a_line(reason)})") from reason


def other_version(folder: Path) -> str:
    """How a run differs from those of today, and what to do; empty where it does not."""
    story, saved, today = read_run_json(folder), set(saved_config(folder).keys()), set(compose_config("train").keys())
    lacks, strange = sorted(map(str, today - saved)), sorted(map(str, saved - today))
    made_by = story.get("pneumo_ad", "an unknown version")
    if made_by in (__version__, *OPENS) and not lacks:
        return ""
    found = [f"lacks {', '.join(lacks)}"] * bool(lacks) + [f"has {', '.join(strange)}, not known here"] * bool(strange)
    return (
        f"The run was made by pneumo_ad {made_by}{', commit ' + story['commit'] if story.get('commit') else ''}, and "
        f"this is {__version__}{'; its config ' + ' and '.join(found) if found else ''}. Open it with the version that "
        "made it, or train it again with this one"
    )


def find_checkpoint(folder: Path, checkpoint: str = "best") -> Path:
    """The file of a checkpoint.

    Args:
        folder: The run folder.
        checkpoint: `best`, `last` or the path of a file.

    Raises:
        DataError: It is not there; lists those that are.
    """
    path = folder / "checkpoints" / f"{checkpoint}.ckpt"
    path = path if is_there(path) else Path(checkpoint)
    if not is_there(path):
        there = (
            ", ".join(sorted(file.stem for file in folder.glob("checkpoints/*.ckpt")))
            or "none: did the training finish?"
        )
        raise DataError(f"{folder}: no checkpoint {checkpoint!r}; there are: {there}")
    return path


def default_output(folder: Path, overrides: Sequence[str]) -> Path:
    """The run folder where nothing was changed; else a folder below it that says what was, so that nothing is lost.

    Args:
        folder: The run folder.
        overrides: What was asked for on the command line, `key=value`.

    >>> default_output(Path("r"), ["run=r", "data=masks", "data.root=/x/y"]).as_posix()  # doctest: +ELLIPSIS
    'r/evaluations/data=masks,root=y-...'
    """
    changes = [override for override in overrides if not override.startswith(("run=", "output="))]
    if not changes:
        return folder
    return folder / "evaluations" / folder_name(changes)
