"""Structured report of a radiograph's score: DICOM PS3.16, TID 1500 (measurement report)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydicom import Dataset

from pneumo_ad import __version__
from pneumo_ad.dicom.equipment import NAME, NOT_FOR_DIAGNOSIS, Equipment

if TYPE_CHECKING:
    from pydicom.sr.coding import Code

SCHEME = "99PNEUMO_AD"  # of concepts that no public scheme has a code for
DECISIONS = {
    True: ("ANOMALOUS", "Anomalous at the declared false-alarm rate"),
    False: ("NOT_ANOMALOUS", "Not anomalous at the declared false-alarm rate"),
    None: ("UNDECIDED", "Undecided"),
}


@dataclass(frozen=True)
class Findings:
    """Content of a report; None where a value is not known, which leaves it out.

    Attributes:
        score: Score of the radiograph.
        unit: Unit of the score.
        percentile: Percentage of held-out normals that score lower.
        p_value: Conformal p-value, in (0, 1].
        threshold: Score above which a radiograph is anomalous.
        false_alarm_rate: Declared share of normal radiographs that may be called anomalous, in (0, 1).
        kind_thresholds: Scores between kinds of windows and pixels, by name.
        lung_area: Share of the radiograph in the lung field, 0 to 1.
        anomalous: Decision; None where undecided.
        comments: Sentences: warnings, and reasons for what is left out.
    """

    score: float | None
    unit: str
    percentile: float | None
    p_value: float | None
    threshold: float | None
    false_alarm_rate: float
    kind_thresholds: dict[str, float]
    lung_area: float | None
    anomalous: bool | None
    comments: Sequence[str] = ()


def make_report(findings: Findings, source: Dataset, equipment: Equipment, beside: Sequence[Dataset] = ()) -> Dataset:
    """Build a comprehensive SR of one measurement group, unverified and preliminary.

    Args:
        findings: Values to report.
        source: Header of the radiograph (`read_reference`).
        equipment: Model that the values are of.
        beside: Other objects of the same result, recorded as evidence.
    """
    from highdicom import sr
    from highdicom.coding_schemes import CodingSchemeIdentificationItem
    from pydicom.sr.codedict import codes

    observer = sr.DeviceObserverIdentifyingAttributes(
        uid=equipment.uid(source, "observer"),
        name=NAME,
        manufacturer_name=NAME,
        model_name=equipment.model,
        serial_number=equipment.digest,
    )
    context = sr.ObservationContext(
        observer_device_context=sr.ObserverContext(
            observer_type=codes.DCM.Device, observer_identifying_attributes=observer
        )
    )
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=equipment.uid(source, "measurements"), identifier="score of the radiograph"
        ),
        algorithm_id=sr.AlgorithmIdentification(
            name=NAME,
            version=__version__,
            parameters=[f"model={equipment.model}", f"digest={equipment.digest}"],
        ),
        measurements=[sr.Measurement(name, value, unit) for name, value, unit in _measured(findings)],
        qualitative_evaluations=[
            sr.QualitativeEvaluation(_code("DECISION", "Decision"), _code(*DECISIONS[findings.anomalous]))
        ],
        source_images=[sr.SourceImageForMeasurementGroup.from_source_image(source)],
    )
    contains = sr.RelationshipTypeValues.CONTAINS
    for words in (f"A research tool: {NOT_FOR_DIAGNOSIS}.", *findings.comments):
        group[0].ContentSequence.append(sr.TextContentItem(codes.DCM.Comment, words, contains))
    content = sr.MeasurementReport(
        observation_context=context,
        procedure_reported=_of("399208008", "SCT", "Plain chest X-ray"),
        imaging_measurements=[group],
    )
    made = sr.ComprehensiveSR(
        evidence=[source, *beside],
        content=content,
        is_complete=True,
        coding_schemes=[CodingSchemeIdentificationItem(SCHEME, name=NAME, responsible_organization=NAME)],
        **equipment.attributes(source, "report"),
    )
    return equipment.finish(made, source)


def _measured(findings: Findings) -> list[tuple[Code, float, Code]]:
    """Return name, value and unit of each measurement that is known."""
    from pydicom.sr.codedict import codes

    score, ratio = _of("{score}", "UCUM", findings.unit[:64]), _of("{ratio}", "UCUM", "ratio")
    measured: list[tuple[Code, float | None, Any]] = [
        (_code("SCORE", "Anomaly score"), findings.score, score),
        (codes.DCM.PercentileRankingOfMeasurement, findings.percentile, _of("%", "UCUM", "percent")),
        (_code("P_VALUE", "Conformal p-value"), findings.p_value, ratio),
        (_code("THRESHOLD", "Score above which it is anomalous"), findings.threshold, score),
        (_code("FALSE_ALARMS", "Declared false-alarm rate"), findings.false_alarm_rate, ratio),
        *(
            (_code(f"ABOVE_{kind.upper()}", f"Score of a pixel above which it is {kind}"), value, score)
            for kind, value in findings.kind_thresholds.items()
        ),
        (_code("LUNG_AREA", "Share of the radiograph in the lung field"), findings.lung_area, ratio),
    ]
    return [(name, value, unit) for name, value, unit in measured if value is not None]


def _code(value: str, meaning: str) -> Code:
    return _of(value, SCHEME, meaning)


def _of(value: str, scheme: str, meaning: str) -> Code:
    from pydicom.sr.coding import Code

    return Code(value, scheme, meaning)
