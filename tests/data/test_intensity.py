import numpy as np
import pytest
from drawn import write_set

from pneumo_ad.data import Radiographs, sources
from pneumo_ad.data.intensity import AsStored, LungFieldIntensity
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
        (again,) = LungFieldIntensity().of_images(darker[None], field[None], np.ones_like(field)[None])
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


def by_hand(image, inside, low, high):
    dark, bright = np.quantile(image[inside == 1], [low, high])
    gain = 96 / (bright - dark) if bright > dark else 1.0
    return np.clip(np.rint((image - dark) * gain + 48), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("low", "high"), [(0.05, 0.95), (0, 1), (0.3, 0.31)])
def test_it_is_what_numpys_quantiles_say(low, high):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, 20, 30), dtype=np.uint8)
    images[4] = 90  # one grey throughout is only shifted
    fields, content = (
        (rng.random(images.shape) < 0.4).astype(np.uint8),
        (rng.random(images.shape) < 0.9).astype(np.uint8),
    )
    fields[5] = 0  # and without a lung the whole radiograph is measured
    found = LungFieldIntensity(low, high).of_images(images, fields, content)
    assert found.dtype == np.uint8
    for level, image, field, inside in zip(found, images, fields, content, strict=True):
        assert np.array_equal(level, by_hand(image, field if field.any() else inside, low, high))
    assert (found[4] == 48).all()


@pytest.mark.parametrize(("low", "high"), [(0.5, 0.5), (-0.1, 0.9), (0.1, 1.1)])
def test_quantiles_must_rise(low, high):
    with pytest.raises(ConfigError, match="must rise"):
        LungFieldIntensity(low, high)
