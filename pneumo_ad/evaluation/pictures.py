"""Figs. 7 to 10 of the paper for an examination, and anomaly maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from pneumo_ad import figures
from pneumo_ad.data.evenly_spaced import evenly_spaced
from pneumo_ad.data.radiographs import Radiographs
from pneumo_ad.errors import DataError
from pneumo_ad.evaluation.examination import Examination, typical_places
from pneumo_ad.evaluation.windows import Drawn, cut, located, places_of
from pneumo_ad.labels import HEALTHY, KINDS, LABEL_WORDS, OPACITY, OUTSIDE, Vocabulary
from pneumo_ad.metrics.modality import one_hump
from pneumo_ad.metrics.thresholds import Thresholds
from pneumo_ad.modules.autoencoder import PatchAutoencoder
from pneumo_ad.runs.run import Run
from pneumo_ad.scores import score_words

RECONSTRUCTIONS = {"fig07_normal_reconstructions": "normal_lung", "fig08_pneumonia_reconstructions": "pneumonia"}
FRAMED = 3  # radiographs of each class in Fig. 10
_PATCHES = 8  # columns of a panel


def draw_evaluation(
    folder: Path,
    run: Run,
    result: Examination,
    thresholds: Thresholds | None,
    unit: str,
    metrics: Mapping[str, float],
) -> None:
    """Draw the figures of an evaluation into `folder`.

    Args:
        folder: Folder to write to; created if missing.
        run: Run with the net that reconstructs the panels' patches.
        result: Scores and ground truth of the radiographs.
        thresholds: Thresholds of the run's score, or None where none could be fitted.
        unit: Unit of the run's score.
        metrics: See `histograms`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data, name, terms = run.radiographs, score_words(type(run.module.score).__name__), run.vocabulary
    drawn = histograms(result, thresholds, f"{name} ({unit})", metrics, terms)
    everywhere = run.module.score.orders_outside
    drawn["fig10_red_frames"] = frames_by_threshold(data, result, thresholds, name, terms, everywhere)
    if isinstance(run.module, PatchAutoencoder):
        for stem, origin in RECONSTRUCTIONS.items():
            if result.evidence.origins[origin].any():
                drawn[stem] = reconstructions(run, result, origin)
    for stem, one in drawn.items():
        figures.save(one.figure, folder / f"{stem}.png")
    shown = pictures_of(data, result.rows[list(result.maps)], terms)
    drawn_maps = list(result.maps.values())
    if not everywhere:  # what such a score says outside the lung would fill the scale
        fields = (np.asarray(data.lung_fields[row]) == 1 for row in result.rows[list(result.maps)])
        drawn_maps = [
            np.where(field, one, np.nan) if field.any() else one for field, one in zip(fields, drawn_maps, strict=True)
        ]
    maps = figures.anomaly_maps(
        shown.images,
        drawn_maps,
        shown.names,
        f"{name}\n({unit})",
        shown.opacities,
        shown.proportions,
    )
    figures.save(maps, folder / "anomaly_maps.png")


def reconstructions(run: Run, result: Examination, origin: str) -> Drawn:
    """Draw Fig. 7 or 8: eight windows at evenly spaced ranks of SAD, so that a panel shows the full range.

    The numbers have a row per patch and bin of grey levels: pixels of the input and of the reconstruction.

    Args:
        run: Run with the net that reconstructs the patches.
        result: Scores and ground truth of the radiographs.
        origin: Key of `GroundTruth.origins`.

    Raises:
        DataError: No such window, or a net that does not reconstruct patches.
    """
    data = run.radiographs
    if not isinstance(run.module, PatchAutoencoder):
        raise DataError(f"{type(run.module.net).__name__} judges whole images and reconstructs no patch")
    places = places_of(result.evidence, origin)
    order = np.argsort(result.window["sad"][tuple(places.T)], kind="stable")
    picked = places[order[evenly_spaced(len(order), _PATCHES)]]
    patches = torch.from_numpy(cut(data, result.grid, result.rows, picked, data.halo))[:, None]
    with torch.inference_mode():
        examined = run.module.examine(patches.to(next(run.module.net.parameters()).device).float() / 255)
    x, y = (examined[key][:, 0].float().cpu().numpy() for key in ("x", "reconstruction"))
    sad = examined["sad"].float().cpu().numpy()
    origin_words = run.vocabulary.fill(figures.NAMES[origin])
    title = f"{origin_words}: {len(picked)} of {len(places):,} patches, at evenly spaced ranks of SAD"
    rows = located(data, result.grid, result.rows, result.evidence, picked)
    rows["sad"] = sad
    return Drawn(figures.reconstruction_panel(x, y, sad, title), _grey_levels(rows, x, y))


def _grey_levels(
    rows: pd.DataFrame, x: npt.NDArray[np.float32], reconstruction: npt.NDArray[np.float32]
) -> pd.DataFrame:
    parts = []
    for number, (before, after) in enumerate(zip(x, reconstruction, strict=True)):
        (input_pixels, edges), (output_pixels, _) = figures.grey_levels(before), figures.grey_levels(after)
        bins = pd.DataFrame({"grey_from": edges[:-1], "grey_below": edges[1:], "input_pixels": input_pixels})
        bins["reconstruction_pixels"] = output_pixels
        parts.append(rows.iloc[[number]].merge(bins, how="cross"))
    return pd.concat(parts, ignore_index=True)


def histograms(
    result: Examination, thresholds: Thresholds | None, unit: str, metrics: Mapping[str, float], terms: Vocabulary
) -> dict[str, Drawn]:
    """Draw Fig. 9, by stem of its files: windows by origin and, where known, by true kind, as in the paper's Table 1.

    Args:
        result: Scores and ground truth of the radiographs.
        thresholds: Thresholds to mark, or None.
        unit: Label of the score's axis: name and unit.
        metrics: Metrics by key; any `modality/...` of the scores of pneumonia windows are printed.
        terms: Words of the run.
    """
    shape = {key.removeprefix("modality/"): value for key, value in metrics.items() if key.startswith("modality/")}
    drawn = {"fig09_histogram": _histogram(result, result.evidence.origins, thresholds, unit, shape, terms)}
    sick = ~result.evidence.normal[:, None]
    kinds = {KINDS[kind]: sick & (result.evidence.kind == kind) for kind in (HEALTHY, OPACITY, OUTSIDE)}
    if any(chosen.any() for chosen in kinds.values()):
        title = f"windows of {terms.images} that are not normal, by true kind"
        drawn["fig09_histogram_by_kind"] = _histogram(result, kinds, thresholds, unit, {}, terms, title)
    return drawn


def _histogram(
    result: Examination,
    groups: Mapping[str, npt.NDArray[np.bool_]],
    thresholds: Thresholds | None,
    unit: str,
    modality: Mapping[str, float],
    terms: Vocabulary,
    title: str = "",
) -> Drawn:
    """Draw the histogram of the run's score by group of windows, (I, N) bool each.

    The numbers have a row per bar of each group, per threshold, and per figure of `modality`.
    """
    scores = {name: result.window["score"][chosen] for name, chosen in groups.items()}
    edges, counts = figures.binned(scores)
    bars = [
        pd.DataFrame({"what": "windows", "of": name, "from": edges[:-1], "below": edges[1:], "value": count})
        for name, count in counts.items()
    ]
    marks = thresholds.finite if thresholds is not None else []
    single = [("threshold", f"between_{i}_and_{i + 1}", value) for i, value in enumerate(marks, 1)]
    single += [("modality", f"pneumonia_{key}", value) for key, value in modality.items()]
    numbers = pd.concat([*bars, pd.DataFrame(single, columns=["what", "of", "value"])], ignore_index=True)
    words = terms.fill(hump_words(modality)) if modality else ""
    radiographs = {name: int(chosen.any(axis=1).sum()) for name, chosen in groups.items()}
    return Drawn(figures.score_histogram(scores, marks, unit, title, words, radiographs, terms), numbers)


def hump_words(modality: Mapping[str, float]) -> str:
    """Format the result of `metrics.modality`, a template of `labels.Vocabulary.fill`.

    >>> print(hump_words({"dip": 0.011, "dip_p": 0.4, "components": 2}))
    {abnormal}: dip 0.011, p = 0.400, one hump not refuted;
    2 components by BIC
    """
    verdict = "one hump not refuted" if one_hump(modality["dip_p"]) else "more than one hump"
    components = int(modality["components"])
    return (
        f"{{abnormal}}: dip {modality['dip']:.3f}, p = {modality['dip_p']:.3f}, {verdict};\n"
        f"{components} component{'s' if components > 1 else ''} by BIC"
    )


def threshold_ranges(scores: npt.NDArray[np.floating], thresholds: Thresholds | None) -> list[tuple[float, float]]:
    """Return ranges of scores between thresholds, or thirds of the windows without any; NaN counts in none."""
    marks = thresholds.finite if thresholds is not None else []
    between = marks or np.nanquantile(scores, [1 / 3, 2 / 3]).tolist()
    return list(pairwise([min(float(np.nanmin(scores)), between[0]), *between, float("inf")]))


def frames_by_threshold(
    data: Radiographs,
    result: Examination,
    thresholds: Thresholds | None,
    name: str,
    terms: Vocabulary,
    everywhere: bool = True,
) -> Drawn:
    """Draw Fig. 10: windows of typical radiographs in the ranges between thresholds, captioned by predicted kind.

    Args:
        data: Data set that holds the radiographs.
        result: Scores and ground truth of the radiographs.
        thresholds: Thresholds of the run's score, or None where none could be fitted.
        name: Name of the score.
        terms: Words of the run.
        everywhere: Whether the score orders what lies outside the lung; else only windows mostly in it are framed.
    """
    kinds = thresholds.words if thresholds is not None and thresholds.finite else ()
    if not everywhere and result.evidence.in_lung.any():
        scores = np.where(result.evidence.in_lung, result.window["score"], np.float32(np.nan))
        result = replace(result, window=result.window | {"score": scores})
    ranges = threshold_ranges(result.window["score"], thresholds)
    places = typical_places(result.evidence, FRAMED)
    return frames(data, result, places, ranges, name, terms, [f"as {terms.fill(words)}" for words in kinds] or None)


def frames(
    data: Radiographs,
    result: Examination,
    places: Sequence[int],
    ranges: Sequence[tuple[float, float]],
    name: str,
    terms: Vocabulary,
    captions: Sequence[str] | None = None,
) -> Drawn:
    """Draw Fig. 10: red frames around the windows of each range. The numbers have a row per window of the radiographs.

    Args:
        data: Data set that holds the radiographs.
        result: Scores and ground truth of the radiographs.
        places: Places of the radiographs in `result.rows`.
        ranges: Low (included) and high (excluded) scores, rising.
        name: Name of the score.
        terms: Words of the run.
        captions: Captions of the ranges, or None.
    """
    shown = pictures_of(data, result.rows[list(places)], terms)
    grid, scores = result.grid, result.window["score"][list(places)]
    figure = figures.red_frames(
        shown.images, scores, grid, ranges, shown.names, name, shown.opacities, captions, shown.proportions, terms
    )
    windows = np.stack([np.repeat(places, len(grid)), np.tile(np.arange(len(grid)), len(places))], axis=1)
    numbers = located(data, grid, result.rows, result.evidence, windows)
    numbers["score"] = scores.ravel()
    lows, highs = np.array(ranges).T
    inside = (scores.ravel()[:, None] >= lows) & (scores.ravel()[:, None] < highs)
    framed, column = inside.any(axis=1), inside.argmax(axis=1)
    numbers["range"] = pd.Series(column + 1).where(framed).astype("Int64")
    numbers["range_from"], numbers["range_below"] = (np.where(framed, ends[column], np.nan) for ends in (lows, highs))
    return Drawn(figure, numbers)


class Pictures(NamedTuple):
    """Radiographs of a figure.

    Attributes:
        images: (H, W) uint8 grey levels each, as the net saw them.
        opacities: (H, W) uint8 opacity masks, 0 or 1.
        names: Name and label of each, on two lines.
        proportions: Proportions of each.
    """

    images: list[npt.NDArray[np.uint8]]
    opacities: list[npt.NDArray[np.uint8]]
    names: list[str]
    proportions: list[figures.Proportions]


def pictures_of(data: Radiographs, rows: npt.NDArray[np.int64], terms: Vocabulary) -> Pictures:
    """Return some radiographs as figures need them.

    Args:
        data: Data set that holds the radiographs.
        rows: (I,) row numbers in the store.
        terms: Words of the run.
    """
    table = data.store.table.iloc[rows]
    labels = [terms.fill(LABEL_WORDS[label]) for label in table["label"]]
    names = [f"{image}\n{label}" for image, label in zip(table["image"], labels, strict=True)]
    images, opacities = ([np.asarray(of[row]) for row in rows] for of in (data.images, data.store.opacity))
    return Pictures(images, opacities, names, figures.Proportions.of_rows(table))
