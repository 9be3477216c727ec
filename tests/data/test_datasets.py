import re

import numpy as np
import pytest
import torch
from drawn import lung_mask
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from pneumo_ad.data.datasets import ExhaustivePatches, NormalLungPatches, already_a_batch
from pneumo_ad.errors import DataError
from pneumo_ad.patches import PatchGrid

GRID = PatchGrid((64, 48), 8, 3)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (5, 64, 48), dtype=np.uint8)


@pytest.fixture(scope="module")
def fields():
    lung = lung_mask(64, 48).astype(np.uint8)
    return np.stack([np.roll(lung, shift, axis=0) for shift in (0, 3, -4, 7, 1)])


def test_exhaustive_patches_are_every_window_row_by_row(images):
    data = ExhaustivePatches(images, np.array([3, 1]), GRID)
    assert len(data) == 2 * len(GRID)
    batch = data.__getitems__(range(len(data)))
    expected = GRID.extract(torch.from_numpy(images[[3, 1]])[:, None]).flatten(0, 1)
    assert torch.equal(batch["patch"], expected)
    positions = torch.from_numpy(np.tile(GRID.positions, (2, 1)))
    assert torch.equal(batch["where"][:, 1:], positions)
    assert batch["where"][:, 0].tolist() == [3] * len(GRID) + [1] * len(GRID)  # rows of the store, not of the choice


def test_no_radiograph_means_no_patch(images):
    assert len(ExhaustivePatches(images, np.array([], dtype=int), GRID)) == 0
    assert list(DataLoader(ExhaustivePatches(images, np.array([], dtype=int), GRID), batch_size=4)) == []


def test_normal_lung_patches_hold_no_background_pixel_and_none_is_forgotten(images, fields):
    rows = np.array([4, 0, 2])
    data = NormalLungPatches(images, fields, rows, GRID)
    p = GRID.patch
    inside = [
        [row, top, left]
        for row in rows
        for top, left in GRID.positions.tolist()
        if fields[row, top : top + p, left : left + p].all()
    ]
    assert data.__getitems__(range(len(data)))["where"].tolist() == inside
    assert 0 < len(data) < 3 * len(GRID)


@given(st.data())
def test_a_batch_equals_its_samples(images, fields, data):
    dataset = NormalLungPatches(images, fields, np.arange(5), GRID)
    numbers = data.draw(st.lists(st.integers(0, len(dataset) - 1), min_size=1, max_size=9))
    batch = dataset.__getitems__(numbers)
    assert batch["patch"].dtype == torch.uint8
    assert batch["where"].dtype == torch.int64
    for i, number in enumerate(numbers):
        sample = dataset[number]
        row, top, left = sample["where"].tolist()
        assert torch.equal(sample["patch"], batch["patch"][i])
        assert torch.equal(sample["where"], batch["where"][i])
        assert np.array_equal(sample["patch"][0].numpy(), images[row, top : top + 8, left : left + 8])


def test_samples_are_numbered_as_in_a_list(images):
    data = ExhaustivePatches(images, np.arange(2), GRID)
    assert torch.equal(data[-1]["patch"], data[len(data) - 1]["patch"])
    with pytest.raises(IndexError):
        data[len(data)]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_dataloader_delivers_each_patch_once(images, workers):
    data = ExhaustivePatches(images, np.arange(3), GRID)
    loader = DataLoader(data, batch_size=50, collate_fn=already_a_batch, num_workers=workers)
    batches = list(loader)
    whole = data.__getitems__(range(len(data)))
    assert torch.equal(torch.cat([batch["patch"] for batch in batches]), whole["patch"])
    assert torch.equal(torch.cat([batch["where"] for batch in batches]), whole["where"])
    assert batches[0]["patch"].shape == (50, 1, 8, 8)


def test_patches_of_stride_1_on_500_radiographs_open_without_materialising():
    images = np.broadcast_to(np.uint8(7), (500, 128, 128))  # memory of one pixel
    data = ExhaustivePatches(images, np.arange(500), PatchGrid((128, 128), 32, 1))
    assert len(data) == 500 * 97 * 97
    batch = data.__getitems__(np.linspace(0, len(data) - 1, 8).astype(int))
    assert batch["patch"].shape == (8, 1, 32, 32)
    assert batch["where"][-1].tolist() == [499, 96, 96]


@pytest.mark.parametrize("stride", [1, 3, 5])
def test_too_large_a_patch_names_the_largest_that_works_and_that_one_works(images, fields, stride):
    with pytest.raises(DataError) as refused:
        NormalLungPatches(images, fields, np.arange(5), PatchGrid((64, 48), 40, stride))
    words = str(refused.value)
    assert "no window of 40 x 40 pixels lies wholly inside the fields of 5 normal images of 64 x 48" in words
    named = {int(at): int(size) for size, at in re.findall(r"(\d+) at stride (\d+)", words)}
    assert set(named) == {1, stride}
    for at, size in named.items():
        assert len(NormalLungPatches(images, fields, np.arange(5), PatchGrid((64, 48), size, at))) > 0
        with pytest.raises(DataError):
            NormalLungPatches(images, fields, np.arange(5), PatchGrid((64, 48), size + 1, at))


def test_no_lung_and_no_radiograph_are_named(images, fields):
    with pytest.raises(DataError, match="lungs= found nothing in any of 2 normal images"):
        NormalLungPatches(images, np.zeros_like(fields), np.array([0, 3]), GRID)
    with pytest.raises(DataError, match="no normal image to take patches from"):
        NormalLungPatches(images, fields, np.array([], dtype=int), GRID)


def test_more_radiographs_than_are_held_at_once(monkeypatch, images, fields):
    whole = NormalLungPatches(images, fields, np.arange(5), GRID)
    monkeypatch.setattr("pneumo_ad.data.datasets._CHUNK", 2)
    pieces = NormalLungPatches(images, fields, np.arange(5), GRID)
    every = range(len(whole))
    assert torch.equal(whole.__getitems__(every)["where"], pieces.__getitems__(every)["where"])
