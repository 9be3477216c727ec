"""Reading of a folder of runs: their status, and the axes on which they differ."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pneumo_ad.errors import DamagedError, DataError
from pneumo_ad.runs.recipe import read_plain_config, read_set_values
from pneumo_ad.runs.record import Status, differences, flatten, read_run_json, status

DEFAULT = "default"  # value of an axis in a run that does not set it
_ABSENT = "absent"  # value of a key that a run's config lacks
_NO_AXES = ("seed", "run_dir", "vocabulary")  # of replicates, of all runs, and of what changes no figure


@dataclass(frozen=True)
class SweptRun:
    """A run of a sweep.

    Attributes:
        folder: Run folder.
        name: Path of the run folder below the sweep's.
        status: State of the run, with the reason where it failed.
        story: Content of its `run.json`.
        config: Config in the current form, interpolations unresolved; None if the job ended before it was saved.
        overrides: Overrides of the run, key -> value.
        axes: Swept key -> this run's value.
    """

    folder: Path
    name: str
    status: Status
    story: dict[str, Any]
    config: dict[str, Any] | None
    overrides: dict[str, str]
    axes: dict[str, str] = field(default_factory=dict)

    @property
    def seed(self) -> str:
        """Seed of the run, in which replicates differ."""
        return self.value("seed")

    @property
    def point(self) -> tuple[str, ...]:
        """Values on the axes, equal for replicates."""
        return tuple(self.axes.values())

    def value(self, key: str) -> str:
        """Return a key's value in the config, where a default equals the same value typed; of a group, the choice."""
        values = flatten(self.config) if self.config is not None else {}
        if key in values and not isinstance(values[key], dict):
            return _word(values[key])
        return self.overrides.get(key, DEFAULT)


def read_sweep(sweep: Path, chosen: Sequence[Path] = ()) -> list[SweptRun]:
    """Read runs below a folder, with the axes on which they differ.

    Args:
        sweep: Folder of the runs.
        chosen: Run folders; default: every run one or two levels below `sweep`.

    Raises:
        DataError: The folder is missing, is a run itself, or holds no run; lists its content.
    """
    runs = [_read_run(folder, sweep) for folder in chosen or find_runs(sweep)]
    axes = [
        key
        for key in dict.fromkeys(key for run in runs for key in run.overrides)
        if key.partition(".")[0] not in _NO_AXES and len({run.value(key) for run in runs}) > 1
    ]
    for run in runs:
        run.axes.update({key: run.value(key) for key in axes})
    # Configs may differ in spite of equal overrides: two sweeps, and a default that changed in between.
    for key in _silent_differences(runs):
        for run in runs:
            values = flatten(run.config) if run.config is not None else {}
            run.axes[key] = _word(values[key]) if key in values else _ABSENT
    return runs


def find_runs(sweep: Path) -> list[Path]:
    """List the run folders one or two levels below a folder, in natural order (8 before 16).

    Raises:
        DataError: See `read_sweep`.
    """
    if not sweep.is_dir():
        near = sorted(path.name for path in sweep.parent.glob("*/")) if sweep.parent.is_dir() else []
        beside = f"; beside it: {', '.join(near[:8])}" if near else ""
        raise DataError(f"{sweep}: no such folder{beside}")
    marks = [
        mark for level in ("*", "*/*") for name in (".hydra", "run.json") for mark in sweep.glob(f"{level}/{name}")
    ]
    folders = sorted({mark.parent for mark in marks}, key=lambda path: natural(str(path.relative_to(sweep))))
    if (sweep / ".hydra").is_dir():
        raise DataError(f"{sweep} is a run, not a folder of runs; compare {sweep.resolve().parent}")
    if not folders:
        deep = sorted({mark.parent.parent for level in (3, 4) for mark in sweep.glob("*/" * level + ".hydra")})
        there = ", ".join(sorted(path.name for path in sweep.iterdir())[:8]) or "nothing"
        hint = f"; sweeps further down: {', '.join(map(str, deep[:5]))}" if deep else ""
        raise DataError(f"{sweep}: no run below it (a folder with .hydra and run.json); it holds {there}{hint}")
    return folders


def natural(text: str) -> list[tuple[int, float, str]]:
    """Return a sort key that orders numbers in a text by value.

    >>> sorted(["patch=16", "patch=8"], key=natural)
    ['patch=8', 'patch=16']
    """
    parts = re.split(r"(\d+(?:\.\d+)?)", text)
    return [(0, float(part), "") if part[:1].isdigit() else (1, 0.0, part) for part in parts if part]


def described(axes: dict[str, str]) -> str:
    """Format axes as `net=unet,patch=16`; `all alike` if nothing was swept."""
    return ",".join(f"{key}={value}" for key, value in axes.items()) or "all alike"


def _read_run(folder: Path, sweep: Path) -> SweptRun:
    """Read a run as far as possible; a damaged one counts as failed, with the error as the reason."""
    config, overrides, story, stands = None, {}, {}, status(folder)
    try:
        config, overrides = read_plain_config(folder), read_set_values(folder)
        story = read_run_json(folder)
    except DamagedError as reason:
        stands = Status("failed", str(reason))
    return SweptRun(folder, str(folder.relative_to(sweep)), stands, story, config, overrides)


def _silent_differences(runs: list[SweptRun]) -> list[str]:
    first: dict[tuple[str, ...], SweptRun] = {}
    keys: dict[str, None] = {}
    for run in runs:
        if run.config is None:
            continue
        other = first.setdefault((*run.point, run.seed), run)
        assert other.config is not None
        changed = (line.partition(": ")[0] for line in differences(other.config, run.config))
        keys |= dict.fromkeys(key for key in changed if key.partition(".")[0] not in _NO_AXES)
    return list(keys)


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
