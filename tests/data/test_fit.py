import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumo_ad.data.fit import fit_image, fit_mask, place, unfit_map
from pneumo_ad.errors import ConfigError
from pneumo_ad.patches.placement import Placement

sides = st.integers(1, 300)


@given(sides, sides, sides, sides)
def test_squash_fills_the_image(height, width, to_height, to_width):
    assert place((height, width), (to_height, to_width), "squash") == Placement(0, 0, to_height, to_width)


@given(sides, sides, sides, sides)
def test_pad_keeps_the_aspect_to_a_pixel_and_stays_inside(height, width, to_height, to_width):
    p = place((height, width), (to_height, to_width), "pad")
    scale = min(to_height / height, to_width / width)
    assert abs(p.height - max(height * scale, 1)) <= 0.5
    assert abs(p.width - max(width * scale, 1)) <= 0.5
    assert p.height == to_height or p.width == to_width
    assert min(p.top, p.left) >= 0
    assert p.top + p.height <= to_height
    assert p.left + p.width <= to_width
    assert abs((to_height - p.height) - 2 * p.top) <= 1  # centred


@pytest.mark.parametrize("fit", ["squash", "pad"])
@pytest.mark.parametrize("size", [(40, 60), (60, 40), (7, 200), (64, 64), (1, 1)])
def test_a_white_radiograph_is_white_where_it_lies_and_black_beside(fit, size):
    image, p = fit_image(np.full(size, 255, dtype=np.uint8), (64, 48), fit)
    assert image.shape == (64, 48)
    assert image.dtype == np.uint8
    inside = np.zeros((64, 48), dtype=bool)
    inside[p.top : p.top + p.height, p.left : p.left + p.width] = True
    assert (image[inside] == 255).all()
    assert (image[~inside] == 0).all()


@given(sides, sides, sides, sides)
def test_content_is_where_the_radiograph_lies(height, width, to_height, to_width):
    p = place((height, width), (to_height, to_width), "pad")
    content = p.content((to_height, to_width))
    assert content.sum() == p.height * p.width
    assert p.inner(content).shape == (p.height, p.width)
    assert p.inner(content).all()
    stacked = np.arange(2 * content.size).reshape(2, 1, *content.shape)
    assert np.array_equal(p.inner(stacked)[1, 0], p.inner(stacked[1, 0]))
    assert np.shares_memory(p.inner(stacked), stacked)


def test_an_image_of_the_wanted_size_is_kept():
    image = np.random.default_rng(0).integers(0, 256, (48, 64), dtype=np.uint8)
    for fit in ("squash", "pad"):
        assert np.array_equal(fit_image(image, (48, 64), fit)[0], image)
        assert np.array_equal(fit_image(image / np.float32(255), (48, 64), fit)[0], image)


def test_shrinking_is_antialiased():
    stripes = np.tile(np.array([0, 255], dtype=np.uint8), (64, 32))
    shrunk, _ = fit_image(stripes, (16, 16), "squash")
    assert np.abs(shrunk[:, 1:-1].astype(int) - 127).max() < 20


@pytest.mark.parametrize("fit", ["squash", "pad"])
@pytest.mark.parametrize("size", [(40, 60), (60, 40), (100, 100)])
def test_unfit_undoes_fit(fit, size):
    y, x = np.mgrid[0 : size[0], 0 : size[1]]
    smooth = (x / size[1] + y / size[0]).astype(np.float32) / 2
    fitted, p = fit_image(smooth, (128, 128), fit)
    back = unfit_map(fitted.astype(np.float32) / 255, p, size)
    assert back.shape == size
    assert np.abs(back - smooth).max() < 0.03


def test_unfit_keeps_what_is_not_covered_apart():
    fitted = np.full((8, 8), np.nan, dtype=np.float32)
    fitted[2:6, :4] = 5
    back = unfit_map(fitted, place((4, 8), (8, 8), "pad"), (16, 32))
    assert (back[:, :16] == 5).all()
    assert np.isnan(back[:, 16:]).all()


def test_masks_stay_masks():
    rng = np.random.default_rng(0)
    mask = rng.random((50, 70)) < 0.5
    fitted = fit_mask(mask, (32, 32), "squash")
    assert set(np.unique(fitted)) <= {0, 1}
    assert np.array_equal(fit_mask(mask, (50, 70), "pad"), mask)
    assert fit_mask(np.ones((9, 3), dtype=bool), (32, 32), "squash").all()


def test_an_unknown_fit_is_refused():
    with pytest.raises(ConfigError, match="fit='crop' is not known; expected 'squash' or 'pad'"):
        place((4, 4), (8, 8), "crop")
