"""Masks find their images, and those that find none are named."""

import warnings
from pathlib import Path

import pandas as pd
import pytest
from drawn import lung_mask, radiograph, write_set
from PIL import Image

from pneumo_ad.data import sources
from pneumo_ad.data.sources.mask_files import common_pattern
from pneumo_ad.errors import ConfigError, DataError


@pytest.fixture(autouse=True)
def no_unexpected_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        yield


@pytest.fixture
def root(tmp_path):
    return write_set(tmp_path / "set", normal=3, pneumonia=3)


def rename(folder, pattern):
    for file in folder.iterdir():
        file.rename(folder / (pattern.replace("*", file.stem) + file.suffix))


def paths(table, kind="lung"):
    return {image: Path(path).name for image, path in zip(table["image"], table[kind], strict=True) if path}


@pytest.mark.parametrize("pattern", ["*_mask", "mask_*", "seg-*-lung"])
def test_masks_of_other_names_are_counted_and_their_pattern_offered_works(root, pattern):
    expected = paths(sources.masks(root, split="test"))
    rename(root / "lung", pattern)
    with pytest.warns(UserWarning, match=r"lung: 6 lung masks belong to no image: .*, \.\.\.; named") as told:
        assert paths(sources.masks(root, split="test")) == {}
    offered = str(told[0].message).rpartition("'data.lung_dir=")[2].rstrip("'")
    assert offered == str(root / "lung" / pattern)
    for given in (offered, f"{offered}.png"):
        found = paths(sources.masks(root, lung_dir=given, split="test"))
        assert found == {image: pattern.replace("*", Path(name).stem) + ".png" for image, name in expected.items()}
    with pytest.raises(DataError, match=r"lung: no mask has the stem of an image in .*images \(for example n000\)"):
        sources.masks(root, lung_dir=root / "lung")


def test_opacity_masks_have_a_pattern_too(root):
    rename(root / "opacity", "*_o")
    assert len(paths(sources.masks(root, opacity_dir=root / "opacity" / "*_o", split="test"), "opacity")) == 3


def test_masks_for_a_part_are_counted_and_named(root):
    for name in ("n000", "p003"):
        (root / "lung" / f"{name}.png").rename(root / "lung" / f"{name}x.png")
    (root / "opacity" / "p004.png").unlink()
    with pytest.warns(UserWarning, match=r"no image|have no") as told:
        sources.masks(root, split="test")
    words = [str(one.message) for one in told]
    assert any("2 lung masks belong to no image: n000x.png, p003x.png; named *x by" in one for one in words)
    assert "2 of 6 radiographs have no lung mask: n000, p003" in words
    assert "1 of 3 pneumonias have no opacity mask: p004" in words
    assert len(words) == 3


def test_masks_of_images_that_the_csv_leaves_out_belong_to_an_image(root):
    listed = pd.read_csv(root / "index.csv").iloc[1:]
    listed.to_csv(root / "index.csv", index=False)
    assert len(sources.masks(root, split="test")) == 5


def test_a_given_folder_that_has_no_mask_of_a_listed_image_is_refused(root):
    (root / "index.csv").write_text("image\nn001\n")
    (root / "lung" / "n001.png").unlink()
    with pytest.raises(DataError, match=r"lung: no mask has the stem of an image that .*index\.csv lists"):
        sources.masks(root, lung_dir=root / "lung")


def test_two_masks_of_an_image_are_named(root):
    Image.fromarray(lung_mask(96, 80)).save(root / "lung" / "n001.tif")
    with pytest.raises(DataError, match=r"lung: n001\.png and n001\.tif are both the lung mask of n001"):
        sources.masks(root)


def test_a_pattern_has_one_star(root):
    with pytest.raises(ConfigError, match=r"lung_dir=.*one \* was expected"):
        sources.masks(root, lung_dir=root / "lung" / "*_*")


def test_the_end_of_a_number_is_no_suffix(tmp_path):
    for number, name in enumerate(("1.2.10", "1.2.11")):
        Image.fromarray(radiograph(number)).save(tmp_path / "a.png")
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / "lung").mkdir(exist_ok=True)
        (tmp_path / "a.png").rename(tmp_path / "images" / f"{name}.png")
        Image.fromarray(lung_mask(96, 80)).save(tmp_path / "lung" / f"{name}.png")
    assert paths(sources.masks(tmp_path, split="test")) == {"1.2.10": "1.2.10.png", "1.2.11": "1.2.11.png"}


def test_the_commonest_pattern_is_offered_and_none_where_there_is_none():
    assert common_pattern(["a_m", "b_m", "ab_x"], {"a", "b", "ab"}) == "*_m"
    assert common_pattern(["x"], {"a"}) == common_pattern([], {"a"}) == ""


def test_a_csv_names_masks_below_the_data_or_beside_itself(root, tmp_path):
    names = [path.stem for path in sorted((root / "images").iterdir())]
    (tmp_path / "elsewhere").mkdir()
    rename(root / "lung", "*_mask")
    (root / "lung").rename(root / "fields")
    below = pd.DataFrame({"image": names, "LUNG": [f"fields/{name}_mask.png" for name in names]})
    below.to_csv(tmp_path / "elsewhere" / "list.csv", index=False)
    table = sources.masks(root, index=tmp_path / "elsewhere" / "list.csv", split="test")
    assert paths(table) == {name: f"{name}_mask.png" for name in names}
    beside = below.assign(
        LUNG="set/" + below["LUNG"], opacity=["", "", "", *(f"set/opacity/{n}.png" for n in names[3:])]
    )
    beside.to_csv(tmp_path / "list.csv", index=False)
    table = sources.folder(root / "images", csv=tmp_path / "list.csv", split="test")
    assert paths(table) == {name: f"{name}_mask.png" for name in names}
    assert paths(table, "opacity") == {name: f"{name}.png" for name in names[3:]}


def test_masks_told_twice_or_not_there_are_refused(root):
    names = [path.stem for path in sorted((root / "images").iterdir())]
    table = pd.DataFrame({"image": names, "lung": [f"lung/{name}.png" for name in names]})
    table.to_csv(root / "index.csv", index=False)
    with pytest.raises(ConfigError, match=r"lung_dir=.* and column 'lung' of .*index\.csv both name masks"):
        sources.masks(root, lung_dir=root / "lung")
    table.assign(lung=["left", "gone.png", *table["lung"][2:]]).to_csv(root / "index.csv", index=False)
    with pytest.raises(DataError, match=r"column 'lung' names 2 mask files that are not there, for example 'left'"):
        sources.masks(root)
    table.assign(lung=["", "", *table["lung"][2:]]).to_csv(root / "index.csv", index=False)
    with pytest.warns(UserWarning, match="2 of 6 radiographs have no lung mask: n000, n001"):
        assert len(paths(sources.masks(root, split="test"))) == 4
    table.assign(lung="").to_csv(root / "index.csv", index=False)  # a blank column tells nothing
    assert len(paths(sources.masks(root, split="test"))) == 6
