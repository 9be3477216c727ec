"""Who is in which split: a run keeps what its radiographs were dealt to in `split.csv`."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import pandas as pd

from pneumo_ad.data.store.build import OnError
from pneumo_ad.errors import DamagedError, DataError, printable
from pneumo_ad.files import write_text
from pneumo_ad.labels import SPLITS, UNDEALT
from pneumo_ad.runs.origin import check_labels
from pneumo_ad.saved import is_there, read_table


class Dealt(Protocol):
    """What has a table of radiographs that a run dealt to splits."""

    table: pd.DataFrame
    skipped: dict[str, str]
    on_error: OnError


def keep_split(data: Dealt, folder: Path) -> None:
    """Put everybody where the run had them: a split dealt again after a file came or went would move patients.

    Args:
        data: The radiographs, dealt to splits.
        folder: The run folder.

    Raises:
        DataError: The data hold radiographs that the run never dealt, or lack some that it did.
    """
    saved = read_split(folder)
    if saved is None:
        return
    saved = saved.set_index("image")
    saved.index = saved.index.map(printable)  # an earlier version wrote names as they were
    dealt = saved.loc[saved["split"].isin(SPLITS), "split"]
    table = data.table
    now = set(table["image"]) - set(data.skipped)
    new, gone = sorted(now - set(dealt.index)), sorted(set(dealt.index) - now)
    if gone or (new and data.on_error == "raise"):
        raise DataError(
            f"the data of {folder} changed since it was trained: {len(gone)} radiographs are gone "
            f"({', '.join(gone[:3]) or 'none'}), {len(new)} are new ({', '.join(new[:3]) or 'none'}). Restore them, or "
            "evaluate the new data as others: data.root=... data.split=test output=..."
        )
    check_labels(table, saved, folder)
    # What the run never dealt, such as a file that could not be read; who opens the store is warned of them.
    table["split"] = table["image"].map(dealt).fillna(UNDEALT)


def read_split(folder: Path) -> pd.DataFrame | None:
    """What `write_split` wrote into a run folder; None where there is none.

    Args:
        folder: The run folder.

    Raises:
        DamagedError: It cannot be read, or names a radiograph twice.
    """
    file = folder / "split.csv"
    if not is_there(file):
        return None
    table = read_table(file, dict.fromkeys(("image", "patient", "split"), str))
    double = table["image"][table["image"].duplicated()]
    if len(double):
        raise DamagedError(f"{file}: {double.iloc[0]} stands twice")
    return table


def write_split(table: pd.DataFrame, folder: Path) -> None:
    """Write to `split.csv` which radiograph is in which split, for `keep_split`.

    Args:
        table: Table of an open store.
        folder: The run folder.
    """
    dealt = table.loc[table["split"].isin(SPLITS), ["image", "patient", "label", "split"]]
    write_text(folder / "split.csv", dealt.to_csv(index=False))
