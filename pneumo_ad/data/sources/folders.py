"""data=masks and data=folder: radiographs of any origin, with masks, boxes and an optional csv."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pneumo_ad.data.sources.boxes import read_boxes
from pneumo_ad.data.sources.chest_xray import PATIENT
from pneumo_ad.data.sources.classes import check_classes
from pneumo_ad.data.sources.listing import match_names, one_row_each, read_listing
from pneumo_ad.data.sources.mask_files import find_masks, told_masks, warn_of_gaps
from pneumo_ad.data.sources.official_split import SplitChoice, choose_split
from pneumo_ad.data.sources.paths import existing_folder, list_files, path_column
from pneumo_ad.data.sources.table import REQUIRED, check_table, map_labels
from pneumo_ad.data.words import first_counts, first_few
from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.labels import NORMAL, OTHER, PNEUMONIA

log = logging.getLogger(__name__)

_OWN = (*REQUIRED, "boxes")  # columns of a csv that are used; the others only describe
# Parts of the names of columns that almost tell what ours do.
_NEAR = {"patient": "patient|subject", "split": "split|subset|fold(?!er)|partition|dataset_?type"}
_LABEL = re.compile(r".*label.*|class([ _-]?(name|id))?|target|diagnos[ei]s|category|no finding|normal|pneumonia")


def masks(
    root: str | Path,
    lung_dir: str | Path | None = None,
    opacity_dir: str | Path | None = None,
    index: str | Path | None = None,
    boxes: str | Path | None = None,
    labels: Mapping[Any, str] | None = None,
    default_label: str | None = None,
    only_with_masks: bool = False,
    split: SplitChoice = "auto",
    val: float = 0.1,
    test: float = 0.2,
    seed: int = 0,
) -> pd.DataFrame:
    """Read images with masks of the same stem: a folder with images/, optionally lung/, opacity/ and index.csv.

    Args:
        root: Folder with images/, or of the images themselves.
        lung_dir: Folder of lung masks, or with a pattern of their names: `DIR/*_mask`; default root/lung.
        opacity_dir: Folder of opacity masks, or with a pattern; default root/opacity.
        index: csv with `image` (stem) and any of patient, label, split, lung and opacity (mask files, below root or
            beside the csv), view, finding, ...; default root/index.csv if it exists. Only the listed images are used.
        boxes: csv of opacities as boxes, for images without an opacity mask (`read_boxes`).
        labels: Word in the csv -> normal, pneumonia or other (`map_labels`).
        default_label: Label of images without one in the csv; None: other without a column of labels, and blank cells
            in one are refused.
        only_with_masks: Whether to leave out images without a lung mask (counted in a warning).
        split: See `choose_split`.
        val: Share of patients in val.
        test: Share of patients in test.
        seed: Seed of the split.

    Raises:
        DataError: No image, a given mask folder that does not exist or matches no image, two masks of an image, a csv
            that lists missing images or masks, has a patient in two splits, words that are no label or labels in a
            column of another name, or an image with both an opacity mask and boxes.
        ConfigError: Masks by both folder and csv, or an invalid mapping of labels.
    """
    root = existing_folder(root)
    folder = root / "images" if (root / "images").is_dir() else root
    csv = index or (root / "index.csv" if (root / "index.csv").is_file() else None)
    table, files = _with_csv(folder, csv, boxes, root)
    for kind, given in (("lung", lung_dir), ("opacity", opacity_dir)):
        if kind in table.columns:
            if given is not None:
                raise ConfigError(f"{kind}_dir={given} and column {kind!r} of {csv} both name masks: leave one out")
            continue
        mask_of = find_masks(kind, given, root / kind, files)
        table[kind] = path_column(mask_of.get(path, "") for path in table["path"]).set_axis(table.index)
        if given is not None and not (table[kind] != "").any():
            raise DataError(f"{given}: no mask has the stem of an image that {csv} lists")
    if only_with_masks:
        without = table["lung"] == ""
        if without.any():
            warnings.warn(
                f"{int(without.sum())} of {len(table)} images have no mask for lungs= and are left out",
                stacklevel=2,
            )
        table = table[~without].reset_index(drop=True)
    return _finish(table, csv, labels, default_label, OTHER, split=split, val=val, test=test, seed=seed)


def folder(
    root: str | Path,
    csv: str | Path | None = None,
    boxes: str | Path | None = None,
    labels: Mapping[Any, str] | None = None,
    default_label: str | None = None,
    split: SplitChoice = "auto",
    val: float = 0.1,
    test: float = 0.2,
    seed: int = 0,
) -> pd.DataFrame:
    """Read all images below a folder, with an optional csv (image, patient, label, split, lung, opacity, ...).

    Args:
        root: Folder, searched recursively.
        csv: Table with column `image`: path below root, file name or stem. Further columns: see `masks`.
        boxes: csv of opacities as boxes (`read_boxes`).
        labels: Word in the csv -> normal, pneumonia or other (`map_labels`).
        default_label: Label of images without one in the csv; None: normal without a column of labels, and blank cells
            in one are refused.
        split: See `choose_split`; without a csv each image counts as one patient.
        val: Share of patients in val.
        test: Share of patients in test.
        seed: Seed of the split.

    Raises:
        DataError: No image, a csv that lists missing images or masks, has a patient in two splits, words that are no
            label or labels in a column of another name, or folders that are classes (`NORMAL` and `PNEUMONIA`) if no
            csv gives labels.
        ConfigError: An invalid mapping of labels.
    """
    root = existing_folder(root)
    table, _ = _with_csv(root, csv, boxes, root, recursive=True)
    table = table.assign(**{kind: "" for kind in ("lung", "opacity") if kind not in table.columns})
    if default_label != OTHER and not ("label" in table and (table["label"].str.strip() != "").any()):
        check_classes(root, table["path"], default_label or NORMAL)
    return _finish(table, csv, labels, default_label, NORMAL, split=split, val=val, test=test, seed=seed)


def _finish(
    table: pd.DataFrame,
    csv: str | Path | None,
    labels: Mapping[Any, str] | None,
    blank: str | None,  # label of a blank cell
    untold: str,  # label without a column of labels, unless `blank` is given
    **splitting: Any,  # see `choose_split`
) -> pd.DataFrame:
    # Without a patient in a csv, that of the file name is taken, as in the Kaggle set.
    by_name = table["image"].str.rpartition("/")[2].str.extract(PATIENT)["patient"].fillna(table["image"])
    # Images with a blank patient do not belong to one person.
    blanks = pd.Series("", index=table.index)
    given = table.get("patient", blanks).str.strip()
    table["patient"] = given.where(given != "", by_name)
    if blank is None and "label" not in table.columns:
        _refuse_labels_left_aside(table, csv, untold)
        blank = untold
    table["label"] = map_labels(table.get("label", blanks), labels, blank, csv or "csv")
    listed_split = table.pop("split") if "split" in table.columns else None
    table["split"] = choose_split(table, listed_split, csv, **splitting)
    table = check_table(table)
    warn_of_gaps(table)
    return table


def _with_csv(
    folder: Path, csv: str | Path | None, boxes: str | Path | None, root: Path, recursive: bool = False
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Table of the images that a csv lists, with its columns, and table of all files of the folder."""
    table = files = list_files(folder, recursive)
    if csv is not None:
        listed = read_listing(csv, known=_OWN, renamed={"path": "image"})
        if listed.empty:
            raise DataError(f"{csv}: has a header, and lists no image")
        listed["image"] = match_names(listed["image"], files, folder, csv)
        one_row_each(listed, csv)
        _say_columns(listed, csv)
        listed = listed.drop(columns=["path"], errors="ignore")
        for kind in [name for name in ("lung", "opacity") if name in listed.columns]:
            paths = told_masks(listed.pop(kind), kind, csv, root)
            if (paths != "").any():
                listed[kind] = paths
        table = files.merge(listed, on="image", how="inner")
        left = files.loc[~files["image"].isin(listed["image"]), "image"]
        if len(left):
            log.info(f"{csv} lists {len(table)} of {len(files)} images in {folder}; left out are {first_few(left)}")
    if boxes is not None:
        if "boxes" in table.columns:
            raise ConfigError(f"boxes={boxes} and column 'boxes' of {csv} both give boxes: leave one out")
        # Matched to all files of the folder: images that the csv leaves out may have boxes too.
        boxes_of = read_boxes(boxes, files, folder)
        table["boxes"] = [boxes_of.get(image, "") for image in table["image"]]
        if not (table["boxes"] != "").any():
            raise DataError(f"{boxes}: tells nothing of the {len(table)} images (for example {table['image'].iloc[0]})")
    return table, files


def _refuse_labels_left_aside(table: pd.DataFrame, csv: str | Path | None, untold: str) -> None:
    """Refuse a csv without a column `label` if the name or a cell of another says that it holds labels."""
    for column in [column for column in table.columns if column not in _OWN]:
        cells = table[column].str.strip()
        if _LABEL.fullmatch(column.lower()) or cells.str.lower().isin([NORMAL, PNEUMONIA]).any():
            raise DataError(
                f"{csv}: expected the labels in a column 'label', found {column!r} of "
                f"{first_counts(cells.value_counts())}; call it 'label', or take all as {untold} with "
                f"data.default_label={untold}"
            )


def _say_columns(listed: pd.DataFrame, csv: str | Path) -> None:
    """Log which columns of a csv are used and which only describe; warn of names that are almost those used."""
    used = [column for column in listed.columns if column in _OWN and column != "path"]
    words = [column for column in listed.columns if column not in _OWN]
    message = f"{csv}: used are the columns {', '.join(used)}"
    message += f"; {', '.join(words)} describe{'s' * (len(words) == 1)}" * bool(words)
    log.info(message + "; path is left aside, as image names the file" * ("path" in listed.columns))
    for ours, parts in _NEAR.items():
        near = [column for column in words if re.search(parts, column.lower())]
        if ours not in used and near:
            warnings.warn(
                f"{csv}: its column {near[0]!r} only describes; the one that is used is called {ours!r}", stacklevel=4
            )
