"""TensorBoard logger: one writer a run, whose event file lies in the run folder."""

from __future__ import annotations

import re
import time
from argparse import Namespace
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from lightning.pytorch.utilities import rank_zero_only
from matplotlib.figure import Figure

from pneumo_ad.loggers.run_logger import Outcome, RunLogger

if TYPE_CHECKING:
    from lightning.pytorch.loggers import TensorBoardLogger

# Page Custom Scalars: chapter -> chart -> tags, as regular expressions.
_CHARTS = {
    "Loss": {"loss in training and validation": ["train/loss(_epoch)?$", "val/loss"]},
    "SAD": {
        "mean SAD by kind of patch": ["train/sad", "val/sad_normal_lung", "val/sad_normal", "val/sad_pneumonia"],
    },
    "AUROC": {"AUROC on validation": ["val/auroc.*"]},
    "Dice": {"Dice of lung fields on validation": ["val/dice.*"]},
}


class TensorBoardRun(RunLogger):
    """Logger of scalars, figures, histograms, curves, texts and the table of runs (HParams) to TensorBoard.

    The event file lies in the run folder itself, so that TensorBoard's list of runs reads as the sweep's table. A
    resumed training adds a file, which discards what the earlier one holds beyond the checkpoint.

    Args:
        run_dir: The run folder.
    """

    def __init__(self, run_dir: str | Path) -> None:
        super().__init__(run_dir, "tensorboard", "")
        self._first_step: int | None = None
        self._has_charts = False
        self._params: dict[str, bool | float | str] = {}

    def _open(self) -> TensorBoardLogger:
        from lightning.pytorch.loggers import TensorBoardLogger

        return TensorBoardLogger(self.run_dir, name="", version="", purge_step=self._first_step)

    def _close(self, outcome: Outcome) -> None:
        from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2

        if self._params:
            status = api_pb2.STATUS_SUCCESS if outcome == "finished" else api_pb2.STATUS_FAILURE
            ended = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=time.time())
            self._add_to_table("session_end_info", ended)
        self.experiment.close()

    def continue_from(self, step: int) -> None:
        """Discard what earlier event files hold from this step on; has an effect before the first use alone."""
        self._first_step = step

    @rank_zero_only
    def save(self) -> None:
        """Flush to the event file, so that a training can be watched."""
        if self._opened is not None:
            self.experiment.flush()

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log scalar `metrics` at a `step`; the first of validation also lay out the page Custom Scalars."""
        super().log_metrics(metrics, step)
        if not self._has_charts and any(key.startswith("val/") for key in metrics):
            self._has_charts = True
            self.experiment.add_custom_scalars(charts_of(metrics))

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *_: Any, **__: Any) -> None:
        """Begin the run's row in the table of runs: `params` by key, numbers, strings and booleans, others as text.

        The keys are the columns, so they are few: those that vary.
        """
        from tensorboard.plugins.hparams import plugin_data_pb2

        given = vars(params) if isinstance(params, Namespace) else params
        self._params = {
            key: value if isinstance(value, (bool, int, float, str)) else str(value) for key, value in given.items()
        }
        begun = plugin_data_pb2.SessionStartInfo(start_time_secs=time.time())
        for key, value in self._params.items():
            setattr(begun.hparams[key], _FIELDS[_type_of(value)], value)
        self._add_to_table("session_start_info", begun)

    @rank_zero_only
    def log_outcome(self, metrics: Mapping[str, float], words: Mapping[str, str], step: int) -> None:
        """Log results, and the columns of the table of runs; see `RunLogger.log_outcome`."""
        from tensorboard.plugins.hparams import api_pb2

        self.log_metrics(metrics, step)
        infos = [
            # The page sorts columns by name, those that differ first.
            api_pb2.HParamInfo(name=key, type=f"DATA_TYPE_{_type_of(value)}", differs=True)
            for key, value in self._params.items()
        ]
        shown = [
            api_pb2.MetricInfo(name=api_pb2.MetricName(tag=key), display_name=words.get(key, key)) for key in metrics
        ]
        self._add_to_table("experiment", api_pb2.Experiment(hparam_infos=infos, metric_infos=shown))

    @rank_zero_only
    def log_figure(self, name: str, figure: Figure, step: int) -> None:
        """Log a figure; see `RunLogger.log_figure`."""
        self.experiment.add_figure(name, figure, step, close=False)

    @rank_zero_only
    def log_histogram(
        self,
        name: str,
        counts: npt.NDArray[np.integer],
        edges: npt.NDArray[np.floating],
        moments: tuple[float, float, float, float],
        step: int,
    ) -> None:
        """Log counts (N,) between edges (N + 1,); see `RunLogger.log_histogram`."""
        least, largest, total, squares = moments
        self.experiment.add_histogram_raw(
            name, least, largest, int(counts.sum()), total, squares, edges[1:].tolist(), counts.tolist(), step
        )

    @rank_zero_only
    def log_text(self, name: str, text: str, step: int) -> None:
        """Log a text as Markdown; see `RunLogger.log_text`."""
        self.experiment.add_text(name, text, step)

    @rank_zero_only
    def log_curve(self, name: str, counts: npt.NDArray[np.integer], step: int) -> None:
        """Log the precision-recall curve of counts (4, T); see `RunLogger.log_curve`."""
        tp, fp, tn, fn = counts
        precision, recall = tp / np.maximum(tp + fp, 1), tp / np.maximum(tp + fn, 1)
        self.experiment.add_pr_curve_raw(name, tp, fp, tn, fn, precision, recall, step, num_thresholds=len(tp))

    def _add_to_table(self, field: str, content: Any) -> None:
        """Write one of the three entries that the plugin HParams reads; torch's `add_hparams` opens another file."""
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.plugins.hparams import metadata, plugin_data_pb2

        described = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(**{field: content}))
        value = Summary.Value(tag=f"_hparams_/{field}", metadata=described, tensor=metadata.NULL_TENSOR)
        self.experiment._get_file_writer().add_summary(Summary(value=[value]), 0)


_FIELDS = {"BOOL": "bool_value", "FLOAT64": "number_value", "STRING": "string_value"}


def _type_of(value: bool | float | str) -> str:
    return "BOOL" if isinstance(value, bool) else "STRING" if isinstance(value, str) else "FLOAT64"


def charts_of(logged: Iterable[str]) -> dict[str, dict[str, list[Any]]]:
    """Lay out the page Custom Scalars: what belongs together in one chart, without charts that would stay empty.

    Args:
        logged: Tags of the first validation; those of the training alone come later.

    Returns:
        Chapter -> chart -> kind of chart and tags, as `SummaryWriter.add_custom_scalars` takes it.

    >>> charts_of(["val/loss"])
    {'Loss': {'loss in training and validation': ['Multiline', ['train/loss(_epoch)?$', 'val/loss']]}}
    """
    tags = list(logged)
    return {
        chapter: {title: ["Multiline", patterns] for title, patterns in charts.items()}
        for chapter, charts in _CHARTS.items()
        if any(re.fullmatch(pattern, tag) for patterns in charts.values() for pattern in patterns for tag in tags)
    }
