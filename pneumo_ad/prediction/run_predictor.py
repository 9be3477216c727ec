"""Predictor of a trained run for radiographs without table or store, with the scores of its evaluation."""

from __future__ import annotations

import hashlib
import logging
from contextlib import nullcontext

import numpy as np
import numpy.typing as npt
import pandas as pd

from pneumo_ad.data.lung_fields import LungFields
from pneumo_ad.data.sources.table import REQUIRED
from pneumo_ad.errors import ConfigError, DamagedError, DataError, UserError
from pneumo_ad.inference.lung_shares import lung_shares
from pneumo_ad.inference.predictor import Calibration, Prediction
from pneumo_ad.inference.radiographs import Loaded
from pneumo_ad.inference.reconstruct import reconstructed
from pneumo_ad.inference.scorer import Scoring
from pneumo_ad.lungs.fields import AutoFields, FileFields
from pneumo_ad.metrics.thresholds import LikeliestKind, RuleOfNormals
from pneumo_ad.runs.calibration import ValidationScores, fit_thresholds, tells_outside, validation_scores
from pneumo_ad.runs.check_options import check_options
from pneumo_ad.runs.checkpoints import weights_digest
from pneumo_ad.runs.dot_hydra import CONFIG
from pneumo_ad.runs.past import as_first_known
from pneumo_ad.runs.run import Run, explained, named
from pneumo_ad.runs.scorer import scoring_of
from pneumo_ad.saved import file_digest

log = logging.getLogger(__name__)

# A placeholder table: fit and grid come from the config, no file of the run's own data is needed.
_NO_DATA = pd.DataFrame([dict.fromkeys(REQUIRED, "") | {"image": "none", "label": "other", "split": "test"}])


class RunPredictor:
    """Predictor of a trained run; see `Predictor`.

    Args:
        run: Opened run, from `load_run`.
        calibration: Scores of the held-out validation patients (`validation_scores`), empty where not available. None
            reads them from the run folder, or computes them from the run's own data where available.
    """

    def __init__(self, run: Run, calibration: ValidationScores | None = None) -> None:
        # What was typed may be what is wrong: then no file is named.
        of_file = nullcontext() if run.overrides else named(run.folder / CONFIG, ConfigError)
        with explained(run.folder, ConfigError), of_file:
            check_options(run.config)
        data = run.some_radiographs(_NO_DATA)
        self.grid, self.fit = data.grid, data.fit
        self.view: str = data.view
        self.vocabulary = run.vocabulary
        self.scoring = scoring_of(run)
        self.lungs, self.intensity = data.lungs, data.intensity
        calibration = _held_out(run, self.scoring) if calibration is None else calibration
        self.standard, self.notes = standard_of(run, self.scoring, calibration)
        self.identity = _identity(run, self.standard)
        if _measured_in_files(run, self.lungs):
            self.notes.append(
                f"held-out normals of the run were measured inside {self.vocabulary.region} masks of files, these "
                f"{self.vocabulary.images} inside fields of the segmenter; lungs=segmenter measures both in one way"
            )

    def __call__(self, images: npt.NDArray[np.uint8], content: npt.NDArray[np.uint8]) -> Prediction:
        """See `Predictor`."""
        rows = np.arange(len(images))
        fields = self.lungs.of_images(images, content)
        loaded = Loaded(self.grid, self.view, self.intensity.of_images(images, fields, content), fields, content)
        shares = lung_shares(loaded, rows)
        maps = np.empty(images.shape, dtype=np.float32)
        windows = np.empty(shares.shape, dtype=np.float32)
        scores = np.empty(len(images))
        likeliest = np.empty(shares.shape, dtype=np.int8) if self.scoring.likeliest else None
        pixels = np.empty(images.shape, dtype=np.int8) if self.scoring.likeliest else None
        for scored in self.scoring(loaded, rows, None, maps=True, alone=True):
            maps[scored.rows], windows[scored.rows] = scored.maps["score"], scored.scores["score"]
            scores[scored.rows] = self.scoring.of_radiographs(scored, "score", shares[scored.rows], fields[scored.rows])
            if likeliest is not None and scored.likeliest is not None:
                likeliest[scored.rows] = scored.likeliest
            if pixels is not None and scored.likeliest_pixels is not None:
                pixels[scored.rows] = scored.likeliest_pixels
        return Prediction.of(fields, maps, windows, scores, content, self.grid, likeliest, pixels)

    def reconstructed(
        self, image: npt.NDArray[np.uint8], field: npt.NDArray[np.uint8], content: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]] | None:
        """Reconstruct one radiograph; see `inference.reconstruct.reconstructed`.

        Args:
            image: (H, W) uint8 fitted grey levels.
            field: (H, W) uint8 lung field of 0 and 1.
            content: (H, W) uint8 mask, 1 for radiograph and 0 for padding.

        Returns:
            (H, W) uint8 reconstruction and (H, W) float32 residual; None for a net of whole radiographs.
        """
        if self.view != "patch":
            return None
        seen = self.intensity.of_images(image[None], field[None], content[None])[0]
        return reconstructed(self.scoring, self.grid, seen)


def _measured_in_files(run: Run, lungs: LungFields) -> bool:
    """Whether the run used lung masks of its own radiographs; False where these are not available."""
    if not isinstance(lungs, AutoFields):
        return isinstance(lungs, FileFields)
    try:
        return bool((run.radiographs.table["lung"] != "").any())
    except UserError:
        return False


def _held_out(run: Run, scoring: Scoring) -> ValidationScores:
    try:
        return validation_scores(run, scoring)
    except DamagedError:
        raise
    except DataError as reason:
        log.warning("held-out normals of the run are not at hand: %s", reason)  # holds paths: only logged
        return {}


def standard_of(run: Run, scoring: Scoring, calibration: ValidationScores) -> tuple[Calibration, list[str]]:
    """Build the calibration of a run's score from held-out validation patients, and notes on its limits.

    Args:
        run: Opened run.
        scoring: Scoring of the run.
        calibration: Scores of these patients; empty where not available.
    """
    notes = []
    if not calibration:
        kinds = isinstance(run.threshold, LikeliestKind)  # kinds need no normals
        lacking = "percentiles and decisions" if kinds else "percentiles, decisions and kinds"
        notes.append(f"no {lacking}: held-out normals of the run are not at hand")
    three = tells_outside(run, scoring, calibration)
    thresholds, unfitted = fit_thresholds(calibration, run.threshold, three)
    if calibration and "score" in unfitted:
        notes.append(f"no kinds of window: {unfitted['score']}")
    normal = calibration.get("score_normal_lung", np.zeros(0))
    standard = Calibration(
        score=type(run.module.score).__name__,
        unit=scoring.unit,
        normals=calibration.get("score_normal_images", np.zeros(0)),
        false_alarm_rate=run.options.false_alarm_rate,
        thresholds=thresholds.get("score"),
        window_range=(float(np.median(normal)), float(np.quantile(normal, 0.99))) if len(normal) else (0.0, 1.0),
        rule=RuleOfNormals.of(run.threshold, three),
        highest=scoring.highest,
    )
    return standard, [*notes, *standard.limits]


def _identity(run: Run, standard: Calibration) -> str:
    options = run.options.changing("scores", "decisions")
    if options["precision"] == "float32":
        del options["precision"]  # unknown to earlier versions, whose identities stay valid
    parts = as_first_known([*options.values()])
    digest = hashlib.sha256(repr([parts, standard.thresholds, standard.window_range]).encode())
    digest.update(weights_digest(run.module.net).encode())
    digest.update(file_digest(run.lung_weights)[:12].encode())
    digest.update(np.sort(standard.normals).tobytes())
    return digest.hexdigest()[:16]
