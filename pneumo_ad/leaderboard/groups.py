"""Statistics of a sweep: a row per run, groups of replicates, differences to a reference."""

from __future__ import annotations

import difflib
import logging
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pneumo_ad.errors import ConfigError, DamagedError
from pneumo_ad.labels import RADIOGRAPH, Vocabulary
from pneumo_ad.leaderboard.gather import SweptRun, described
from pneumo_ad.leaderboard.paired import BRIGHTNESS, PIXEL_KEYS, Paired, SamePixels, same_images, same_pixels
from pneumo_ad.metrics.catalogue import SAME_PIXELS, metric_words
from pneumo_ad.metrics.metrics_json import read_metrics
from pneumo_ad.metrics.ranking import Interval
from pneumo_ad.metrics.shortcuts import Shortcut, best_shortcut, strength, strongest_shortcut
from pneumo_ad.runs.evaluation_options import option_names
from pneumo_ad.runs.facts import as_html, as_text
from pneumo_ad.runs.recipe import count_parameters, read_defaults
from pneumo_ad.runs.record import flatten
from pneumo_ad.runs.sampled_maps import SampledMaps, read_maps
from pneumo_ad.saved import read_table

log = logging.getLogger(__name__)

DEFAULT_SORTS = (PIXEL_KEYS[0], "image/auroc")
_LESS_IS_BETTER = ("seconds_", "steps", "parameters")


@dataclass(frozen=True)
class Replicates:
    """Replicates: runs that are equal on every swept axis but the seed.

    Attributes:
        axes: Swept key -> value.
        runs: Names of the measured runs, one per seed.
        summary: Metric -> mean and standard deviation over the runs (NaN for a single run).
        interval: 95 % interval of the mean of the sorting metric, over patients; None if it cannot be computed.
        difference: Difference of that metric to the reference, with its interval; None for the reference itself. The
            interval is NaN if the metric cannot be resampled in pairs.
    """

    axes: dict[str, str]
    runs: tuple[str, ...]
    summary: dict[str, tuple[float, float]]
    interval: tuple[float, float] | None = None
    difference: Interval | None = None

    def of(self, key: str) -> tuple[float, float]:
        """Return mean and standard deviation of a metric; NaN if the group does not have it."""
        return self.summary.get(key, (np.nan, np.nan))


@dataclass(repr=False)
class Comparison:
    """Comparison of the runs of a sweep.

    Attributes:
        sweep: Folder of the sweep.
        folder: Folder of tables and figures.
        runs: All runs, in natural order of their folders.
        evaluations: Name of the run -> folder of its evaluation; measured runs alone.
        rows: Table of `leaderboard.csv`, a row per run, those of the best group first.
        groups: Groups of replicates, sorted by the metric, the best first.
        sort: Sorting metric; None if no run has one.
        reference: Group to subtract in differences.
        reference_is: Reason for the choice of the reference.
        finest: Run whose brightness and masks are used for all: the one of the largest images.
        pixels: Measurements of the runs on the same pixels; None if no run has maps.
        paired: Metrics that were resampled in pairs.
        subset: Measured split.
        notes: Warnings for the reader.
        vocabulary: Words of the first run.
    """

    sweep: Path
    folder: Path
    runs: list[SweptRun]
    evaluations: dict[str, Path]
    rows: pd.DataFrame
    groups: list[Replicates] = field(default_factory=list)
    sort: str | None = None
    reference: Replicates | None = None
    reference_is: str = ""
    finest: str = ""
    pixels: SamePixels | None = None
    paired: dict[str, Paired] = field(default_factory=dict)
    subset: str = ""
    notes: list[str] = field(default_factory=list)
    vocabulary: Vocabulary = RADIOGRAPH

    @property
    def leaderboard(self) -> pd.DataFrame:
        """Table of `groups.csv`, a row per group of replicates, the best first.

        Columns: the swept keys; `runs` and their `folders`; whether the group is the `reference`; `sorted_by`, the
        metric whose 95 % interval over patients is `mean_low` to `mean_high`; its paired `difference` to the reference
        with its interval `difference_low` to `difference_high`; and each metric as mean, with its standard deviation
        over seeds (`..._sd`).
        """
        table = []
        for group in self.groups:
            row: dict[str, Any] = dict(group.axes) | {"runs": len(group.runs), "folders": "; ".join(group.runs)}
            row |= {"reference": group is self.reference, "sorted_by": self.sort}
            row |= dict(zip(("mean_low", "mean_high"), group.interval or (np.nan, np.nan), strict=True))
            row |= (group.difference or Interval(np.nan, np.nan, np.nan)).keyed("difference")
            for key, (mean, sd) in group.summary.items():
                if not key.endswith(("_low", "_high")):
                    row |= {key: mean, f"{key}_sd": sd}
            table.append(row)
        return pd.DataFrame(table)

    @property
    def failed(self) -> pd.DataFrame:
        """Runs that were not measured: `run`, `status`, `reason`."""
        return self.rows.loc[~self.rows["run"].isin(self.evaluations), ["run", "status", "reason"]]

    def __repr__(self) -> str:
        shown = self._shown.to_string(index=False, na_rep="", float_format="{:.3f}".format)
        return f"{as_text(f'Comparison({str(self.sweep)!r})', self._facts())}\n{shown}"

    def _repr_html_(self) -> str:
        return as_html(f"comparison of the runs below {self.sweep}", self._facts(), self._shown)

    @property
    def _shown(self) -> pd.DataFrame:
        first = [*self.axes, "runs", *([self.sort] if self.sort else []), "mean_low", "mean_high"]
        return self.leaderboard.reindex(columns=[*first, "difference", "difference_low", "difference_high"])

    def _facts(self) -> dict[str, object]:
        brightness, best = self.baseline(self.sort or ""), self.shortcut(self.sort or "")
        return {
            "runs": f"{len(self.evaluations)} measured of {len(self.runs)}",
            "measured on": self.subset,
            "sorted by": self.sort or "nothing",
            "reference": f"{described(self.reference.axes)}, {self.reference_is}" if self.reference else "",
            "brightness": "" if np.isnan(brightness) else f"{brightness:.3f}",
            "best without a net": self.vocabulary.fill(f"{strength(best.auroc):.3f} ({best.words})") if best else "",
            "notes": "\n".join(self.notes),
            "has": "leaderboard, rows, groups, failed, notes, folder",
        }

    @property
    def axes(self) -> list[str]:
        """Swept keys."""
        return list(self.runs[0].axes)

    def baseline(self, key: str) -> float:
        """Return a metric of brightness alone, measured by the finest run for all; NaN if there is none."""
        if key in self.paired:
            return self.paired[key].value.get(BRIGHTNESS, np.nan)
        return float(self._of_finest.get(f"brightness/{key}", np.nan))

    def shortcut(self, key: str) -> Shortcut | None:
        """Return the strongest score that needs no net, in either direction, as the finest run measured it.

        Args:
            key: Metric of the leaderboard.

        Returns:
            Brightness alone among them; None where the metric is no AUROC, or nothing was measured beside it.
        """
        alone = [strongest_shortcut(self._of_finest, key.replace(SAME_PIXELS, "pixel/"))]
        if not np.isnan(brightness := self.baseline(key)):
            alone.append(best_shortcut({"brightness": brightness}))
        return max(filter(None, alone), key=lambda one: strength(one.auroc), default=None)

    @property
    def _of_finest(self) -> dict[str, Any]:
        """Row of the finest run, without what it lacks."""
        rows = self.rows[self.rows["run"] == self.finest] if self.finest else self.rows[:0]
        return {str(key): value for row in rows.to_dict("records") for key, value in row.items() if pd.notna(value)}

    @property
    def measured_on(self) -> str:
        """Number of radiographs and patients that the finest run was measured on, in words; empty if not counted."""
        number, terms = self._of_finest, self.vocabulary
        if "counts/images" not in number:
            return ""
        each = [("normal", "normal"), ("pneumonia", terms.abnormal), ("other", "other")]
        counts = {word: int(number.get(f"counts/images_{key}", 0)) for key, word in each}
        classes = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
        patients = f" of {int(number['counts/patients'])} {terms.patients}" if "counts/patients" in number else ""
        return f"{int(number['counts/images'])} {terms.images}{f' ({classes})' if classes else ''}{patients}"


def measure_runs(found: Comparison, overrides: Sequence[str]) -> None:
    """Fill in a row per run: status, axes, seed, metrics, seconds, parameters.

    Args:
        found: Comparison with its runs.
        overrides: Overrides from the command line, `key=value`.
    """
    metrics: dict[str, dict[str, Any]] = {}
    contents = {name: read_metrics(place, "subset") for name, place in found.evaluations.items()}
    for name, content in contents.items():
        numbers = {key: value for key, value in content.items() if isinstance(value, int | float)}
        metrics[name] = {key: value for key, value in numbers.items() if math.isfinite(value)}
        if odd := [key for key in numbers if key not in metrics[name]]:
            found.notes.append(f"{name}: {', '.join(odd)} are not finite, and left out")
    if found.evaluations:
        spoken = {name: Vocabulary.kept_in(content["about"]) for name, content in contents.items()}
        first, found.vocabulary = next(iter(spoken.items()))
        if len(set(spoken.values())) > 1:
            found.notes.append(f"the runs have different vocabularies: words are those of {first}")
        _measure_in_pairs(found, overrides)
        subsets = sorted({content["about"]["subset"] for content in contents.values()})
        found.subset = " and ".join(subsets)
        if len(subsets) > 1:
            found.notes.append(f"the runs were measured on {found.subset}: their metrics do not compare")
    steps = {int(run.story["steps"]) for run in found.runs if run.name in found.evaluations and "steps" in run.story}
    if len(steps) > 1:
        found.notes.append(f"the runs trained for {min(steps)} to {max(steps)} steps (leaderboard.csv)")
    rows = []
    for run in found.runs:
        row: dict[str, Any] = {"run": run.name, "status": run.status.word, "reason": run.status.reason}
        row |= run.axes | {"seed": run.seed}
        run_metrics = metrics.get(run.name, {})
        if run_metrics:
            for key, paired in found.paired.items():
                if key in PIXEL_KEYS and run.name in paired.value:
                    row |= paired.mean([run.name]).keyed(key)
            if found.pixels:
                seen = found.pixels.own_brightness.items()
                row |= {f"brightness/{key}": by_run[run.name] for key, by_run in seen if run.name in by_run}
                row |= {"same_pixels/lung_covered": found.pixels.covered_by.get(run.name)}
        row |= run_metrics | {key: value for key, value in run.story.items() if key.startswith(("seconds_", "steps"))}
        if "image/auroc" in found.paired and run.name in found.paired["image/auroc"].value:
            # On the radiographs that all runs score, like the differences and intervals.
            row |= found.paired["image/auroc"].mean([run.name]).keyed("image/auroc")
        row |= {"parameters": count_parameters(run.folder)} if run_metrics else {}
        rows.append(row | {"evaluation": str(found.evaluations.get(run.name, ""))})
    found.rows = pd.DataFrame(rows)


def _measure_in_pairs(found: Comparison, overrides: Sequence[str]) -> None:
    measured = [run for run in found.runs if run.name in found.evaluations]
    found.finest = min(measured, key=lambda run: _coarseness(run, overrides)).name
    known = known_maps(found.evaluations)
    if known and len(known) < len(measured):
        blind = ", ".join(run.name for run in measured if run.name not in known)
        found.notes.append(
            f"on the same pixels: left out are runs without {found.vocabulary.images} of known masks: {blind}"
        )
    if known:
        finest = min((run for run in measured if run.name in known), key=lambda run: _coarseness(run, overrides)).name
        found.pixels = same_pixels(known, finest)
        found.paired |= found.pixels.paired
    tables = {name: read_images(place) for name, place in found.evaluations.items()}
    images, paired = same_images(tables, found.finest)
    if paired is not None:
        found.paired["image/auroc"] = paired
        most = max(len(table[table["label"].isin(["normal", "pneumonia"])]) for table in tables.values())
        if len(images) < most:
            of_all = f"{len(images)} {found.vocabulary.images} (of {most})"
            words = found.vocabulary.fill(metric_words("image/auroc"))
            found.notes.append(f"{words} is of the {of_all} that all runs score")


def read_images(place: Path) -> pd.DataFrame:
    """Read `images.csv` of an evaluation, a row per radiograph.

    Args:
        place: Folder of the evaluation.

    Raises:
        DamagedError: The file cannot be read.
    """
    columns = {"image": str, "patient": str, "label": str, "score": float, "height": float, "width": float}
    words = {"image": str, "patient": str}
    return read_table(place / "images.csv", columns, dtype=words, na_values="")


def known_maps(evaluations: Mapping[str, Path]) -> dict[str, SampledMaps]:
    """Read the sampled maps of each evaluation that has radiographs whose masks are known, by name."""
    return {name: maps for name, place in evaluations.items() if (maps := read_maps(place / "maps"))}


def check_evaluated(place: Path) -> None:
    """Check that the files of an evaluation that a comparison needs are readable and consistent.

    Args:
        place: Folder of the evaluation.

    Raises:
        DamagedError: A file cannot be read, or the files are of different radiographs.
    """
    counted, images = read_metrics(place, "subset").get("counts/images"), read_images(place)
    if counted is not None and counted != len(images):
        raise DamagedError(f"{place / 'images.csv'}: {len(images)} images, metrics.json counts {counted}")
    maps = read_maps(place / "maps")
    if maps is not None and (strange := set(maps.images["image"]) - set(images["image"])):
        raise DamagedError(f"{place / 'maps' / 'images.csv'}: {min(strange)} is no image of images.csv")


def _coarseness(run: SweptRun, overrides: Sequence[str]) -> tuple[float, ...]:
    """Sort key: the largest images first, then the smallest stride and patch."""
    changed = dict(override.split("=", 1) for override in overrides)
    size, stride, patch = (changed.get(key, run.value(key)) for key in ("image_size", "stride", "patch"))
    sides = [float(side) for side in re.findall(r"\d+", size)] or [0.0]
    numbers = [float(word) if word.isdigit() else np.inf for word in (stride, patch)]
    return -sides[0] * sides[-1], *numbers


def choose_sort(found: Comparison, asked: str) -> str | None:
    """Choose the metric to sort by; None if no run has a default one.

    Args:
        found: Measured comparison.
        asked: Metric from the command line; empty for the first of `DEFAULT_SORTS` that runs have.

    Raises:
        ConfigError: No run has the metric; names the nearest, or the reason why it was left out.
    """
    there = [
        str(key)
        for key in found.rows.select_dtypes("number").columns
        if key not in found.axes and not str(key).endswith(("_low", "_high")) and found.rows[key].notna().any()
    ]
    if asked and asked not in there:
        if reason := _omitted(found).get(asked):
            raise ConfigError(f"sort={asked}: no run has it: {reason}")
        near = difflib.get_close_matches(asked, there, n=4, cutoff=0.4) or there[:4]
        raise ConfigError(
            f"sort={asked} is not known; the nearest: {', '.join(near) or 'none, as no run was measured'}"
        )
    if asked:
        return asked
    for key in DEFAULT_SORTS:
        if key in there:
            return key
        if found.evaluations:
            words = found.vocabulary.fill(metric_words(key))
            found.notes.append(f"missing: {words}: {_omitted(found).get(key, 'no run has it')}")
    return None


def _omitted(found: Comparison) -> dict[str, str]:
    reasons: dict[str, str] = {}
    for place in found.evaluations.values():
        reasons |= read_metrics(place)["about"].get("omitted", {})
    nothing = dict.fromkeys(PIXEL_KEYS, "no run was evaluated on {images} whose masks are known")
    omitted = found.pixels.omitted if found.pixels else nothing
    return reasons | {key: found.vocabulary.fill(reason) for key, reason in omitted.items()}


def rank(found: Comparison, reference: str, overrides: Sequence[str]) -> None:
    """Fill in the sorted groups with their differences to the reference.

    Args:
        found: Measured comparison.
        reference: Group to subtract in differences, `key=value,...`; empty for the one of the recipe's defaults.
        overrides: Overrides from the command line, `key=value`.
    """
    rows = found.rows[found.rows["run"].isin(found.evaluations)]
    point = [*found.axes, "seed"]
    firsts = rows.groupby(point, sort=False)["run"].transform("first")
    for name, first in zip(rows["run"], firsts, strict=True):
        if name != first:
            found.notes.append(f"{name} is {first} once more, seed included: it counts once")
    groups = []
    for _, group_rows in rows[rows["run"] == firsts].groupby(found.axes or (lambda _: 0), sort=False):
        numbers = group_rows.drop(columns=point).select_dtypes("number").dropna(axis="columns", how="all")
        summary = zip(numbers.columns, numbers.mean(), numbers.std(), strict=True)
        axes = {str(key): str(value) for key, value in group_rows[found.axes].iloc[0].items()}
        groups.append(Replicates(axes, tuple(group_rows["run"]), {str(key): (mean, sd) for key, mean, sd in summary}))
    if not groups:
        return
    if found.sort:
        key, sign = found.sort, 1 if found.sort.startswith(_LESS_IS_BETTER) else -1
        groups.sort(key=lambda group: (bool(np.isnan(group.of(key)[0])), sign * group.of(key)[0]))
    chosen, found.reference_is = _choose_reference(found, groups, reference)
    found.groups = [_compared(found, group, chosen) for group in groups]
    found.reference = next(group for group in found.groups if group.runs == chosen.runs)
    differing = [key for key in option_names(windows=True) if len({run.value(key) for run in found.runs}) > 1]
    if differing:
        found.notes.append(
            f"figures of patches do not compare between runs that differ in {', '.join(differing)}: their patches are "
            f"not the same pieces of {found.vocabulary.region}. Those of the same pixels and of "
            f"{found.vocabulary.images} do"
        )


def _compared(found: Comparison, group: Replicates, reference: Replicates) -> Replicates:
    key = found.sort
    if key is None or key not in group.summary:
        return group
    paired = found.paired.get(key)
    names, others = ([name for name in one.runs if paired and name in paired.value] for one in (group, reference))
    interval = paired.mean(names)[1:] if paired and names else None
    difference = None
    if group.runs != reference.runs and key in reference.summary:
        plain = Interval(group.summary[key][0] - reference.summary[key][0], np.nan, np.nan)
        difference = paired.difference(names, others) if paired and names and others else plain
    return replace(group, interval=interval, difference=difference)


def _choose_reference(found: Comparison, groups: Sequence[Replicates], asked: str) -> tuple[Replicates, str]:
    if asked:
        wanted = dict(part.split("=", 1) for part in re.split(r",(?![^\[]*\])", asked) if "=" in part)
        unknown = [key for key in wanted if key not in found.axes]
        if unknown or not wanted:
            axes = ", ".join(found.axes) or "none: nothing was swept"
            raise ConfigError(f"reference={asked}: {', '.join(unknown) or asked} is no swept axis; the axes: {axes}")
        fitting = [group for group in groups if wanted.items() <= group.axes.items()]
        if not fitting:
            points = difflib.get_close_matches(asked, [described(group.axes) for group in groups], n=4, cutoff=0)
            raise ConfigError(f"reference={asked}: no measured group matches; the nearest: {'; '.join(points)}")
        among = f", the best of {len(fitting)} that fit" if len(fitting) > 1 else ""
        return fitting[0], f"asked for{among}"
    of_point = {tuple(group.axes.values()): group for group in groups}
    measured = [run for run in found.runs if run.point in of_point]
    defaults = _recipe_defaults(found)
    for run in measured:
        if defaults and run.config and all(_equal(key, run.config, defaults) for key in found.axes):
            return of_point[run.point], "the recipe's defaults"
    return of_point[measured[0].point], "the first of the sweep"


def _recipe_defaults(found: Comparison) -> dict[str, Any] | None:
    """Config of `train` with the overrides that all runs share, and no others."""
    overrides = [run.overrides for run in found.runs if run.overrides]
    shared = set.intersection(*(set(one.items()) for one in overrides)) if overrides else set()
    return read_defaults(found.runs[0].folder, dict(shared))


def _equal(key: str, one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two configs hold a key, and are equal at it and below it."""
    mine, theirs = (
        {name: value for name, value in flatten(config).items() if f"{name}.".startswith(f"{key}.")}
        for config in (one, other)
    )
    return bool(mine) and mine == theirs
