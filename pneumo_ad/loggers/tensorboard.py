"""TensorBoard's table of runs (HParams): what a run was made of beside what it reached."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter


def write_hparams(folder: Path, made_of: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
    """Write what a run was made of and what it reached, for the HParams page, which compares runs.

    Args:
        folder: The run's TensorBoard folder.
        made_of: Numbers, words and truth values; anything else as text.
        metrics: By key.
    """
    plain = {key: value if isinstance(value, (bool, int, float, str)) else str(value) for key, value in made_of.items()}
    writer = SummaryWriter(str(folder))
    writer.add_hparams(plain, dict(metrics), run_name=".")
    writer.close()
