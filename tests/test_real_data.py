"""What the project says about the real radiographs, measured on them."""

import numpy as np
import pytest

from pneumo_ad.data import open_store, sources
from pneumo_ad.labels import HEALTHY, OPACITY
from pneumo_ad.metrics import auroc, true_kinds
from pneumo_ad.patches import PatchGrid

pytestmark = pytest.mark.real_data


def test_brightness_alone_tells_opacity_from_healthy_lung_as_the_digest_says(real_data):
    table = sources.masks(real_data / "opacity_masks", split="test")
    grid = PatchGrid((256, 256), 32, 20)
    store = open_store(table, grid.image_size)
    assert len(store) == 52
    known = store.table["has_lung"].to_numpy(bool) & store.table["has_opacity"].to_numpy(bool)
    kinds = true_kinds(grid.window_shares(store.lung[known]), grid.window_shares(store.opacity[known]))
    brightness = grid.window_sums(store.images[known]).reshape(kinds.shape) / 32**2
    told_apart = np.isin(kinds, (OPACITY, HEALTHY))
    assert 0.70 < auroc(brightness[told_apart], kinds[told_apart] == OPACITY) < 0.78


def test_real_masks_lie_on_their_radiographs(real_data):
    store = open_store(sources.masks(real_data / "opacity_masks", split="test"), (128, 128))
    inside = np.array([image[lung == 1].mean() for image, lung in zip(store.images, store.lung, strict=True)])
    outside = np.array([image[lung == 0].mean() for image, lung in zip(store.images, store.lung, strict=True)])
    assert (inside < outside).mean() > 0.7  # air is dark
    assert 0.1 < store.lung.mean() < 0.6
