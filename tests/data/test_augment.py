import albumentations as A
import numpy as np
import pytest
from drawn import lung_mask, radiograph

from pneumo_ad.data.augment import Augment
from pneumo_ad.runs.compose import build, compose_config


@pytest.fixture(scope="module")
def augment():
    return build(compose_config("train", ["augment=light"]).datamodule.augment)


@pytest.fixture(scope="module")
def pair():
    return radiograph(0, 64, 64), lung_mask(64, 64).astype(np.uint8)


def test_equal_seeds_give_equal_pictures_and_others_do_not(augment, pair):
    pictures = [augment(*pair, seed=seed)[0].tobytes() for seed in (1, 2, 3, 1)]
    assert pictures[0] == pictures[3]
    assert len(set(pictures)) == 3


def test_the_state_of_the_process_does_not_matter(augment, pair):
    first = augment(*pair, seed=5)
    np.random.seed(0)
    augment(*pair, seed=6)
    again = Augment(augment._compose.transforms)(*pair, seed=5)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


def test_shape_type_and_values_are_kept(augment, pair):
    for seed in range(10):
        image, lung = augment(*pair, seed=seed)
        assert image.shape == lung.shape == (64, 64)
        assert image.dtype == lung.dtype == np.uint8
        assert set(np.unique(lung)) <= {0, 1}
        assert 0.5 < lung.mean() / pair[1].mean() < 1.5


def test_the_lung_field_moves_with_the_radiograph():
    image = np.zeros((32, 32), dtype=np.uint8)
    image[4:12, 6:20] = 255
    augment = Augment([A.HorizontalFlip(p=1.0), A.Affine(translate_percent=0.1, p=1.0)])
    moved, lung = augment(image, (image > 0).astype(np.uint8), seed=0)
    assert not np.array_equal(moved, image)
    assert ((moved > 127) == (lung == 1)).mean() > 0.98


def test_all_changes_each_radiograph_by_its_own_seed(augment, pair):
    images, lungs = np.stack([pair[0]] * 3), np.stack([pair[1]] * 3)
    first, fields = augment.all(images, lungs, (5, 6, 5))
    assert not np.array_equal(first[0], first[1])
    assert np.array_equal(first[0], first[2])
    for number, seed in enumerate((5, 6, 5)):
        alone = augment(*pair, seed=seed)
        assert np.array_equal(first[number], alone[0])
        assert np.array_equal(fields[number], alone[1])
