"""Maps and overlays of each file, and their paths."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from pneumo_ad.dicom.equipment import NOT_FOR_DIAGNOSIS
from pneumo_ad.inference.predictor import Calibration
from pneumo_ad.prediction.decoding import Decoded
from pneumo_ad.prediction.dicom_objects import DicomObjects
from pneumo_ad.prediction.map_files import scale_of, write_map
from pneumo_ad.prediction.overlay import overlay, write_overlay
from pneumo_ad.prediction.remarks import voiding
from pneumo_ad.prediction.rows import Row, number

_LONGEST = 230  # bytes of a file name; file systems allow 255, including a suffix and `.partial`

MapFormat = Literal["png", "npy", "none"]


@dataclass(frozen=True)
class Pictures:
    """Writer of maps, overlays and DICOM objects.

    Attributes:
        output: Output folder. Pictures are written to `maps` and `overlays` below it, in the folders of the input, with
            whole names: `a.png` and `a.jpg` give `a.png.png` and `a.jpg.png`.
        standard: Calibration of the scores, with the unit and the scale of colours.
        maps: Format of the maps.
        overlays: Whether overlays are written.
        dicom: Writer of DICOM objects; None writes none.
    """

    output: Path
    standard: Calibration
    maps: MapFormat
    overlays: bool
    dicom: DicomObjects | None = None

    @property
    def drawn(self) -> bool:
        """Whether overlays are drawn."""
        return self.overlays or self.dicom is not None

    def write(
        self,
        row: Row,
        one: Decoded,
        lung_field: npt.NDArray[np.uint8],
        fitted: npt.NDArray[np.float32],
        likeliest: npt.NDArray[np.int8] | None = None,
    ) -> Row:
        """Write the pictures of one file, and return its row with their paths and their `digests` by name.

        Args:
            row: Row of `predictions.csv`.
            one: Decoded file.
            lung_field: (H, W) uint8 of 0 and 1.
            fitted: (H, W) float32 anomaly map, NaN where no window lies.
            likeliest: See `pipeline.Judged`.
        """
        anomaly = np.ascontiguousarray(one.placement.inner(fitted))
        row, digests = dict(row), dict[str, str]()
        if self.maps != "none":
            low, high = scale_of(anomaly)
            row |= {
                "map": f"maps/{place_of(row['file'])}.{self.maps}",
                "map_low": number(low),
                "map_high": number(high),
            }
            digests[row["map"]] = write_map(self.output / row["map"], anomaly, self.standard.unit)
        if self.drawn:
            assert one.picture is not None
            field = np.ascontiguousarray(one.placement.inner(lung_field))
            scale, unit = self._scale(anomaly), self.standard.unit
            words, bounded = in_words(row, self.standard), scale[1] == self.standard.highest
            words += [f"a research tool, {NOT_FOR_DIAGNOSIS}"] if self.dicom else []  # it leaves this folder
            drawn = overlay(one.picture, anomaly, field, scale, unit, words, bounded)
            if self.overlays:
                row["overlay"] = f"overlays/{place_of(row['file'])}.png"
                digests[row["overlay"]] = write_overlay(self.output / row["overlay"], drawn)
            if self.dicom:
                place = place_of(row["file"])
                row, objects = self.dicom.write(row, place, one, lung_field, fitted, likeliest, drawn)
                digests |= objects
        return row | {"digests": digests}

    def _scale(self, anomaly: npt.NDArray[np.float32]) -> tuple[float, float]:
        """Return the values at both ends of the colours; from the map itself without held-out normals."""
        if len(self.standard.normals):
            return self.standard.colours
        known = anomaly[~np.isnan(anomaly)]
        return (float(np.median(known)), float(known.max())) if len(known) else (0.0, 1.0)


def place_of(name: str) -> str:
    """Return the path of a file's pictures without suffix; a name too long is cut and gets a digest.

    >>> place_of("ward 3/a.png")
    'ward 3/a.png'
    """
    folder, slash, last = name.rpartition("/")
    if len(last.encode()) > _LONGEST:
        digest = hashlib.sha256(last.encode()).hexdigest()[:8]
        last = f"{last.encode()[: _LONGEST - 9].decode(errors='ignore')}-{digest}"
    return f"{folder}{slash}{last}"


def in_words(row: Row, standard: Calibration) -> list[str]:
    """Describe a file in lines: decision, score, and warnings if there are any; one line without a score.

    Args:
        row: Row of `predictions.csv`.
        standard: Calibration of the score.
    """
    if row["score"] is None:
        return [f"no score: {row['warnings']}"]
    decision = {True: "anomalous", False: "not anomalous", None: "undecided"}[row["anomalous"]]
    decided = f"{decision} at a false-alarm rate of {100 * standard.false_alarm_rate:g} %"
    if doubts := voiding(row["warnings"]):
        decided = f"undecided, as the score means nothing: {'; '.join(doubts)}"
    no_chance = " (not a probability)" if standard.highest == 1 else ""
    score = f"score {row['score']:.3g}{no_chance}"
    if row["percentile"] is not None:
        decided += "" if doubts else f" (p = {row['p_value']:.2g})"
        score += f", above {row['percentile']:.0f} % of {row['normals']} {standard.whose}"
    others = [words for words in row["warnings"].split("; ") if words and words not in doubts]
    return [decided, score, *(["; ".join(others)] if others else [])]
