"""`model.json`: description of an exported model in plain numbers and text."""

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
from pneumo_ad.labels import HEALTHY, OUTSIDE, RADIOGRAPH, Vocabulary
from pneumo_ad.metrics.thresholds import LIKELIEST, LikeliestKinds, RuleOfNormals, Thresholds, thresholds_of
from pneumo_ad.patches import PatchGrid
from pneumo_ad.saved import MIB, Expected, check_mapping, file_digest, in_a_line, is_there, read_json
from pneumo_ad.scores import score_named

FILE = "model.json"
VERSION = 3  # format version of the file; raise it when readers of this version could no longer read it
_ONE_THRESHOLD = 2  # first version that reads a single threshold; the next one reads likeliest kinds
_TWO_THRESHOLDS = 1  # version that reads two thresholds or none
LUNG_THRESHOLD = 0.5  # probability above which a pixel is lung

_LARGEST = 1e30  # bound on absolute scores, which excludes NaN and infinity
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
    """Description of an exported model, the content of `model.json`.

    Attributes:
        format: `onnx` or `torch_export`.
        grid: Grid of the windows, with the size to which radiographs are fitted.
        fit: Method by which radiographs are fitted; `pad` gives the graph a third input.
        view: Input of the net: `patch`, or `image` for whole radiographs.
        standard: Calibration of the scores: held-out normals, thresholds, false-alarm rate.
        files: File names in the folder by part: `model` and, where lungs are segmented, `lungs`.
        about: Origin of the model: run, weights, versions and settings.
        notes: Remarks for readers of its predictions, a sentence each.
        parity: Result of `parity.Parity.as_dict`; None before it is measured.
        vocabulary: Words of the run.
        told_anew: Whether the file has thresholds between three kinds that its score does not order.
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
    vocabulary: Vocabulary = RADIOGRAPH
    told_anew: bool = False

    @property
    def inputs(self) -> list[str]:
        """Names of the inputs of the graph, in order."""
        return ["image", "lung_field", *(["content"] if self.fit == "pad" else [])]

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs of the graph, in order."""
        return [one["name"] for one in self._model_tensors()["outputs"]]

    def write(self, folder: Path) -> None:
        """Write `model.json` with the digests of the files beside it."""
        standard, model = self.standard, self._model_tensors()
        probability = _tensor(
            "lung_probability", self._picture, f"{self.vocabulary.region} above {LUNG_THRESHOLD}", [0, 1]
        )
        tensors = {"model": model, "lungs": {"inputs": model["inputs"][:1], "outputs": [probability]}}
        files = {
            part: {"file": name, "sha256": file_digest(folder / name)} | tensors[part]
            for part, name in self.files.items()
        }
        content = {
            "format_version": self._version,
            "format": self.format,
            "image_size": list(self.grid.image_size),
            "fit": self.fit,
            "patch": self.grid.patch,
            "stride": self.grid.stride,
            "cover": self.grid.cover,
            "view": self.view,
            "unit": standard.unit,
            "standard": {
                "score": standard.score,
                "unit": standard.unit,
                "normals": standard.normals.tolist(),
                "false_alarm_rate": standard.false_alarm_rate,
                "thresholds": standard.thresholds and standard.thresholds.plain,
                "window_range": list(standard.window_range),
                "rule": standard.rule and standard.rule._asdict(),
                "highest": standard.highest if math.isfinite(standard.highest) else None,
            },
            "files": files,
            "about": self.about,
            "notes": self.notes,
            "parity": self.parity,
            "vocabulary": vars(self.vocabulary),
        }
        write_json(folder / FILE, content)

    @property
    def _version(self) -> int:
        """Oldest format version whose readers understand this description."""
        thresholds = self.standard.thresholds
        if isinstance(thresholds, LikeliestKinds):
            return VERSION
        return _TWO_THRESHOLDS if thresholds is None or thresholds.tell_outside else _ONE_THRESHOLD

    def _model_tensors(self) -> dict[str, list[dict[str, Any]]]:
        fill, unit, n, thresholds = (
            self.vocabulary.fill,
            self.standard.unit,
            len(self.standard.normals),
            self.standard.thresholds,
        )
        of_windows: list[str | int] = ["batch", len(self.grid)]
        inputs = {
            "image": "{image} fitted to image_size, grey levels 0-255 divided by 255",
            "lung_field": "1 in the {field}, else 0",
            "content": "1 where the fitted picture is {image}, 0 where it is padding",
        }
        percent = f"percent of {n} held-out normals that score lower; NaN without a score"
        outputs = [
            _tensor("anomaly_map", self._picture, f"{unit}; NaN where no window lies"),
            _tensor("window_scores", of_windows, f"{unit}; row by row from the top left"),
            _tensor("score", ["batch"], fill(f"{unit}; NaN without a {{field}}")),
            _tensor("percentile", ["batch"], percent),
        ]
        if isinstance(thresholds, LikeliestKinds):
            words = ", ".join(f"{kind} {fill(name)}" for kind, name in enumerate(thresholds.words))
            outputs.append(_tensor("window_kinds", of_windows, f"likeliest kind: {words}", [HEALTHY, OUTSIDE]))
        return {
            "inputs": [
                _tensor(name, self._picture, self.vocabulary.fill(inputs[name]), [0, 1]) for name in self.inputs
            ],
            "outputs": outputs,
        }

    @property
    def _picture(self) -> list[str | int]:
        return ["batch", 1, *self.grid.image_size]


def _tensor(name: str, shape: Sequence[str | int], words: str, values: list[int] | None = None) -> dict[str, Any]:
    entry = {"name": name, "shape": list(shape), "dtype": "float32", "is": words}
    return entry | ({"range": values} if values else {})


def read_description(folder: Path) -> ModelDescription:
    """Read the description of an exported model from its folder and verify the digests of its files.

    Raises:
        DataError: Missing folder, a `model.json` of a newer version or with missing entries, or a file whose digest
            differs.
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
        notes = list(content.get("notes", []))  # absent in the first version
        vocabulary = Vocabulary.kept_in(content)  # absent in earlier versions
        thresholds, unordered = _told(standard, vocabulary)
        height, width = content["image_size"]
        description = ModelDescription(
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
                RuleOfNormals(**standard["rule"]) if standard.get("rule") else None,  # absent in earlier versions
                math.inf if standard.get("highest") is None else float(standard["highest"]),
            ),
            {part: about["file"] for part, about in content["files"].items()},
            content["about"],
            [*notes, *unordered],
            content["parity"],
            vocabulary,
            told_anew=bool(unordered),
        )
    except DataError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as reason:
        raise DamagedError(f"{file}: not what `pneumo-ad export` writes ({in_a_line(reason)})") from reason
    for about in content["files"].values():
        name = about["file"]
        if Path(name).name != name or name in (".", "..") or not is_there(folder / name):
            raise DataError(f"{folder / name}: no such file, though {FILE} names it: export again")
        if file_digest(folder / name) != about["sha256"]:
            raise DataError(
                f"{folder / name}: not the file that was written (its SHA-256 is not that of {FILE}): damaged, or of "
                "another export; export again"
            )
    return description


def _told(standard: dict[str, Any], terms: Vocabulary) -> tuple[Thresholds | None, list[str]]:
    """Return the thresholds in use, and notes on a change to them.

    Earlier versions separated three kinds by every score. For scores that do not order windows outside the lung, only
    the lower threshold is kept.
    """
    if standard["thresholds"] is None:
        return None, []
    thresholds = thresholds_of(standard["thresholds"])
    unordered = thresholds.tell_outside and not isinstance(thresholds, LikeliestKinds)
    if unordered and not score_named(standard["score"]).orders_outside:
        note = "exported by a version that told three kinds of window, which its score does not order: "
        return Thresholds(thresholds.low), [f"{note}above the lower threshold lies {terms.anomaly}"]
    return thresholds, []


def _check(content: dict[str, Any]) -> None:
    """Check that a `model.json` has all entries, with the right types and within their ranges.

    Raises:
        ValueError: Missing or invalid entry; the message names the key.
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
        raise ValueError(f"files are {', '.join(content['files'])}, expected model, and lungs where they are segmented")
    for part, about in content["files"].items():
        check_mapping(about, {"file": str, "sha256": str}, f"files.{part}")
    if not all(isinstance(note, str) for note in content.get("notes", [])):
        raise ValueError("notes hold other than sentences")
