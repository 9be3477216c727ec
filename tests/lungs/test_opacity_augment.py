import numpy as np
import pytest
from drawn import lung_mask, radiograph

from pneumo_ad.data.augment import Augment
from pneumo_ad.lungs.opacity_augment import OpacityAugment, white_out


def draw(seed, image=None, lung=None, **options):
    image = radiograph(0, spine=False) if image is None else image
    lung = lung_mask(96, 80).astype(np.uint8) if lung is None else lung
    return Augment([OpacityAugment(p=1.0, **options)])(image, lung, seed)


@pytest.mark.parametrize("white", [0.0, 1.0])
def test_the_mask_stays_and_the_lung_grows_brighter(white):
    image, lung = radiograph(0, spine=False), lung_mask(96, 80)
    drawn = [draw(seed, white_out=white) for seed in range(20)]
    assert all((mask == lung).all() for _, mask in drawn)
    assert all(picture.dtype == np.uint8 and picture.shape == image.shape for picture, _ in drawn)
    assert np.mean([picture[lung].mean() for picture, _ in drawn]) > image[lung].mean() + 5


def test_what_is_far_from_the_lung_stays():
    image = radiograph(0, spine=False)
    for seed in range(10):
        changed = draw(seed, times=3)[0] != image
        assert not changed[:, :1].any()
        assert changed.any()


def test_equal_seeds_draw_equal_opacities_and_others_do_not():
    assert (draw(3)[0] == draw(3)[0]).all()
    assert (draw(3)[0] != draw(4)[0]).any()


def test_without_a_lung_nothing_is_drawn():
    image, nothing = radiograph(0, spine=False), np.zeros((96, 80), np.uint8)
    for white in (0.0, 1.0):
        assert (draw(0, lung=nothing, white_out=white)[0] == image).all()


def test_a_white_out_can_hide_the_border():
    image, lung = radiograph(1).astype(np.float32) / 255, lung_mask(96, 80)
    contrast = [
        abs(float(white[lung].mean() - white[~lung].mean()))
        for white in (white_out(image, lung, np.random.default_rng(seed)) for seed in range(40))
    ]
    plain = abs(float(image[lung].mean() - image[~lung].mean()))
    assert min(contrast) < 0.3 * plain
    assert max(contrast) < plain
