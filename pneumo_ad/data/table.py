"""The table of radiographs: what every source must deliver, checked once at the border."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd

from pneumo_ad.data.boxes import parse_boxes
from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.printable import printable

NORMAL, PNEUMONIA, OTHER = "normal", "pneumonia", "other"
LABELS = (NORMAL, PNEUMONIA, OTHER)
SPLITS = ("train", "val", "test")
UNDEALT = "undealt"  # in place of a split: it came after a run had dealt its own, and is in none of them
REQUIRED = ("image", "path", "patient", "label", "lung", "opacity", "split")

PatientSplit = Literal["patient", "test"]


def check_table(table: pd.DataFrame) -> pd.DataFrame:
    """Check a table of radiographs, one row each, and sort it by image name; its words become `printable`.

    Columns: `image` (unique name), `path` (file), `patient`, `label` (normal, pneumonia or other), `lung` and
    `opacity` (mask file, or "" where there is none), `split` (train, val or test). Optional: `boxes`, opacities as
    JSON text `[[x, y, width, height], ...]` in pixels of the file, "[]" where there are known to be none, "" where
    nothing is known. Further columns are kept.

    Raises:
        DataError: A missing column, an empty table, a doubled name, an unknown label or split, a patient in two splits,
            a file that does not exist, boxes that are none, or boxes beside an opacity mask; names the offending rows.
    """
    missing = [column for column in REQUIRED if column not in table.columns]
    if missing:
        raise DataError(f"the table lacks the columns {missing}; it has {list(table.columns)}")
    if table.empty:
        raise DataError("the table of radiographs is empty")
    table = table.copy()
    for column in table.columns.difference(["path", "lung", "opacity"]):  # those are to open files with
        words = table[column].map(lambda word: printable(word) if isinstance(word, str) else word)
        if not words.equals(table[column]):
            table[column] = words
    _refuse(table[table["image"].duplicated(keep=False)], "share their name with another")
    _refuse(table[~table["label"].isin(LABELS)], f"have a label that is none of {LABELS}")
    _refuse(table[~table["split"].isin(SPLITS)], f"have a split that is none of {SPLITS}")
    splits = table.groupby("patient")["split"].transform("nunique")
    _refuse(table[splits > 1], "belong to a patient who is in two splits")
    for column in ("path", "lung", "opacity"):
        absent = table[column].map(lambda path: path != "" and not os.path.isfile(path))  # noqa: PTH113 - many
        _refuse(table[absent], f"name a file in column {column!r} that does not exist")
    if "boxes" in table.columns:
        wrong = ~table["boxes"].map(_holds_boxes)
        _refuse(table[wrong], 'have boxes that are not JSON [[x, y, width, height], ...], or "" where unknown')
        both = (table["boxes"] != "") & (table["opacity"] != "")
        _refuse(table[both], "have both an opacity mask and boxes (which one is the truth? leave one of them out)")
    return table.sort_values("image", kind="stable").reset_index(drop=True)


def warn_of_undealt(table: pd.DataFrame) -> None:
    """Warn once, with count and names, of radiographs that came after a run had dealt its splits.

    Args:
        table: Of an open store, with the splits of a run.
    """
    left = table.loc[table["split"] == UNDEALT, "image"]
    if len(left):
        warnings.warn(
            f"{len(left)} radiographs came after the run had dealt its splits; they are in none of them, neither "
            f"trained on nor evaluated: {', '.join(left.head(5))}{', ...' if len(left) > 5 else ''}",
            stacklevel=3,
        )


def _holds_boxes(text: object) -> bool:
    try:
        return text == "" or (isinstance(text, str) and parse_boxes(text) is not None)
    except DataError:
        return False


def _refuse(rows: pd.DataFrame, what: str) -> None:
    if len(rows):
        shown = ", ".join(map(str, rows["image"].head(5)))
        raise DataError(f"{len(rows)} radiographs {what}: {shown}{', ...' if len(rows) > 5 else ''}")


def describing_columns(table: pd.DataFrame) -> pd.DataFrame:
    """The columns that describe radiographs in words: view, finding, ..., but no required one, no boxes, no numbers.

    >>> describing_columns(pd.DataFrame({"image": ["a"], "view": ["PA"], "height": [512]})).columns.tolist()
    ['view']
    """
    own = table.drop(columns=[*REQUIRED, "boxes"], errors="ignore")
    return own.select_dtypes(exclude=["number", "bool"])


def map_labels(labels: pd.Series, mapping: Mapping[str, str] | None) -> pd.Series:
    """Bring a source's words to normal, pneumonia or other; words that are neither of the first two become other.

    Args:
        labels: Any words.
        mapping: From a source's word (any case) to one of ours; None takes the words as they are.

    Raises:
        ConfigError: The mapping leads to a word that is not ours.

    >>> map_labels(pd.Series(["NORMAL", "tuberculosis"]), None).tolist()
    ['normal', 'other']
    """
    lowered = {str(key).lower(): value for key, value in (mapping or {}).items()}
    unknown = sorted(set(lowered.values()) - set(LABELS))
    if unknown:
        raise ConfigError(f"labels lead to {unknown}; expected some of {LABELS}")
    words = labels.astype(str).str.strip().str.lower()
    return words.map(lambda word: lowered.get(word, word if word in LABELS else OTHER))


def split_by_patient(
    table: pd.DataFrame, split: PatientSplit = "patient", val: float = 0.1, test: float = 0.2, seed: int = 0
) -> pd.Series:
    """Deal patients to train, val and test, the same shares of those with pneumonia and of those without.

    Args:
        table: With columns `patient` and `label`.
        split: `patient` deals; `test` puts everybody in test (data that no training sees).
        val: Share of patients in val.
        test: Share of patients in test.
        seed: Fixes who goes where, whatever the order of rows.

    Returns:
        One of train, val, test per row.

    Raises:
        ConfigError: An unknown `split`, or shares that leave nothing to train on.
    """
    if split == "test":
        return pd.Series("test", index=table.index)
    if split != "patient":
        raise ConfigError(f"split={split!r} is not known here; expected 'patient' or 'test'")
    if not (val >= 0 and test >= 0 and val + test < 1):
        raise ConfigError(f"val={val} and test={test} must not be negative and must leave a share for training")
    dealt: dict[str, str] = {}
    sick = table.assign(sick=table["label"] == PNEUMONIA).groupby("patient")["sick"].any()
    for stratum in (False, True):
        patients = np.sort(sick.index[sick == stratum].to_numpy(dtype=str))
        order = np.random.default_rng([seed, int(stratum)]).permutation(len(patients))
        # At least one patient each, where there are three or more: a class must not vanish from a small data set.
        counts = [round(share * len(patients)) for share in (val, test)]
        if len(patients) >= 3:
            counts = [max(count, int(share > 0)) for count, share in zip(counts, (val, test), strict=True)]
        for place, index in enumerate(order):
            name = "val" if place < counts[0] else "test" if place < sum(counts) else "train"
            dealt[patients[index]] = name
    return table["patient"].map(dealt)
