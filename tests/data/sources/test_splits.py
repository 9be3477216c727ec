"""Published splits: JSON lists of files by split and class."""

import json
import logging
import random
import warnings

import numpy as np
import pandas as pd
import pytest
from dicoms import write_rsna
from drawn import opacity_mask, radiograph
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from running import TINY, start, story

from pneumo_ad.data.sources import splits
from pneumo_ad.errors import ConfigError, DataError

BENCHMARK = {
    "train": {"0": ["a", "b", "c", "d"], "unlabeled": {"0": ["e"], "1": ["p"]}},
    "test": {"0": ["f", "g"], "1": ["q", "r"]},
}
LABELS = {"0": "normal", "1": "pneumonia"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """images/ with more files than any list below names, and no data.json."""
    folder = tmp_path_factory.mktemp("benchmark")
    (folder / "images").mkdir()
    for number, name in enumerate("abcdefghpqrstuvw"):
        Image.fromarray(radiograph(number, 24, 20, sick=name > "o")).save(folder / "images" / f"{name}.png")
    return folder


def written(tmp_path, held):
    file = tmp_path / "data.json"
    file.write_text(held if isinstance(held, str) else json.dumps(held))
    return file


def read(root, tmp_path, held, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return splits(root, written(tmp_path, held), **options)


def of_table(table):
    """Split and label -> names."""
    groups = table.groupby(["split", "label"])["image"]
    return {key: set(names) for key, names in groups}


@given(st.lists(st.sampled_from([("train", "0"), ("val", "0"), ("val", "1"), ("test", "0"), ("test", "1"), None]),
                min_size=16, max_size=16).filter(any), st.sampled_from(["", ".png", ".jpg"]))  # fmt: skip
def test_the_table_has_exactly_the_files_listed_in_the_splits_listed(root, tmp_path_factory, places, suffix):
    held = {}
    for name, place in zip("abcdefghpqrstuvw", places, strict=True):
        if place is not None:
            held.setdefault(place[0], {}).setdefault(place[1], []).append(name + suffix)
    table = read(root, tmp_path_factory.mktemp("listed"), held, val=0)
    listed = {(split, LABELS[of]): {name[0] for name in names} for split in held for of, names in held[split].items()}
    assert of_table(table) == listed
    assert (table["patient"] == table["image"]).all()


def test_unlabelled_files_are_left_out_and_counted_and_val_is_drawn_from_train(root, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        table = read(root, tmp_path, BENCHMARK, val=0.25)
    found = of_table(table)
    assert found["test", "normal"] == {"f", "g"}
    assert found["test", "pneumonia"] == {"q", "r"}
    assert found["train", "normal"] | found["val", "normal"] == set("abcd")
    assert len(found["val", "normal"]) == 1
    assert "train 3, val 1, test 4 (it has no val: 25% of the patients of train, drawn)" in caplog.text
    assert "2 unlabelled ones are left out" in caplog.text
    again = read(root, tmp_path, BENCHMARK, val=0.25)
    assert again.equals(table)
    drawn = {frozenset(of_table(read(root, tmp_path, BENCHMARK, val=0.25, seed=s))["val", "normal"]) for s in range(9)}
    assert len(drawn) > 1


def test_the_order_of_the_lists_changes_nothing(root, tmp_path):
    turned = {
        split: {of: names[::-1] if isinstance(names, list) else names for of, names in reversed(classes.items())}
        for split, classes in reversed(BENCHMARK.items())
    }
    assert read(root, tmp_path, turned).equals(read(root, tmp_path, BENCHMARK))


def test_a_split_by_image_is_warned_of_and_a_csv_of_patients_tells(root, tmp_path):
    file = written(tmp_path, BENCHMARK)
    with pytest.warns(
        UserWarning, match=r"data\.json: names no patients, so each of its 8 images .* split is by image"
    ):
        splits(root, file)
    csv = tmp_path / "patients.csv"
    pd.DataFrame({"image": list("abcdfg"), "patient": ["x", "x", "x", "y", "z", ""]}).to_csv(csv, index=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = splits(root, file, patients=csv, val=0.5).set_index("image")
    assert table["patient"].to_dict() == {**dict.fromkeys("abc", "x"), "d": "y", "f": "z", **{n: n for n in "gqr"}}
    assert table.groupby("patient")["split"].nunique().eq(1).all()
    pd.DataFrame({"image": list("af"), "patient": "x"}).to_csv(csv, index=False)
    with pytest.raises(DataError, match=r"1 patients of .*patients\.csv are in two splits, for example x in t"):
        splits(root, file, patients=csv)


def test_the_file_lies_beside_the_images_or_elsewhere_and_images_at_any_depth(tmp_path):
    for deep in ("train_png_512/a.png", "more/of/b.png"):
        (tmp_path / deep).parent.mkdir(parents=True)
        Image.fromarray(radiograph(0, 24, 20)).save(tmp_path / deep)
    written(tmp_path, json.dumps({"Testing": {"0": ["a.png", "of/b.png"]}}))
    with pytest.raises(DataError, match=r"lists 1 images that are not in .*, for example of/b\.png \(Testing/0\)"):
        splits(tmp_path)
    written(tmp_path, json.dumps({"Testing": {"0": ["a.png", "more/of/b.png"]}}))
    with pytest.warns(UserWarning, match="names no patients"):
        table = splits(tmp_path)
    assert set(table["split"]) == {"test"}
    (tmp_path / "data.json").unlink()
    with pytest.raises(DataError, match=r"data\.json: no such file; .* holds more/, train_png_512/\. Give the"):
        splits(tmp_path)
    with pytest.raises(DataError, match=r"x\.json: no such file; nor is its folder"):
        splits(tmp_path, tmp_path / "nowhere" / "x.json")


@pytest.mark.parametrize(
    ("held", "words"),
    [
        ({"train": {"0": ["a", "zz.png", "yy.png"]}}, r"lists 2 images .* zz\.png \(train/0\), yy\.png \(train/0\)"),
        ({"train": {"0": ["a", "b", "a"]}}, r"1 images are listed more than once, 0 of .*a \(train/0 and train/0\)"),
        ({"train": {"0": ["a"]}, "test": {"0": ["a.png"]}}, r"1 of them in two splits.*a \(train/0 and test/0\)"),
        ({"test": {"0": ["a"], "1": ["a"]}}, r"0 of them in two splits.*a \(test/0 and test/1\)"),
        ({"train": {"0": [" "]}}, r"1 rows name no image, for example train/0"),
        ({"train": {"0": "a"}}, r"'a' at train/0 is no name of a file; expected \{\"train\""),
        ({"train": {"0": ["a", 3]}}, r"'3' at train/0 is no name of a file"),
        ({"train": ["a"]}, r"a list of 1 files at train; expected"),
        (["a"], r"it is list, expected a mapping"),
        ({"train": {"0": {"0": ["a"]}}}, r"a list of 1 files at train/0/0; expected"),
        ({"fold1": {"0": ["a"]}}, r"a list of 1 files at fold1/0; expected"),
        ({"train": {"unlabeled": {"0": ["a"]}}}, r"lists no labelled image"),
        ({}, r"lists no labelled image"),
        ('{"train": {"0": ["a"]}, "train": {"0": ["b"]}}', r"the key 'train' stands twice"),
        ('{"train": ', r"Expecting value"),
        ("[" * 100_000, r"nested too deep"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_is_refused_by_file_list_and_name(root, tmp_path, held, words):
    with pytest.raises(DataError, match=rf"data\.json.* ?{words}"):
        read(root, tmp_path, held)


def test_a_name_of_two_files_is_refused(root, tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.png").write_bytes((root / "images" / "a.png").read_bytes())
    # Two links to one file would be one radiograph; these are two.
    with pytest.raises(DataError, match=r"1 names that more than one image .*a \(test/0\) of one/a\.png and two/a"):
        read(tmp_path, tmp_path, {"test": {"0": ["a"]}})


def test_classes_of_other_names_are_mapped_or_refused(root, tmp_path):
    held = {"test": {"0": ["a"], "2": ["q"]}}
    with pytest.raises(DataError, match=r"data\.json: 1 of 2 labels are none of .*'2'.*data\.labels"):
        read(root, tmp_path, held)
    table = read(root, tmp_path, held, labels={0: "normal", 2: "other"})
    assert table["label"].tolist() == ["normal", "other"]
    with pytest.raises(ConfigError, match="labels lead to"):
        read(root, tmp_path, held, labels={0: "fine"})


def test_masks_and_boxes_of_opacities_are_taken(root, tmp_path):
    (tmp_path / "masks").mkdir()
    Image.fromarray(opacity_mask(24, 20)).save(tmp_path / "masks" / "q.png")
    held = {"test": {"0": ["a"], "1": ["q"]}}
    table = read(root, tmp_path, held, opacity_dir=tmp_path / "masks")
    assert table["opacity"].tolist() == ["", str(tmp_path / "masks" / "q.png")]
    csv = tmp_path / "boxes.csv"
    pd.DataFrame({"image": ["a", "q", "r"], "x": ["", 1, 1], "y": ["", 2, 2], "width": ["", 3, 3], "height": ["", 4, 4]}
                 ).to_csv(csv, index=False)  # fmt: skip
    assert read(root, tmp_path, held, boxes=csv)["boxes"].map(json.loads).tolist() == [[], [[1, 2, 3, 4]]]


def test_lists_of_png_fit_the_dicom_files_that_they_were_made_of(tmp_path):
    data = write_rsna(tmp_path / "rsna", normal=6, sick=4, other=1)
    names = sorted(file.stem for file in (data / "stage_2_train_images").iterdir())
    assert len(names) == 11
    held = {"train": {"0": [f"{names[0]}.png"]}, "test": {"0": [f"{names[1]}.png"], "1": [f"{names[-1]}.png"]}}
    table = read(data, tmp_path, held)
    assert table["image"].str.rpartition("/")[2].tolist() == [names[0], names[1], names[-1]]
    assert table["split"].tolist() == ["train", "test", "test"]


def test_a_run_of_a_published_split_to_its_metrics(tmp_path):
    (tmp_path / "images").mkdir()
    names = [f"{kind}{number:02d}.png" for kind in "np" for number in range(20)]
    for number, name in enumerate(names):
        Image.fromarray(radiograph(number, sick=name[0] == "p")).save(tmp_path / "images" / name)
    normals = random.Random(0).sample(names[:20], 20)
    written(tmp_path, {"train": {"0": normals[:14]}, "test": {"0": normals[14:], "1": names[20:26]}})
    own = [one for one in TINY if not one.startswith(("data.", "evaluate="))]
    run = tmp_path / "run"
    status = start("train", "data=splits", f"data.root={tmp_path}", *own, "lungs=none", f"hydra.run.dir={run}")
    assert status == 0
    assert story(run)["status"] == "finished"
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["counts/images_normal"] == metrics["counts/images_pneumonia"] == 6
    dealt = pd.read_csv(run / "split.csv")
    assert np.array_equal(sorted(dealt.loc[dealt["split"] == "test", "image"]), sorted(
        name[:3] for name in [*normals[14:], *names[20:26]]))  # fmt: skip
