import numpy as np
import pandas as pd
import pytest
from drawn import lung_mask, radiograph
from scipy import ndimage

from pneumo_ad.metrics import shortcuts
from pneumo_ad.metrics.shortcuts import (
    WORDS,
    best_shortcut,
    file_shortcuts,
    image_shortcuts,
    lung_shortcuts,
    pixel_shortcuts,
    shortcut_aurocs,
    strength,
)

SIDE = 64


def table_of(count, top=0, left=0, height=SIDE, width=SIDE, **columns):
    placed = {"top": top, "left": left, "fitted_height": height, "fitted_width": width}
    return pd.DataFrame(placed | columns, index=range(count))


def drawn(count=4):
    return np.stack([radiograph(seed, SIDE, SIDE, sick=bool(seed % 2)) for seed in range(count)])


def test_pixel_shortcuts_agree_with_their_definitions_written_out():
    images = drawn()
    found = pixel_shortcuts(images, table_of(4))
    for i, image in enumerate(images):
        x = image.astype(float)
        edges = np.abs(ndimage.laplace(x))[1:-1, 1:-1]
        frame = np.ones(image.shape, dtype=bool)
        frame[4:-4, 4:-4] = False
        assert found["brightness"][i] == pytest.approx(x.mean())
        assert found["contrast"][i] == pytest.approx(x.std())
        assert found["sharpness"][i] == pytest.approx(edges.mean())
        assert found["sharpness_centre"][i] == pytest.approx(edges[15:-15, 15:-15].mean())
        assert found["border_blackness"][i] == pytest.approx((image[frame] <= 16).mean())


def test_padding_is_not_measured():
    images = drawn()
    padded = np.zeros((4, SIDE + 20, SIDE + 6), dtype=np.uint8)
    padded[:, 10 : 10 + SIDE, 3 : 3 + SIDE] = images
    plain, inside = pixel_shortcuts(images, table_of(4)), pixel_shortcuts(padded, table_of(4, 10, 3))
    for name, values in plain.items():
        assert np.array_equal(values, inside[name]), name


def test_each_shortcut_answers_to_what_it_is_named_after():
    image = drawn(1)[0] // 2 + 40
    framed = image.copy()
    framed[:4] = 0
    versions = {
        "plain": image,
        "brightness": image + np.uint8(20),
        "contrast": np.clip((image.astype(float) - image.mean()) * 1.5 + image.mean(), 0, 255).astype(np.uint8),
        "border_blackness": framed,
        "dull": ndimage.gaussian_filter(image, 1.0),
    }
    found = pixel_shortcuts(np.stack(list(versions.values())), table_of(5))
    place = {name: i for i, name in enumerate(versions)}
    for name in ("brightness", "contrast", "border_blackness"):
        assert found[name][place[name]] > found[name][0]
    for name in ("sharpness", "sharpness_centre"):
        assert found[name][place["dull"]] < 0.5 * found[name][0]
        assert found[name][place["brightness"]] == pytest.approx(found[name][0])


def test_file_shortcuts_tell_the_file():
    found = file_shortcuts(pd.DataFrame({"height": [60, 100], "width": [90, 100], "bytes": [567, 1234]}))
    assert found["aspect_ratio"].tolist() == [1.5, 1.0]
    assert found["native_resolution"] == pytest.approx([np.sqrt(5400), 100])
    assert found["jpeg_size"].tolist() == [567, 1234]


def test_lung_shortcuts_see_nothing_but_lung():
    images = drawn()
    field = lung_mask(SIDE, SIDE)
    fields = np.repeat(field[None].astype(np.uint8), 4, axis=0)
    fields[3] = 0
    found = lung_shortcuts(images, fields, table_of(4))
    louder = images.copy()
    louder[:, ~field] = 255
    again = lung_shortcuts(louder, fields, table_of(4))
    for name, values in found.items():
        assert np.array_equal(values, again[name], equal_nan=True), name
    inner = ndimage.binary_erosion(field)
    expected = [np.abs(ndimage.laplace(image.astype(float)))[inner].mean() for image in images[:3]]
    assert found["lung_sharpness"][:3] == pytest.approx(expected)
    assert found["lung_brightness"][:3] == pytest.approx([image[field].mean() for image in images[:3]])
    assert found["lung_contrast"][:3] == pytest.approx([image[field].std() for image in images[:3]])
    assert found["lung_area"] == pytest.approx([field.mean()] * 3 + [0])
    assert all(np.isnan(found[name][3]) for name in ("lung_brightness", "lung_contrast", "lung_sharpness"))


def test_rows_choose_and_every_shortcut_is_explained():
    images = drawn(6)
    table = table_of(6, height=SIDE, width=SIDE).assign(bytes=1)
    table["height"], table["width"] = np.arange(10, 16), np.arange(20, 26)
    fields = np.ones_like(images)
    everything = image_shortcuts(images, table, fields)
    some = image_shortcuts(images, table, fields, np.array([4, 1]))
    assert set(everything) == set(WORDS)
    for name, values in everything.items():
        assert values.shape == (6,)
        assert np.array_equal(values[[4, 1]], some[name])


def test_a_radiograph_of_a_line_of_pixels_counts_as_dull():
    found = pixel_shortcuts(drawn(1), table_of(1, height=2, width=SIDE))
    assert found["sharpness"][0] == 0
    assert all(np.isfinite(values).all() for values in found.values())


def test_aurocs_have_a_fixed_direction_and_what_cannot_be_ranked_is_named():
    sick = np.repeat([False, True], 10)
    values = {
        "higher": np.arange(20.0),
        "lower": -np.arange(20.0),
        "flat": np.ones(20),
        "unknown": np.where(np.arange(20) < 8, np.nan, np.arange(20.0)),
    }
    found, omitted = shortcut_aurocs(values, sick, ~sick, np.arange(20))
    assert found["higher"] == (1, 1, 1)
    assert found["lower"] == (0, 0, 0)
    assert omitted == {
        "flat": "the same for every {image}",
        "unknown": "2 normal {images}; at least 5 are needed",
    }
    _, omitted = shortcut_aurocs({"higher": values["higher"]}, ~sick & False, ~sick, np.arange(20))
    assert omitted == {"higher": "0 {abnormal} {images}; at least 5 are needed"}


def test_others_than_positives_and_negatives_are_left_out():
    values = np.concatenate([np.arange(20.0), np.full(5, 1e9)])
    sick = np.arange(25) // 10 == 1
    well = np.arange(25) < 10
    found, _ = shortcut_aurocs({"a": values}, sick, well, np.arange(25))
    assert found["a"].value == 1


def test_the_best_shortcut_is_the_strongest_either_way_round():
    assert best_shortcut({"a": 0.7, "jpeg_size": 0.1}) == ("jpeg_size", 0.1, "lower JPEG size")
    assert best_shortcut({"aspect_ratio": 0.95, "b": 0.1}).words == "higher aspect ratio"
    assert best_shortcut({}) is None
    assert strength(0.2) == strength(0.8) == 0.8


def test_what_it_measures_is_read_one_radiograph_at_a_time(monkeypatch):
    """Bounded memory: the whole array is never touched at once."""
    held = []

    class Watched(np.ndarray):
        def __getitem__(self, key):
            part = np.ndarray.__getitem__(self.view(np.ndarray), key)
            held.append(part.size)
            return part

    monkeypatch.setattr(shortcuts, "reading_threads", lambda: 1)
    images = drawn(5)
    pixel_shortcuts(images.view(Watched), table_of(5))
    assert max(held) == SIDE * SIDE


@pytest.mark.real_data
def test_what_the_project_says_about_the_real_radiographs(real_data):
    from pneumo_ad.data import open_store, sources

    store = open_store(sources.chest_xray(real_data / "chest_xray_1024"), (128, 128), "pad")
    found = image_shortcuts(store.images, store.table)
    sick = (store.table["label"] == "pneumonia").to_numpy()
    assert np.median(found["aspect_ratio"][~sick]) == pytest.approx(1.21, abs=0.02)
    assert np.median(found["aspect_ratio"][sick]) == pytest.approx(1.49, abs=0.02)
    aurocs, omitted = shortcut_aurocs(found, sick, ~sick, store.table["patient"].to_numpy(str))
    assert not omitted
    assert aurocs["sharpness"].value < 0.3
