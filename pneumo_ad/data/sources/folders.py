"""data=masks and data=folder: radiographs of any origin, with what a csv tells of them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from pneumo_ad.data.boxes import read_boxes
from pneumo_ad.data.listing import match_names, read_listing
from pneumo_ad.data.sources.classes import check_classes
from pneumo_ad.data.sources.files import existing_folder, images_in, list_files, path_column
from pneumo_ad.data.sources.kermany import PATIENT
from pneumo_ad.data.table import OTHER, PatientSplit, check_table, map_labels, split_by_patient
from pneumo_ad.errors import DataError


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
    root = existing_folder(root)
    folder = root / "images" if (root / "images").is_dir() else root
    table = _with_csv(folder, index or (root / "index.csv" if (root / "index.csv").is_file() else None), boxes)
    for kind, given in (("lung", lung_dir), ("opacity", opacity_dir)):
        where = existing_folder(given) if given is not None else root / kind
        found = {file.stem: str(file) for file in images_in(where)} if where.is_dir() else {}
        table[kind] = path_column(found.get(Path(path).stem, "") for path in table["path"]).set_axis(table.index)
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
        DataError: No image, a csv that lists images that are not there, or folders that are classes (`NORMAL` and
            `PNEUMONIA`) where no csv gives labels.
    """
    table = _with_csv(existing_folder(root), csv, boxes, recursive=True)
    if default_label != OTHER and not ("label" in table and (table["label"].astype(str).str.strip() != "").any()):
        check_classes(Path(root).expanduser(), table["path"], default_label)
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
    told = table["image"].str.rpartition("/")[2].str.extract(PATIENT)["patient"].fillna(table["image"])
    # A blank cell of the csv is what the csv does not give; blank patients are not one person.
    for column, default in (("label", default_label), ("patient", told)):
        given = table[column].astype(str).str.strip() if column in table.columns else pd.Series("", index=table.index)
        table[column] = given.where(given != "", default)
    table["label"] = map_labels(table["label"], labels)
    table["split"] = split_by_patient(table, split, val, test, seed)
    return check_table(table)


def _with_csv(folder: Path, csv: str | Path | None, boxes: str | Path | None, recursive: bool = False) -> pd.DataFrame:
    table = files = list_files(folder, recursive)
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
