"""data=rsna: DICOM files with boxes of opacities, from the RSNA Pneumonia Detection Challenge."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from pneumo_ad.data.progress import progress_bar
from pneumo_ad.data.readers.dicom_facts import DicomFacts, dicom_facts
from pneumo_ad.data.sources.boxes import read_boxes
from pneumo_ad.data.sources.listing import match_names, one_row_each, read_listing
from pneumo_ad.data.sources.official_split import SplitChoice, choose_split
from pneumo_ad.data.sources.paths import content_of, existing_folder, list_files, topmost
from pneumo_ad.data.sources.table import check_table
from pneumo_ad.data.words import first_counts
from pneumo_ad.errors import DataError
from pneumo_ad.files import reading_threads
from pneumo_ad.labels import NORMAL, OTHER, PNEUMONIA

IMAGES, BOXES, CLASSES = "stage_2_train_images", "stage_2_train_labels.csv", "stage_2_detailed_class_info.csv"
LABELS = {"Normal": NORMAL, "Lung Opacity": PNEUMONIA, "No Lung Opacity / Not Normal": OTHER}


def rsna(
    root: str | Path,
    headers: bool = True,
    split: SplitChoice = "auto",
    val: float = 0.1,
    test: float = 0.2,
    seed: int = 0,
) -> pd.DataFrame:
    """Read the RSNA Pneumonia Detection Challenge 2018, stage 2 (Shih et al. 2019, Radiology: Artificial Intelligence).

    26,684 frontal radiographs of ChestX-ray8 (Wang et al. 2017, CVPR) as DICOM of 1024 x 1024 pixels and 8 bits: 8,851
    Normal, 6,012 Lung Opacity, 11,821 No Lung Opacity / Not Normal. Radiologists drew boxes around opacities that may
    be pneumonia; there was no clinical confirmation. `Lung Opacity` becomes pneumonia, `Not Normal` becomes other.
    `Normal` and `Not Normal` are known to hold no opacity. The test images have no labels and are left out.

    Known faults: a patientId is one radiograph, not one person, so that radiographs of a person may be in several
    splits; ill patients are in bed more often (view AP), so that the view alone largely separates the classes.

    Args:
        root: Folder that holds stage_2_train_images/ and both csv, or a folder above it (`topmost`).
        headers: Whether to read view, sex and age from the DICOM headers (half a millisecond each).
        split: See `choose_split`; the csv of classes may have a column `split`, as some copies of the data set do.
        val: Share of patients in val.
        test: Share of patients in test.
        seed: Seed of the split.

    Returns:
        Checked table, with `boxes`, `class` (the data set's name) and, from the headers, `view`, `sex`, `age` (years).

    Raises:
        DataError: The folder or a csv is missing; the csv contradict each other, omit images or list missing ones; see
            also `choose_split`.
    """
    root = existing_folder(root)
    root = topmost(root, lambda top: (top / IMAGES).is_dir()) or root
    missing = [name for name in (IMAGES, BOXES, CLASSES) if not (root / name).exists()]
    if missing:
        raise DataError(
            f"{root}: expected {IMAGES}/, {BOXES} and {CLASSES}, lacks {', '.join(missing)}; found {content_of(root)}"
        )
    table = files = list_files(root / IMAGES)
    boxes = read_boxes(root / BOXES, files, root / IMAGES)
    classes, listed_split = _read_classes(root / CLASSES, files, root / IMAGES)
    for csv, listed in ((BOXES, boxes), (CLASSES, classes)):
        absent = [image for image in files["image"] if image not in listed]
        if absent:
            raise DataError(f"{root / csv}: tells nothing of {len(absent)} images in {IMAGES}, for example {absent[0]}")
    table = table.assign(patient=files["image"], boxes=files["image"].map(boxes), lung="", opacity="")
    table["class"] = files["image"].map(classes)
    table["label"] = table["class"].map(LABELS)
    contrary = table[(table["boxes"] != "[]") != (table["label"] == PNEUMONIA)]
    if len(contrary):
        row = contrary.iloc[0]
        raise DataError(
            f"{root / BOXES} and {CLASSES} contradict each other in {len(contrary)} images: {row['image']} is "
            f"{row['class']!r} and has the boxes {row['boxes']}; expected boxes where the class is 'Lung Opacity' alone"
        )
    if headers:
        table = table.join(_read_headers(table))
    splits = files["image"].map(listed_split) if listed_split is not None else None
    table["split"] = choose_split(table, splits, root / CLASSES, split, val, test, seed)
    return check_table(table)


def _read_classes(csv: Path, files: pd.DataFrame, folder: Path) -> tuple[dict[str, str], dict[str, str] | None]:
    """Read the class of each image, and its split if the csv has that column; the csv has a line for each box."""
    listed = read_listing(csv, ["image", "class"], ["split"], {"patientId": "image"})
    listed["image"] = match_names(listed["image"], files, folder, csv)
    words = {name.lower(): name for name in LABELS}
    classes = listed["class"].str.strip().str.lower().map(words)
    if classes.isna().any():
        counts = listed["class"][classes.isna()].value_counts()
        raise DataError(
            f"{csv}: {int(counts.sum())} rows have a class that is none of {list(LABELS)}: {first_counts(counts)}, for "
            f"example line {classes.index[classes.isna()][0] + 2}"
        )
    listed["class"] = classes
    splits = _one_each(listed, "split", csv) if "split" in listed.columns else None
    return _one_each(listed, "class", csv), splits


def _one_each(listed: pd.DataFrame, column: str, csv: Path) -> dict[str, str]:
    """Map each image to its only value in a column."""
    alone = listed[["image", column]].drop_duplicates()
    one_row_each(alone, csv)
    return dict(zip(alone["image"], alone[column], strict=True))


def _read_headers(table: pd.DataFrame) -> pd.DataFrame:
    """Read view, sex and age by row; blank, with a warning, if a header is unreadable: the store names that file."""
    unread: list[str] = []

    def read(path: str) -> DicomFacts:
        try:
            return dicom_facts(path)
        except DataError:
            unread.append(path)
            return DicomFacts()

    with ThreadPoolExecutor(reading_threads()) as pool:
        facts = list(progress_bar(pool.map(read, table["path"]), total=len(table), desc="headers", unit="file"))
    if unread:
        warnings.warn(
            f"{len(unread)} headers cannot be read, for example {min(unread)}: view, sex and age stay blank",
            stacklevel=2,
        )
    return pd.DataFrame(facts, index=table.index)[["view", "sex", "age"]]
