import numpy as np
import pytest
from drawn import write_set

from pneumo_ad.data import Radiographs, sources
from pneumo_ad.data.intensity import AsStored, LungFieldIntensity, normalise
from pneumo_ad.errors import ConfigError
from pneumo_ad.lungs import FileFields


@pytest.fixture
def table(tmp_path):
    return sources.masks(write_set(tmp_path / "set"), val=0.2, test=0.2)


def test_as_stored_is_the_store(table):
    data = Radiographs(table, image_size=64, patch=16, lungs=FileFields(), intensity=AsStored())
    assert np.array_equal(data.images, data.store.images)


def test_exposure_is_taken_out(table):
    data = Radiographs(table, image_size=64, patch=16, lungs=FileFields(), intensity=LungFieldIntensity())
    for image, stored, field in zip(data.images, data.store.images, data.lung_fields, strict=True):
        assert np.quantile(image[field == 1], [0.05, 0.95]) == pytest.approx([48, 144], abs=2)
        darker = np.rint(stored * 0.5 + 20).astype(np.uint8)
        again = normalise(darker, field, 0.05, 0.95)
        assert np.abs(again[field == 1].astype(int) - image[field == 1]).mean() < 4


def test_it_is_kept_beside_the_store_and_made_anew_for_other_quantiles(table):
    for high in (0.95, 0.9, 0.95):
        intensity = LungFieldIntensity(high=high)
        data = Radiographs(table, image_size=64, patch=16, lungs=FileFields(), intensity=intensity)
        assert data.images.shape == data.store.images.shape
    assert len(list(data.store.folder.glob("intensity-*.npy"))) == 2


def test_patches_are_cut_from_what_the_net_shall_see(table):
    data = Radiographs(table, image_size=64, patch=16, stride=16, lungs=FileFields(), intensity=LungFieldIntensity())
    batch = data.exhaustive_patches("train", "normal").cut([0])
    row = int(batch["where"][0, 0])
    assert np.array_equal(batch["patch"][0, 0].numpy(), data.images[row, :16, :16])
    assert not np.array_equal(data.images[row], data.store.images[row])


def test_one_grey_throughout_is_only_shifted():
    assert normalise(np.full((2, 2), 90, np.uint8), np.ones((2, 2)), 0.05, 0.95).tolist() == [[48, 48], [48, 48]]


@pytest.mark.parametrize(("low", "high"), [(0.5, 0.5), (-0.1, 0.9), (0.1, 1.1)])
def test_quantiles_must_rise(low, high):
    with pytest.raises(ConfigError, match="must rise"):
        LungFieldIntensity(low, high)
