"""The train/val/test split of a run, recorded in `split.csv`."""

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
    """Data with a table of radiographs that are assigned to splits."""

    table: pd.DataFrame
    skipped: dict[str, str]
    on_error: OnError


def keep_split(data: Dealt, folder: Path) -> None:
    """Restore the run's train/val/test split: a new split after files were added or removed would move patients.

    Args:
        data: Radiographs, assigned to splits; their table is modified.
        folder: The run folder.

    Raises:
        DataError: The data hold radiographs that the run's split lacks, or lack some of its radiographs.
    """
    saved = read_split(folder)
    if saved is None:
        return
    saved = saved.set_index("image")
    saved.index = saved.index.map(printable)  # an earlier version wrote names unescaped
    dealt = saved.loc[saved["split"].isin(SPLITS), "split"]
    table = data.table
    now = set(table["image"]) - set(data.skipped)
    new, gone = sorted(now - set(dealt.index)), sorted(set(dealt.index) - now)
    if gone or (new and data.on_error == "raise"):
        raise DataError(
            f"the data of {folder} changed since it was trained: {len(gone)} images are gone "
            f"({', '.join(gone[:3]) or 'none'}), {len(new)} are new ({', '.join(new[:3]) or 'none'}). Restore them, or "
            "evaluate the new data as others: data.root=... data.split=test output=..."
        )
    check_labels(table, saved, folder)
    # Radiographs without a split, such as unreadable files; opening the store warns of them.
    table["split"] = table["image"].map(dealt).fillna(UNDEALT)


def read_split(folder: Path) -> pd.DataFrame | None:
    """Read the split of a run; None if there is none.

    Args:
        folder: The run folder.

    Raises:
        DamagedError: `split.csv` cannot be read, or names a radiograph twice.
    """
    file = folder / "split.csv"
    if not is_there(file):
        return None
    table = read_table(file, dict.fromkeys(("image", "patient", "label", "split"), str))
    double = table["image"][table["image"].duplicated()]
    if len(double):
        raise DamagedError(f"{file}: {double.iloc[0]} stands twice")
    return table


def write_split(table: pd.DataFrame, folder: Path) -> None:
    """Write the split of each radiograph to `split.csv`, for `keep_split`.

    Args:
        table: Table of an open store.
        folder: The run folder.
    """
    dealt = table.loc[table["split"].isin(SPLITS), ["image", "patient", "label", "split"]]
    write_text(folder / "split.csv", dealt.to_csv(index=False))
