import numpy as np
import pytest
from drawn import write_set

from pneumo_ad.data.sources import masks
from pneumo_ad.data.store.opening import open_store
from pneumo_ad.errors import DataError
from pneumo_ad.lungs import AutoFields, FileFields, LungSegmenter, SegmenterFields, WholeImage, fields

SIDE = (64, 64)


@pytest.fixture
def folder(tmp_path):
    return write_set(tmp_path / "set", normal=3, pneumonia=3)


@pytest.fixture
def store(folder):
    return open_store(masks(folder), SIDE)


@pytest.fixture
def store_with_gaps(folder):
    for name in ("n000", "p004"):
        (folder / "lung" / f"{name}.png").unlink()
    return open_store(masks(folder), SIDE)


@pytest.fixture
def weights(tmp_path):
    LungSegmenter(width=2, depth=2, image_size=32).save(tmp_path / "mine.safetensors")
    return tmp_path / "mine.safetensors"


def test_files_gives_the_masks(store):
    assert (FileFields()(store) == store.lung).all()
    assert store.lung.any(axis=(1, 2)).all()


def test_files_says_how_many_masks_are_missing_and_what_works(store_with_gaps):
    with pytest.raises(DataError, match=r"2 of 6 have none, for example n000\. lungs=auto .* lungs=segmenter"):
        FileFields()(store_with_gaps)


def test_none_takes_everything_but_padding(folder):
    padded = open_store(masks(folder), SIDE, "pad")
    fields = WholeImage()(padded)
    assert fields.shape == (6, *SIDE)
    assert fields[0].sum() == pytest.approx(64 * 64 * 80 / 96, rel=0.03)
    assert WholeImage()(open_store(masks(folder), SIDE)).all()


def test_auto_with_all_masks_needs_no_segmenter(store, tmp_path):
    assert (AutoFields(weights=tmp_path / "nowhere")(store) == store.lung).all()


def test_auto_asks_the_segmenter_for_what_has_no_mask(store_with_gaps, weights):
    fields, found = AutoFields(weights)(store_with_gaps), SegmenterFields(weights)(store_with_gaps)
    without = ~store_with_gaps.table["has_lung"].to_numpy()
    assert without.sum() == 2
    assert (fields[without] == found[without]).all()
    assert (fields[~without] == store_with_gaps.lung[~without]).all()


def test_fields_are_computed_once_for_each_weights(store, weights, tmp_path, monkeypatch):
    first = SegmenterFields(weights)(store)
    assert first.dtype == np.uint8
    assert first.shape == store.images.shape
    assert set(np.unique(first)) <= {0, 1}
    monkeypatch.setattr(LungSegmenter, "segment_each", lambda *_, **__: pytest.fail("segmented again"))
    assert (SegmenterFields(weights, batch_size=2)(store) == first).all()
    with monkeypatch.context() as later:  # fields are cleaned in another way
        later.setattr(fields, "_VERSION", 0)
        with pytest.raises(pytest.fail.Exception, match="segmented again"):
            SegmenterFields(weights)(store)
    other = tmp_path / "other.safetensors"
    LungSegmenter(width=3, depth=2, image_size=32).save(other)
    with pytest.raises(pytest.fail.Exception, match="segmented again"):
        SegmenterFields(other)(store)


def test_missing_weights_are_named(store, tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.safetensors: no such file; .*train-lungs"):
        SegmenterFields(tmp_path / "nowhere.safetensors")(store)


def test_weights_in_the_home_folder_are_found(store, weights, monkeypatch):
    monkeypatch.setenv("HOME", str(weights.parent))
    assert (SegmenterFields(f"~/{weights.name}")(store) == SegmenterFields(weights)(store)).all()
