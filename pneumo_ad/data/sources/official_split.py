"""Official splits: train, val and test of a csv, checked and kept."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

import pandas as pd

from pneumo_ad.data.sources.table import split_by_patient
from pneumo_ad.data.words import first_counts
from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.labels import SPLITS

log = logging.getLogger(__name__)

SplitChoice = Literal["auto", "patient", "test"]

WORDS = {name: name for name in SPLITS} | {"training": "train", "valid": "val", "validation": "val", "testing": "test"}


def choose_split(
    table: pd.DataFrame,
    told: pd.Series | None,
    csv: str | Path | None,
    split: SplitChoice = "auto",
    val: float = 0.1,
    test: float = 0.2,
    seed: int = 0,
) -> pd.Series:
    """Return the split of a csv, or a new one.

    Args:
        table: Columns `image`, `patient` and `label`.
        told: Split in the csv, by row of the table; None if it has no such column.
        csv: File to name in the messages.
        split: `auto` keeps the split of the csv, and splits by patient if it has none; `patient` always makes a new
            split by patient; `test` assigns all to test.
        val: Share of patients in val; if the csv has a train but no val split, share of the patients of train.
        test: Share of patients in test; without effect if the csv's split is kept.
        seed: Seed of a new split.

    Returns:
        One of train, val, test per row.

    Raises:
        ConfigError: An unknown `split`, or shares that leave nothing to train on.
        DataError: Words that are no split, rows without one, or a patient in two.
    """
    if split not in ("auto", "patient", "test"):
        raise ConfigError(f"split={split!r} is not known here; expected 'auto', 'patient' or 'test'")
    if told is not None and (told.str.strip() != "").any():
        if split == "auto":
            return _kept(table, told, csv, val, seed)
        log.info("%s: its column split is left aside, as split=%s says; split=auto keeps it", csv, split)
    return split_by_patient(table, "patient" if split == "auto" else split, val, test, seed)


def _kept(table: pd.DataFrame, told: pd.Series, csv: str | Path | None, val: float, seed: int) -> pd.Series:
    kept = told.str.strip().str.lower().map(WORDS)
    if kept.isna().any():
        counts = told[kept.isna()].str.strip().value_counts()
        raise DataError(
            f"{csv}: {int(counts.sum())} of {len(told)} cells in column 'split' are none of {', '.join(SPLITS)}: "
            f"{first_counts(counts)}; data.split=patient splits by patient instead"
        )
    both = in_several_splits(table["patient"], kept)
    if len(both):
        raise DataError(
            f"{csv}: {len(both)} patients are in two splits, for example {both.index[0]} in "
            f"{' and '.join(both.iloc[0])}; put all images of a patient in one; data.split=patient splits by "
            "patient instead"
        )
    kept, note = with_val(table, kept, val, seed)
    counted = ", ".join(f"{name} {int((kept == name).sum())}" for name in SPLITS)
    log.info("%s: its column split is kept: %s%s; data.split=patient makes a new one", csv, counted, note)
    return kept


def in_several_splits(patients: pd.Series, splits: pd.Series) -> pd.Series:
    """Return the patients in more than one split: patient -> its splits.

    Args:
        patients: Patient of each row.
        splits: Split of each row.

    >>> in_several_splits(pd.Series(["a", "a", "b"]), pd.Series(["train", "test", "test"])).index.tolist()
    ['a']
    """
    of_patient = splits.groupby(patients).unique()
    return of_patient[of_patient.map(len) > 1]


def with_val(table: pd.DataFrame, splits: pd.Series, val: float, seed: int) -> tuple[pd.Series, str]:
    """Move some patients of train to val where a split has no val.

    Args:
        table: Columns `image`, `patient` and `label`.
        splits: Split of each row of the table.
        val: Share of the patients of train that are moved; 0 moves none.
        seed: Seed of the draw.

    Returns:
        One of train, val, test per row; and what was done, in words for a message, or "".
    """
    training = splits == "train"
    if not training.any() or (splits == "val").any() or val <= 0:
        return splits, ""
    drawn = splits.copy()
    drawn[training] = split_by_patient(table[training], "patient", val, 0.0, seed)
    return drawn, f" (it has no val: {val:.0%} of the patients of train, drawn)"
