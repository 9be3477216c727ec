"""data=chest_xray: Kaggle data set of children's radiographs."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pandas as pd

from pneumo_ad.data.sources.paths import content_of, existing_folder, images_in, path_column, topmost
from pneumo_ad.data.sources.table import check_table, split_by_patient
from pneumo_ad.data.sources.walk import Identity
from pneumo_ad.errors import ConfigError, DataError, printable
from pneumo_ad.labels import NORMAL, PNEUMONIA, SPLITS

# person12_virus_46, IM-0115-0001, NORMAL2-IM-0389-0001(-0002). The prefix NORMAL2- stays part of the patient's name, as
# it is not known whether both numberings mean the same patients.
PATIENT = re.compile(r"^(?P<patient>person\d+|(?:NORMAL2-)?IM-\d+)(?:_(?P<finding>bacteria|virus))?[-_].*")


def chest_xray(
    root: str | Path,
    split: str = "patient",
    val: float = 0.1,
    test: float = 0.2,
    seed: int = 0,
) -> pd.DataFrame:
    """Kaggle *Chest X-Ray Images (Pneumonia)*: children of one to five years (Kermany et al. 2018, Cell; CC BY 4.0).

    5,863 JPEG in NORMAL and PNEUMONIA, with or without a train/val/test level above them. Patient and kind of pneumonia
    (bacteria, virus) are read from the file name. Known faults: normal images are sharper and squarer than pneumonia
    ones, and 170 person numbers are in both the official train and test folders.

    Args:
        root: Folder that holds NORMAL and PNEUMONIA, or train (and test, val) above them; or one above (`topmost`).
        split: `patient` makes a new split by patient; `official` keeps the test folder and takes val from the patients
            of train (patients of the test folder are left out of train and val, and counted in a warning); `test`
            assigns everything to test.
        val: Share of patients in val.
        test: Share of patients in test; without effect for `split=official`.
        seed: Seed of the split.

    Raises:
        DataError: Another layout (says what was found and what was expected), or a class without an image.
        ConfigError: An unknown split, or `official` without a test folder.
    """
    root = existing_folder(root)
    root = topmost(root, lambda top: any((top / name / "NORMAL").is_dir() for name in ("", *SPLITS))) or root
    levels = [root / name for name in SPLITS if (root / name).is_dir()] or [root]
    rows, paths, seen = [], list[Path](), dict[Identity, Path]()
    for level in levels:
        for label in (NORMAL, PNEUMONIA):
            folder = level / label.upper()
            if not folder.is_dir():
                raise DataError(
                    f"{level}: expected the folders NORMAL and PNEUMONIA (the Kaggle layout, with or without train/ "
                    f"and test/ above them), found {content_of(level)}; for other layouts use data=folder or data=masks"
                )
            files = images_in(folder, seen=seen)
            if not files:
                raise DataError(f"{folder}: the class {label} has no image")
            paths += files
            rows += [
                {
                    "image": printable(f"{level.name}/{file.stem}" if len(levels) > 1 else file.stem),
                    "label": label,
                    "folder": level.name if level != root else "",
                }
                for file in files
            ]
    table = pd.DataFrame(rows).assign(path=path_column(paths))
    names = table["image"].str.rpartition("/")[2]
    parts = names.str.extract(PATIENT)
    strange = parts["patient"].isna()
    if strange.any():
        warnings.warn(
            f"{int(strange.sum())} file names do not tell the patient (expected person12_virus_46 or IM-0115-0001), "
            f"for example {names[strange].iloc[0]}; each is taken as a patient of its own",
            stacklevel=2,
        )
    table["patient"] = parts["patient"].fillna(names)
    table["finding"] = parts["finding"].fillna("")
    if split == "official":
        if not (table["folder"] == "test").any():
            raise ConfigError(f"split=official needs {root}/test; found {content_of(root)}. Use split=patient")
        in_test = set(table.loc[table["folder"] == "test", "patient"])
        both = (table["folder"] != "test") & table["patient"].isin(in_test)
        if both.any():
            warnings.warn(
                f"{int(both.sum())} training images of {table.loc[both, 'patient'].nunique()} patients who are in the "
                "official test folder too are left out",
                stacklevel=2,
            )
        table = table[~both].reset_index(drop=True)
        rest = table["folder"] != "test"
        table["split"] = "test"
        table.loc[rest, "split"] = split_by_patient(table[rest], "patient", val, 0.0, seed)
    elif split in ("patient", "test"):
        table["split"] = split_by_patient(table, split, val, test, seed)  # type: ignore[arg-type]
    else:
        raise ConfigError(f"split={split!r} is not known; expected 'patient', 'official' or 'test'")
    return check_table(table.assign(lung="", opacity=""))
