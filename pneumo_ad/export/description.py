"""`model.json`: what an exported model is, in plain numbers and words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np

from pneumo_ad.data.fit import Fit
from pneumo_ad.errors import DamagedError, DataError
from pneumo_ad.files import write_json
from pneumo_ad.inference.predictor import Calibration
from pneumo_ad.labels import HEALTHY, OUTSIDE
from pneumo_ad.metrics.thresholds import LIKELIEST, LikeliestKinds, RuleOfNormals, Thresholds, thresholds_of
from pneumo_ad.patches import PatchGrid
from pneumo_ad.saved import MIB, Expected, check_mapping, file_digest, in_a_line, is_there, read_json
from pneumo_ad.scores import score_named

FILE = "model.json"
VERSION = 3  # of what stands in it; raise it when a reader of this version could no longer read it
_ONE_THRESHOLD = 2  # the version that reads what has one threshold alone; the next reads likeliest kinds
_TWO_THRESHOLDS = 1  # the version that reads what has two thresholds, or none
LUNG_THRESHOLD = 0.5  # probability above which a pixel is lung

_LARGEST = 1e30  # of a score: NaN and infinity are none
_EXPECTED: Expected = {
    **dict.fromkeys(("format", "fit", "cover", "view"), str),
    **dict.fromkeys(("patch", "stride"), int),
    "image_size": list,
    "standard": {
        **dict.fromkeys(("score", "unit"), str),
        **dict.fromkeys(("normals", "window_range"), list),
        "false_alarm_rate": int | float,
        "thresholds": list | str | None,
    },
    "files": dict,
    "about": dict,
    "parity": dict | None,
}


@dataclass(frozen=True)
class ModelDescription:
    """What an exported model is.

    Attributes:
        format: `onnx` or `torch_export`.
        grid: The windows, and the size to which radiographs are fitted.
        fit: How they are fitted; `pad` gives the graph a third input.
        view: Input of the net: `patch`, or `image` for whole radiographs.
        standard: Calibration that scores are judged by: held-out normals, thresholds, false-alarm rate.
        files: `model` and, where lungs are looked for, `lungs`: name of the file in the folder.
        about: Origin of the model: run, weights, versions and settings.
        notes: Remarks for readers of its predictions, a sentence each.
        parity: Result of `parity.Parity.as_dict`, or None before it was measured.
        told_anew: Whether it was written with thresholds between three kinds that its score does not order.
    """

    format: str
    grid: PatchGrid
    fit: Fit
    view: str
    standard: Calibration
    files: dict[str, str]
    about: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    parity: dict[str, Any] | None = None
    told_anew: bool = False

    @property
    def inputs(self) -> list[str]:
        """Names of what the graph takes, in order."""
        return ["image", "lung_field", *(["content"] if self.fit == "pad" else [])]

    @property
    def outputs(self) -> list[str]:
        """Names of what the graph gives, in order."""
        return [one["name"] for one in self._model_tensors()["outputs"]]

    def write(self, folder: Path) -> None:
        """Write `model.json` with the digests of the files beside it."""
        height, width = self.grid.image_size
        unit = self.standard.unit
        tensors = {"model": self._model_tensors(), "lungs": self._lung_tensors()}
        files = {
            part: {"file": name, "sha256": file_digest(folder / name)} | tensors[part]
            for part, name in self.files.items()
        }
        content = {
            "format_version": self._version,
            "format": self.format,
            "image_size": [height, width],
            "fit": self.fit,
            "patch": self.grid.patch,
            "stride": self.grid.stride,
            "cover": self.grid.cover,
            "view": self.view,
            "unit": unit,
            "standard": {
                "score": self.standard.score,
                "unit": unit,
                "normals": [float(one) for one in self.standard.normals],
                "false_alarm_rate": self.standard.false_alarm_rate,
                "thresholds": self.standard.thresholds and self.standard.thresholds.plain,
                "window_range": list(self.standard.window_range),
                "rule": self.standard.rule and self.standard.rule._asdict(),
                "highest": self.standard.highest if math.isfinite(self.standard.highest) else None,
            },
            "files": files,
            "about": self.about,
            "notes": self.notes,
            "parity": self.parity,
        }
        write_json(folder / FILE, content)

    @property
    def _version(self) -> int:
        """The first that reads it."""
        thresholds = self.standard.thresholds
        if isinstance(thresholds, LikeliestKinds):
            return VERSION
        return _TWO_THRESHOLDS if thresholds is None or thresholds.tell_outside else _ONE_THRESHOLD

    def _model_tensors(self) -> dict[str, list[dict[str, Any]]]:
        unit, n = self.standard.unit, len(self.standard.normals)
        inputs = {
            "image": "radiograph fitted to image_size, grey levels 0-255 divided by 255",
            "lung_field": "1 in the lung field, else 0",
            "content": "1 where the fitted image is radiograph, 0 where it is padding",
        }
        return {
            "inputs": [_tensor(name, self._picture, inputs[name], [0, 1]) for name in self.inputs],
            "outputs": [
                _tensor("anomaly_map", self._picture, f"{unit}; NaN where no window lies"),
                _tensor("window_scores", ["batch", len(self.grid)], f"{unit}; row by row from the top left"),
                _tensor("score", ["batch"], f"{unit}; NaN without a lung field"),
                _tensor(
                    "percentile",
                    ["batch"],
                    f"percent of {n} held-out normals that score lower; NaN without a score",
                ),
                *self._kinds_tensor(),
            ],
        }

    def _kinds_tensor(self) -> list[dict[str, Any]]:
        """Of the likeliest kind of each window, where windows are decided by it."""
        if not isinstance(self.standard.thresholds, LikeliestKinds):
            return []
        words = ", ".join(f"{kind} {name}" for kind, name in enumerate(self.standard.thresholds.words))
        told = f"likeliest kind: {words}"
        return [_tensor("window_kinds", ["batch", len(self.grid)], told, [HEALTHY, OUTSIDE])]

    def _lung_tensors(self) -> dict[str, list[dict[str, Any]]]:
        return {
            "inputs": self._model_tensors()["inputs"][:1],
            "outputs": [_tensor("lung_probability", self._picture, f"lung above {LUNG_THRESHOLD}", [0, 1])],
        }

    @property
    def _picture(self) -> list[str | int]:
        return ["batch", 1, *self.grid.image_size]


def _tensor(name: str, shape: Sequence[str | int], words: str, values: list[int] | None = None) -> dict[str, Any]:
    found = {"name": name, "shape": list(shape), "dtype": "float32", "is": words}
    return found | ({"range": values} if values else {})


def read_description(folder: Path) -> ModelDescription:
    """What lies in a folder that `pneumo-ad export` wrote, its files as they were written.

    Raises:
        DataError: No such folder, a `model.json` of a newer version or with something missing, or a file that is not
            the one that was written.
    """
    file = folder / FILE
    if not is_there(file):
        raise DataError(f"{folder}: no exported model (no {FILE}); expected a folder written by `pneumo-ad export`")
    content = read_json(file, {"format_version": int}, most=MIB)
    try:
        if content["format_version"] > VERSION:
            raise DataError(
                f"{file}: written by a newer version of pneumo_ad ({content['about'].get('pneumo_ad')}), format "
                f"{content['format_version']}; this one reads up to {VERSION}: export again, or install that version"
            )
        _check(content)
        standard = content["standard"]
        notes = list(content.get("notes", []))  # which the first version did not write
        thresholds, unordered = _told(standard)
        height, width = content["image_size"]
        found = ModelDescription(
            content["format"],
            PatchGrid((height, width), content["patch"], content["stride"], content["cover"]),
            content["fit"],
            content["view"],
            Calibration(
                standard["score"],
                standard["unit"],
                np.array(standard["normals"], dtype=np.float32),
                standard["false_alarm_rate"],
                thresholds,
                tuple(standard["window_range"]),
                RuleOfNormals(**standard["rule"]) if standard.get("rule") else None,  # earlier versions wrote none
                math.inf if standard.get("highest") is None else float(standard["highest"]),
            ),
            {part: about["file"] for part, about in content["files"].items()},
            content["about"],
            [*notes, *unordered],
            content["parity"],
            told_anew=bool(unordered),
        )
        digests = {about["file"]: about["sha256"] for about in content["files"].values()}
    except DataError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as reason:
        raise DamagedError(f"{file}: not what `pneumo-ad export` writes ({in_a_line(reason)})") from reason
    for name, written in digests.items():
        if Path(name).name != name or name in (".", "..") or not is_there(folder / name):
            raise DataError(f"{folder / name}: no such file, though {FILE} names it: export again")
        if file_digest(folder / name) != written:
            raise DataError(
                f"{folder / name}: not the file that was written (its SHA-256 is not that of {FILE}): damaged, or of "
                "another export; export again"
            )
    return found


def _told(standard: dict[str, Any]) -> tuple[Thresholds | None, list[str]]:
    """Thresholds as they are told, and what is to be said of it.

    Versions before told three kinds by every score. Of scores that do not order what lies outside the lung, the lower
    threshold is kept.
    """
    if standard["thresholds"] is None:
        return None, []
    thresholds = thresholds_of(standard["thresholds"])
    unordered = thresholds.tell_outside and not isinstance(thresholds, LikeliestKinds)
    if unordered and not score_named(standard["score"]).orders_outside:
        note = "exported by a version that told three kinds of window, which its score does not order: "
        return Thresholds(thresholds.low), [f"{note}above the lower threshold lies opacity"]
    return thresholds, []


def _check(content: dict[str, Any]) -> None:
    """See that a `model.json` holds what is read of it, each of its kind and within its range.

    Raises:
        ValueError: It does not; names the key.
    """
    check_mapping(content, _EXPECTED)
    standard, sizes = content["standard"], content["image_size"]
    if len(sizes) != 2 or not all(isinstance(side, int) for side in sizes):
        raise ValueError(f"image_size is {sizes}, expected height and width")
    for key, words in (("fit", get_args(Fit)), ("view", ("patch", "image"))):
        if content[key] not in words:
            raise ValueError(f"{key} is {content[key]!r}, expected {' or '.join(words)}")
    if not 0 < standard["false_alarm_rate"] < 1:
        raise ValueError(
            f"standard.false_alarm_rate is {standard['false_alarm_rate']}, expected a share between 0 and 1"
        )
    for key, counts in (("normals", ()), ("thresholds", (1, 2)), ("window_range", (2,))):
        numbers = standard[key] if standard[key] is not None else [0.0]
        if numbers == LIKELIEST.plain:
            continue
        finite = all(isinstance(one, int | float) and abs(one) < _LARGEST for one in numbers)
        if not finite or (counts and len(numbers) not in counts):
            wanted = " or ".join(map(str, counts)) or "any number of"
            raise ValueError(f"standard.{key} is {str(numbers)[:80]}, expected {wanted} finite numbers")
    most = standard.get("highest")
    if most is not None and not (isinstance(most, int | float) and abs(most) < _LARGEST):
        raise ValueError(f"standard.highest is {str(most)[:80]}, expected a finite number or null")
    if standard.get("rule"):
        _ = RuleOfNormals(**standard["rule"]).rule
    if "model" not in content["files"] or not content["files"].keys() <= {"model", "lungs"}:
        raise ValueError(
            f"files are {', '.join(content['files'])}, expected model, and lungs where they are looked for"
        )
    for part, about in content["files"].items():
        check_mapping(about, {"file": str, "sha256": str}, f"files.{part}")
    if not all(isinstance(note, str) for note in content.get("notes", [])):
        raise ValueError("notes hold other than sentences")
