"""How far dense maps are from exact windows: measured where windows lie, in bounded time."""

import numpy as np
import pytest
import torch

from pneumo_ad.aggregates import Mean
from pneumo_ad.evaluation.deviation import measure_deviation
from pneumo_ad.evaluation.scoring import Scoring
from pneumo_ad.metrics.pixels import HEALTHY_LUNG, IN_OPACITY, NOT_KNOWN
from pneumo_ad.nets import UNetAutoencoder
from pneumo_ad.patches import PatchGrid
from pneumo_ad.scores import SAD
from pneumo_ad.scoring import Loaded

torch.manual_seed(0)
NET = UNetAutoencoder(width=2, depth=1).eval()
# Every k-th of their windows, few enough, leaves a border uncovered that all of them cover, or gaps.
GRIDS = [PatchGrid((64, 64), 16, 1), PatchGrid((80, 80), 4, 3), PatchGrid((96, 96), 8, 8), PatchGrid((60, 60), 4, 9)]


def deviation_of(grid, truth, images=2):
    pictures = np.random.default_rng(0).integers(0, 256, (images, *grid.image_size), dtype=np.uint8)
    ones = np.ones_like(pictures)
    scoring = Scoring(NET, SAD(), "score", 256, torch.float32, Mean(), mode="dense", halo=2)
    truths = dict.fromkeys(range(images), np.where(grid.covered, truth, NOT_KNOWN).astype(np.int8))
    return measure_deviation(scoring, Loaded(grid, "patch", pictures, ones, ones), np.arange(images), truths)


@pytest.mark.parametrize("most", [50, 600])
@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_truth_that_the_windows_taken_do_not_cover_is_left_out(grid, most, monkeypatch):
    monkeypatch.setattr("pneumo_ad.evaluation.deviation._WINDOWS", most)
    truth = np.full(grid.image_size, HEALTHY_LUNG)
    truth[20:30, 20:30] = IN_OPACITY
    found = deviation_of(grid, truth)
    assert found.auroc is not None
    assert abs(found.auroc) < 1
    assert np.isfinite([found.spearman, found.largest]).all()


def test_opacity_that_lies_where_no_window_taken_does_tells_nothing(monkeypatch):
    monkeypatch.setattr("pneumo_ad.evaluation.deviation._WINDOWS", 120)
    grid = PatchGrid((64, 64), 16, 1)  # 120 windows: every 5th, which leaves 3 pixels
    truth = np.full(grid.image_size, HEALTHY_LUNG)
    truth[62:] = IN_OPACITY
    assert deviation_of(grid, truth).auroc is None


@pytest.mark.parametrize(("patch", "stride", "images"), [(8, 1, 5), (8, 8, 5), (32, 16, 6)])
def test_windows_leave_no_gap_and_fewer_radiographs_are_scored_instead(patch, stride, images, monkeypatch):
    grid = PatchGrid((96, 96), patch, stride)
    monkeypatch.setattr("pneumo_ad.evaluation.deviation._WINDOWS", 120)
    seen = []
    monkeypatch.setattr(
        "pneumo_ad.evaluation.deviation.Loaded", lambda taken, *rest: seen.append(taken) or Loaded(taken, *rest)
    )
    assert deviation_of(grid, np.zeros(grid.image_size), images=8).images == images
    assert seen[0].stride <= patch
    assert seen[0].stride % stride == 0
    assert len(seen[0]) * images <= 6 * 120
