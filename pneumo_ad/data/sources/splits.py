"""data=splits: published splits of normal-only benchmarks, JSON lists of files by split and class."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pneumo_ad.data.sources.boxes import read_boxes
from pneumo_ad.data.sources.listing import match_names, one_row_each, read_listing
from pneumo_ad.data.sources.mask_files import find_masks, warn_of_gaps
from pneumo_ad.data.sources.official_split import WORDS, in_several_splits, with_val
from pneumo_ad.data.sources.paths import content_of, existing_folder, list_files, path_column
from pneumo_ad.data.sources.table import check_table, map_labels
from pneumo_ad.data.words import first_few
from pneumo_ad.errors import DataError
from pneumo_ad.labels import NORMAL, PNEUMONIA, SPLITS
from pneumo_ad.saved import MIB, read_json

log = logging.getLogger(__name__)

CLASSES = {0: NORMAL, 1: PNEUMONIA}
_UNLABELLED = "unlabeled"  # normal and abnormal files that a method may train on without their labels
_MOST = 256 * MIB  # largest size of such a file: a million names take 50 MB
_DEEPEST = 3  # keys above a list: train, unlabeled, 0
_FORM = '{"train": {"0": [FILE, ...]}, "test": {"0": [FILE, ...], "1": [FILE, ...]}}'


def splits(
    root: str | Path,
    json: str | Path | None = None,
    labels: Mapping[Any, str] | None = None,
    patients: str | Path | None = None,
    boxes: str | Path | None = None,
    opacity_dir: str | Path | None = None,
    val: float = 0.1,
    seed: int = 0,
) -> pd.DataFrame:
    """Read the images that a published split lists, in the splits that it says.

    DDAD (Cai et al. 2022, MICCAI) and MedIAnomaly (Cai et al. 2024, arXiv:2404.04518) publish one `data.json` per
    data set: train normals as `train/0`, test normals and abnormals as `test/0` and `test/1`. RSNA: 3,851, 1,000 and
    1,000 radiographs, of `Normal` and `Lung Opacity`; VinDr-CXR: 4,000, 1,000 and 1,000, of no finding and of any.
    `train/unlabeled`, for methods that train on a mixture, is left out and counted. Names may lack the suffix of the
    files or have another: the lists of PNG fit the DICOM files they were made of.

    Args:
        root: Folder with images/, or of the images themselves, searched recursively.
        json: File of the split; default root/data.json.
        labels: Class of the file -> normal, pneumonia or other (`map_labels`); None: "0" is normal, "1" pneumonia.
        patients: csv with `image` and `patient`; None: each image is taken as a patient of its own, with a warning.
        boxes: csv of opacities as boxes in pixels of the files (`read_boxes`).
        opacity_dir: Folder of opacity masks (`find_masks`); default root/opacity.
        val: Share of the patients of train in val, if the file has no val.
        seed: Seed of that draw.

    Raises:
        DataError: A file that cannot be read or has another form; a listed image that is missing, that several files
            may be, or that is listed twice or in two splits; a patient in two splits. Names the file, the lists and the
            first images.
        ConfigError: An invalid mapping of labels.
    """
    root = existing_folder(root)
    file = Path(json).expanduser() if json else root / "data.json"
    folder = root / "images" if (root / "images").is_dir() else root
    listed, unlabelled = _read_lists(file)
    files = list_files(folder, recursive=True)
    listed["image"] = match_names(listed["name"].set_axis(listed["list"]), files, folder, file)
    _refuse_listed_twice(listed, file)
    table = files.merge(listed[["image", "split", "class"]], on="image", how="inner")
    table["label"] = map_labels(table.pop("class"), CLASSES if labels is None else labels, source=file)
    table["patient"] = _patients(table, patients, files, folder, file)
    mask_of = find_masks("opacity", opacity_dir, root / "opacity", files)
    table["opacity"] = path_column(mask_of.get(path, "") for path in table["path"])
    if boxes is not None:
        boxes_of = read_boxes(boxes, files, folder)
        table["boxes"] = [boxes_of.get(image, "") for image in table["image"]]
    table["split"], note = with_val(table, table["split"], val, seed)
    counted = ", ".join(f"{name} {int((table['split'] == name).sum())}" for name in SPLITS)
    left_out = f"; {unlabelled} unlabelled ones are left out" if unlabelled else ""
    log.info("%s: its split is kept: %s%s%s", file, counted, note, left_out)
    table = check_table(table.assign(lung=""))
    warn_of_gaps(table)
    return table


def _read_lists(file: Path) -> tuple[pd.DataFrame, int]:
    """Read `name`, `list` (train/0), `split` and `class` of each listed file; and the number of unlabelled ones."""
    if not file.is_file():
        holds = f"{file.parent} holds {content_of(file.parent)}" if file.parent.is_dir() else "nor is its folder"
        raise DataError(f"{file}: no such file; {holds}. Give the published split as data.json=FILE")
    rows, unlabelled = [], 0
    for keys, names in _lists(read_json(file, most=_MOST), file):
        split = WORDS.get(keys[0].strip().lower())
        if split and _UNLABELLED in keys[1:]:
            unlabelled += len(names)
            continue
        if split is None or len(keys) != 2:
            raise DataError(f"{file}: a list of {len(names)} files at {'/'.join(keys)}; expected {_FORM}")
        rows += [{"name": name, "list": "/".join(keys), "split": split, "class": keys[1]} for name in names]
    if not rows:
        raise DataError(f"{file}: lists no labelled image; expected {_FORM}")
    return pd.DataFrame(rows), unlabelled


def _lists(held: Any, file: Path, keys: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Yield every list of names, with the keys that lead to it."""
    if isinstance(held, dict) and len(keys) < _DEEPEST:
        for key, inner in held.items():
            yield from _lists(inner, file, (*keys, key))
    elif isinstance(held, list) and all(isinstance(name, str) for name in held):
        yield keys, held
    else:
        found = next((name for name in held if not isinstance(name, str)), None) if isinstance(held, list) else held
        raise DataError(f"{file}: {str(found)[:40]!r} at {'/'.join(keys)} is no name of a file; expected {_FORM}")


def _refuse_listed_twice(listed: pd.DataFrame, file: Path) -> None:
    again = listed[listed["image"].duplicated(keep=False)]
    if len(again):
        lists = again.groupby("image", sort=False)["list"].agg(" and ".join)
        examples = first_few((f"{image} ({where})" for image, where in lists.items()), 3)
        across = again.groupby("image")["split"].nunique() > 1
        raise DataError(
            f"{file}: {len(lists)} images are listed more than once, {int(across.sum())} of them in two splits, for "
            f"example {examples}; expected each in one list, once"
        )


def _patients(
    table: pd.DataFrame, csv: str | Path | None, files: pd.DataFrame, folder: Path, file: Path
) -> pd.Series | list[str]:
    """Return the patient of each row; without a csv the image's name."""
    if csv is None:
        warnings.warn(
            f"{file}: names no patients, so each of its {len(table)} images is taken as a patient of its own, and the "
            "split is by image, as it was published; data.patients=FILE, a csv with image and patient, would tell",
            stacklevel=3,
        )
        return table["image"]
    listed = read_listing(csv, ["image", "patient"])
    listed["image"] = match_names(listed["image"], files, folder, csv)
    one_row_each(listed, csv)
    named = dict(zip(listed["image"], listed["patient"].str.strip(), strict=True))
    patient = [named.get(image) or image for image in table["image"]]
    both = in_several_splits(pd.Series(patient, index=table.index), table["split"])
    if len(both):
        raise DataError(
            f"{file}: {len(both)} patients of {csv} are in two splits, for example {both.index[0]} in "
            f"{' and '.join(both.iloc[0])}; without data.patients the split is taken by image, as it was published"
        )
    return patient
