import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.torch import save_file

from pneumo_ad.data.phantom import draw_phantom
from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.lungs import LungSegmenter, SegmenterFields
from pneumo_ad.lungs.segmenter import WEIGHTS, clean_field
from pneumo_ad.nets.standardise import standardise
from pneumo_ad.saved import file_digest


def dice(found, lung):
    found, lung = found.astype(bool), lung.astype(bool)
    return 2 * (found & lung).sum() / (found.sum() + lung.sum())


def small_net():
    torch.manual_seed(0)
    segmenter = LungSegmenter(width=4, depth=2, image_size=32)
    segmenter(torch.randint(0, 256, (8, 1, 32, 32)))  # batch norm gets running statistics that are not the default
    return segmenter.eval()


@pytest.fixture(scope="module")
def shipped():
    return LungSegmenter.from_file()


def test_clean_field_keeps_the_two_largest_pieces_and_fills_their_holes():
    field = np.zeros((100, 100), bool)
    field[10:70, 5:40] = True
    field[10:70, 55:95] = True
    field[30:40, 15:25] = False  # a hole
    field[80:95, 20:40] = True  # the third largest
    field[98, 98] = True
    cleaned = clean_field(field)
    assert cleaned.dtype == np.uint8
    expected = np.zeros((100, 100), np.uint8)
    expected[10:70, 5:40] = expected[10:70, 55:95] = 1
    assert (cleaned == expected).all()


@pytest.mark.parametrize("pixels", [0, 5])
def test_clean_field_of_nothing_or_of_specks_is_empty(pixels):
    field = np.zeros((40, 40), bool)
    field[3, :pixels] = True
    assert not clean_field(field).any()


@given(arrays(bool, (12, 15), elements=st.booleans()))
def test_clean_field_twice_is_clean_field_once(field):
    once = clean_field(field)
    assert (clean_field(once.astype(bool)) == once).all()


@given(st.floats(0.2, 3), st.floats(-50, 50))
def test_brightness_and_contrast_do_not_matter(contrast, brightness):
    images = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 255
    torch.testing.assert_close(standardise(contrast * images + brightness), standardise(images), atol=1e-3, rtol=1e-3)


def test_saved_and_loaded_gives_the_same_output(tmp_path):
    segmenter = small_net()
    segmenter.save(tmp_path / "weights.safetensors")
    loaded = LungSegmenter.from_file(tmp_path / "weights.safetensors")
    images = torch.randint(0, 256, (2, 1, 32, 32), dtype=torch.uint8)
    assert loaded.options == segmenter.options
    assert not loaded.training
    torch.testing.assert_close(loaded.probability(images), segmenter.probability(images), atol=5e-3, rtol=0)
    assert [file.name for file in tmp_path.iterdir()] == ["weights.safetensors"]


def test_any_size_comes_back_at_its_size():
    segmenter = small_net()
    for size in ((32, 32), (50, 41), (20, 70)):
        probability = segmenter.probability(torch.randint(0, 256, (3, 1, *size), dtype=torch.uint8))
        assert probability.shape == (3, 1, *size)
        assert 0 <= probability.min() <= probability.max() <= 1


def write_garbage(path):
    path.write_bytes(b"not safetensors")


def write_without_options(path):
    save_file({"a": torch.zeros(1)}, path)


def write_other_net(path):
    save_file({"a": torch.zeros(1)}, path, {"options": json.dumps({"width": 4, "depth": 2, "image_size": 32})})


@pytest.mark.parametrize("write", [lambda path: None, write_garbage, write_without_options, write_other_net])
def test_files_that_are_no_weights_are_refused_by_name(tmp_path, write):
    path = tmp_path / "mine.safetensors"
    write(path)
    with pytest.raises(DataError, match=r"mine\.safetensors: not the weights of a lung segmenter"):
        LungSegmenter.from_file(path)


def test_digest_of_a_missing_file(tmp_path):
    with pytest.raises(DataError, match="train-lungs"):
        _ = SegmenterFields(tmp_path / "nowhere.safetensors").name


def test_shipped_weights_are_small_and_beside_their_card():
    assert WEIGHTS.stat().st_size <= 8_000_000
    card = WEIGHTS.with_name("MODEL_CARD.md").read_text(encoding="utf-8")
    assert file_digest(WEIGHTS)[:12] in card, "the card must tell the digest of the weights it describes"


def test_blank_images_have_no_lungs(shipped):
    flat = np.stack([np.full((64, 64), level, np.uint8) for level in (0, 128, 255)])
    assert not shipped.segment_all(flat).any()


def test_no_images_at_all(shipped):
    assert shipped.segment_all(np.zeros((0, 64, 64), np.uint8)).shape == (0, 64, 64)


def test_lungs_of_phantoms_are_found(shipped):
    phantoms = [draw_phantom(seed, pneumonia=bool(seed % 2), size=192) for seed in range(24)]
    found = [shipped.segment_all(phantom.image[None])[0] for phantom in phantoms]
    agreed = [dice(field, phantom.lung) for field, phantom in zip(found, phantoms, strict=True)]
    assert np.median(agreed) >= 0.85
    assert np.mean(agreed) >= 0.8


def test_how_many_at_once_does_not_matter(shipped):
    images = np.stack([np.resize(draw_phantom(seed, pneumonia=False, size=96).image, (96, 96)) for seed in range(3)])
    one, all_ = shipped.segment_all(images, batch_size=1), shipped.segment_all(images, batch_size=3)
    assert (one != all_).mean() < 1e-3  # a pixel at 0.5 may tip


def test_image_sizes_that_cannot_be_halved_are_refused():
    with pytest.raises(ConfigError, match=r"image_size=48 must be divisible by 2 \*\* \(depth \+ 1\) = 32"):
        LungSegmenter(depth=4, image_size=48)
