"""Files `metrics.json` of an evaluation and `shortcuts.json`, with the metrics of shortcuts (keys `shortcut/...`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pneumo_ad.errors import DamagedError
from pneumo_ad.files import write_json
from pneumo_ad.metrics.thresholds import thresholds_of
from pneumo_ad.saved import Expected, check_mapping, is_there, read_json

_ABOUT: Expected = {
    **dict.fromkeys(("score", "unit", "subset", "store", "checkpoint", "weights"), str),
    **dict.fromkeys(("omitted", "thresholds", "skipped"), dict),
    "overrides": list,
}


def write_metrics(folder: Path, metrics: Mapping[str, float], about: Mapping[str, Any]) -> None:
    """Write both files, `metrics.json` last, so that it exists only beside a complete `shortcuts.json`.

    Args:
        folder: Folder of the evaluation.
        metrics: Figures by key, with those of shortcuts.
        about: Content of `about` in `metrics.json`, with `omitted`, key -> reason.
    """
    for file, of_shortcuts in (("shortcuts.json", True), ("metrics.json", False)):
        figures, omitted = (
            {key: value for key, value in part.items() if key.startswith("shortcut/") == of_shortcuts}
            for part in (metrics, about["omitted"])
        )
        further = {} if of_shortcuts else about
        write_json(folder / file, {**figures, "about": {**further, "omitted": omitted}})


def read_metrics(folder: Path, *required: str) -> dict[str, Any]:
    """Read `metrics.json` of an evaluation, figures by key and `about`, merged with its `shortcuts.json`.

    Earlier versions wrote one file.

    Args:
        folder: Folder of the evaluation.
        required: Keys that `about` must contain.

    Raises:
        DamagedError: A file cannot be read, a key is missing, or a value has the wrong type.
    """
    metrics = _read(folder / "metrics.json", required)
    if is_there(file := folder / "shortcuts.json"):
        shortcuts, about = _read(file, ("omitted",)), metrics["about"]
        about["omitted"] = shortcuts["about"]["omitted"] | about.get("omitted", {})
        metrics = shortcuts | metrics
    return metrics


def _read(file: Path, required: tuple[str, ...]) -> dict[str, Any]:
    content = read_json(file, {"about": dict})
    about = content["about"]
    try:
        check_mapping(about, {key: kind for key, kind in _ABOUT.items() if key in about or key in required}, "about")
        for key in ("omitted", "skipped"):
            check_mapping(about.get(key, {}), dict.fromkeys(about.get(key, {}), str), f"about.{key}")
        for name, plain in about.get("thresholds", {}).items():
            try:
                thresholds_of(plain)
            except ValueError as reason:
                raise ValueError(f"about.thresholds.{name} is {reason}") from reason
        check_mapping(content, dict.fromkeys(content.keys() - {"about"}, int | float | None))
    except ValueError as reason:
        raise DamagedError(f"{file}: {reason}") from reason
    return content
