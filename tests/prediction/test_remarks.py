"""What is told of odd radiographs."""

import os

import numpy as np
import pytest
from drawn import lung_mask

from pneumo_ad.data.fit import fit_image
from pneumo_ad.data.phantom import draw_phantom
from pneumo_ad.data.readers.radiograph import read_pixels
from pneumo_ad.lungs.segmenter import LungSegmenter
from pneumo_ad.prediction.remarks import looks_inverted, remarks

CHEST = np.where(np.abs(np.arange(96) - 48) < 16, 200, 60).astype(np.uint8) * np.ones((96, 1), dtype=np.uint8)
LUNGS = np.pad(lung_mask(64, 64), 16).astype(np.uint8)
LARGE = (300, 300)


def one_lung():
    field = LUNGS.copy()
    field[:, 48:] = 0
    return field


@pytest.mark.parametrize(
    ("image", "field", "size", "expected"),
    [
        (CHEST, LUNGS, LARGE, []),
        (CHEST, np.ones_like(LUNGS), LARGE, []),  # lungs were not looked for
        (CHEST, np.zeros_like(LUNGS), LARGE, ["no lung found"]),
        (CHEST, one_lung(), LARGE, ["one lung only?"]),
        (CHEST, LUNGS * (np.arange(96) < 30)[:, None].astype(np.uint8), LARGE, ["small lung area"]),
        (CHEST, (np.abs(np.arange(96) - 48) > 8) * np.ones((96, 1), dtype=np.uint8), LARGE, ["not a chest?"]),
        (255 - CHEST, LUNGS, LARGE, ["inverted?"]),
        (CHEST, LUNGS, (95, 300), ["smaller than image_size (enlarged)"]),
    ],
)
def test_each_oddity_is_told_alone(image, field, size, expected):
    assert remarks(image, field.astype(np.uint8), size, (96, 96)) == expected


@pytest.mark.parametrize("pneumonia", [False, True])
def test_negatives_of_phantoms_are_told_from_phantoms(pneumonia):
    images = [draw_phantom(seed, pneumonia=pneumonia, size=128).image for seed in range(10)]
    assert [looks_inverted(image) for image in images] == [False] * 10
    assert [looks_inverted(255 - image) for image in images] == [True] * 10


@pytest.mark.real_data
def test_real_radiographs_are_not_odd_and_their_negatives_are(real_data):
    files = sorted((real_data / "chest_xray_1024").rglob("*.jpeg"))[::12]
    assert len(files) >= 20, os.fspath(real_data)
    images = np.stack([fit_image(read_pixels(file), (256, 256), "squash")[0] for file in files])
    fields = LungSegmenter.from_file().segment_all(images, progress=False)
    odd = [bool(remarks(image, field, (999, 999), (256, 256))) for image, field in zip(images, fields, strict=True)]
    assert np.mean(odd) <= 0.05
    assert np.mean([looks_inverted(255 - image) for image in images]) >= 0.95
