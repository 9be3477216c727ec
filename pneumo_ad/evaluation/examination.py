"""Scores of radiographs: of every window, of maps with known truth, and of whole radiographs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pneumo_ad.data.evenly_spaced import evenly_spaced
from pneumo_ad.data.radiographs import Radiographs
from pneumo_ad.evaluation.ground_truth import gather_ground_truth
from pneumo_ad.inference.lung_shares import lung_shares
from pneumo_ad.inference.scorer import Scoring, placed
from pneumo_ad.metrics.catalogue import GroundTruth
from pneumo_ad.patches import PatchGrid
from pneumo_ad.runs.calibration import JUDGED
from pneumo_ad.runs.scorer import check_finite

_SHOWN = 4  # radiographs of each class in a figure


@dataclass(frozen=True)
class Examination:
    """Scores of I radiographs with their ground truth.

    Attributes:
        rows: (I,) row numbers in the store.
        grid: Grid of the N windows of each radiograph that are kept.
        evidence: Ground truth of these windows and radiographs, from masks and labels.
        window: Score name -> (I, N) scores of windows; with `sad` where the net reconstructs patches.
        image: Score name -> (I,) scores of radiographs.
        pixel: Score name -> place in `rows` -> (H, W) anomaly map, for the radiographs of `GroundTruth.pixel_truth`.
        maps: Place in `rows` -> (H, W) map of the run's score, for the radiographs that figures show.
        likeliest: (I, N) the net's likeliest kind of each window; None unless kinds are decided by it.
    """

    rows: npt.NDArray[np.int64]
    grid: PatchGrid
    evidence: GroundTruth
    window: dict[str, npt.NDArray[np.float32]]
    image: dict[str, npt.NDArray[np.float64]]
    pixel: dict[str, dict[int, npt.NDArray[np.float32]]]
    maps: dict[int, npt.NDArray[np.float32]]
    likeliest: npt.NDArray[np.int8] | None = None


def examine(scoring: Scoring, data: Radiographs, rows: npt.NDArray[np.int64]) -> Examination:
    """Score every window of some radiographs and gather their ground truth from masks and labels.

    All windows are in memory for a few radiographs at a time; only the windows of `Scoring.kept` are returned.

    Args:
        scoring: Scoring of the run.
        data: Radiographs, with their lung fields and windows.
        rows: (I,) row numbers in the store.
    """
    grid = scoring.kept(data)
    evidence = gather_ground_truth(data, rows, grid)
    names, numbers = scoring.names(data), data.grid.numbers_of(grid)
    window = {name: np.empty((len(rows), len(grid)), dtype=np.float32) for name in names}
    image = {name: np.empty(len(rows)) for name in names}
    pixel: dict[str, dict[int, npt.NDArray[np.float32]]] = {name: {} for name in JUDGED}
    likeliest = np.empty((len(rows), len(grid)), dtype=np.int8) if scoring.likeliest else None
    shown = typical_places(evidence)
    maps: dict[int, npt.NDArray[np.float32]] = {}
    for here, scored in placed(scoring(data, rows, "scoring", maps=True)):
        check_finite(scored, scored.rows, data)
        fields, shares = data.lung_fields[scored.rows], lung_shares(data, scored.rows)
        for name, values in scored.scores.items():
            window[name][here] = values[:, numbers]
            image[name][here] = scoring.of_radiographs(scored, name, shares, fields)
        if likeliest is not None and scored.likeliest is not None:
            likeliest[here] = scored.likeliest[:, numbers]
        for i, place in enumerate(range(here.start, here.stop)):
            if place in evidence.pixel_truth:
                for name, kept in pixel.items():
                    kept[place] = scored.maps[name][i].copy()
            if place in shown:
                maps[place] = scored.maps["score"][i].copy()
    return Examination(rows, grid, evidence, window, image, pixel, {place: maps[place] for place in shown}, likeliest)


def typical_places(evidence: GroundTruth, most: int = _SHOWN) -> list[int]:
    """Choose places of radiographs to show: pneumonia, then normal; within a class only known opacities, if any.

    Args:
        evidence: Ground truth of the radiographs, from masks and labels.
        most: Largest number of radiographs of each class.
    """
    chosen: list[int] = []
    for group in (evidence.pneumonia, evidence.normal):
        with_truth = [i for i in np.flatnonzero(group) if i in evidence.pixel_truth]
        places = with_truth or np.flatnonzero(group).tolist()
        chosen += [int(places[i]) for i in evenly_spaced(len(places), most)]
    return sorted(set(chosen), key=chosen.index) or list(range(min(most, len(evidence.patient))))
