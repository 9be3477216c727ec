"""The scorer of a run, built from its config."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pneumo_ad.data.fit import sides
from pneumo_ad.data.radiographs import Radiographs
from pneumo_ad.errors import ConfigError, DivergedError
from pneumo_ad.inference import Scored, check_dense, finite_radiographs
from pneumo_ad.inference.receptive_field import check_side
from pneumo_ad.inference.scorer import Scoring
from pneumo_ad.inference.whole import check_tells_kinds
from pneumo_ad.metrics.thresholds import LikeliestKind
from pneumo_ad.nets.compilation import compile_net
from pneumo_ad.runs.compose import build
from pneumo_ad.runs.device import device_of
from pneumo_ad.runs.evaluation_options import EvaluationOptions
from pneumo_ad.runs.run import Run, explained


def check_finite(part: Scored, rows: npt.NDArray[np.integer[Any]], data: Radiographs) -> None:
    """Check that all scores and maps of a net are finite: metrics that skipped some would describe the rest alone.

    Args:
        part: Scores and maps of b radiographs.
        rows: (b,) int row numbers of these radiographs in the store.
        data: Data set that holds the radiographs.

    Raises:
        DivergedError: A score or map is not finite; names the first radiograph.
    """
    own = [] if part.radiographs is None else [part.radiographs[:, None]]
    finite = finite_radiographs([*part.scores.values(), *own], part.maps.values(), data.grid)
    if not finite.all():
        bad = data.store.table["image"].iloc[rows[~finite]].tolist()
        raise DivergedError(
            f"output of the net for {bad[0]}{f' and {len(bad) - 1} more' if len(bad) > 1 else ''} is not finite: the "
            "training diverged, or trainer.precision cannot represent it"
        )


def check_net(run: Run) -> None:
    """Check that a run's net can score as configured, before any file is decoded.

    Raises:
        ConfigError: The net does not take windows with such a halo, its dense scores would differ from those of
            windows, or its output has no kinds although they decide.
    """
    options, net = run.options, run.module.net
    if isinstance(run.threshold, LikeliestKind):
        with explained(run.folder, ConfigError):
            check_tells_kinds(net.eval(), options.view, sides(options.image_size))
    if options.view != "patch":
        return
    with explained(run.folder, ConfigError):
        if options.halo:
            check_side(net, options.patch, options.halo)
    if options.scoring == "dense":
        try:
            check_dense(net, options.patch, options.halo, sides(options.image_size))
        except ConfigError as reason:
            raise ConfigError(f"{run.folder}: {reason}") from reason


def scoring_of(run: Run) -> Scoring:
    """Build the scoring of a run, with its net on the configured device.

    Raises:
        ConfigError: See `check_net`.
    """
    options = run.options
    check_net(run)
    with explained(run.folder, ConfigError):
        device = device_of(run.config.trainer)
        net = run.module.net.to(device).to(memory_format=torch.channels_last).eval()
        if options.compile:
            compile_net(net, device)
        return Scoring(
            net,
            run.module.score,
            options.map_of,
            batch_size_at(options, device),
            getattr(torch, options.precision),
            build(run.config.aggregate),
            options.relative,
            options.kept_windows,
            options.scoring,
            options.halo,
            isinstance(run.threshold, LikeliestKind),
        )


def batch_size_at(options: EvaluationOptions, device: torch.device) -> int:
    """Return the windows per forward pass; few on the CPU, so that the allocator reuses memory between batches.

    Args:
        options: Options of the evaluation.
        device: Device that the net is on.
    """
    return options.batch_size or (64 if device.type == "cpu" else 2048)
