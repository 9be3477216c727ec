import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drawn import radiograph, write_kaggle, write_set
from PIL import Image

from pneumo_ad.data import sources
from pneumo_ad.data.sources.table import REQUIRED
from pneumo_ad.errors import ConfigError, DataError


@pytest.fixture(autouse=True)
def no_unexpected_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        yield


def write_images(folder, names):
    for i, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(radiograph(i, 24, 20)).save(folder / name)
    return folder


def write_csv(path, **columns):
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


def assert_sound(table):
    assert set(REQUIRED) <= set(table.columns)
    assert table.groupby("patient")["split"].nunique().eq(1).all()
    assert table["path"].map(lambda path: Path(path).is_file()).all()


def test_phantoms_are_drawn_once_and_have_their_masks(cache):
    table = sources.phantom(normal=6, pneumonia=4, size=64, seed=1)
    assert_sound(table)
    assert table["label"].value_counts().to_dict() == {"normal": 6, "pneumonia": 4}
    assert (table["lung"] != "").all()
    assert ((table["opacity"] != "") == (table["label"] == "pneumonia")).all()
    times = {path: path.stat().st_mtime_ns for path in cache.rglob("*.png")}
    assert times
    assert sources.phantom(normal=6, pneumonia=4, size=64, seed=1).equals(table)
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.png")} == times
    assert set(sources.phantom(normal=6, pneumonia=4, size=64, seed=2)["image"]).isdisjoint(table["image"])


@pytest.mark.parametrize("levels", [("",), ("train", "test"), ("train", "val", "test"), ("train",)])
def test_chest_xray_with_and_without_a_level_above(tmp_path, levels):
    root = write_kaggle(tmp_path / "kaggle", levels, normal=4, pneumonia=6)
    table = sources.chest_xray(root)
    assert_sound(table)
    assert table["label"].value_counts().to_dict() == {"normal": 4 * len(levels), "pneumonia": 6 * len(levels)}
    assert set(table["split"]) == {"train", "val", "test"}
    assert (table[["lung", "opacity"]] == "").all(axis=None)


def test_chest_xray_reads_patient_and_finding_from_the_name(tmp_path):
    names = {
        "NORMAL/IM-0115-0001.jpeg": ("IM-0115", ""),
        "NORMAL/IM-0115-0002.jpeg": ("IM-0115", ""),
        "NORMAL/NORMAL2-IM-0389-0001.jpeg": ("NORMAL2-IM-0389", ""),
        "NORMAL/NORMAL2-IM-1174-0001-0002.jpeg": ("NORMAL2-IM-1174", ""),
        "PNEUMONIA/person12_virus_46.jpeg": ("person12", "virus"),
        "PNEUMONIA/person1_bacteria_2.jpeg": ("person1", "bacteria"),
        "PNEUMONIA/person1_bacteria_1.jpeg": ("person1", "bacteria"),
        "PNEUMONIA/person101_virus_187.jpeg": ("person101", "virus"),
    }
    table = sources.chest_xray(write_images(tmp_path, names)).set_index("image")
    for name, expected in names.items():
        assert (table.loc[Path(name).stem, "patient"], table.loc[Path(name).stem, "finding"]) == expected


def test_chest_xray_takes_strange_names_as_patients_of_their_own_and_says_so(tmp_path):
    write_images(tmp_path, ["NORMAL/scan 7.png", "NORMAL/IM-0001-0001.png", "PNEUMONIA/person1_virus_1.png"])
    with pytest.warns(UserWarning, match="1 file names do not tell the patient .* for example scan 7"):
        table = sources.chest_xray(tmp_path)
    assert "scan 7" in set(table["patient"])


def test_the_official_split_keeps_the_test_folder_and_its_patients_out_of_training(tmp_path):
    root = write_kaggle(tmp_path, ("train", "test"), normal=6, pneumonia=6)
    for number in (7, 8):  # two images of a patient of the test folder
        Image.fromarray(radiograph(99)).save(root / "train" / "PNEUMONIA" / f"person100_virus_{number}.jpeg")
    with pytest.warns(UserWarning, match="2 training images of 1 patients who are in the official test folder"):
        table = sources.chest_xray(root, split="official", val=0.3)
    assert_sound(table)
    assert len(table) == 24
    assert ((table["split"] == "test") == (table["folder"] == "test")).all()
    assert set(table.loc[table["folder"] == "train", "split"]) == {"train", "val"}


def test_without_overlap_the_official_split_warns_of_nothing(tmp_path):
    assert len(sources.chest_xray(write_kaggle(tmp_path, ("train", "test")), split="official")) == 20


def test_official_needs_a_test_folder(tmp_path):
    with pytest.raises(ConfigError, match=r"split=official needs .*test; found NORMAL/, PNEUMONIA/"):
        sources.chest_xray(write_kaggle(tmp_path), split="official")
    with pytest.raises(ConfigError, match="split='random' is not known"):
        sources.chest_xray(tmp_path, split="random")


def test_a_wrong_layout_says_what_was_found_and_what_was_expected(tmp_path):
    write_images(tmp_path, ["normal_lungs/a.png", "sick/b.png"])
    with pytest.raises(DataError) as refused:
        sources.chest_xray(tmp_path)
    expected = "expected the folders NORMAL and PNEUMONIA"
    for words in (str(tmp_path), expected, "found normal_lungs/, sick/", "data=masks"):
        assert words in str(refused.value)


def test_half_a_layout_is_refused_with_its_level(tmp_path):
    write_kaggle(tmp_path, ("train",))
    write_images(tmp_path, ["test/NORMAL/IM-0900-0001.png"])
    with pytest.raises(DataError, match=r"test: expected the folders NORMAL and PNEUMONIA .* found NORMAL/"):
        sources.chest_xray(tmp_path)


def test_a_class_without_an_image_is_named(tmp_path):
    write_kaggle(tmp_path)
    for file in (tmp_path / "PNEUMONIA").iterdir():
        file.rename(file.with_suffix(".txt"))
    with pytest.raises(DataError, match="PNEUMONIA: the class pneumonia has no image"):
        sources.chest_xray(tmp_path)


@pytest.mark.parametrize("source", [sources.chest_xray, sources.masks, sources.folder])
def test_a_missing_folder_names_the_nearest_that_exists(tmp_path, source):
    (tmp_path / "here").mkdir()
    with pytest.raises(DataError) as refused:
        source(tmp_path / "not" / "there")
    assert f"{tmp_path / 'not' / 'there'}: no such folder" in str(refused.value)
    assert f"the nearest that exists is {tmp_path}, which holds here/" in str(refused.value)


@pytest.mark.parametrize("source", [sources.chest_xray, sources.masks, sources.folder])
def test_an_empty_folder_is_said_to_be_empty(tmp_path, source):
    with pytest.raises(DataError, match=r"(found|it holds) nothing"):
        source(tmp_path)


@pytest.mark.parametrize("source", [sources.masks, sources.folder])
def test_a_folder_of_other_files_says_what_it_holds(tmp_path, source):
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(DataError, match=r"no image found \(looked for .*\.png.*it holds notes\.txt"):
        source(tmp_path)


def test_masks_finds_masks_and_labels_beside_the_images(tmp_path):
    table = sources.masks(write_set(tmp_path / "set"))
    assert_sound(table)
    assert table["label"].value_counts().to_dict() == {"normal": 6, "pneumonia": 6}
    assert (table["lung"].map(lambda path: Path(path).stem) == table["image"]).all()
    assert ((table["opacity"] != "") == (table["label"] == "pneumonia")).all()
    assert table["patient"].nunique() == 6


def test_masks_may_lie_elsewhere(tmp_path):
    images = write_images(tmp_path / "kaggle", ["PNEUMONIA/person1_virus_1.png", "PNEUMONIA/person2_virus_2.png"])
    lungs = write_images(tmp_path / "lungs", ["person2_virus_2.png", "person9_virus_9.png"])
    with pytest.warns(UserWarning, match=r"1 lung masks|1 of 2") as told:
        table = sources.masks(images / "PNEUMONIA", lung_dir=lungs, split="test").set_index("image")
    assert [str(one.message) for one in told] == [
        f"{lungs}: 1 lung masks belong to no image: person9_virus_9.png",
        "1 of 2 radiographs have no lung mask: person1_virus_1",
    ]
    assert table["lung"].to_dict() == {"person1_virus_1": "", "person2_virus_2": str(lungs / "person2_virus_2.png")}
    assert set(table["label"]) == {"other"}
    (lungs / "person9_virus_9.png").unlink()
    with pytest.warns(UserWarning, match="1 of 2 images have no mask for lungs= and are left out"):
        kept = sources.masks(images / "PNEUMONIA", lung_dir=lungs, only_with_masks=True, split="test")
    assert kept["image"].tolist() == ["person2_virus_2"]


def test_masks_that_belong_to_no_image_are_refused(tmp_path):
    images = write_images(tmp_path / "images", ["a.png"])
    lungs = write_images(tmp_path / "lungs", ["b.png"])
    with pytest.raises(DataError, match=r"lungs: no mask has the stem of an image in .* \(for example a\)"):
        sources.masks(images, lung_dir=lungs)
    with pytest.raises(DataError, match="no such folder"):
        sources.masks(images, opacity_dir=tmp_path / "gone")


def test_images_that_share_a_stem_keep_their_masks(tmp_path):
    root = write_set(tmp_path / "set", normal=2, pneumonia=0)
    (root / "index.csv").unlink()
    Image.fromarray(radiograph(5)).save(root / "images" / "n000.jpg")
    table = sources.masks(root, split="test").set_index("image")
    assert {name: Path(path).name for name, path in table["lung"].items()} == {
        "n000.jpg": "n000.png",
        "n000.png": "n000.png",
        "n001.png": "n001.png",
    }


def test_a_csv_chooses_among_the_images_and_its_further_columns_are_kept(tmp_path):
    root = write_set(tmp_path / "set", normal=3, pneumonia=3)
    write_csv(root / "index.csv", image=["n000", "p003.png"], label=["well", "COVID-19"], view=["PA", "AP"])
    labels = {"well": "normal", "COVID-19": "pneumonia"}
    table = sources.masks(root, labels=labels, split="test").set_index("image")
    assert table["label"].to_dict() == {"n000": "normal", "p003": "pneumonia"}
    assert table["view"].to_dict() == {"n000": "PA", "p003": "AP"}
    assert table["patient"].to_dict() == {"n000": "n000", "p003": "p003"}


def test_blank_cells_are_what_the_csv_does_not_give(tmp_path):
    root = write_set(tmp_path / "set", normal=4, pneumonia=0)
    names = ["n000", "n001", "n002", "n003"]
    write_csv(root / "index.csv", image=names, patient=["7", "", "", "7"], label=["pneumonia", "", "normal", ""])
    table = sources.masks(root, default_label="normal", split="test").set_index("image")
    assert table["patient"].to_dict() == {"n000": "7", "n001": "n001", "n002": "n002", "n003": "7"}
    assert table["label"].tolist() == ["pneumonia", "normal", "normal", "normal"]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (
            {"image": ["n000"], "label": ["normal"], "split": ["sideways"]},
            r"'split' are none of .*'sideways' \(1 rows\)",
        ),
        ({"image": ["n000", "n001"], "label": ["0", "1.0"]}, r"2 of 2 labels are none of .*: '0' .*, '1\.0'"),
        ({"image": ["n000", "n001"], "label": ["normal", ""]}, r"'' \(1 rows\).* data\.default_label=LABEL for blank"),
        ({"image": ["n000", "n001"], "patient": ["007"] * 2, "split": ["train", "test"]}, "in two splits, .* 007 in"),
    ],
)
def test_a_csv_that_does_not_fit_is_refused(tmp_path, columns, words):
    root = write_set(tmp_path / "set", normal=2, pneumonia=0)
    write_csv(root / "index.csv", **columns)
    with pytest.raises(DataError, match=words):
        sources.masks(root)


def test_what_the_csv_says_of_splits_and_patients_is_kept(tmp_path):
    root = write_set(tmp_path / "set", normal=4, pneumonia=2)
    names = ["n000", "n001", "n002", "n003", "p004", "p005"]
    csv = {
        "image": names,
        "Patient": ["007", "7", "NA", "NA", "1e5", "nan"],
        "label": ["normal"] * 4 + ["pneumonia"] * 2,
    }
    write_csv(root / "index.csv", **csv, split=["train", "test", "val", "val", "test", "train"])
    for table in (sources.masks(root), sources.folder(root / "images", csv=root / "index.csv")):
        table = table.set_index("image").loc[names]
        assert table["split"].tolist() == ["train", "test", "val", "val", "test", "train"]
        assert table["patient"].tolist() == csv["Patient"]
        assert table["label"].tolist() == csv["label"]
    dealt = sources.masks(root, split="patient")
    write_csv(root / "index.csv", **csv)
    assert sources.masks(root).equals(dealt)


def test_a_column_that_is_almost_ours_is_warned_of(tmp_path):
    root = write_set(tmp_path / "set", normal=2, pneumonia=0)
    write_csv(root / "index.csv", image=["n000", "n001"], patient_id=["1", "1"])
    with pytest.warns(UserWarning, match="its column 'patient_id' only describes; the one that is used is called 'pat"):
        assert sources.masks(root, split="test")["patient"].tolist() == ["n000", "n001"]


def test_boxes_are_told_once(tmp_path):
    root = write_set(tmp_path / "set", normal=2, pneumonia=0)
    write_csv(root / "index.csv", image=["n000", "n001"], boxes=["[]", "[[1, 2, 3, 4]]"])
    assert sources.masks(root, split="test")["boxes"].tolist() == ["[]", "[[1, 2, 3, 4]]"]
    boxes = write_csv(tmp_path / "boxes.csv", image=["n000"], x=[1], y=[1], width=[2], height=[2])
    with pytest.raises(ConfigError, match=r"boxes=.*boxes\.csv and column 'boxes' of .*index\.csv both give"):
        sources.masks(root, boxes=boxes)


def test_folder_searches_below_and_takes_each_image_as_a_patient(tmp_path):
    names = ["a.png", "deep/b.jpg", "deep/er/c.TIF", "deep/.hidden.png", "deep/notes.txt.png"]
    with pytest.warns(UserWarning, match=r"passed over 1 hidden files \(for example deep/\.hidden\.png\)"):
        table = sources.folder(write_images(tmp_path, names))
    assert_sound(table)
    assert set(table["image"]) == {"a", "deep/b", "deep/er/c", "deep/notes.txt"}
    assert table["patient"].is_unique
    assert set(table["label"]) == {"normal"}


def test_folder_with_csv_by_path_name_or_stem(tmp_path):
    root = write_images(tmp_path / "set", ["a.png", "deep/b.png", "deep/c.png"])
    names, labels = ["a", "b.png", "deep/c"], ["normal", "flu", "normal"]
    csv = write_csv(tmp_path / "list.csv", image=names, patient=["x", "x", "y"], label=labels)
    table = sources.folder(root, csv, labels={"flu": "pneumonia"}).set_index("image")
    assert table["label"].to_dict() == {"a": "normal", "deep/b": "pneumonia", "deep/c": "normal"}
    assert table["patient"].to_dict() == {"a": "x", "deep/b": "x", "deep/c": "y"}


def test_every_source_is_stable(tmp_path):
    kaggle, masks = write_kaggle(tmp_path / "kaggle"), write_set(tmp_path / "masks")
    for source, root in ((sources.chest_xray, kaggle), (sources.masks, masks), (sources.folder, masks / "images")):
        assert source(root, seed=5).equals(source(root, seed=5))
        splits = {tuple(source(root, seed=seed)["split"]) for seed in range(8)}
        assert len(splits) > 1


@pytest.mark.real_data
def test_chest_xray_counts_what_the_paper_counts(real_data):
    table = sources.chest_xray(real_data / "chest_xray_224")
    assert_sound(table)
    assert table["label"].value_counts().to_dict() == {"normal": 1341, "pneumonia": 3875}
    patients = table.groupby("label")["patient"].nunique()
    assert 900 < patients["normal"] < 1341
    assert 1500 < patients["pneumonia"] < 3875
    shares = table.drop_duplicates("patient").groupby("label")["split"].value_counts(normalize=True)
    assert np.allclose([shares["normal", "test"], shares["pneumonia", "test"]], 0.2, atol=0.005)


@pytest.mark.real_data
def test_opacity_masks_have_all_their_masks(real_data):
    table = sources.masks(real_data / "opacity_masks", split="test")
    assert len(table) == 52
    assert (table["lung"] != "").all()
    assert (table["opacity"] != "").sum() > 40


@pytest.mark.parametrize("hidden", [".ipynb_checkpoints", ".Trash", "__MACOSX"])
def test_copies_in_hidden_folders_are_passed_over_and_counted(tmp_path, hidden):
    root = write_images(tmp_path / "set", ["a.png", "b.png", f"{hidden}/a-checkpoint.png", f"{hidden}/in/b.png"])
    (root / ".DS_Store").touch()  # no radiograph, and no word
    with pytest.warns(
        UserWarning, match=rf"set: passed over 2 hidden files \(for example {hidden}/a-checkpoint"
    ) as said:
        table = sources.folder(root)
    assert table["image"].tolist() == ["a", "b"]
    assert len(said) == 1


def test_linked_folders_are_read_once_and_the_rest_is_named(tmp_path, monkeypatch):
    root = write_images(tmp_path / "set", ["a.png", "b/c.png", "shut/d.png"])
    write_images(tmp_path / "elsewhere", ["x.png"])
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "linked too").symlink_to(tmp_path / "elsewhere")
    (root / "b" / "up").symlink_to(root)
    (root / "gone.png").symlink_to("nowhere.png")
    os.mkfifo(root / "fifo.png")
    os.link(root / "a.png", root / "b" / "a2.png")
    real = os.scandir
    refused = PermissionError(13, "Permission denied", "shut")
    monkeypatch.setattr(
        "pneumo_ad.data.sources.walk.os.scandir",
        lambda at: real(at) if not str(at).endswith("shut") else _raise(refused),
    )
    with pytest.warns(UserWarning, match="set: passed over") as said:
        table = sources.folder(root)
    assert table["image"].tolist() == ["a", "b/c", "linked/x"]
    words = str(said[0].message)
    for part in (
        "2 files or folders with a second name (for example b/a2.png: the same file as a.png)",
        "1 that are no regular files (for example fifo.png",
        "1 that cannot be opened (for example gone.png: a link that leads nowhere",
        "1 links back to a folder that they lie in (for example b/up",
        "1 folders that cannot be listed (for example shut: cannot be listed (Permission denied))",
    ):
        assert part in words


def _raise(error):
    raise error


def test_chest_xray_takes_a_file_once_whatever_it_is_called(tmp_path):
    root = write_kaggle(tmp_path / "kaggle", ("train", "test"))
    file = next((root / "train" / "NORMAL").iterdir())
    (root / "test" / "NORMAL" / "IM-0999-0001.jpeg").symlink_to(file)
    with pytest.warns(UserWarning, match=r"NORMAL: passed over 1 files or folders with a second name"):
        table = sources.chest_xray(root)
    assert len(table) == 20


def test_a_mask_may_be_that_of_two_images(tmp_path):
    root = write_set(tmp_path / "set", normal=3, pneumonia=0)
    (root / "lung" / "n001.png").unlink()
    (root / "lung" / "n001.png").symlink_to("n000.png")
    (root / "lung" / "n002.png").unlink()
    os.link(root / "lung" / "n000.png", root / "lung" / "n002.png")
    assert (sources.masks(root, split="test")["lung"] != "").all()


@pytest.mark.parametrize(
    ("names", "choice"),
    [
        (("NORMAL/a", "PNEUMONIA/b"), "data=chest_xray data.root={root} (labels by folder)"),
        (("train/NORMAL/a", "train/PNEUMONIA/b", "test/NORMAL/a", "test/PNEUMONIA/b"), "data=chest_xray"),
        (("Normal/a", "Pneumonia/b"), "data.root={root}/Normal (normal alone)"),
        (("train/good/a", "test/good/b", "test/scratch/c"), "data.root={root}/train/good (normal alone)"),
        (("good/a", "bad/b"), "data.root={root}/good"),
        (("healthy/a", "sick/b"), "data.root={root}/healthy"),
        (("normal/a", "abnormal/b"), "data.root={root}/normal"),
        (("0_normal/a", "1_not normal/b"), "data.root={root}/0_normal"),
        (("No Finding/a", "COVID-19/b"), "data.root={root}/No Finding"),
        (("Normal/images/a", "Lung_Opacity/images/b"), "data.root={root}/Normal"),
        (("VALID/x/negative/a", "VALID/x/positive/b"), "data.root={root}/VALID/x/negative"),
        (("a", "PNEUMONIA/b"), "data.csv=FILE with the columns image and label"),
    ],
)
def test_folders_that_are_classes_are_not_all_normal(tmp_path, names, choice):
    root = write_images(tmp_path / "set", [f"{name}.png" for name in names])
    with pytest.raises(DataError, match="its folders are classes") as refused:
        sources.folder(root)
    assert choice.format(root=root) in str(refused.value)
    assert ("data=chest_xray" in str(refused.value)) == ("data=chest_xray" in choice)
    stems = [f"{name}.png" for name in names]
    csv = write_csv(tmp_path / "list.csv", image=stems, label=["normal"] + ["pneumonia"] * (len(names) - 1))
    assert set(sources.folder(root, csv, split="test")["label"]) == {"normal", "pneumonia"}
    blank = write_csv(tmp_path / "blank.csv", image=stems, label=[" "] * len(names))
    with pytest.raises(DataError, match="its folders are classes"):
        sources.folder(root, blank)
    assert set(sources.folder(root, default_label="other")["label"]) == {"other"}


@pytest.mark.parametrize(
    "names",
    [
        ("NORMAL/a", "NORMAL/b"),
        ("train/a", "test/b", "c"),
        ("ward 3/a", "quality control/b", "2019/c"),
        ("pneumonia study/normal/a", "pneumonia study/normal 2/b"),
        ("non-COVID/a", "no_pneumonia/b"),
    ],
)
def test_other_folders_are_no_classes(tmp_path, names):
    root = write_images(tmp_path / "set", [f"{name}.png" for name in names])
    assert set(sources.folder(root)["label"]) == {"normal"}


def test_a_folder_of_pneumonias_may_be_called_so(tmp_path):
    root = write_images(tmp_path / "set", ["PNEUMONIA/a.png", "PNEUMONIA/virus/b.png"])
    assert set(sources.folder(root, default_label="pneumonia")["label"]) == {"pneumonia"}
    write_images(root, ["NORMAL/a.png"])
    with pytest.raises(
        DataError, match=r"takes everything below it as pneumonia\. Give .*PNEUMONIA/virus \(pneumonia alone"
    ):
        sources.folder(root, default_label="pneumonia")


RAW = [
    "line\nfeed.png",
    "line\\nfeed.png",
    "esc\x1b[31m.png",
    "bad\udcff.png",
    "turned\u202egnp.png",
    'a,b"c.png',
    "=1+1.png",
]


@pytest.mark.parametrize("source", [sources.folder, sources.masks])
def test_names_are_text_and_lead_back_to_their_files(tmp_path, source):
    root = write_images(tmp_path / "set", RAW)
    table = source(root, split="test")
    assert len(table) == len(RAW)
    assert table["image"].is_unique
    assert table["image"].map(str.isprintable).all()
    assert {Path(path).name for path in table["path"]} == set(RAW)
    csv = tmp_path / "list.csv"
    pd.DataFrame(
        {"image": ["line\nfeed.png", r"bad\udcff.png"], "label": "normal", "view": ["\x1b[31mPA", "AP"]}
    ).to_csv(csv)
    listed = sources.folder(root, csv, split="test").set_index("image")
    assert listed["view"].to_dict() == {r"line\nfeed": r"\x1b[31mPA", r"bad\udcff": "AP"}
