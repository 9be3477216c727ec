"""Figures of a comparison, from the runs' tables and maps."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from pneumo_ad.data.radiographs import Radiographs
from pneumo_ad.errors import DamagedError, UserError
from pneumo_ad.labels import IN_OPACITY, LABEL_WORDS
from pneumo_ad.leaderboard.gather import natural
from pneumo_ad.leaderboard.groups import Comparison, Replicates, known_maps, read_images
from pneumo_ad.leaderboard.plots import LINES, Point, map_rows, metric_by_axis, score_histograms
from pneumo_ad.metrics.catalogue import metric_words
from pneumo_ad.metrics.metrics_json import read_metrics
from pneumo_ad.metrics.shortcuts import strength
from pneumo_ad.runs.run import load_run
from pneumo_ad.saved import GIB, read_table

log = logging.getLogger(__name__)

_MOST_GROUPS = 12  # per figure
_MOST_PANELS = 6
_COLUMNS = 4  # radiographs in the figure of maps


def draw_comparison(found: Comparison, overrides: Sequence[str]) -> None:
    """Write every figure that can be drawn into `figures/` of the comparison.

    Args:
        found: The comparison, measured and ranked.
        overrides: Overrides from the command line, `key=value`.
    """
    folder = found.folder / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    drawn: dict[str, Figure | None] = {f"metric_by_{axis}": _metric(found, axis) for axis in found.axes if found.sort}
    drawn["sad_histograms"] = _histograms(found)
    drawn["anomaly_maps"] = _maps(found, overrides)
    for name, figure in drawn.items():
        path = folder / f"{name.replace('/', '.')}.png"
        path.unlink(missing_ok=True)  # file of an earlier comparison
        if figure is not None:
            figure.savefig(path, dpi=170)


def _metric(found: Comparison, axis: str) -> Figure | None:
    key = str(found.sort)
    groups = [group for group in found.groups if key in group.summary]
    others = [other for other in found.axes if other != axis]
    # The axis with most values becomes the lines, the others the panels.
    counts = {other: len({group.axes[other] for group in groups}) for other in others}
    line = max((other for other in others if counts[other] <= LINES), key=lambda other: counts[other], default="")
    values = found.rows.set_index("run")[key]
    points = []
    for group in sorted(groups, key=lambda group: [natural(value) for value in group.axes.values()]):
        panel = ", ".join(_value(other, group) for other in others if other != line)
        of_line = _value(line, group) if line else ""
        seeds = tuple(float(values[name]) for name in group.runs if not np.isnan(values[name]))
        points.append(Point(group.axes[axis], of_line, panel, seeds, group.interval))
    panels = list(dict.fromkeys(point.panel for point in points))
    left_out = len(panels) - _MOST_PANELS
    shown = [point for point in points if point.panel in panels[:_MOST_PANELS]]
    note = f"{left_out} of {len(panels)} panels left out: groups.csv has all" if left_out > 0 else ""
    if not shown:
        return None
    best = found.shortcut(key)
    shortcut = (strength(best.auroc), best.words) if best else None
    words = metric_words(key)
    return metric_by_axis(shown, _spoken(axis), words, found.baseline(key), note, found.vocabulary, shortcut)


def _spoken(key: str) -> str:
    """Word a swept key: `net.width` is net width."""
    return key.replace(".", " ").replace("_", " ").replace("/", " ")


def _value(key: str, group: Replicates) -> str:
    return f"{_spoken(key)} {group.axes[key]}"


def _first(found: Comparison) -> tuple[list[Replicates], str]:
    left_out = len(found.groups) - _MOST_GROUPS
    note = f"the best {_MOST_GROUPS} of {len(found.groups)} groups; {left_out} left out" if left_out > 0 else ""
    return found.groups[:_MOST_GROUPS], note


def _title(found: Comparison, group: Replicates) -> str:
    """Title of a group: its axes, two per line, and the sorting metric."""
    words = [_value(key, group) for key in group.axes] or ["all runs"]
    lines = [", ".join(words[i : i + 2]) for i in range(0, len(words), 2)]
    key = str(found.sort)
    if key in group.summary:
        name = "AUROC" if "auroc" in key else found.vocabulary.fill(metric_words(key))
        lines.append(f"{name} {group.summary[key][0]:.3f}")
    return "\n".join(lines)


def _histograms(found: Comparison) -> Figure | None:
    groups, note = _first(found)
    panels: dict[str, dict[str, npt.NDArray[np.floating]]] = {}
    for group in groups:
        tables = [_patches(found, name) for name in group.runs]
        kinds = list(dict.fromkeys(kind for table in tables for kind in table))
        panels[_title(found, group)] = {
            kind: np.concatenate([t.get(kind, np.zeros(0)) for t in tables]) for kind in kinds
        }
    scores = {str(read_metrics(place)["about"].get("score", "SAD")) for place in found.evaluations.values()}
    if scores != {"SAD"}:  # the common scale of runs whose scores have scales of their own
        own = f"SAD for all, the scale that runs share; ranked by {', '.join(sorted(scores))}, whose scale is its own"
        note = "\n".join(filter(None, [own, note]))
    return score_histograms(panels, "SAD (grey levels per pixel)", note, found.vocabulary)


def _patches(found: Comparison, name: str) -> dict[str, npt.NDArray[np.floating]]:
    """SAD of windows by true kind if masks are known, else by origin: normal lung or pneumonia."""
    place = found.evaluations[name]
    columns = {"image": str, "sad": float, "lung_share": float, "kind_true": str}
    try:
        patches = read_table(place / "patches.csv", columns, 16 * GIB, usecols=list(columns), dtype={"image": str})
    except DamagedError as reason:
        log.warning("%s; that run is not in the histograms", reason)
        return {}
    truth = ("outside", "healthy", "opacity")
    by_kind = {kind: patches.loc[patches["kind_true"] == kind, "sad"].to_numpy() for kind in truth}
    if len(by_kind["healthy"]) and len(by_kind["opacity"]):
        return by_kind
    labels = read_images(place).set_index("image")["label"]
    label = patches["image"].map(labels)
    normal_lung = (label == "normal") & (patches["lung_share"] == 1)
    return {
        "normal_lung": patches.loc[normal_lung, "sad"].to_numpy(),
        "pneumonia": patches.loc[label == "pneumonia", "sad"].to_numpy(),
    }


def _maps(found: Comparison, overrides: Sequence[str]) -> Figure | None:
    if found.pixels is None or not len(found.pixels.images):
        return None
    finest = found.pixels.finest
    names = list(found.pixels.images["image"])
    kept = known_maps(found.evaluations)
    place = {image: i for i, image in enumerate(kept[finest].images["image"])}
    truth = {image: np.asarray(kept[finest].truth[place[image]]) for image in names}
    shown = _shown(truth)
    groups, note = _first(found)
    rows = {}
    seeds = {run.name: run.seed for run in found.runs}
    for group in groups:
        run_name = next((name for name in group.runs if name in kept), None)
        if run_name is not None:
            at = {image: i for i, image in enumerate(kept[run_name].images["image"])}
            seed = f"\nseed {seeds[run_name]}" if len(group.runs) > 1 else ""
            rows[_title(found, group) + seed] = [kept[run_name].score[at[image]] for image in shown]
    rows["brightness alone"] = [kept[finest].brightness[place[image]] for image in shown]
    rows_of = read_images(found.evaluations[finest]).set_index("image").to_dict("index")
    shapes = [(float(rows_of[image]["height"]), float(rows_of[image]["width"])) for image in shown]
    titles = [f"{image}\n{found.vocabulary.fill(LABEL_WORDS[rows_of[image]['label']])}" for image in shown]
    return map_rows(
        _radiographs(found, shown, overrides),
        [truth[image] for image in shown],
        rows,
        titles,
        shapes,
        note,
        found.vocabulary,
    )


def _shown(truth: dict[str, npt.NDArray[np.uint8]]) -> list[str]:
    """Choose radiographs at evenly spaced ranks of opacity size, to show the range, and one without opacity."""
    size = {image: int((one == IN_OPACITY).sum()) for image, one in truth.items()}
    sick = sorted((image for image in truth if size[image]), key=lambda image: size[image])
    well = [image for image in truth if not size[image]][:1]
    wanted = min(_COLUMNS - len(well), len(sick))
    ranks = (np.arange(wanted) + 0.5) / max(wanted, 1) * len(sick)
    return [sick[int(rank)] for rank in ranks] + well


def _radiographs(
    found: Comparison, shown: Sequence[str], overrides: Sequence[str]
) -> list[npt.NDArray[np.uint8] | None]:
    """Pixels of radiographs without padding; None for all if the data are not available."""
    finest = found.pixels.finest if found.pixels else found.finest
    run = next(run for run in found.runs if run.name == finest)
    changes = [override for override in overrides if not override.startswith(("subset=", "checkpoint="))]
    try:
        data: Radiographs = load_run(run.folder, changes).radiographs
        rows = {image: row for row, image in enumerate(data.store.table["image"])}
    except UserError as reason:
        log.warning("figures are drawn without the images: %s", reason)
        return [None] * len(shown)
    chosen = [rows[image] for image in shown]
    return [data.store.placement(row).inner(np.asarray(data.store.images[row])) for row in chosen]
