"""What is scored and measured: radiographs with their store, lung fields, truth and windows, without Lightning."""

import inspect
import subprocess
import sys

import numpy as np
import pytest
from drawn import write_set

import pneumo_ad.data
from pneumo_ad.data import PatchDataModule, Radiographs, sources
from pneumo_ad.data.intensity import LungFieldIntensity
from pneumo_ad.data.lung_fields import WholeImage
from pneumo_ad.data.store.store import Store
from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.lungs import FileFields


@pytest.fixture
def table(tmp_path):
    return sources.masks(write_set(tmp_path / "set", normal=12, pneumonia=12), val=0.25, test=0.25)


def radiographs_of(table, **options):
    return Radiographs(table, **{"image_size": 64, "patch": 8, "stride": 4, "lungs": FileFields()} | options)


@pytest.mark.parametrize("module", ["pneumo_ad.data.radiographs", "pneumo_ad.data", "pneumo_ad.inference.scorer"])
def test_they_come_without_lightning(module):
    code = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "torch" in done.stdout.split()
    assert not {"lightning", "pytorch_lightning", "hydra", "omegaconf"} & set(done.stdout.split())


def test_all_doors_of_the_data_open():
    assert all(hasattr(pneumo_ad.data, name) for name in pneumo_ad.data.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        pneumo_ad.data.nothing  # noqa: B018


def test_a_data_module_hands_on_every_argument(table):
    """Each argument of `Radiographs` is one of `PatchDataModule`, of the same default, and arrives."""
    own, loads = (inspect.signature(one).parameters for one in (Radiographs, PatchDataModule))
    assert {name: loads[name].default for name in own} == {name: own[name].default for name in own}
    given = {
        **{"image_size": [64, 48], "lungs": WholeImage(), "fit": "pad", "patch": 9, "stride": 5, "cover": "full"},
        **{"halo": 2, "intensity": LungFieldIntensity(), "view": "patch", "on_error": "skip"},
    }
    assert {"table", *given} == set(own)
    one, other = Radiographs(table, **given), PatchDataModule(table, **given).radiographs
    assert one.grid == other.grid
    for name in ("lungs", "fit", "halo", "intensity", "view", "on_error"):
        assert getattr(one, name) == getattr(other, name) == given[name]
    assert other.table.equals(one.table)
    assert PatchDataModule(table, 64, lungs=WholeImage(), patch=64, view="image").radiographs.view == "image"


def test_whose_lungs_must_be_said(table):
    with pytest.raises(TypeError, match="lungs"):
        Radiographs(table, 64)


def test_rows_are_of_a_split_and_label_without_those_skipped(table):
    data = radiographs_of(table)
    told = data.store.table
    for split in (None, "train", "val", "test"):
        for label in (None, "normal", "pneumonia"):
            here = ((told["split"] == split) | (split is None)) & ((told["label"] == label) | (label is None))
            assert data.rows(split, label).tolist() == np.flatnonzero(here).tolist()
    data.skipped = {told["image"][3]: "a reason"}
    assert data.rows(None).tolist() == [row for row in range(24) if row != 3]


@pytest.mark.parametrize("patch", [70, 90])
def test_radiographs_smaller_than_a_patch_are_no_radiographs(table, patch):
    """They are of 96 x 80 pixels: a patch of 90 would show what was enlarged."""
    data = radiographs_of(table, image_size=128, patch=patch, on_error="skip")
    if patch == 70:
        assert len(data.rows(None)) == 24
        return
    with pytest.warns(UserWarning, match="24 images were skipped: .*96 x 80 pixels, smaller than a patch of 90"):
        assert len(data.store) == 24
    assert len(data.rows(None)) == 0
    with pytest.raises(DataError, match="24 images cannot be used"):
        _ = radiographs_of(table, image_size=128, patch=patch).store


def test_a_split_without_radiographs_of_a_label_is_named_with_what_there_is(table):
    data = radiographs_of(table[(table["label"] != "normal") | (table["split"] != "val")])
    with pytest.raises(DataError, match=r"no image of label=normal in the val split; there are .*val/pneumonia: "):
        data.some_rows("val", "normal")
    with pytest.raises(DataError, match="no image of label=normal in the val split"):
        data.normal_lung_patches("val")
    assert len(data.exhaustive_patches("val", "normal")) == 0


def test_normal_lung_patches_and_exhaustive_ones_are_those_of_the_windows(table):
    data = radiographs_of(table)
    every = data.exhaustive_patches("train", "normal")
    assert len(every) == len(every.rows) * len(data.grid)
    inside = data.grid.window_shares(data.lung_fields[every.rows]) == 1
    assert len(data.normal_lung_patches("train")) == inside.sum() > 0


def test_what_opens_the_store_may_be_another(table):
    data = radiographs_of(table)
    seen = []
    data.opened = lambda opening: seen.append(opening()) or seen[0]
    assert isinstance(data.store, Store)
    assert seen == [data.store]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"view": "pixel"}, "view=pixel is not known; expected patch or image"),
        ({"halo": 2, "view": "image"}, "halo=2 has no effect with view=image"),
    ],
)
def test_options_that_do_not_work_together_are_refused(table, options, words):
    with pytest.raises(ConfigError, match=words):
        radiographs_of(table, **options)


def test_nothing_is_opened_before_it_is_asked_for(table, cache):
    radiographs_of(table)
    assert not (cache / "stores").exists()


def test_skipped_files_are_counted_and_named_in_a_warning(table):
    with open(table["path"][0], "wb") as file:  # noqa: PTH123
        file.write(b"nothing")
    with pytest.raises(DataError, match="1 images cannot be used"):
        _ = radiographs_of(table).store
    with pytest.warns(UserWarning, match=r"1 images were skipped: .*cannot be decoded"):
        assert len(radiographs_of(table, on_error="skip").store) == 23


def test_lung_fields_from_files_need_a_mask_for_each(table):
    with pytest.raises(DataError, match="1 of 24 have none, for example n000"):
        _ = radiographs_of(table.assign(lung=["", *table["lung"][1:]])).lung_fields


@pytest.mark.parametrize("size", [48, [48, 64], (64, 48)])
def test_image_size_is_a_side_or_height_and_width(table, size):
    data = radiographs_of(table, image_size=size)
    expected = (size, size) if isinstance(size, int) else tuple(size)
    assert data.store.images.shape[1:] == data.lung_fields.shape[1:] == data.grid.image_size == expected


def test_some_of_many_radiographs_are_spread_evenly(table):
    data = radiographs_of(table)
    everything = data.exhaustive_patches("val", "pneumonia").rows
    two = data.exhaustive_patches("val", "pneumonia", 2).rows
    assert two.tolist() == [everything[0], everything[-1]]
    assert data.exhaustive_patches("val", "pneumonia", 10**6).rows.tolist() == everything.tolist()
