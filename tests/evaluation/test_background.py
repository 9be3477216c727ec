import numpy as np
import pytest
from drawn import radiograph

from pneumo_ad.evaluation.background import background


def flood(dark):
    """Pixels reached from the border, one step at a time."""
    reached = np.zeros_like(dark)
    todo = [(y, x) for y, x in np.ndindex(dark.shape) if y in (0, dark.shape[0] - 1) or x in (0, dark.shape[1] - 1)]
    while todo:
        y, x = todo.pop()
        if 0 <= y < dark.shape[0] and 0 <= x < dark.shape[1] and dark[y, x] and not reached[y, x]:
            reached[y, x] = True
            todo += [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
    return reached


@pytest.mark.parametrize("seed", range(5))
def test_it_is_what_a_flood_from_the_border_reaches(seed):
    rng = np.random.default_rng(seed)
    image = np.where(rng.random((30, 40)) < 0.55, rng.integers(0, 28, (30, 40)), 200).astype(np.uint8)
    assert (background(image) == flood(image <= 0.15 * np.quantile(image, 0.99))).all()
    assert 0 < background(image).mean() < (image < 100).mean()


def test_lungs_are_not_background_and_air_is():
    image = radiograph(0, 96, 80)
    assert not background(image).any()
    wide = np.pad(image, ((0, 0), (12, 9)), constant_values=4)
    air = background(wide)
    assert air[:, :12].all()
    assert air[:, -9:].all()
    assert not air[:, 12:-9].any()


def test_dark_lungs_inside_the_body_are_not_background():
    image = np.full((40, 40), 150, dtype=np.uint8)
    image[10:30, 10:20] = 2
    image[:, 38:] = 2
    air = background(image)
    assert air[:, 38:].all()
    assert air.sum() == 80


def test_exposure_does_not_change_it():
    image = np.pad(radiograph(1, 64, 64), 8, constant_values=3)
    assert (background(image) == background((image * 0.5).astype(np.uint8))).all()


def test_an_image_of_one_grey_level_has_none_unless_it_is_black():
    assert not background(np.full((8, 8), 90, dtype=np.uint8)).any()
    assert background(np.zeros((8, 8), dtype=np.uint8)).all()
