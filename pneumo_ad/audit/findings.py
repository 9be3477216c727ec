"""What an audit counts, and the sentences it makes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pneumo_ad.audit.duplicates import Pair, groups_of
from pneumo_ad.errors import printable
from pneumo_ad.labels import LABELS, NORMAL, PNEUMONIA, SPLITS
from pneumo_ad.metrics.ranking import Interval
from pneumo_ad.metrics.shortcuts import STRONG, Values, best_shortcut, strength

_NAMED = 3  # examples in a sentence


def count(table: pd.DataFrame) -> dict[str, Any]:
    """Radiographs and patients, altogether and by split and label."""
    by_split: dict[str, dict[str, dict[str, int]]] = {}
    for split in SPLITS:
        for label in LABELS:
            part = table[(table["split"] == split) & (table["label"] == label)]
            if len(part):
                here = {"images": len(part), "patients": int(part["patient"].nunique())}
                by_split.setdefault(split, {})[label] = here
    return {"images": len(table), "patients": int(table["patient"].nunique()), "by_split": by_split}


def sizes(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Least, median and largest height and width in pixels, and width / height."""
    columns = {"height": table["height"], "width": table["width"], "aspect_ratio": table["width"] / table["height"]}
    return {
        name: {"min": float(column.min()), "median": float(column.median()), "max": float(column.max())}
        for name, column in columns.items()
    }


def boundaries(table: pd.DataFrame) -> list[str]:
    """Columns that part a data set: `split`, and `folder` where the source says that it comes in several."""
    return [name for name in ("split", "folder") if name in table and table[name].nunique() > 1]


def straddlers(table: pd.DataFrame, column: str) -> list[str]:
    """Patients with radiographs on both sides of a boundary, or of more than one label (`column="label"`).

    Args:
        table: One row per radiograph (`check_table`).
        column: Column that says on which side a radiograph is: `split`, `folder` or `label`.
    """
    several = table.groupby("patient")[column].nunique() > 1
    return sorted(map(str, several.index[several]))


def pair_table(pairs: Sequence[Pair], table: pd.DataFrame) -> pd.DataFrame:
    """A row per pair: who they are, what they differ in, and the group of copies that both belong to.

    Args:
        pairs: Pairs of copies.
        table: One row per radiograph (`check_table`).
    """
    group = groups_of(list(pairs), len(table))
    beside = ["image", "path", "label", "patient", *(name for name in ("split", "folder") if name in table)]
    sides = [np.array([getattr(pair, end) for pair in pairs], dtype=np.int64) for end in ("first", "second")]
    found = pd.DataFrame({"group": group[sides[0]]})
    for name in ("kind", "bits", "correlation"):
        found[name] = [getattr(pair, name) for pair in pairs]
    for name in beside:
        words = table[name].map(printable) if name == "path" else table[name]
        one, other = (words.iloc[side].to_numpy() for side in sides)
        found[f"{name}_a"], found[f"{name}_b"] = one, other
        if name not in ("image", "path"):
            found[f"across_{name}s"] = one != other
    return found


def shortcut_table(
    values: Values, aurocs: Mapping[str, Interval], omitted: Mapping[str, str], labels: npt.NDArray[np.str_]
) -> pd.DataFrame:
    """A row per shortcut, the strongest first: median and quartiles of each class, AUROC with its interval.

    Args:
        values: (N,) values by name of the shortcut.
        aurocs: By name, pneumonia against normal.
        omitted: By name, why there is no AUROC.
        labels: (N,) label of each radiograph.
    """
    rows = []
    for name, value in values.items():
        row: dict[str, Any] = {"shortcut": name}
        for label in (NORMAL, PNEUMONIA):
            own = value[(labels == label) & ~np.isnan(value)]
            quartiles = np.quantile(own, [0.25, 0.5, 0.75]) if len(own) else np.full(3, np.nan)
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
) -> list[str]:
    """What somebody should know before using these data, worst first; empty where nothing was found.

    Args:
        table: One row per radiograph (`check_table`).
        pairs: Pairs of duplicates, from `pair_table`.
        unreadable: Image -> reason why it cannot be read.
        shortcuts: Shortcuts with their AUROC, from `shortcut_table`.
        warned: Warnings of the data source.
    """
    said = [f"the source says: {words}" for words in warned]
    for column in boundaries(table):
        if patients := straddlers(table, column):
            images = table[table["patient"].isin(patients)]
            whose = f"{_many(patients, 'patient')} ({_many(images, 'radiograph')})"
            said.append(f"{whose} in more than one {column}: {_some(patients)}")
    if patients := straddlers(table, "label"):
        said.append(f"{_many(patients, 'patient')} with radiographs of more than one label: {_some(patients)}")
    for kinds, words in ((("same file", "same pixels"), "exact copies"), (("near",), "near duplicates")):
        own = pairs[pairs["kind"].isin(kinds)]
        if len(own):
            across = [
                f"{int(own[name].sum())} across {name.removeprefix('across_')}"
                for name in own.columns
                if name.startswith("across_") and own[name].any()
            ]
            example = f"{own['image_a'].iloc[0]} and {own['image_b'].iloc[0]}"
            where = ", ".join(across) or "none across a boundary"
            said.append(f"{_many(own, 'pair')} of {words} ({where}), for example {example}")
    if unreadable:
        said.append(f"{_many(unreadable, 'file')} cannot be read: {_some(list(unreadable.values()))}")
    for label in (NORMAL, PNEUMONIA):
        if not (table["label"] == label).any():
            said.append(f"no radiograph is labelled {label}: shortcuts cannot be ranked")
    aurocs = dict(zip(shortcuts["shortcut"], shortcuts["auroc"], strict=True))
    strong = [best_shortcut({name: auroc}) for name, auroc in aurocs.items() if strength(auroc) >= STRONG]
    if strong:
        ranked = [f"{one.words} (AUROC {strength(one.auroc):.3f})" for one in strong if one]
        said.append(f"pneumonia is told from normal by trivial facts alone: {_some(ranked)}")
    return said


def _many(things: Sized, word: str) -> str:
    return f"{len(things)} {word}{'' if len(things) == 1 else 's'}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f", ... ({len(names)} in all)" if len(names) > _NAMED else "")
