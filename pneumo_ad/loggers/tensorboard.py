"""TensorBoard's table of runs (HParams): hyper-parameters beside metrics."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter


def write_hparams(folder: Path, made_of: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
    """Write hyper-parameters and metrics of a run for the HParams page, which compares runs.

    Args:
        folder: TensorBoard folder of the run.
        made_of: Hyper-parameters by key: numbers, strings and booleans; other values are written as text.
        metrics: Metrics by key.
    """
    plain = {key: value if isinstance(value, (bool, int, float, str)) else str(value) for key, value in made_of.items()}
    writer = SummaryWriter(str(folder))
    writer.add_hparams(plain, dict(metrics), run_name=".")
    writer.close()
