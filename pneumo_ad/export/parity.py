"""Parity of an exported model with its run in PyTorch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pneumo_ad.errors import DivergedError
from pneumo_ad.export.exported_predictor import ExportedPredictor
from pneumo_ad.inference.predictor import Predictor

Values = npt.NDArray[np.floating]

TOLERANCE = 1e-4  # share of the largest value
_ROUNDING = 1e-5  # rounding of a percentile in float32


@dataclass(frozen=True)
class Parity:
    """Largest differences between an exported model and the run in PyTorch, both given the run's lung fields.

    Attributes:
        radiographs: Number of radiographs compared.
        source: Description of the radiographs, in words.
        anomaly_map: Difference of maps, as a share of the largest value in the run's maps.
        window_scores: Difference of window scores, as a share of the run's largest window score.
        score: Difference of radiograph scores, as a share of the run's largest score.
        percentile: Difference of percentiles, in percent. One normal that scores within the tolerance of a
            radiograph moves it by 100 / n, so `excess` is compared with the tolerance instead.
        excess: Distance of percentiles from the range that scores within the tolerance may give, in percent.
        lung_fields: Share of pixels where the exported segmenter's lung field differs from the run's.
        window_kinds: Share of windows whose likeliest kind differs; 0 where it is not computed.
        holes: Number of values that are NaN on one side only.
    """

    radiographs: int
    source: str
    anomaly_map: float
    window_scores: float
    score: float
    percentile: float
    excess: float
    lung_fields: float
    window_kinds: float
    holes: int

    @property
    def largest(self) -> float:
        """Largest of all differences that the tolerance applies to, as a share."""
        shares = self.anomaly_map, self.window_scores, self.score, self.lung_fields, self.window_kinds
        return max(*shares, self.excess / 100)

    @property
    def holds(self) -> bool:
        """Whether all differences lie within the tolerance and NaN values agree."""
        return not self.holes and self.largest <= TOLERANCE

    def as_dict(self) -> dict[str, Any]:
        """Return all differences as plain numbers, with the tolerance."""
        return asdict(self) | {"tolerance": TOLERANCE, "holds": self.holds}

    def __str__(self) -> str:
        return (
            f"parity with PyTorch on {self.radiographs} {self.source}: largest difference map {self.anomaly_map:.1e}, "
            f"windows {self.window_scores:.1e}, score {self.score:.1e} (each of the largest value), percentile "
            f"{self.percentile:.1e}, field {self.lung_fields:.1e} of the pixels"
            + (f", {self.holes} values on one side alone" if self.holes else "")
            + f"; {'within' if self.holds else 'NOT within'} {TOLERANCE:.0e}"
        )


def check_parity(
    reference: Predictor,
    exported: ExportedPredictor,
    images: npt.NDArray[np.uint8],
    content: npt.NDArray[np.uint8],
    source: str,
) -> Parity:
    """Compare an exported model with the run that it was exported from.

    Args:
        reference: Predictor of the run.
        exported: Exported model of that run.
        images: (b, H, W) uint8 grey levels, fitted.
        content: (b, H, W) of 0 and 1: radiograph or padding.
        source: Description of the radiographs, in words, for example `drawn images`.

    Raises:
        DivergedError: Output of the run's net that is not finite.
    """
    prediction = reference(images, content)
    if not prediction.finite.all():
        raise DivergedError(
            f"what the net gives of {(~prediction.finite).sum()} of {len(images)} {source} is not finite"
        )
    outputs: list[Values] = [*exported.inside(images, prediction.lung_fields, content)]
    kinds = (outputs.pop() != prediction.likeliest).mean() if prediction.likeliest is not None else 0.0
    expected: list[Values] = [
        prediction.maps[:, None],
        prediction.windows,
        prediction.scores,
        reference.standard.percentiles(prediction.scores),
    ]
    pairs = list(zip(outputs, expected, strict=True))
    shares = [_largest(np.abs(ours - theirs)) / (_largest(np.abs(theirs)) or 1) for ours, theirs in pairs]
    slack = TOLERANCE * _largest(np.abs(prediction.scores))
    low, high = (reference.standard.percentiles(prediction.scores + side * slack) for side in (-1, 1))
    return Parity(
        radiographs=len(images),
        source=source,
        anomaly_map=shares[0],
        window_scores=shares[1],
        score=shares[2],
        percentile=_largest(np.abs(outputs[3] - expected[3])),
        excess=_largest(np.maximum(low - outputs[3], outputs[3] - high).clip(_ROUNDING) - _ROUNDING),
        lung_fields=float((exported.lung_fields(images, content) != prediction.lung_fields).mean()),
        window_kinds=float(kinds),
        holes=sum(int((np.isnan(ours) != np.isnan(theirs)).sum()) for ours, theirs in pairs),
    )


def _largest(values: Values) -> float:
    """Largest of non-negative values, NaN ignored; 0 of an empty array."""
    return float(np.max(values, where=~np.isnan(values), initial=0))
