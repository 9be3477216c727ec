"""Table of radiographs, which every data source returns, and its checks."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from pneumo_ad.data.sources.boxes import parse_boxes
from pneumo_ad.data.words import first_counts, first_few
from pneumo_ad.errors import ConfigError, DataError, printable
from pneumo_ad.labels import LABELS, NORMAL, OTHER, PNEUMONIA, SPLITS, UNDEALT

REQUIRED = ("image", "path", "patient", "label", "lung", "opacity", "split")

PatientSplit = Literal["patient", "test"]


def check_table(table: pd.DataFrame) -> pd.DataFrame:
    """Check a table of radiographs, one row each, and sort it by image name; its text becomes `printable`.

    Columns: `image` (unique name), `path` (file), `patient`, `label` (normal, pneumonia or other), `lung` and
    `opacity` (mask file, or "" for none), `split` (train, val or test). Optional: `boxes`, opacities as JSON text
    `[[x, y, width, height], ...]` in pixels of the file, "[]" if there are known to be none, "" if unknown. Further
    columns are kept.

    Raises:
        DataError: A missing column, an empty table, a repeated name, an unknown label or split, a patient in two
            splits, a missing file, invalid boxes, or boxes beside an opacity mask; names the rows.
    """
    missing = [column for column in REQUIRED if column not in table.columns]
    if missing:
        raise DataError(f"the table lacks the columns {missing}; it has {list(table.columns)}")
    if table.empty:
        raise DataError("the table of images is empty")
    table = table.copy()
    for column in table.columns.difference(["path", "lung", "opacity"]):  # paths must stay as they are
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
        _refuse(table[both], "have both a mask of anomalies and boxes (which one is the truth? leave one of them out)")
    return table.sort_values("image", kind="stable").reset_index(drop=True)


def warn_of_undealt(table: pd.DataFrame) -> None:
    """Warn once, with count and names, of radiographs that were added after a run had fixed its splits.

    Args:
        table: Table of an open store, with the splits of a run.
    """
    left = table.loc[table["split"] == UNDEALT, "image"]
    if len(left):
        warnings.warn(
            f"{len(left)} images were added after the run had fixed its splits; they are in none of them, neither "
            f"trained on nor evaluated: {first_few(left)}",
            stacklevel=4,
        )


def _holds_boxes(text: object) -> bool:
    try:
        return text == "" or (isinstance(text, str) and parse_boxes(text) is not None)
    except DataError:
        return False


def _refuse(rows: pd.DataFrame, what: str) -> None:
    if len(rows):
        raise DataError(f"{len(rows)} images {what}: {first_few(rows['image'])}")


def describing_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Select the columns that describe radiographs in words: view, finding, ..., without required ones and numbers.

    >>> describing_columns(pd.DataFrame({"image": ["a"], "view": ["PA"], "height": [512]})).columns.tolist()
    ['view']
    """
    further = table.drop(columns=[*REQUIRED, "boxes"], errors="ignore")
    return further.select_dtypes(exclude=["number", "bool"])


# Words for a missing value, a boolean or a number, which are no findings.
_CODES = frozenset({"na", "nan", "nat", "none", "null", "nil", "true", "false", "yes", "no", "on", "off", "inf"})
_SPECIAL = re.compile(r"[\\()\[\]{}:=,]")  # Hydra needs a backslash before these
_BOOLEANS = {True: ("true", "yes", "on"), False: ("false", "no", "off")}  # words that YAML reads as booleans


def map_labels(
    labels: pd.Series,
    mapping: Mapping[Any, str] | None = None,
    default: str | None = None,
    source: str | Path = "the column label",
) -> pd.Series:
    """Map a source's words to the labels normal, pneumonia or other.

    A word is one of the labels in upper or lower case, or a key of `mapping`; numbers are compared by value (0, 0.0 and
    "0" are equal). A further word, such as a diagnosis, becomes other and is counted in a warning.

    Args:
        labels: Words of the source, one per row; "" for none.
        mapping: Word of the source (any case) -> label; None expects labels.
        default: Label, or word of the mapping, for blank cells; None refuses these.
        source: Name of the source or file of the words, for messages.

    Raises:
        ConfigError: A mapping to a word that is no label, or of one word to two labels; an unknown default.
        DataError: Words that are neither labels nor mapped: blank cells, numbers, booleans, words for a missing value;
            or any such word, if no radiograph is normal. Says which words there are and how often.

    >>> map_labels(pd.Series(["NORMAL ", "0", "1.0"]), {0: "normal", 1: "pneumonia"}).tolist()
    ['normal', 'normal', 'pneumonia']
    """
    meanings = _meanings(mapping)
    if default is not None:
        if _key(default) not in meanings:
            raise ConfigError(f"default_label={default!r} is no label; expected one of {LABELS}")
        meanings.setdefault("", meanings[_key(default)])
    words = labels.astype(str).str.strip()
    meant = {word: meanings.get(_key(word)) for word in words.unique()}
    strange = words[words.map(lambda word: meant[word] is None)].value_counts()
    if len(strange):
        of_all = f"{source}: {int(strange.sum())} of {len(words)} labels are none of {', '.join(LABELS)}: "
        of_all += first_counts(strange)
        offer = ", ".join(_SPECIAL.sub(r"\\\g<0>", word) + ": LABEL" for word in strange.index[:8] if word)
        if NORMAL not in meant.values() or any(map(_is_code, strange.index)):
            mend = [f'"data.labels={{{offer}}}"'] * bool(offer)
            mend += ["data.default_label=LABEL for blank cells"] * ("" in strange.index)
            raise DataError(f"{of_all}. Say what they mean, LABEL being one of the three: {', '.join(mend)}")
        found, none = (f'"data.labels={{{offer.replace("LABEL", label)}}}"' for label in (PNEUMONIA, OTHER))
        meant_so = f"{found} makes them the positive class, {none} says that they are not"
        warnings.warn(f"{of_all}. They are taken as other: scored, and in no AUROC. {meant_so}", stacklevel=3)
    return words.map(lambda word: meant[word] or OTHER)


def _meanings(mapping: Mapping[Any, str] | None) -> dict[str, str]:
    """Mapping of the `_key` of each known word to its label."""
    if not isinstance(mapping, Mapping | None):
        raise ConfigError(f'labels={mapping!r} maps no words; expected for example "data.labels={{0: normal}}"')
    meanings: dict[str, str] = {}
    for word, label in (mapping or {}).items():
        for key in map(_key, _BOOLEANS[word] if isinstance(word, bool) else (word,)):
            if label not in LABELS:
                raise ConfigError(f"labels lead to {[label]}; expected some of {LABELS}")
            if meanings.setdefault(key, label) != label:
                raise ConfigError(f"labels lead {word!r} to both {meanings[key]} and {label}")
    return dict(zip(LABELS, LABELS, strict=True)) | meanings


def _key(word: object) -> str:
    """Normal form by which words are compared: lower case, numbers by value."""
    text = str(word).strip().lower()
    try:
        return str(float(text))
    except ValueError:
        return text


def _is_code(word: str) -> bool:
    letters = "".join(filter(str.isalpha, word.lower()))
    return len(letters) < 2 or letters in _CODES


def split_by_patient(
    table: pd.DataFrame, split: PatientSplit = "patient", val: float = 0.1, test: float = 0.2, seed: int = 0
) -> pd.Series:
    """Split patients into train, val and test, stratified by pneumonia.

    Args:
        table: Columns `patient` and `label`.
        split: `patient` splits by patient; `test` assigns all to test (data without training).
        val: Share of patients in val.
        test: Share of patients in test.
        seed: Seed of the split, which does not depend on the order of rows.

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
    split_of: dict[str, str] = {}
    sick = table.assign(sick=table["label"] == PNEUMONIA).groupby("patient")["sick"].any()
    for stratum in (False, True):
        patients = np.sort(sick.index[sick == stratum].to_numpy(dtype=str))
        order = np.random.default_rng([seed, int(stratum)]).permutation(len(patients))
        # At least one patient each if there are three or more, so that no class is missing from a split of a small set.
        counts = [round(share * len(patients)) for share in (val, test)]
        if len(patients) >= 3:
            counts = [max(count, int(share > 0)) for count, share in zip(counts, (val, test), strict=True)]
        for place, index in enumerate(order):
            name = "val" if place < counts[0] else "test" if place < sum(counts) else "train"
            split_of[patients[index]] = name
    return table["patient"].map(split_of)
