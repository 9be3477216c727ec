"""The weights that ship, measured on samples of radiographs that the training never saw."""

import warnings

import pytest

from pneumo_ad.data import sources
from pneumo_ad.data.store.opening import open_store
from pneumo_ad.lungs import LungSegmenter
from pneumo_ad.lungs.training import field_metrics

pytestmark = pytest.mark.real_data


def measure(table, images):
    """Figures for a sample spread evenly over a table."""
    sample = table.iloc[:: max(1, len(table) // images)].reset_index(drop=True)
    store = open_store(sample, (256, 256))
    return field_metrics(LungSegmenter.from_file().segment_all(store.images), store)


def existing(root, *parts):
    folder = root.joinpath(*parts)
    if not folder.is_dir():
        pytest.skip(f"$PNEUMO_AD_DATA has no {'/'.join(parts)}: these radiographs are not tested")
    return folder


def test_held_out_patients(real_data):
    # The split of conf/experiment/lungs.yaml.
    labels = {"normal": "normal", "tuberculosis": "other"}
    table = sources.masks(existing(real_data, "lung_masks", "montgomery_shenzhen"), labels=labels, val=0.1, test=0.2)
    assert measure(table[table["split"] == "test"], 48)["dice"] >= 0.95


def test_sick_children(real_data):
    images = existing(real_data, "chest_xray_224", "train", "PNEUMONIA")
    lungs = existing(real_data, "lung_masks", "chest_xray_viral")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # most radiographs of the folder have no mask: it says so
        table = sources.masks(images, lung_dir=lungs, only_with_masks=True, split="test")
    assert measure(table, 64)["dice"] >= 0.9


def test_opacities_lie_inside(real_data):
    figures = measure(sources.masks(existing(real_data, "opacity_masks"), split="test"), 52)
    assert figures["precision"] >= 0.9
    assert figures["opacity_inside"] >= 0.9
