"""Folders and csv files become tables of radiographs. Each source is a function that returns a checked table."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from pneumo_ad.data.boxes import read_boxes
from pneumo_ad.data.listing import match_names, read_listing
from pneumo_ad.data.phantom import DRAWING, write_phantoms
from pneumo_ad.data.radiograph import SUFFIXES
from pneumo_ad.data.table import NORMAL, PNEUMONIA, PatientSplit, check_table, map_labels, split_by_patient
from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.paths import cache_dir

# person12_virus_46, IM-0115-0001, NORMAL2-IM-0389-0001(-0002). The prefix NORMAL2- stays part of the patient: whether
# both numberings mean the same people is not known.
_KERMANY = re.compile(r"^(?P<patient>person\d+|(?:NORMAL2-)?IM-\d+)(?:_(?P<finding>bacteria|virus))?[-_].*")


def phantom(
    normal: int = 240,
    pneumonia: int = 90,
    size: int = 320,
    seed: int = 0,
    split: PatientSplit = "patient",
    val: float = 0.2,
    test: float = 0.3,
) -> pd.DataFrame:
    """Drawn radiographs with known lungs and opacities, written to the cache folder once and read like any others.

    Args:
        normal: Number of normal radiographs.
        pneumonia: Number of radiographs with opacities.
        size: Longest side in pixels.
        seed: Fixes every drawing and the split.
        split: See `split_by_patient`; one patient per radiograph.
        val: Share of patients in val.
        test: Share of patients in test.

    Raises:
        ValueError: Numbers that cannot be drawn.
    """
    folder = cache_dir() / "phantoms" / f"v{DRAWING}-normal{normal}-pneumonia{pneumonia}-size{size}-seed{seed}"
    write_phantoms(folder, normal=normal, pneumonia=pneumonia, size=size, seed=seed)
    return masks(folder, split=split, val=val, test=test, seed=seed)


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
        root: Folder that holds NORMAL and PNEUMONIA, or train (and test, val) above them.
        split: `patient` deals anew by patient; `official` keeps the test folder and takes val from the patients of
            train (patients of the test folder are left out of train and val, and counted in a warning); `test` puts
            everything in test.
        val: Share of patients in val.
        test: Share of patients in test; without effect when `split=official`.
        seed: Fixes the split.

    Raises:
        DataError: Another layout (says what was found and what was expected), or a class without an image.
        ConfigError: An unknown split, or `official` without a test folder.
    """
    root = _folder(root)
    levels = [root / name for name in ("train", "val", "test") if (root / name).is_dir()] or [root]
    rows = []
    for level in levels:
        for label in (NORMAL, PNEUMONIA):
            folder = level / label.upper()
            if not folder.is_dir():
                raise DataError(
                    f"{level}: expected the folders NORMAL and PNEUMONIA (the Kaggle layout, with or without train/ "
                    f"and test/ above them), found {_listing(level)}; for other layouts use data=folder or data=masks"
                )
            files = _images(folder)
            if not files:
                raise DataError(f"{folder}: the class {label} has no image")
            rows += [
                {"image": f"{level.name}/{file.stem}" if len(levels) > 1 else file.stem, "path": str(file)}
                | {"label": label, "folder": level.name if level != root else ""}
                for file in files
            ]
    table = pd.DataFrame(rows)
    names = table["path"].map(lambda path: Path(path).stem)
    parts = names.str.extract(_KERMANY)
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
            raise ConfigError(f"split=official needs {root}/test; found {_listing(root)}. Use split=patient")
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


def masks(
    root: str | Path,
    lung_dir: str | Path | None = None,
    opacity_dir: str | Path | None = None,
    index: str | Path | None = None,
    boxes: str | Path | None = None,
    labels: Mapping[str, str] | None = None,
    default_label: str = "other",
    only_with_masks: bool = False,
    split: PatientSplit = "patient",
    val: float = 0.1,
    test: float = 0.2,
    seed: int = 0,
) -> pd.DataFrame:
    """Radiographs with masks of the same stem: a folder with images/, optionally lung/, opacity/ and index.csv.

    Args:
        root: Folder with images/, or of the images themselves.
        lung_dir: Folder of lung-field masks; default root/lung.
        opacity_dir: Folder of opacity masks; default root/opacity.
        index: csv with `image` (stem) and any of patient, label, view, finding, ...; default root/index.csv if there.
            Only the images it lists are used.
        boxes: csv of opacities as boxes, for images without an opacity mask (`read_boxes`).
        labels: From the csv's words to normal, pneumonia or other.
        default_label: Label where the csv gives none.
        only_with_masks: Leave out images without a lung mask (counted in a warning) instead of keeping them.
        split: See `split_by_patient`.
        val: Share of patients in val.
        test: Share of patients in test.
        seed: Fixes the split.

    Raises:
        DataError: No image, a mask folder that is named but absent or that matches no image, a csv that lists
            images that are not there, or an image with both an opacity mask and boxes.
    """
    root = _folder(root)
    folder = root / "images" if (root / "images").is_dir() else root
    table = _files_and_csv(folder, index or (root / "index.csv" if (root / "index.csv").is_file() else None), boxes)
    for kind, given in (("lung", lung_dir), ("opacity", opacity_dir)):
        where = _folder(given) if given is not None else root / kind
        found = {file.stem: str(file) for file in _images(where)} if where.is_dir() else {}
        table[kind] = [found.get(Path(path).stem, "") for path in table["path"]]
        if given is not None and not (table[kind] != "").any():
            raise DataError(f"{where}: no mask has the stem of an image in {folder} (for example {table['image'][0]})")
    if only_with_masks:
        without = table["lung"] == ""
        if without.any():
            warnings.warn(
                f"{int(without.sum())} of {len(table)} images have no lung mask and are left out", stacklevel=2
            )
        table = table[~without].reset_index(drop=True)
    return _finish(table, labels, default_label, split, val, test, seed)


def folder(
    root: str | Path,
    csv: str | Path | None = None,
    boxes: str | Path | None = None,
    labels: Mapping[str, str] | None = None,
    default_label: str = "normal",
    split: PatientSplit = "patient",
    val: float = 0.1,
    test: float = 0.2,
    seed: int = 0,
) -> pd.DataFrame:
    """Any images, searched recursively, with an optional csv (image, patient, label, ...).

    Args:
        root: Folder.
        csv: Table with column `image`: path below root, file name or stem.
        boxes: csv of opacities as boxes (`read_boxes`).
        labels: From the csv's words to normal, pneumonia or other.
        default_label: Label of every image where no csv gives one.
        split: See `split_by_patient`; without a csv each image is a patient of its own.
        val: Share of patients in val.
        test: Share of patients in test.
        seed: Fixes the split.

    Raises:
        DataError: No image, or a csv that lists images that are not there.
    """
    table = _files_and_csv(_folder(root), csv, boxes, recursive=True)
    return _finish(table.assign(lung="", opacity=""), labels, default_label, split, val, test, seed)


def _finish(
    table: pd.DataFrame,
    labels: Mapping[str, str] | None,
    default_label: str,
    split: PatientSplit,
    val: float,
    test: float,
    seed: int,
) -> pd.DataFrame:
    # Without a csv a file name that tells the patient, as those of the Kaggle set do, is believed.
    told = table["image"].map(lambda name: Path(name).name).str.extract(_KERMANY)["patient"].fillna(table["image"])
    # A blank cell of the csv is what the csv does not give; blank patients are not one person.
    for column, default in (("label", default_label), ("patient", told)):
        given = table[column].astype(str).str.strip() if column in table.columns else pd.Series("", index=table.index)
        table[column] = given.where(given != "", default)
    table["label"] = map_labels(table["label"], labels)
    table["split"] = split_by_patient(table, split, val, test, seed)
    return check_table(table)


def _files(folder: Path, recursive: bool = False) -> pd.DataFrame:
    files = _images(folder, recursive)
    if not files:
        raise DataError(
            f"{folder}: no image found (looked for {', '.join(sorted(SUFFIXES))}); it holds {_listing(folder)}"
        )
    names = [file.relative_to(folder).with_suffix("").as_posix() for file in files]
    if len(set(names)) < len(names):  # a.png beside a.jpg
        names = [file.relative_to(folder).as_posix() for file in files]
    return pd.DataFrame({"image": names, "path": [str(file) for file in files]})


def _files_and_csv(
    folder: Path, csv: str | Path | None, boxes: str | Path | None, recursive: bool = False
) -> pd.DataFrame:
    table = files = _files(folder, recursive)
    if csv is not None:
        listed = read_listing(csv)
        listed["image"] = match_names(listed["image"], files, folder, csv)
        table = files.merge(listed.drop(columns=["path"], errors="ignore"), on="image", how="inner")
    if boxes is not None:
        # Whatever lies in the folder may have boxes, also where the csv of images leaves it out.
        found = read_boxes(boxes, files, folder)
        table["boxes"] = [found.get(image, "") for image in table["image"]]
        if not (table["boxes"] != "").any():
            raise DataError(f"{boxes}: tells nothing of the {len(table)} images (for example {table['image'].iloc[0]})")
    return table


def _folder(path: str | Path) -> Path:
    path = Path(path).expanduser()
    if not path.is_dir():
        near = next(parent for parent in path.absolute().parents if parent.is_dir())
        raise DataError(f"{path}: no such folder; the nearest that exists is {near}, which holds {_listing(near)}")
    return path


def _images(folder: Path, recursive: bool = False) -> list[Path]:
    found = folder.rglob("*") if recursive else folder.iterdir()
    return sorted(file for file in found if file.suffix.lower() in SUFFIXES and not file.name.startswith("."))


def _listing(folder: Path) -> str:
    names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in folder.iterdir())
    return ", ".join(names[:6]) + (f", ... ({len(names)} entries)" if len(names) > 6 else "") if names else "nothing"
