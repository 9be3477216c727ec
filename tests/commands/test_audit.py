"""`pneumo-ad audit` on drawn data with planted faults."""

import json
import shutil
import warnings

import numpy as np
import pandas as pd
import pytest
from drawn import radiograph, write_kaggle, write_set
from PIL import Image
from running import start

from pneumo_ad.audit.duplicates import (
    MOST_BITS,
    Pair,
    find_duplicates,
    fine_structure,
    groups_of,
    hashes,
    near_pairs,
    thumbnails,
)
from pneumo_ad.audit.findings import straddlers
from pneumo_ad.commands.audit import audit
from pneumo_ad.data import sources
from pneumo_ad.errors import ConfigError, DataError

SIDE = 128


def picture(seed, sick=False):
    """With more structure than `radiograph` has, as ribs and vessels give it."""
    rng = np.random.default_rng(1000 + seed)
    coarse = rng.normal(0, 30, (12, 12)).astype(np.float32)
    texture = np.asarray(Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    return np.clip(radiograph(seed, SIDE, SIDE, sick) + texture, 0, 255).astype(np.uint8)


def altered(image, folder):
    """Copies that are the same radiograph to a reader, by name."""
    Image.fromarray(image).save(folder / "copy.jpg", quality=40)
    half = Image.fromarray(image).resize((SIDE // 2, SIDE // 2), Image.Resampling.BOX)
    return {
        "encoded": np.asarray(Image.open(folder / "copy.jpg")),
        "halved": np.asarray(half.resize((SIDE, SIDE), Image.Resampling.BILINEAR)),
        "brightened": np.clip(image * 0.75 + 45, 0, 255).astype(np.uint8),
    }


@pytest.fixture
def planted(tmp_path):
    """A Kaggle-like set in train/ and test/ with every fault at a known place."""
    folder = tmp_path / "planted"
    for level, first in (("train", 0), ("test", 100)):
        for label in ("NORMAL", "PNEUMONIA"):
            (folder / level / label).mkdir(parents=True)
        for i in range(6):
            Image.fromarray(picture(first + i)).save(folder / level / "NORMAL" / f"IM-{first + i:04d}-0001.png")
            sick = Image.fromarray(picture(first + 50 + i, sick=True))
            sick.save(folder / level / "PNEUMONIA" / f"person{first + i}_virus_{i}.png")
    train, test = folder / "train", folder / "test"
    shutil.copy(train / "NORMAL" / "IM-0000-0001.png", test / "NORMAL" / "IM-0300-0001.png")  # the same file
    Image.fromarray(picture(1)).save(train / "PNEUMONIA" / "person301_virus_1.tif")  # the same pixels, another label
    near = Image.fromarray(picture(102)).resize((SIDE * 2, SIDE * 2), Image.Resampling.BICUBIC)
    near.save(train / "NORMAL" / "IM-0302-0001.jpeg", quality=60)
    Image.fromarray(picture(303)).save(train / "NORMAL" / "IM-0100-0002.png")  # a patient of test, another picture
    whole = (train / "NORMAL" / "IM-0005-0001.png").read_bytes()
    (train / "NORMAL" / "IM-0304-0001.png").write_bytes(whole[: len(whole) // 2])
    return folder


def audited(*arguments):
    *overrides, output = map(str, arguments)
    assert output.startswith("output=")
    output = audit(overrides, output=output.removeprefix("output="))
    return json.loads((output / "audit.json").read_text()), output


def test_every_planted_fault_is_found_and_nothing_else(planted, tmp_path):
    found, output = audited("data=chest_xray", f"data.root={planted}", "image_size=128", f"output={tmp_path / 'out'}")
    pairs = pd.read_csv(output / "duplicates.csv")
    told = {(row.image_a, row.image_b): row for row in pairs.itertuples()}
    planned = [
        ("test/IM-0300-0001", "train/IM-0000-0001"),
        ("train/IM-0001-0001", "train/person301_virus_1"),
        ("test/IM-0102-0001", "train/IM-0302-0001"),
    ]
    assert set(told) == set(planned)
    same_file, same_pixels, near = (told[key] for key in planned)
    assert (same_file.kind, same_file.across_folders, same_file.across_labels) == ("same file", True, False)
    assert (same_pixels.kind, same_pixels.across_folders, same_pixels.across_labels) == ("same pixels", False, True)
    assert (near.kind, near.across_folders) == ("near", True)
    assert near.correlation < 1
    assert found["duplicates"]["groups"] == 3
    assert found["duplicates"]["near"] == {
        "pairs": 1, "across_labels": 0, "across_patients": 1, "across_splits": int(near.across_splits),
        "across_folders": 1,
    }  # fmt: skip
    assert found["patients_in_several"] == {"split": [], "folder": ["IM-0100"], "label": []}
    assert found["counts"]["images"] == 28
    assert found["counts"]["unreadable"] == 1
    by_split = found["counts"]["by_split"]
    assert sum(cell["images"] for split in by_split.values() for cell in split.values()) == 28
    assert sum(split["pneumonia"]["images"] for split in by_split.values()) == 13
    unreadable = pd.read_csv(output / "unreadable.csv")
    assert unreadable["image"].tolist() == ["train/IM-0304-0001"]
    assert "IM-0304-0001.png: cannot be decoded" in unreadable["reason"][0]
    assert found["sizes"]["height"] == {"min": 128, "median": 128, "max": 256}
    assert (output / "shortcuts.png").stat().st_size > 10_000
    said = "\n".join(found["findings"])
    for words in (
        "1 patient (2 radiographs) in more than one folder: IM-0100",
        "2 pairs of exact copies",
        "1 pair of near duplicates",
        "1 file cannot be read",
    ):
        assert words in said


def test_the_shortcut_table_ranks_and_names_what_it_leaves_out(planted, tmp_path):
    found, output = audited("data=chest_xray", f"data.root={planted}", "image_size=128", f"output={tmp_path / 'out'}")
    table = pd.read_csv(output / "shortcuts.csv").set_index("shortcut")
    assert found["best_shortcut"]["name"] == table.index[0]
    strength = np.abs(table["auroc"] - 0.5).dropna()
    assert strength.is_monotonic_decreasing
    assert found["shortcuts"]["brightness"]["value"] == pytest.approx(table["auroc"]["brightness"], abs=1e-5)
    assert found["shortcuts"]["brightness"]["value"] > 0.6  # the discs are bright
    assert table["omitted"]["aspect_ratio"] == found["omitted"]["shortcuts/aspect_ratio"]
    assert found["omitted"]["shortcuts/aspect_ratio"] == "the same for every radiograph"
    assert "lungs=auto" in found["omitted"]["shortcuts/lung_*"]


def test_one_class_only_leaves_out_shortcuts_by_name(tmp_path):
    folder = write_set(tmp_path / "set", normal=6, pneumonia=0, masks=False)
    found, output = audited("data=folder", f"data.root={folder}", "image_size=64", f"output={tmp_path / 'out'}")
    assert found["shortcuts"] == {}
    assert found["best_shortcut"] is None
    assert found["omitted"]["shortcuts/brightness"] == "0 pneumonia radiographs; at least 5 are needed"
    assert any("no radiograph is labelled pneumonia" in words for words in found["findings"])
    assert not (output / "shortcuts.png").exists()
    assert pd.read_csv(output / "duplicates.csv").empty


def test_masks_give_the_shortcuts_within_the_lung(tmp_path):
    folder = write_set(tmp_path / "set", normal=6, pneumonia=6)
    found, _ = audited(
        "data=masks", f"data.root={folder}", "lungs=files", "fit=pad", "image_size=64", f"output={tmp_path / 'out'}"
    )
    assert found["shortcuts"]["lung_brightness"]["value"] > 0.9
    assert "shortcuts/lung_*" not in found["omitted"]
    assert found["fit"] == "pad"


def overlapping(root):
    """A source of somebody else's, whose split is not by patient, and who warns."""
    warnings.warn("three radiographs were taken lying down", stacklevel=2)
    table = sources.masks(root, split="test")
    table.loc[0, "split"] = "train"
    return table


def test_a_patient_in_two_splits_is_a_finding_and_so_is_a_warning(tmp_path):
    folder = write_set(tmp_path / "set", normal=6, pneumonia=6)
    found, _ = audited(
        "data=folder", "~data", "+data._target_=test_audit.overlapping", f"+data.root={folder}", "image_size=64",
        f"output={tmp_path / 'out'}",
    )  # fmt: skip
    assert found["patients_in_several"]["split"] == ["patient0"]
    assert any("1 patient (2 radiographs) in more than one split: patient0" in one for one in found["findings"])
    assert "the source says: three radiographs were taken lying down" in found["findings"]


def test_the_official_split_tells_whom_it_leaves_out(planted, tmp_path):
    found, _ = audited(
        "data=chest_xray", f"data.root={planted}", "data.split=official", "image_size=64", f"output={tmp_path / 'out'}"
    )
    assert any(
        "1 training images of 1 patients who are in the official test folder" in one for one in found["findings"]
    )


def test_the_command_prints_tables_and_ends_well(planted, tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert start("audit", "data=chest_xray", f"data.root={planted}", "image_size=64") == 0
    out = capfd.readouterr().out
    assert "28 radiographs of" in out
    assert "1 file cannot be read" in out
    assert "sharpness" in out
    (output,) = (tmp_path / "audits").iterdir()
    assert output.name.startswith("data=chest_xray,root=planted")
    assert start("audit", "--help") == 0
    assert "chest_xray" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["data=folder", "data.root=nowhere"], "nowhere: no such folder"),
        (["data=folder"], "data.root must be given"),
        (["net=unet"], "net"),
        (["data=folder", "data.root=set", "image_size=[1,2,3]"], "must be one side or height and width"),
        (["data=folder", "data.root=set", "fit=stretch"], "'squash' or 'pad'"),
    ],
)
def test_what_cannot_be_audited_is_a_users_error(arguments, words, tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_set(tmp_path / "set", normal=2, pneumonia=0, masks=False)
    assert start("audit", *arguments) == 2
    assert words in capfd.readouterr().err


def test_nothing_that_can_be_read_is_an_error(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="cannot be decoded"):
        audit(["data=folder", f"data.root={tmp_path / 'set'}"], output=tmp_path / "out")
    with pytest.raises(ConfigError):
        audit(["data=unknown"])


def test_distances_agree_with_bits_counted_one_by_one():
    images = np.stack([picture(seed) for seed in range(12)])
    signs = hashes(thumbnails(images, np.arange(12)))
    product = (signs.shape[1] - signs @ signs.T) / 2
    numbers = [int("".join("1" if bit > 0 else "0" for bit in row), 2) for row in signs]
    for i in range(12):
        for j in range(12):
            assert product[i, j] == (numbers[i] ^ numbers[j]).bit_count()
    assert signs.shape[1] == 63


def test_near_pairs_agree_with_brute_force(tmp_path, monkeypatch):
    images = [picture(seed) for seed in range(20)]
    for seed in (3, 11):
        images += altered(images[seed], tmp_path).values()
    images = np.stack(images)
    small = thumbnails(images, np.arange(len(images)))
    signs, fine = hashes(small) > 0, fine_structure(small)
    expected = set()
    for i in range(len(images)):
        for j in range(i + 1, len(images)):
            close = sum(a != b for a, b in zip(signs[i], signs[j], strict=True)) <= MOST_BITS
            if close and np.corrcoef(fine[i], fine[j])[0, 1] >= 0.92:
                expected.add((i, j))
    assert len(expected) == 12  # each of two pictures and its three copies
    assert {pair[:2] for pair in near_pairs(small)} == expected
    monkeypatch.setattr("pneumo_ad.audit.duplicates._CHUNK", 3)
    assert {pair[:2] for pair in near_pairs(small)} == expected


@pytest.mark.parametrize("name", ["encoded", "halved", "brightened"])
def test_an_altered_copy_is_near_and_another_radiograph_is_not(name, tmp_path):
    images = np.stack([picture(0), altered(picture(0), tmp_path)[name], picture(1), picture(2, sick=True)])
    (pair,) = find_duplicates(images, ["a", "b", "c", "d"])
    assert (pair.first, pair.second, pair.kind) == (0, 1, "near")


def test_flat_radiographs_are_near_to_nothing():
    images = np.stack([np.full((64, 64), level, dtype=np.uint8) for level in (0, 90, 200)])
    assert find_duplicates(images, ["a", "b", "c"]) == []
    twice = np.concatenate([images, images[:1]])
    (pair,) = find_duplicates(twice, ["a", "b", "c", "a"])
    assert (pair.first, pair.second, pair.kind) == (0, 3, "same file")


def test_copies_of_copies_are_one_group():
    pairs = [Pair(0, 2, "near", 1, 0.95), Pair(2, 4, "same file", 0, 1.0), Pair(1, 3, "near", 0, 0.99)]
    group = groups_of(pairs, 6)
    assert group[0] == group[2] == group[4] != group[1] == group[3]
    assert group[5] == -1
    assert set(group) == {-1, 0, 1}
    assert groups_of([], 2).tolist() == [-1, -1]


def test_straddlers_are_those_on_both_sides():
    table = pd.DataFrame({"patient": ["a", "a", "b", "c", "c"], "split": ["train", "test", "train", "val", "val"]})
    assert straddlers(table, "split") == ["a"]


def test_the_kaggle_layout_without_levels_has_no_folders_to_be_across(tmp_path):
    folder = write_kaggle(tmp_path / "set")
    found, _ = audited("data=chest_xray", f"data.root={folder}", "image_size=64", f"output={tmp_path / 'out'}")
    assert "folder" not in found["patients_in_several"]


@pytest.mark.real_data
def test_real_radiographs_are_audited_within_a_minute(real_data, tmp_path):
    import time

    table = sources.chest_xray(real_data / "chest_xray_224" / "train")
    from pneumo_ad.data import open_store

    open_store(table, (256, 256), on_error="skip")
    start_of = time.perf_counter()
    found, _ = audited("data=chest_xray", f"data.root={real_data / 'chest_xray_224' / 'train'}", f"output={tmp_path}")
    assert time.perf_counter() - start_of < 60
    assert found["counts"]["images"] == 5216
    assert found["duplicates"]["same_file"]["pairs"] >= 20
    assert found["duplicates"]["near"]["across_patients"] == 0
    assert found["best_shortcut"]["name"] == "sharpness_centre"
