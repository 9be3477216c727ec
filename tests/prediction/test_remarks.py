"""What is told of odd radiographs."""

import os
from dataclasses import replace

import numpy as np
import pytest
from drawn import ct_slice, lateral_view, lung_mask
from PIL import Image

from pneumo_ad.data.fit import fit_image
from pneumo_ad.data.phantom import draw_phantom
from pneumo_ad.data.readers.dicom_facts import DicomFacts
from pneumo_ad.data.readers.radiograph import read_pixels
from pneumo_ad.inference.predictor import Calibration, Prediction
from pneumo_ad.lungs.segmenter import LungSegmenter
from pneumo_ad.patches import PatchGrid
from pneumo_ad.patches.placement import Placement
from pneumo_ad.prediction.decoding import Decoded, decode
from pneumo_ad.prediction.pictures import in_words
from pneumo_ad.prediction.remarks import doubts_of_source, looks_inverted, remarks, voiding
from pneumo_ad.prediction.rows import rows

CHEST = np.where(np.abs(np.arange(96) - 48) < 16, 200, 60).astype(np.uint8) * np.ones((96, 1), dtype=np.uint8)
LUNGS = np.pad(lung_mask(64, 64), 16).astype(np.uint8)
LARGE = (300, 300)


def one_lung():
    field = LUNGS.copy()
    field[:, 48:] = 0
    return field


def one_above_the_other():
    field = np.zeros((96, 96), dtype=np.uint8)
    field[10:40, 20:70] = field[50:80, 30:80] = 1
    return field


@pytest.mark.parametrize(
    ("image", "field", "size", "expected"),
    [
        (CHEST, LUNGS, LARGE, []),
        (CHEST, np.ones_like(LUNGS), LARGE, []),  # lungs were not looked for
        (CHEST, np.zeros_like(LUNGS), LARGE, ["no lung found"]),
        (CHEST, one_lung(), LARGE, ["one lung only?"]),
        (CHEST, LUNGS * (np.arange(96) < 30)[:, None].astype(np.uint8), LARGE, ["small lung area"]),
        (CHEST, (np.abs(np.arange(96) - 48) > 8) * np.ones((96, 1), dtype=np.uint8), LARGE, ["large lung area"]),
        (255 - CHEST, LUNGS, LARGE, ["inverted?"]),
        (CHEST, np.roll(one_lung(), 16, axis=1), LARGE, ["lateral view?"]),  # one area, across the middle
        (CHEST, one_above_the_other(), LARGE, ["lateral view?"]),
        (np.pad(CHEST[8:-8, 8:-8], 8), LUNGS, LARGE, ["black all around (CT slice?)"]),
        (CHEST, LUNGS, (95, 300), ["smaller than image_size (enlarged)"]),
    ],
)
def test_each_oddity_is_told_alone(image, field, size, expected):
    assert remarks(image, field.astype(np.uint8), size, (96, 96)) == expected


def told(image, path):
    """What is told of a file, its lungs found by the segmenter that ships."""
    Image.fromarray(image).save(path)
    one = decode(path, PatchGrid((256, 256), 32, 32), "squash", picture=False)
    (field,) = LungSegmenter.from_file().segment_all(one.image[None], progress=False)
    return [*remarks(one.image, field, one.size, one.size), *one.doubts]


@pytest.mark.parametrize("seed", range(3))
def test_what_is_no_frontal_radiograph_is_told_by_name(seed, tmp_path):
    assert "lateral view?" in told(lateral_view(seed), tmp_path / "lateral.png")
    assert "black all around (CT slice?)" in told(ct_slice(seed), tmp_path / "ct.png")
    chest = draw_phantom(seed, pneumonia=False, size=256).image
    assert told(chest, tmp_path / "chest.png") == []
    assert told(np.stack([chest] * 3, axis=2), tmp_path / "grey written as colours.png") == []
    assert "inverted?" in told(255 - chest, tmp_path / "negative.png")
    blue = np.stack([chest // 2, chest // 2, chest], axis=2)
    for name in ("photograph.png", "photograph.jpg"):
        assert told(blue, tmp_path / name) == ["in colour (photograph?)"]


FACTS = ({"view": "LL"}, {"body_part": "HAND"}, {"intent": "FOR PROCESSING"})


@pytest.mark.parametrize(
    "doubts", [("in colour (photograph?)",), *(DicomFacts(modality="CR", **one).doubts for one in FACTS)]
)
def test_what_is_no_radiograph_as_it_was_taken_is_scored_and_not_decided(doubts):
    images = np.stack([CHEST, CHEST, 255 - CHEST])
    grid = PatchGrid((96, 96), 32, 32)
    decoded = [Decoded(image, Placement(0, 0, 96, 96), (96, 96), None) for image in images]
    decoded[1] = replace(decoded[1], doubts=doubts)
    fields = np.stack([LUNGS.astype(np.uint8)] * 3)
    content, scores = np.ones_like(images), np.full(3, 9.0)
    windows = np.ones((3, len(grid)), dtype=np.float32)
    judged = Prediction.of(fields, images.astype(np.float32), windows, scores, content, grid)
    standard = Calibration("SAD", "", np.arange(5.0), 0.5, None, (0.0, 1.0))
    table = rows(["chest", "other", "negative"], decoded, judged, standard)
    assert [row["anomalous"] for row in table] == [True, None, None]
    assert [row["score"] for row in table] == [9.0] * 3
    assert len({row["p_value"] for row in table}) == 1
    told = [" ".join(in_words(row, standard)) for row in table]
    assert ["undecided" in words for words in told] == [False, True, True]
    assert doubts[0] in told[1]
    assert "inverted?" in told[2]


def test_every_warning_of_a_real_radiograph_leaves_its_decision():
    ill = "no lung found; small lung area; large lung area; one lung only?; no modality is given"
    assert voiding(ill) == voiding("") == []


def test_files_of_another_source_are_doubted_as_a_whole():
    assert "higher than 80 %" in doubts_of_source([{"percentile": 80.0}] * 20, 0.05)
    assert "lower than 90 %" in doubts_of_source([{"percentile": 10.0}] * 20, 0.05)
    assert "99 or more normals" in doubts_of_source([{"percentile": 10.0}] * 20, 0.01)
    assert doubts_of_source([{"percentile": 80.0}] * 19, 0.05) == ""  # too few to tell
    assert doubts_of_source([{"percentile": None}, {}] * 20, 0.05) == ""
    rng = np.random.default_rng(0)
    exchangeable = [[{"percentile": p} for p in rng.uniform(0, 100, 20)] for _ in range(500)]
    assert not any(doubts_of_source(rows, 0.05) for rows in exchangeable)


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
