"""Counts, tables and findings of an audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pneumo_ad.audit.duplicates import Pair, groups_of
from pneumo_ad.errors import printable
from pneumo_ad.labels import LABEL_WORDS, LABELS, NORMAL, PNEUMONIA, SPLITS, Vocabulary
from pneumo_ad.metrics.ranking import Interval
from pneumo_ad.metrics.shortcuts import STRONG, Values, best_shortcut, strength

_NAMED = 3  # examples in a finding


def count(table: pd.DataFrame) -> dict[str, Any]:
    """Count radiographs and patients, in all and by split and label."""
    by_split: dict[str, dict[str, dict[str, int]]] = {}
    for split in SPLITS:
        for label in LABELS:
            rows = table[(table["split"] == split) & (table["label"] == label)]
            if len(rows):
                here = {"images": len(rows), "patients": int(rows["patient"].nunique())}
                by_split.setdefault(split, {})[label] = here
    return {"images": len(table), "patients": int(table["patient"].nunique()), "by_split": by_split}


def sizes(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return least, median and largest height and width in pixels, and aspect ratio (width / height)."""
    columns = {"height": table["height"], "width": table["width"], "aspect_ratio": table["width"] / table["height"]}
    return {
        name: {"min": float(column.min()), "median": float(column.median()), "max": float(column.max())}
        for name, column in columns.items()
    }


def boundaries(table: pd.DataFrame) -> list[str]:
    """Return the columns that divide a data set: `split` and `folder`, if they have more than one value."""
    return [name for name in ("split", "folder") if name in table and table[name].nunique() > 1]


def straddlers(table: pd.DataFrame, column: str) -> list[str]:
    """Return the patients whose radiographs have more than one value in a column, sorted.

    Args:
        table: One row per radiograph (`check_table`).
        column: `split`, `folder` or `label`.
    """
    several = table.groupby("patient")[column].nunique() > 1
    return sorted(map(str, several.index[several]))


def pair_table(pairs: Sequence[Pair], table: pd.DataFrame) -> pd.DataFrame:
    """Tabulate pairs, one row each: names, labels, patients, differences, and the group of copies of both.

    Args:
        pairs: Pairs of copies.
        table: One row per radiograph (`check_table`).
    """
    group = groups_of(list(pairs), len(table))
    beside = ["image", "path", "label", "patient", *(name for name in ("split", "folder") if name in table)]
    sides = [np.array([getattr(pair, end) for pair in pairs], dtype=np.int64) for end in ("first", "second")]
    rows = pd.DataFrame({"group": group[sides[0]]})
    for name in ("kind", "bits", "correlation"):
        rows[name] = [getattr(pair, name) for pair in pairs]
    for name in beside:
        words = table[name].map(printable) if name == "path" else table[name]
        first, second = (words.iloc[side].to_numpy() for side in sides)
        rows[f"{name}_a"], rows[f"{name}_b"] = first, second
        if name not in ("image", "path"):
            rows[f"across_{name}s"] = first != second
    return rows


def shortcut_table(
    values: Values, aurocs: Mapping[str, Interval], omitted: Mapping[str, str], labels: npt.NDArray[np.str_]
) -> pd.DataFrame:
    """Tabulate shortcuts, the strongest first: median and quartiles of each class, AUROC with its interval.

    Args:
        values: Name of a shortcut -> (N,) values.
        aurocs: Name of a shortcut -> AUROC of pneumonia against normal.
        omitted: Name of a shortcut -> reason why it has no AUROC.
        labels: (N,) label of each radiograph.
    """
    rows = []
    for name, value in values.items():
        row: dict[str, Any] = {"shortcut": name}
        for label in (NORMAL, PNEUMONIA):
            of_class = value[(labels == label) & ~np.isnan(value)]
            quartiles = np.quantile(of_class, [0.25, 0.5, 0.75]) if len(of_class) else np.full(3, np.nan)
            row |= dict(zip((f"{label}_q25", f"{label}_median", f"{label}_q75"), quartiles, strict=True))
        interval = aurocs.get(name, Interval(np.nan, np.nan, np.nan))
        row |= interval.keyed("auroc")
        rows.append(row | {"omitted": omitted.get(name, "")})
    table = pd.DataFrame(rows)
    order = [-strength(auroc) if auroc == auroc else 1.0 for auroc in table["auroc"]]
    return table.iloc[np.argsort(order, kind="stable")].reset_index(drop=True)


def sentences(
    table: pd.DataFrame,
    pairs: pd.DataFrame,
    unreadable: Mapping[str, str],
    shortcuts: pd.DataFrame,
    warned: Sequence[str],
    terms: Vocabulary,
) -> list[str]:
    """List the faults of a data set in sentences, worst first; empty if there are none.

    Args:
        table: One row per radiograph (`check_table`).
        pairs: Pairs of duplicates, from `pair_table`.
        unreadable: Image -> reason why it cannot be read.
        shortcuts: Shortcuts with their AUROC, from `shortcut_table`.
        warned: Warnings of the data source.
        terms: Words for what the images show.
    """
    said = [f"the source says: {words}" for words in warned]
    for column in boundaries(table):
        if patients := straddlers(table, column):
            images = table[table["patient"].isin(patients)]
            counted = _many(images, terms.image, terms.images)
            whose = f"{_many(patients, terms.patient, terms.patients)} ({counted})"
            said.append(f"{whose} in more than one {column}: {_some(patients)}")
    if patients := straddlers(table, "label"):
        whose = _many(patients, terms.patient, terms.patients)
        said.append(f"{whose} with {terms.images} of more than one label: {_some(patients)}")
    for kinds, words in ((("same file", "same pixels"), "exact copies"), (("near",), "near duplicates")):
        copies = pairs[pairs["kind"].isin(kinds)]
        if len(copies):
            across = [
                f"{int(copies[name].sum())} across {name.removeprefix('across_')}"
                for name in copies.columns
                if name.startswith("across_") and copies[name].any()
            ]
            example = f"{copies['image_a'].iloc[0]} and {copies['image_b'].iloc[0]}"
            where = ", ".join(across) or "none across a boundary"
            said.append(f"{_many(copies, 'pair', 'pairs')} of {words} ({where}), for example {example}")
    if unreadable:
        said.append(f"{_many(unreadable, 'file', 'files')} cannot be read: {_some(list(unreadable.values()))}")
    for label in (NORMAL, PNEUMONIA):
        if not (table["label"] == label).any():
            said.append(f"no {terms.image} is labelled {terms.fill(LABEL_WORDS[label])}: shortcuts cannot be ranked")
    aurocs = dict(zip(shortcuts["shortcut"], shortcuts["auroc"], strict=True))
    strong = [best_shortcut({name: auroc}) for name, auroc in aurocs.items() if strength(auroc) >= STRONG]
    if strong:
        ranked = [f"{terms.fill(fact.words)} (AUROC {strength(fact.auroc):.3f})" for fact in strong if fact]
        said.append(f"{terms.abnormal} is told from normal by trivial facts alone: {_some(ranked)}")
    return said


def _many(things: Sized, one: str, many: str) -> str:
    return f"{len(things)} {one if len(things) == 1 else many}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f", ... ({len(names)} in all)" if len(names) > _NAMED else "")
