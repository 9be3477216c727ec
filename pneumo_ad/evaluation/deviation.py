"""How far maps of `scoring=dense` are from those of exact windows, on some of the radiographs that are scored."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from pneumo_ad.data.datamodule import PatchDataModule
from pneumo_ad.errors import ConfigError, DivergedError
from pneumo_ad.evaluation.evidence import gather_evidence
from pneumo_ad.evaluation.scoring import Scoring
from pneumo_ad.metrics.pixels import HEALTHY_LUNG, IN_OPACITY, NOT_KNOWN, OUTSIDE_LUNG
from pneumo_ad.nets.reach import reach_of
from pneumo_ad.patches import PatchGrid
from pneumo_ad.scoring import Loaded, Radiographs
from pneumo_ad.spread import spread

log = logging.getLogger(__name__)

LEAST_SPEARMAN = 0.98
MOST_DIFFERENCE = 0.01  # of the area under the ROC curve
_TRUTHS = 50  # radiographs with truth among which those with opacities are looked for
_IMAGES, _WINDOWS = 6, 2000  # radiographs, and windows of each, at most

Maps = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Deviation:
    """Dense maps against those of windows.

    Attributes:
        spearman: Mean over radiographs of the rank correlation over covered pixels; NaN where all maps are flat.
        largest: Largest difference at any pixel, in units of the score.
        auroc: Difference (dense less windows) of the area under the ROC curve of opacity against healthy lung, over the
            pixels of all; None where no opacity is known.
        images: How many radiographs were looked at.
        halo: Pixels of surroundings that windows had.
        needed: The halo from which on both are the same.
    """

    spearman: float
    largest: float
    auroc: float | None
    images: int
    halo: int
    needed: int

    @property
    def told(self) -> bool:
        """Whether the radiographs showed anything by which maps could be ranked."""
        return not math.isnan(self.spearman)

    def metrics(self) -> dict[str, float]:
        """By key of `metrics.json`."""
        found: dict[str, float] = {
            "dense/largest_difference": self.largest,
            "counts/images_dense_and_windows": self.images,
        }
        if self.told:
            found["dense/spearman"] = self.spearman
        return found if self.auroc is None else found | {"dense/auroc_in_lung_difference": self.auroc}

    def __str__(self) -> str:
        """In words.

        >>> str(Deviation(0.9912, 1.5, None, 6, halo=0, needed=14))
        'dense maps against exact windows, 6 radiographs: Spearman 0.9912, largest difference 1.5'
        """
        words = f"dense maps against exact windows, {self.images} radiographs: Spearman {self.spearman:.4f}"
        words += f", largest difference {self.largest:.2g}"
        return words if self.auroc is None else f"{words}, AUROC in the lung {self.auroc:+.4f}"

    def check(self) -> None:
        """See that they are near enough.

        Raises:
            ConfigError: They are not; names the figures and what works.
        """
        if not self.told or (self.spearman >= LEAST_SPEARMAN and abs(self.auroc or 0) <= MOST_DIFFERENCE):
            return
        exact = f"halo={self.needed}, which makes both the same, or " if self.halo < self.needed else ""
        raise ConfigError(
            f"scoring=dense does not suit this run with halo={self.halo}: {self} (needed: Spearman {LEAST_SPEARMAN}, "
            f"AUROC within {MOST_DIFFERENCE}); what works: {exact}scoring=windows"
        )


def measure_deviation(
    scoring: Scoring,
    data: Radiographs,
    rows: npt.NDArray[np.int64],
    truths: Mapping[int, npt.NDArray[np.int8]] | None = None,
) -> Deviation:
    """Score a few radiographs both ways.

    Args:
        scoring: With `mode="dense"`.
        data: Whose radiographs.
        rows: (I,) of its images to choose from; those with truth first.
        truths: By place in `rows`, (H, W) of `metrics.pixels`.

    Raises:
        ConfigError: See `reach_of`.
        DivergedError: Maps that are not finite.
    """
    # First of all: a net that cannot run over whole radiographs is refused before anything is scored.
    needed = reach_of(scoring.net, data.grid.patch + 2 * scoring.halo).halo(data.grid.patch)
    grid = _some_windows(data.grid)
    known = {place: np.where(grid.covered, truth, NOT_KNOWN) for place, truth in (truths or {}).items()}
    telling = [place for place, truth in known.items() if {HEALTHY_LUNG, IN_OPACITY} <= set(np.unique(truth))]
    places = sorted(telling) or list(range(len(rows)))
    most = max(1, min(_IMAGES, _IMAGES * _WINDOWS // len(grid)))
    places = [places[i] for i in spread(len(places), most)]
    chosen = rows[places]
    some = Loaded(grid, data.view, data.images[chosen], data.lung_fields[chosen], data.content(chosen))
    ways = (scoring, replace(scoring, mode="windows"))
    dense, exact = (
        np.concatenate([part.maps["score"] for part in way(some, np.arange(len(chosen)), None, maps=True, alone=True)])
        for way in ways
    )
    covered = grid.covered
    if not (np.isfinite(dense[:, covered]).all() and np.isfinite(exact[:, covered]).all()):
        raise DivergedError("what the net gives of the radiographs that were looked at first is not finite")
    truth = [known[place] for place in places] if telling else []
    return Deviation(
        _correlation(dense[:, covered], exact[:, covered]),
        float(np.abs(dense - exact)[:, covered].max()),
        _auroc(dense, truth) - _auroc(exact, truth) if telling else None,
        len(places),
        scoring.halo,
        needed,
    )


def _some_windows(grid: PatchGrid) -> PatchGrid:
    """Every k-th window, for exact ones are what takes long; but without gaps between them, however many that takes."""
    widest = replace(grid, stride=max(1, grid.patch // grid.stride) * grid.stride)
    return grid.thinned(max(_WINDOWS, len(widest)))


def _correlation(dense: Maps, exact: Maps) -> float:
    """Mean over radiographs; a flat map has no ranks, and NaN where there is no other."""
    pairs = zip(dense, exact, strict=True)
    found = [spearmanr(one, other).statistic for one, other in pairs if np.ptp(one) > 0 and np.ptp(other) > 0]
    return float(np.mean(found)) if found else math.nan


def _auroc(maps: Maps, truths: list[npt.NDArray[np.int8]]) -> float:
    truth = np.stack(truths)
    lung = truth > OUTSIDE_LUNG
    return float(roc_auc_score(truth[lung] == IN_OPACITY, maps[lung]))


def look_at_deviation(scoring: Scoring, data: PatchDataModule, rows: npt.NDArray[np.int64]) -> Deviation | None:
    """Of dense maps from exact windows, in the log and looked at before hours of scoring; None for exact windows.

    Args:
        scoring: How the run scores.
        data: Whose radiographs.
        rows: (I,) that will be scored.

    Raises:
        ConfigError: It is too large, or the net cannot run over whole radiographs.
    """
    if scoring.mode != "dense" or data.view != "patch":
        return None
    known = rows[data.truth.known[rows]]
    known = known[spread(len(known), _TRUTHS)]
    chosen = known if len(known) else rows
    deviation = measure_deviation(scoring, data, chosen, gather_evidence(data, chosen).pixel_truth)
    log.info("%s", deviation)
    deviation.check()
    return deviation
