"""Everything that `metrics.json` tells of an examination, put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from pneumo_ad.data.datamodule import PatchDataModule
from pneumo_ad.evaluation.calibration import JUDGED, Calibration
from pneumo_ad.evaluation.examination import Examination, Scoring
from pneumo_ad.files import whole
from pneumo_ad.metrics.headline import (
    Measured,
    Questions,
    counts,
    headline,
    sad_medians,
)
from pneumo_ad.thresholds import Thresholds


@dataclass
class Findings:
    """Metrics, and the reason for each that the data do not allow.

    Attributes:
        metrics: Flat keys of `metrics.json`.
        omitted: Key -> reason.
        tables: Name of a csv -> its rows.
    """

    metrics: dict[str, float] = field(default_factory=dict)
    omitted: dict[str, str] = field(default_factory=dict)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)

    def add(self, found: tuple[Mapping[str, float], Mapping[str, str]], prefix: str = "") -> None:
        """Take over metrics and omissions."""
        metrics, omitted = found
        self.metrics |= {prefix + key: value for key, value in metrics.items()}
        self.omitted |= {prefix + key: reason for key, reason in omitted.items()}

    def write_tables(self, folder: Path) -> None:
        """Each as csv."""
        for name, rows in self.tables.items():
            with whole(folder / f"{name}.csv") as aside:
                rows.to_csv(aside, index=False, float_format="%.6g")


def measure(
    scoring: Scoring,
    data: PatchDataModule,
    result: Examination,
    calibration: Calibration,
    thresholds: Mapping[str, Thresholds],
    false_alarm_rate: float,
    matched: bool,
) -> Findings:
    """Measure an examination.

    Args:
        scoring: That made it.
        data: Whose radiographs they are.
        result: Scored radiographs.
        calibration: Scores of held-out validation patients.
        thresholds: By score, those that could be fitted.
        false_alarm_rate: Declared, for decisions from normals alone.
        matched: Whether to score the radiographs again with all brought to one aspect, sharpness and intensity.
    """
    findings = Findings()
    evidence = result.evidence
    questions = Questions.about(evidence)
    for name in JUDGED:
        kind = thresholds[name].classify(result.window[name]) if name in thresholds else None
        measured = Measured(result.window[name], kind, result.pixel[name], result.image[name])
        findings.add(headline(evidence, measured, questions), "" if name == "score" else f"{name}/")
    if "sad" in result.window:
        findings.add(sad_medians(result.window["sad"], evidence))
    findings.metrics |= counts(evidence)
    return findings
