"""A finished run as ready objects: the entry point for evaluation, notebooks and other projects."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pneumo_ad.data.datamodule import PatchDataModule
from pneumo_ad.data.radiographs import Radiographs
from pneumo_ad.errors import ConfigError, DataError, UserError
from pneumo_ad.labels import Vocabulary
from pneumo_ad.lungs.segmenter import WEIGHTS
from pneumo_ad.metrics.thresholds import Threshold
from pneumo_ad.modules.base import NetModule
from pneumo_ad.nets.finite import check_weights
from pneumo_ad.runs import evaluation_options
from pneumo_ad.runs.arguments import Overrides, Place, as_overrides
from pneumo_ad.runs.checkpoints import SUFFIXES, no_larger_than, read_checkpoint
from pneumo_ad.runs.compose import build, change_saved, vocabulary_of
from pneumo_ad.runs.dot_hydra import CONFIG
from pneumo_ad.runs.evaluation_options import EvaluationOptions
from pneumo_ad.runs.facts import as_html, as_text
from pneumo_ad.runs.origin import Origin
from pneumo_ad.runs.run_config import check_config, explained, saved_config
from pneumo_ad.runs.search_path import saved_search_path
from pneumo_ad.runs.shipped import check_shipped, place_of_results
from pneumo_ad.runs.split import keep_split
from pneumo_ad.runs.sweeps import folder_name
from pneumo_ad.saved import in_a_line, is_there

log = logging.getLogger(__name__)

# Keys that the weights depend on.
FIXED = ("net", "loss", "corruption", "optimizer", "augment", "module", "seed", *evaluation_options.FIXED)


HISTORY = "history.csv"


@dataclass(frozen=True, repr=False)
class Run:
    """An opened run folder.

    Attributes:
        folder: The run folder.
        config: Config of the run, with overrides applied.
        module: Trained module, in evaluation mode, on the CPU.
        checkpoint: File of the weights.
        data_changed: Whether the overrides replaced the data of the training.
        overrides: Overrides as typed.
    """

    folder: Path
    config: DictConfig
    module: NetModule
    checkpoint: Path
    data_changed: bool
    overrides: tuple[str, ...]

    @property
    def radiographs(self) -> Radiographs:
        """Radiographs of the config, opened at first use: a run can judge other files without them.

        Raises:
            DataError: The data are missing, or changed since the training.
            ConfigError: See `compose.build`.
        """
        return self.datamodule.radiographs

    @cached_property
    def datamodule(self) -> PatchDataModule:
        """Data module of the run, with the split of its training."""
        datamodule = self._built()
        if not self.data_changed:
            keep_split(datamodule.radiographs, self.folder)
            self.origin.compare_with_earlier(datamodule.radiographs.table, saved_config(self.folder))
        return datamodule

    def some_radiographs(self, table: pd.DataFrame | None = None, **changes: Any) -> Radiographs:
        """Build radiographs of the config, of another table or with other arguments; see `Origin.datamodule`."""
        return self._built(table, **changes).radiographs

    def _built(self, table: pd.DataFrame | None = None, **changes: Any) -> PatchDataModule:
        with explained(self.folder, ConfigError), named(self.folder / CONFIG, ConfigError):
            datamodule: PatchDataModule = self.origin.datamodule(not self.data_changed, table, **changes)
        return datamodule

    @cached_property
    def history(self) -> pd.DataFrame:
        """Log of the training, a row per epoch: `epoch`, `step`, `train/loss`, `val/loss`, ...; NaN where none was.

        Raises:
            DataError: The run was trained before 0.2.0, or in parts of which the first was; or see `read_history`.
        """
        from pneumo_ad.callbacks.history import read_history  # beside callbacks that draw

        if not is_there(file := self.folder / HISTORY):
            raise DataError(f"{file}: not there; runs keep their history since 0.2.0, earlier ones in their loggers")
        return read_history(file)

    @property
    def changes(self) -> list[str]:
        """Overrides, and the checkpoint unless it is the best: what results depend on beside the run folder."""
        best = _named_checkpoint(self.folder, "best")
        if self.checkpoint == best or (not is_there(best) and self.checkpoint.stem == "last"):
            return list(self.overrides)
        within = self.checkpoint.parent == self.folder / "checkpoints"
        return [*self.overrides, f"checkpoint={self.checkpoint.stem if within else self.checkpoint}"]

    def _repr_html_(self) -> str:
        return as_html(f"run {self.folder}", self._facts())

    def __repr__(self) -> str:
        return as_text(f"Run({str(self.folder)!r})", self._facts())

    def _facts(self) -> dict[str, object]:
        parameters = sum(parameter.numel() for parameter in self.module.net.parameters())
        side, stride = self.config.patch, self.config.stride
        seen = f"whole images of {self.config.image_size}" if self.config.view == "image" else f"patches of {side}"
        return {
            "study": self.name,
            "net": f"{type(self.module.net).__name__}, {parameters:,} parameters, in a {type(self.module).__name__}",
            "data": f"{self.data_name}{' in place of its own' if self.data_changed else ''}",
            "sees": f"{seen}; windows every {stride} pixels",
            "weights": self.checkpoint.name,
            "overrides": " ".join(self.overrides),
            "has": "module, radiographs, datamodule, history, config, options",
        }

    @property
    def name(self) -> str:
        """Name of the study that the run belongs to."""
        return str(self.config.name)

    @property
    def data_name(self) -> str:
        """Name of the data: last component of their folder, or their source."""
        root = self.config.data.get("root")
        return Path(root).name if root else str(self.config.data["_target_"]).rpartition(".")[2]

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Words for what its images show.

        Raises:
            ConfigError: See `Vocabulary.of`.
        """
        return vocabulary_of(self.config)

    def as_yaml(self) -> str:
        """Return the config as yaml, interpolations unresolved."""
        return OmegaConf.to_yaml(self.config)

    @cached_property
    def options(self) -> EvaluationOptions:
        """Evaluation options of the run.

        Raises:
            ConfigError: See `EvaluationOptions`.
        """
        return EvaluationOptions.of(self.config)

    @cached_property
    def threshold(self) -> Threshold:
        """Threshold rule of the run.

        Raises:
            ConfigError: See `compose.build`.
        """
        rule: Threshold = build(self.config.threshold)
        return rule

    @property
    def lung_weights(self) -> Path:
        """Weights file of the lung segmenter: that of the config, or the shipped one."""
        return Path(self.origin.located.lungs.get("weights") or WEIGHTS).expanduser()

    @cached_property
    def origin(self) -> Origin:
        """The config with resolved paths."""
        return Origin(self.config, self.folder, self.overrides)

    @property
    def own_overrides(self) -> list[str]:
        """Overrides that apply to the run's own data: all but those that select other data."""
        return [one for one in self.overrides if not one.lstrip("+").startswith(("data=", "data."))]

    def own_radiographs(self) -> Radiographs:
        """Open the run's own data, even if the overrides select other data; see `radiographs`."""
        if not self.data_changed:
            return self.radiographs
        return load_run(self.folder, self.own_overrides, str(self.checkpoint)).radiographs


def load_run(run_dir: Place, overrides: Overrides = (), checkpoint: str = "best") -> Run:
    """Open a run from its folder.

    Args:
        run_dir: Folder written by `pneumo-ad train`.
        overrides: Overrides of its config, for example `["data=masks", "data.root=/radiographs"]` or `{"stride": 4}`.
        checkpoint: `best`, `last`, or the path of a checkpoint file.

    Raises:
        DataError: Not a run folder, no whole checkpoint in it (lists those that are there), or one of another net.
        DivergedError: Weights that are not finite.
        ConfigError: See `change_saved`.
    """
    folder, overrides = Path(run_dir), as_overrides(overrides)
    check_shipped(folder)
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
    return Run(folder, changed, module.eval(), weights, others, tuple(overrides))


def open_run(run: Place | Run, overrides: Sequence[str] = (), checkpoint: str | None = None) -> Run:
    """Open a run from its folder, or again with further overrides.

    Args:
        run: Folder, or an opened run.
        overrides: Overrides of its config, beside those it was opened with.
        checkpoint: See `load_run`; default: the best, or that of the opened run.

    Raises:
        ConfigError: See `load_run`; or neither a folder nor a run.
        DataError: See `load_run`.
    """
    if not isinstance(run, Run | str | os.PathLike):
        raise ConfigError(f"run={run!r} is a {type(run).__name__}; expected the folder of a run, or an opened run")
    if not isinstance(run, Run):
        return load_run(run, overrides, checkpoint or "best")
    if not overrides and checkpoint is None:
        return run
    return load_run(run.folder, [*run.overrides, *overrides], checkpoint or str(run.checkpoint))


def named_run(
    run: Place | Run, overrides: Sequence[str] = (), checkpoint: str | None = None
) -> tuple[Path, list[str], str]:
    """Return folder, overrides and checkpoint by which `load_run` opens a run to judge other files.

    Args:
        run: See `open_run`.
        overrides: See `open_run`.
        checkpoint: See `open_run`.
    """
    if not isinstance(run, Run):
        return Path(run), list(overrides), checkpoint or "best"
    opened_with = "best" if run.changes == list(run.overrides) else str(run.checkpoint)
    return run.folder, [*run.own_overrides, *overrides], checkpoint or opened_with


@contextmanager
def named(file: Path, errors: type[UserError] = UserError) -> Iterator[None]:
    """Add a file's name to errors for the user, and turn other exceptions, except OmegaConf's, into such errors.

    Args:
        file: File of a run folder; invalid content can raise any exception.
        errors: Class of the errors that get the file's name.

    Raises:
        DataError: An exception other than `UserError`.
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


def find_checkpoint(folder: Path, checkpoint: str = "best") -> Path:
    """Find the file of a checkpoint.

    Args:
        folder: The run folder.
        checkpoint: `best`, `last` or the path of a file; `last` stands in for `best` where no validation was run.

    Raises:
        DataError: The checkpoint is missing; lists those that are there.
    """
    path = _named_checkpoint(folder, checkpoint)
    if checkpoint == "best" and not is_there(path) and is_there(last := _named_checkpoint(folder, "last")):
        log.warning("%s: no validation was run, so there is no best checkpoint; the last one is used", folder)
        return last
    if not is_there(path):
        files = (file for suffix in SUFFIXES for file in folder.glob(f"checkpoints/*{suffix}"))
        there = ", ".join(sorted(file.stem for file in files))
        if not there and checkpoint in ("best", "last"):
            raise DataError(
                f"{folder} holds no checkpoint: its training was stopped before the first epoch ended; pneumo-ad train "
                f"resume={folder} goes on"
            )
        raise DataError(f"{folder}: no checkpoint {checkpoint!r}; there are: {there or 'none'}")
    return path


def _named_checkpoint(folder: Path, name: str) -> Path:
    within = (folder / "checkpoints" / f"{name}{suffix}" for suffix in SUFFIXES)
    return next(filter(is_there, within), Path(name))


def place_of_evaluation(run: Run, subset: str | None = None, calibrate: Path | None = None) -> Path:
    """Return the default folder of an evaluation of an opened run.

    Args:
        run: Opened run.
        subset: Evaluated split, if one is named.
        calibrate: Folder of normals of the site, if there is one.
    """
    measured = [f"{key}={value}" for key, value in (("subset", subset), ("calibrate", calibrate)) if value]
    return default_output(run.folder, [*run.changes, *measured])


def default_output(folder: Path, overrides: Sequence[str]) -> Path:
    """Return the default folder of results: `place_of_results`, or with changes a folder below it named after them.

    Args:
        folder: The run folder.
        overrides: Typed changes, `key=value`; `run=` and `output=` do not count.

    >>> default_output(Path("r"), ["run=r", "data=masks", "data.root=/x/y"]).as_posix()  # doctest: +ELLIPSIS
    'r/evaluations/data=masks,root=y-...'
    """
    changes = [override for override in overrides if not override.startswith(("run=", "output="))]
    place = place_of_results(folder)
    return place / "evaluations" / folder_name(changes) if changes else place
