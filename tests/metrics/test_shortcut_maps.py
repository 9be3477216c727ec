"""Shortcuts of pixels against their definitions written out."""

import numpy as np
import pytest
from drawn import radiograph

from pneumo_ad.metrics.shortcut_maps import PIXEL_SHORTCUTS, shortcut_map

IMAGE = radiograph(1, 48, 40, sick=True)


@pytest.mark.parametrize("name", PIXEL_SHORTCUTS)
def test_each_map_is_its_definition_written_out(name):
    # Beyond the border the outermost pixels go on: of the picture, and of its Laplacian.
    wide = np.pad(IMAGE.astype(float), 1, mode="edge")
    laplacian = np.abs(wide[:-2, 1:-1] + wide[2:, 1:-1] + wide[1:-1, :-2] + wide[1:-1, 2:] - 4 * wide[1:-1, 1:-1])
    kind, _, scale = name.partition("_")
    side = 5 if scale else 3 if kind == "contrast" else 1  # an eighth of 40
    values = np.pad(laplacian if kind == "sharpness" else IMAGE.astype(float), side // 2, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(values, (side, side))
    expected = windows.std(axis=(2, 3)) if kind == "contrast" else windows.mean(axis=(2, 3))
    found = shortcut_map(name, IMAGE)
    assert (found.shape, found.dtype) == (IMAGE.shape, np.float32)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", PIXEL_SHORTCUTS)
def test_a_brighter_exposure_changes_brightness_alone(name):
    dark, bright = shortcut_map(name, IMAGE // 2), shortcut_map(name, IMAGE // 2 + np.uint8(50))
    np.testing.assert_allclose(bright - dark, 50 * name.startswith("brightness"), atol=1e-3)
