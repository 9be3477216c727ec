"""Splits that a csv tells."""

import logging

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumo_ad.data.sources.official_split import choose_split
from pneumo_ad.data.sources.table import split_by_patient
from pneumo_ad.errors import ConfigError, DataError


def crowd(*splits, images=1):
    """A patient per split told, well and sick in turn; the table and what is told."""
    number = [i for i in range(len(splits)) for _ in range(images)]
    labels = [("normal", "pneumonia")[i % 2] for i in number]
    table = pd.DataFrame({"image": [f"i{n}" for n in range(len(number))], "patient": [f"p{i:03d}" for i in number]})
    return table.assign(label=labels), pd.Series([splits[i] for i in number])


@given(st.lists(st.sampled_from(["train", "val", "test"]), min_size=1, max_size=30), st.integers(1, 3))
def test_what_is_told_is_kept(splits, images):
    splits = ["val", *splits]
    table, told = crowd(*splits, images=images)
    assert choose_split(table, told, "x.csv").tolist() == told.tolist()


def test_words_of_any_case_with_blanks_and_in_full():
    table, told = crowd("TRAIN ", " Training", "Validation", "valid", "VAL", "Test", "testing")
    assert choose_split(table, told, "x.csv").tolist() == ["train"] * 2 + ["val"] * 3 + ["test"] * 2


def test_without_val_some_patients_of_train_are_dealt_to_it_and_that_is_said(caplog):
    table, told = crowd(*["train"] * 40, *["test"] * 20, images=2)
    with caplog.at_level(logging.INFO):
        kept = choose_split(table, told, "x.csv", val=0.1, test=0.9)
    assert ((kept == "test") == (told == "test")).all()
    assert table["patient"][kept == "val"].nunique() == 4
    assert table.assign(split=kept).groupby("patient")["split"].nunique().eq(1).all()
    training = told == "train"
    assert kept[training].tolist() == split_by_patient(table[training], "patient", 0.1, 0.0).tolist()
    assert "x.csv: its column split is kept: train 72, val 8, test 40" in caplog.text
    assert "10% of the patients of train" in caplog.text
    assert set(choose_split(table, told, "x.csv", val=0)) == {"train", "test"}
    assert set(choose_split(*crowd("test", "test"), "x.csv")) == {"test"}


@pytest.mark.parametrize("told", [None, [""] * 12, [" "] * 12])
def test_where_nothing_is_told_patients_are_dealt(told):
    table, _ = crowd(*["train"] * 12)
    told = pd.Series(told) if told else None
    assert choose_split(table, told, "x.csv", seed=3).tolist() == split_by_patient(table, seed=3).tolist()


def test_other_choices_leave_the_column_aside_and_say_so(caplog):
    table, told = crowd("sideways", "train", "train", "test")
    told[1] = "test"  # a patient of two splits would not matter either
    with caplog.at_level(logging.INFO):
        assert (
            choose_split(table, told, "x.csv", "patient", seed=1).tolist() == split_by_patient(table, seed=1).tolist()
        )
        assert set(choose_split(table, told, "x.csv", "test")) == {"test"}
    assert caplog.text.count("its column split is left aside") == 2
    with pytest.raises(ConfigError, match="split='official' is not known here; expected 'auto', 'patient' or 'test'"):
        choose_split(table, told, "x.csv", "official")


def test_words_that_are_no_split_are_named_with_their_number():
    table, told = crowd("train", "dev", "dev", "", "test")
    with pytest.raises(DataError, match=r"x\.csv: 3 of 5 cells in column 'split' .*: 'dev' \(2 rows\), '' \(1 rows\)"):
        choose_split(table, told, "x.csv")


def test_a_patient_in_two_splits_is_named():
    table, told = crowd("train", "test", "val", images=2)
    told[3] = "train"
    with pytest.raises(DataError, match=r"x\.csv: 1 patients are in two splits, for example p001 in test and train"):
        choose_split(table, told, "x.csv")
