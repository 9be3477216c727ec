"""Matching of mask files with images: by stem, by a pattern of it, or by the cells of a csv."""

from __future__ import annotations

import unicodedata
import warnings
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

import pandas as pd

from pneumo_ad.data.sources.paths import existing_folder, images_in, path_column, stem_of
from pneumo_ad.data.words import first_few
from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.labels import PNEUMONIA

_LOOKED_AT = 200  # unmatched masks that are searched for a pattern in their names


def find_masks(kind: str, given: str | Path | None, default: Path, files: pd.DataFrame) -> dict[str, str]:
    """Find the masks of the images of a folder.

    Args:
        kind: `lung` or `opacity`, for messages.
        given: Folder of masks of the same stem as their images, or with a pattern of their names, where * is the
            image's stem: `masks/*_mask`. None for the default.
        default: Folder that is searched if none is given and it exists.
        files: Columns `image` and `path`: every image of the folder.

    Returns:
        Path of an image -> path of its mask. Masks that belong to no image are counted in a warning.

    Raises:
        DataError: A given folder that does not exist or matches no image, or two masks of one image.
        ConfigError: A pattern with more than one *.
    """
    where = Path(default if given is None else given).expanduser()
    pattern = "*"
    if "*" in where.name and not where.is_dir():
        where, pattern = where.parent, stem_of(where.name)
    if pattern.count("*") != 1:
        raise ConfigError(f"{kind}_dir={given}: one * was expected in the pattern, in place of the stem of an image")
    if given is None and not where.is_dir():
        return {}
    before, after = pattern.split("*")
    images: dict[str, list[str]] = {}
    for path in files["path"]:
        images.setdefault(stem_of(Path(path).name), []).append(path)
    paths: dict[str, Path] = {}
    strays = []
    for mask in images_in(existing_folder(where)):
        name = stem_of(mask.name)
        stem = name.removeprefix(before).removesuffix(after)
        if stem not in images or name != f"{before}{stem}{after}":
            strays.append(mask)
        elif stem in paths:
            raise DataError(f"{where}: {paths[stem].name} and {mask.name} are both the {kind} mask of {stem}: keep one")
        else:
            paths[stem] = mask
    if strays:
        words = f"{where}: {len(strays)} {kind} masks belong to no image: "
        words += first_few((mask.name for mask in strays), 3)
        if offer := common_pattern([stem_of(mask.name) for mask in strays], set(images)):
            words += f"; named {offer} by the stems of images they are found with 'data.{kind}_dir={where / offer}'"
        if given is not None and not paths:
            folder, example = Path(files["path"].iloc[0]).parent, files["image"].iloc[0]
            raise DataError(f"{where}: no mask has the stem of an image in {folder} (for example {example}). {words}")
        warnings.warn(words, stacklevel=3)
    elif given is not None and not paths:
        raise DataError(f"{where}: holds no mask")
    return {path: str(mask) for stem, mask in paths.items() for path in images[stem]}


def common_pattern(masks: Sequence[str], images: Collection[str]) -> str:
    """Find the commonest pattern by which the stems of masks extend those of images, as `*_mask`; empty if none.

    Args:
        masks: Stems of masks that belong to no image; only the first 200 are examined.
        images: Stems of images.

    >>> common_pattern(["a_mask", "b_mask", "c"], {"a", "b"})
    '*_mask'
    """
    counts: Counter[str] = Counter()
    for mask in masks[:_LOOKED_AT]:
        cuts = ((i, j) for i in range(len(mask)) for j in range(i + 1, len(mask) + 1) if mask[i:j] in images)
        counts.update({f"{mask[:i]}*{mask[j:]}" for i, j in cuts})
    return min(counts, key=lambda pattern: (-counts[pattern], len(pattern), pattern), default="")


def told_masks(told: pd.Series, kind: str, csv: str | Path, root: Path) -> pd.Series:
    """Return the paths of the masks that a csv names, by row.

    Args:
        told: Cells of the csv: a path below the folder of the data, or else below that of the csv; "" for none.
        kind: Column, `lung` or `opacity`, for messages.
        csv: File to name in the messages.
        root: Folder of the data.

    Raises:
        DataError: Missing files; says how many, and where they were searched.
    """
    bases = list(dict.fromkeys([root, Path(csv).parent]))
    words = told.str.strip()
    paths = {
        word: next((str(base / way) for base in bases for way in _spelt(word) if word and (base / way).is_file()), "")
        for word in words.unique()
    }
    absent = [word for word, path in paths.items() if word and not path]
    if absent:
        raise DataError(
            f"{csv}: column {kind!r} names {len(absent)} mask files that are not there, for example {absent[0]!r} "
            f"(looked for below {' and '.join(map(str, bases))}); where it is something else, give it another name"
        )
    return path_column(paths[word] for word in words).set_axis(told.index)


def _spelt(path: str) -> list[str]:
    """A path as it is, and as other systems spell it."""
    return [path, *(unicodedata.normalize(form, path.replace("\\", "/")) for form in ("NFC", "NFD"))]


def warn_of_gaps(table: pd.DataFrame) -> None:
    """Warn if only some radiographs have lung masks, or only some pneumonias have opacity masks or boxes.

    Args:
        table: Checked table (`check_table`).
    """
    sick = table["label"] == PNEUMONIA
    known = (table["opacity"] != "") | (table.get("boxes", "") != "")
    for kind, rows, has in (("lung", "radiographs", table["lung"] != ""), ("opacity", "pneumonias", known[sick])):
        without = table.loc[has.index[~has], "image"]
        if len(without) and (table[kind] != "").any():
            warnings.warn(
                f"{len(without)} of {len(has)} {rows} have no {kind} mask: {first_few(without, 3)}", stacklevel=4
            )
