"""A trained run judges radiographs that are in no table and no store, exactly as its evaluation would."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pneumo_ad.compose import build
from pneumo_ad.data.intensity import Intensity
from pneumo_ad.evaluate import calibrate, scoring_of
from pneumo_ad.evaluation.calibration import Calibration, fit_thresholds
from pneumo_ad.evaluation.evidence import lung_shares
from pneumo_ad.evaluation.examination import Scoring
from pneumo_ad.prediction.judge import Judged, Standard
from pneumo_ad.prediction.loaded import Loaded
from pneumo_ad.runs import Run


class RunJudge:
    """See `Judge`.

    Args:
        run: From `load_run`. Scores of its held-out validation patients are read from the run folder, or made from its
            own data where they are at hand.
    """

    def __init__(self, run: Run) -> None:
        data = run.datamodule
        self.grid, self.fit = data.grid, data.fit
        self.view: str = data.view
        self.scoring = scoring_of(run)
        self.lungs, self.intensity = data.lungs, data.intensity
        self.standard = standard_of(run, self.scoring)

    def __call__(self, images: npt.NDArray[np.uint8], content: npt.NDArray[np.uint8]) -> Judged:
        """See `Judge`."""
        rows = np.arange(len(images))
        fields = self.lungs.of_images(images, content)
        loaded = Loaded(self.grid, self.view, _seen(self.intensity, images, fields, content), fields, content)
        shares = lung_shares(loaded, rows)
        maps = np.empty(images.shape, dtype=np.float32)
        windows = np.empty(shares.shape, dtype=np.float32)
        scores = np.empty(len(images))
        for part in self.scoring(loaded, rows, None, maps=True, alone=True):
            maps[part.rows], windows[part.rows] = part.maps["score"], part.scores["score"]
            scores[part.rows] = self.scoring.of_radiographs(part, "score", shares[part.rows], fields[part.rows])
        return Judged(fields, maps, windows, self.grid.window_shares(content) == 1, scores)


def _seen(
    intensity: Intensity,
    images: npt.NDArray[np.uint8],
    fields: npt.NDArray[np.uint8],
    content: npt.NDArray[np.uint8],
) -> npt.NDArray[np.uint8]:
    """(b, H, W) grey levels as the net sees them; where no lung was found the whole radiograph is measured."""
    each = zip(images, fields, content, strict=True)
    return np.stack([intensity.one(image, field if field.any() else inside) for image, field, inside in each])


def standard_of(run: Run, scoring: Scoring) -> Standard:
    """What a run's held-out validation patients say of its score."""
    calibration: Calibration = calibrate(run, scoring)
    thresholds, _ = fit_thresholds(calibration, build(run.config.threshold))
    normal = calibration.get("score_normal_lung", np.zeros(0))
    return Standard(
        score=type(run.module.score).__name__,
        unit=scoring.unit,
        normals=calibration.get("score_normal_images", np.zeros(0)),
        false_alarm_rate=run.config.false_alarm_rate,
        thresholds=thresholds.get("score"),
        window_range=(float(np.median(normal)), float(np.quantile(normal, 0.99))) if len(normal) else (0.0, 1.0),
    )
