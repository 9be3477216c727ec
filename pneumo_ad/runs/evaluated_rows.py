"""Selection of the radiographs to evaluate."""

from __future__ import annotations

import logging

import numpy as np
import numpy.typing as npt

from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.runs.run import Run
from pneumo_ad.runs.split import read_split

log = logging.getLogger(__name__)

SUBSETS = ("train", "val", "test", "all")


def chosen_rows(run: Run, subset: str | None = None) -> tuple[npt.NDArray[np.int64], str, int]:
    """Choose the radiographs to evaluate.

    On other data than the run's own, patients of the run's training and validation splits are left out.

    Returns:
        (n,) int64 rows of the store, the name of the subset, and the number of radiographs left out.

    Raises:
        ConfigError: An unknown subset.
        DataError: No radiograph is left.
    """
    subset = subset or ("all" if run.data_changed else "test")
    if subset not in SUBSETS:
        raise ConfigError(f"subset={subset} is not known; expected train, val, test or all")
    rows = run.radiographs.rows(None if subset == "all" else subset)
    seen = 0
    if run.data_changed and (own := read_split(run.folder)) is not None:
        known = set(own.loc[own["split"].isin(("train", "val")), "patient"])
        new = ~run.radiographs.store.table["patient"].iloc[rows].isin(known).to_numpy()
        seen = int((~new).sum())
        if seen:
            example = run.radiographs.store.table.iloc[rows[~new][0]]
            reason = (
                f"{seen} of {len(rows)} images are of patients of the same name as some whom the run saw in "
                f"training, for example {example['image']} of patient {example['patient']}"
            )
            if seen == len(rows):
                raise DataError(
                    f"nothing to evaluate: {reason}. Where they are other people, name the patients in a csv with "
                    "columns image and patient: data.csv=FILE of data=folder, data.index=FILE of data=masks"
                )
            log.warning("%s; they are left out", reason)
        rows = rows[new]
    if not len(rows):
        raise DataError(f"nothing to evaluate: no image in subset={subset}")
    return rows, subset, seen
