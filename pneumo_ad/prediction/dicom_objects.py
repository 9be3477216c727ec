"""DICOM objects of each DICOM file: the overlay, the segmentation and the report (`dicom=true`)."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom import Dataset

from pneumo_ad.data.fit import unfit_map
from pneumo_ad.data.readers.dicom import is_dicom, parse
from pneumo_ad.data.readers.quiet import ignore_warnings
from pneumo_ad.dicom.equipment import Equipment
from pneumo_ad.dicom.references import read_reference
from pneumo_ad.dicom.secondary_capture import make_secondary_capture
from pneumo_ad.dicom.segmentation import Segment, make_segmentation
from pneumo_ad.dicom.structured_report import Findings, make_report
from pneumo_ad.errors import DataError
from pneumo_ad.figures.style import COLOURS, FIELD, NAMES
from pneumo_ad.inference.predictor import Calibration
from pneumo_ad.labels import KINDS, OPACITY, RADIOGRAPH
from pneumo_ad.metrics.conformal import conformal_threshold, least_normals
from pneumo_ad.patches import PatchGrid
from pneumo_ad.prediction.decoding import PICTURE_SIDE, Decoded
from pneumo_ad.prediction.inputs import File, named
from pneumo_ad.prediction.pixel_kinds import pixel_kinds
from pneumo_ad.prediction.rows import Row
from pneumo_ad.prediction.written import write_picture

log = logging.getLogger(__name__)

OBJECTS = ("overlay", "segmentation", "report")
_NONE = "no DICOM objects"


@dataclass(frozen=True)
class DicomInputs:
    """DICOM files of an input.

    Attributes:
        paths: Name of a DICOM file -> file.
        twins: Name of a DICOM file -> names of others with the same SOPInstanceUID.
    """

    paths: Mapping[str, Path]
    twins: Mapping[str, Sequence[str]]


def find_dicom(files: Sequence[File]) -> DicomInputs:
    """Find the DICOM files among radiographs, and those that share an id; logs both, and how many are no DICOM.

    Args:
        files: Files of the input.
    """
    radiographs = [file for file in files if file.kind == "radiograph"]
    paths = {file.name: file.path for file in radiographs if is_dicom(file.path)}
    of_each = defaultdict[str, list[str]](list)
    for name, path in paths.items():
        try:
            header = parse(path, specific_tags=["SOPClassUID", "Modality", "Rows", "SOPInstanceUID"])
            if uid := str(header.get("SOPInstanceUID") or ""):
                of_each[uid].append(name)
        except Exception:  # reading the file itself reports it
            log.debug("%s", path, exc_info=True)
    if others := [file.name for file in radiographs if file.name not in paths]:
        log.warning("dicom=true: %d files are no DICOM and get no DICOM objects: %s", len(others), named(others))
    twins: dict[str, list[str]] = {}
    for names in of_each.values():
        if len(names) > 1:
            log.warning("dicom=true: %s have one SOPInstanceUID, and get no DICOM objects", named(names))
            twins |= {name: [other for other in names if other != name] for name in names}
    return DicomInputs(paths, twins)


@dataclass(frozen=True)
class DicomObjects:
    """Writer of DICOM objects.

    Attributes:
        output: Output folder. Objects are written to `dicom` below it, in a folder per file.
        equipment: Model that they are the result of.
        standard: Calibration of the scores.
        grid: Grid of the windows.
        inputs: DICOM files of the input.
    """

    output: Path
    equipment: Equipment
    standard: Calibration
    grid: PatchGrid
    inputs: DicomInputs

    def write(
        self,
        row: Row,
        place: str,
        one: Decoded,
        lung_field: npt.NDArray[np.uint8],
        anomaly: npt.NDArray[np.float32],
        likeliest: npt.NDArray[np.int8] | None,
        drawn: Image.Image,
    ) -> tuple[Row, dict[str, str]]:
        """Write the objects of one file; return its row, with their folder or why there are none, and their digests.

        Args:
            row: Row of `predictions.csv`.
            place: Path of the file's objects below `dicom`.
            one: Decoded file.
            lung_field: (H, W) uint8 of 0 and 1, fitted.
            anomaly: (H, W) float32 anomaly map, fitted, NaN where no window lies.
            likeliest: See `pipeline.Judged`.
            drawn: Overlay, RGB.
        """
        path = self.inputs.paths.get(row["file"])
        if path is None:
            return row, {}
        if others := self.inputs.twins.get(row["file"]):
            return _warned(row, f"{_NONE}: the same SOPInstanceUID as {named(others)}"), {}
        try:
            source, left_out = read_reference(path)
            segments, comments = self._segments(row, one, lung_field, anomaly, likeliest)
            made = self._made(row, source, segments, comments, drawn)
        except DataError as reason:
            return _warned(row, f"{_NONE}: {str(reason).removeprefix(f'{path}: ')}"), {}
        except Exception as reason:  # a header that no check foresaw must not end the run
            log.debug("%s", path, exc_info=True)
            return _warned(row, f"{_NONE}: its header is not taken ({type(reason).__name__}: {reason})"), {}
        digests = {}
        for kind, dataset in made.items():
            name = f"dicom/{place}/{kind}.dcm"
            file = BytesIO()
            dataset.save_as(file, enforce_file_format=True)
            digests[name] = write_picture(self.output / name, file)
        if left_out:
            row = _warned(row, f"invalid and not taken over to the DICOM objects: {', '.join(left_out)}")
        return row | {"dicom": f"dicom/{place}"}, digests

    def _made(
        self, row: Row, source: Dataset, segments: list[Segment], comments: list[str], drawn: Image.Image
    ) -> dict[str, Dataset]:
        ignore_warnings(module=r"highdicom\.")  # on names of one component, which are taken over as they are
        made = {"overlay": make_secondary_capture(np.asarray(drawn), source, self.equipment, self._derivation)}
        if segments:
            made["segmentation"] = make_segmentation(segments, source, self.equipment)
        normals, rate = self.standard.normals, self.standard.false_alarm_rate
        decides = len(normals) >= least_normals(rate)
        thresholds = self.standard.thresholds
        words = [RADIOGRAPH.fill(name) for name in thresholds.words[1:]] if thresholds is not None else []
        findings = Findings(
            score=row["score"],
            unit=self.standard.unit,
            percentile=row["percentile"],
            p_value=row["p_value"],
            threshold=conformal_threshold(normals, rate) if decides else None,
            false_alarm_rate=rate,
            kind_thresholds=dict(zip(words, thresholds.finite, strict=False)) if thresholds is not None else {},
            lung_area=row["lung_area"],
            anomalous=row["anomalous"],
            comments=[
                f"The score is {self.standard.score}; percentile and p-value among {len(normals)} "
                f"{self.standard.whose}.",
                *([] if decides else ["No threshold and no decision: too few normal radiographs for that rate."]),
                *comments,
                *(f"Warning: {words}." for words in row["warnings"].split("; ") if words),
            ],
        )
        made["report"] = make_report(findings, source, self.equipment, list(made.values()))
        return made

    @property
    def _derivation(self) -> str:
        return (
            f"Anomaly map of {self.standard.score} in colours over the radiograph, with the outline of the lung field, "
            f"reduced to at most {PICTURE_SIDE} pixels a side; colour bar, score and decision burned in beneath."
        )

    def _segments(
        self,
        row: Row,
        one: Decoded,
        lung_field: npt.NDArray[np.uint8],
        anomaly: npt.NDArray[np.float32],
        likeliest: npt.NDArray[np.int8] | None,
    ) -> tuple[list[Segment], list[str]]:
        """Return the segments, in the pixels of the file, and reasons for those that are left out."""
        segments, comments = [], []
        if (lung_field != one.content).any():
            mask = unfit_map(lung_field, one.placement, one.size) == 1
            segments.append(Segment("lung", "lung field", "Lung field, by the lung segmenter.", mask, FIELD))
        else:
            comments.append("No segment of the lung field: lungs were not looked for.")
        thresholds = self.standard.thresholds
        if thresholds is None:
            comments.append("No segments of the kinds: the model has no thresholds between them.")
            return segments, comments
        kinds = unfit_map(pixel_kinds(anomaly, likeliest, thresholds, self.grid), one.placement, one.size)
        # With two kinds the lower is no finding: it is all that is not opacity.
        for kind in thresholds.kinds if thresholds.tell_outside else (OPACITY,):
            name = KINDS[kind]
            rule = self._rule(kind, likeliest is not None and likeliest.ndim == 2)
            segments.append(Segment(name, RADIOGRAPH.fill(NAMES[name]), rule, kinds == kind, COLOURS[name]))
        return segments, comments

    def _rule(self, kind: int, of_pixels: bool) -> str:
        """Describe how pixels of a kind were found."""
        thresholds = self.standard.thresholds
        assert thresholds is not None
        if not thresholds.finite:
            where = "." if of_pixels else " in most windows around them."
            return f"Pixels of which the net finds this kind the likeliest{where}"
        low, high = ([-np.inf, *thresholds.finite, np.inf][number] for number in (kind, kind + 1))
        bounds = [f"above {low:.4g}"] * bool(np.isfinite(low)) + [f"at most {high:.4g}"] * bool(np.isfinite(high))
        return f"Pixels of the anomaly map {' and '.join(bounds)} ({self.standard.unit})."


def _warned(row: Row, words: str) -> Row:
    return row | {"warnings": "; ".join(filter(None, [row["warnings"], words]))}
