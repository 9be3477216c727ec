import numpy as np
import pandas as pd
import pytest
from drawn import table_of
from hydra.core.override_parser.overrides_parser import OverridesParser
from PIL import Image

from pneumo_ad.data.sources.table import REQUIRED, check_table, describing_columns, map_labels, split_by_patient
from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.labels import NORMAL, PNEUMONIA


@pytest.fixture
def table(tmp_path):
    for name in "cab":
        Image.fromarray(np.zeros((4, 4), dtype=np.uint8)).save(tmp_path / f"{name}.png")
    return table_of([tmp_path / f"{name}.png" for name in "cab"])


def crowd(patients=100, sick=0.4, images=3):
    """Patients with a few images each; the first ones are sick."""
    names = np.repeat([f"p{i}" for i in range(patients)], images)
    labels = np.repeat(np.where(np.arange(patients) < sick * patients, PNEUMONIA, NORMAL), images)
    return pd.DataFrame({"image": [f"i{i}" for i in range(len(names))], "patient": names, "label": labels})


def test_a_good_table_is_sorted_by_name_and_keeps_its_further_columns(table):
    checked = check_table(table.assign(view="PA"))
    assert checked["image"].tolist() == ["a", "b", "c"]
    assert checked.index.tolist() == [0, 1, 2]
    assert (checked["view"] == "PA").all()


@pytest.mark.parametrize("column", REQUIRED)
def test_a_missing_column_is_named(table, column):
    with pytest.raises(DataError, match=rf"lacks the columns \['{column}'\]"):
        check_table(table.drop(columns=column))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.assign(image=["a", "a", "b"]), "2 images share their name with another: a, a"),
        (lambda t: t.assign(label=["normal", "sick", "other"]), "have a label that is none of"),
        (lambda t: t.assign(split=["train", "valid", "test"]), "have a split that is none of"),
        (lambda t: t.assign(patient="x", split=["train", "val", "val"]), "belong to a patient who is in two splits"),
        (lambda t: t.assign(path=[*t["path"][:2], "gone.png"]), "1 images name a file in column 'path' that does"),
        (lambda t: t.assign(lung=["", "", "gone.png"]), "in column 'lung' that does not exist: b"),
        (lambda t: t.assign(opacity=["gone.png", "", ""]), "in column 'opacity' that does not exist: c"),
        (lambda t: t.iloc[:0], "the table of images is empty"),
    ],
)
def test_offending_rows_are_named(table, change, words):
    with pytest.raises(DataError) as refused:
        check_table(change(table))
    assert words in str(refused.value)


def test_long_lists_are_cut(table):
    many = pd.concat([table] * 4, ignore_index=True)
    with pytest.raises(DataError, match=r"12 images share .*, \.\.\."):
        check_table(many)


def test_words_become_labels():
    words = pd.Series(["NORMAL", " Pneumonia ", "COVID-19", "tuberculosis", "tuberculosis"])
    with pytest.warns(UserWarning, match=r"x\.csv: 3 of 5 labels .*: 'tuberculosis' \(2 rows\), 'COVID-19' \(1 rows\)"):
        assert map_labels(words, source="x.csv").tolist() == ["normal", "pneumonia", "other", "other", "other"]
    mapped = map_labels(words, {"covid-19": "pneumonia", "Tuberculosis": "other", "normal": "normal"})
    assert mapped.tolist() == ["normal", "pneumonia", "pneumonia", "other", "other"]


@pytest.mark.parametrize(
    ("words", "mapping"),
    [
        (["0", "1"], {0: "normal", 1: "pneumonia"}),
        (["0", "1"], {0.0: "normal", "1.0": "pneumonia"}),
        (["0.0", "1.0"], {0: "normal", 1: "pneumonia"}),
        (["00", "1e0 "], {"0": "normal", "1": "pneumonia"}),
        (["False", "TRUE"], {False: "normal", True: "pneumonia"}),
        (["no", "Yes"], {False: "normal", True: "pneumonia"}),  # as yaml reads yes and no
        (["N", "P"], {"n": "normal", "p": "pneumonia"}),
        (["nan", "-"], {"nan": "normal", "-": "pneumonia"}),
        (["", "1"], {"": "normal", 1: "pneumonia"}),
        (["No Finding", "a, b (c)"], {"No Finding": "normal", "a, b (c)": "pneumonia"}),
    ],
)
def test_codes_are_mapped_or_refused_with_their_number(words, mapping):
    assert map_labels(pd.Series(words), mapping).tolist() == ["normal", "pneumonia"]
    beside = pd.Series(["normal", *words, words[1]])
    if words == ["No Finding", "a, b (c)"]:  # diagnoses, beside what is normal
        beside = beside.iloc[1:]
    with pytest.raises(DataError) as refused:
        map_labels(beside, source="x.csv")
    assert f"x.csv: 3 of {len(beside)} labels are none of normal, pneumonia, other" in str(refused.value)
    assert f"{words[1].strip()!r} (2 rows), {words[0]!r} (1 rows)" in str(refused.value)


@pytest.mark.parametrize(
    "word", ["", "nan", "NaN", "NA", "n/a", "#N/A", "<NA>", "None", "null", "0", "1.5", "true", "?", "T"]
)
def test_one_code_among_good_words_is_refused(word):
    with pytest.raises(DataError, match="1 of 3 labels are none of"):
        map_labels(pd.Series(["normal", "pneumonia", word]))


def test_the_mapping_offered_is_one_that_hydra_reads():
    words = ["Lung, left (a)", "b:c", "x={y}", "No Finding", "3"]
    with pytest.raises(DataError) as refused:
        map_labels(pd.Series(words))
    offered = str(refused.value).partition('"')[2].partition('"')[0].replace("LABEL", "normal")
    read = OverridesParser.create().parse_override(offered)
    assert read.key_or_group == "data.labels"
    assert map_labels(pd.Series(words), read.value()).tolist() == ["normal"] * 5


def test_diagnoses_without_anything_normal_are_refused():
    with pytest.raises(DataError, match=r"1 of 2 labels .*: 'healthy' \(1 rows\)"):
        map_labels(pd.Series(["healthy", "pneumonia"]))
    assert map_labels(pd.Series(["healthy", "pneumonia"]), {"healthy": "other"}).tolist() == ["other", "pneumonia"]


def test_blank_cells_take_the_default():
    words = pd.Series(["normal", " ", ""])
    assert map_labels(words, None, "other").tolist() == ["normal", "other", "other"]
    assert map_labels(words, {"sick": "pneumonia"}, "sick").tolist() == ["normal", "pneumonia", "pneumonia"]
    assert map_labels(words, {"": "pneumonia"}, "other").tolist() == ["normal", "pneumonia", "pneumonia"]
    with pytest.raises(ConfigError, match="default_label='sick' is no label"):
        map_labels(words, None, "sick")


def test_a_mapping_that_contradicts_itself_or_is_none_is_refused():
    with pytest.raises(ConfigError, match=r"labels lead '0\.0' to both normal and other"):
        map_labels(pd.Series(["0"]), {0: "normal", "0.0": "other"})
    with pytest.raises(ConfigError, match="labels='normal' maps no words"):
        map_labels(pd.Series(["0"]), "normal")


def test_a_mapping_to_an_unknown_label_is_refused():
    with pytest.raises(ConfigError, match=r"labels lead to \['sick'\]"):
        map_labels(pd.Series(["a"]), {"a": "sick"})


def test_no_patient_is_in_two_splits():
    table = crowd()
    splits = split_by_patient(table, val=0.2, test=0.3)
    assert table.assign(split=splits).groupby("patient")["split"].nunique().eq(1).all()


@pytest.mark.parametrize(("val", "test"), [(0.1, 0.2), (0.2, 0.3), (0.0, 0.5), (0.25, 0.0)])
def test_sick_and_well_are_dealt_in_equal_shares(val, test):
    table = crowd()
    table["split"] = split_by_patient(table, val=val, test=test)
    for _, group in table.groupby("label"):
        shares = group.drop_duplicates("patient")["split"].value_counts(normalize=True)
        assert shares.get("val", 0) == pytest.approx(val, abs=0.02)
        assert shares.get("test", 0) == pytest.approx(test, abs=0.02)


def test_the_split_depends_on_the_seed_and_not_on_the_order_of_rows():
    table = crowd()
    split = split_by_patient(table, seed=3)
    mixed = table.sample(frac=1, random_state=0)
    assert split_by_patient(mixed, seed=3).sort_index().equals(split)
    assert not split_by_patient(table, seed=4).equals(split)


def test_more_images_of_a_patient_do_not_move_anybody():
    few, many = crowd(images=1), crowd(images=4)
    by_patient = dict(zip(few["patient"], split_by_patient(few), strict=True))
    assert split_by_patient(many).tolist() == many["patient"].map(by_patient).tolist()


def test_no_class_vanishes_from_a_small_set():
    table = crowd(patients=8, sick=3 / 8, images=1)
    table["split"] = split_by_patient(table, val=0.1, test=0.2)
    assert (table.groupby(["label", "split"]).size().unstack(fill_value=0) >= 1).all(axis=None)


def test_split_test_puts_everybody_in_test():
    assert (split_by_patient(crowd(), "test") == "test").all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"split": "official"}, "split='official' is not known here"),
        ({"val": -0.1}, "must not be negative"),
        ({"val": 0.5, "test": 0.5}, "must leave a share for training"),
    ],
)
def test_shares_that_cannot_be_dealt_are_refused(arguments, words):
    with pytest.raises(ConfigError, match=words):
        split_by_patient(crowd(), **arguments)


def test_describing_columns_are_words_that_nothing_else_uses(table):
    further = {"view": "PA", "finding": ["", "virus", ""], "age": 3, "weight": 1.5, "has_lung": True, "boxes": ""}
    assert describing_columns(table.assign(**further)).columns.tolist() == ["view", "finding"]
