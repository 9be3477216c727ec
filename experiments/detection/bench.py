"""One table about what a detector finds: `python experiments/detection/bench.py output=DIR [run=RUN] [only=SET,...]`.

`run=` is whatever `pneumo-ad predict` takes, a run or an export; without it the detector that ships. Every figure is
made of its maps and of its scores of radiographs, so that detectors of any kind stand in one table. Sets are looked for
in `$PNEUMO_AD_DATA`; those that are not there are named, and where none is, drawn radiographs are measured.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from tqdm.auto import tqdm

from pneumo_ad.data.evenly_spaced import evenly_spaced
from pneumo_ad.data.radiographs import Radiographs
from pneumo_ad.data.sources import chest_xray, masks, phantom
from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.evaluation.ground_truth import gather_ground_truth
from pneumo_ad.files import write_text
from pneumo_ad.inference.predictor import Predictor
from pneumo_ad.labels import HEALTHY_LUNG, IN_OPACITY, NORMAL, OTHER, PNEUMONIA
from pneumo_ad.lungs import AutoFields
from pneumo_ad.metrics.catalogue import MeasuredScore, Questions, figure_with_interval, headline
from pneumo_ad.metrics.conformal import conformal_threshold, least_normals
from pneumo_ad.metrics.localisation import per_region_overlap_with_interval, pointing_game
from pneumo_ad.metrics.proportion import share_with_interval
from pneumo_ad.metrics.ranking import auroc, auroc_with_interval
from pneumo_ad.metrics.shortcuts import pixel_shortcuts
from pneumo_ad.metrics.strata import aurocs_in_strata
from pneumo_ad.prediction.opening import open_predictor
from pneumo_ad.runs.shipped import SHIPPED
from pneumo_ad.runs.split import read_split

TUBERCULOSIS = {"tuberculosis": "pneumonia"}
_AT_ONCE = 16  # radiographs
_CALIBRATED_ON = 30  # radiographs of a source


def found_by(judge: Predictor, data: Radiographs, rows: npt.NDArray[np.int64]) -> tuple[dict[str, Any], ...]:
    """Maps, windows' means of them and scores of some radiographs, by the detector and by brightness.

    Args:
        judge: The detector.
        data: Data set that holds the radiographs.
        rows: (I,) of the store.
    """
    maps: dict[int, npt.NDArray[np.float32]] = {}
    bright: dict[int, npt.NDArray[np.float32]] = {}
    scores, fields = np.full(len(rows), np.nan), []
    kinds: list[npt.NDArray[np.int8]] = []
    told = judge.standard.thresholds
    for first in tqdm(range(0, len(rows), _AT_ONCE), desc="judging", unit="batch", leave=False):
        part = rows[first : first + _AT_ONCE]
        found = judge(np.asarray(data.store.images[part]), data.store.content(part))
        scores[first : first + len(part)] = found.scores
        fields.append(found.lung_fields)
        if told is not None and told.tell_outside and judge.grid == data.grid:  # else they are other windows
            kinds.append(told.classify(found.windows, found.likeliest))
        for i in range(len(part)):
            maps[first + i] = found.maps[i]
            bright[first + i] = np.asarray(data.store.images[part[i]], dtype=np.float32)
    inside = np.concatenate(fields).astype(bool)
    brightness = [
        image[lung].mean() if lung.any() else np.nan for image, lung in zip(bright.values(), inside, strict=True)
    ]
    told_kinds = np.concatenate(kinds) if kinds else None
    return {"maps": maps, "scores": scores, "kinds": told_kinds}, {"maps": bright, "scores": np.array(brightness)}


def measured(data: Radiographs, rows: npt.NDArray[np.int64], found: dict[str, Any]) -> dict[str, float]:
    """All figures that a set allows.

    Args:
        data: Data set that holds the radiographs.
        rows: (I,) of the store.
        found: See `found_by`.
    """
    evidence = gather_ground_truth(data, rows)
    maps = (torch.from_numpy(found["maps"][i][None]) for i in range(len(rows)))
    window = np.concatenate([data.grid.window_means(one).numpy() for one in maps])
    scored = MeasuredScore(
        window, found.get("kinds"), {i: found["maps"][i] for i in evidence.pixel_truth}, found["scores"]
    )
    figures, _ = headline(evidence, scored, Questions.about(evidence))
    places = sorted(evidence.pixel_truth)
    truths, maps = [evidence.pixel_truth[i] for i in places], [found["maps"][i] for i in places]
    patients = evidence.patient[places]
    if any((truth == IN_OPACITY).any() for truth in truths):
        game = pointing_game(maps, truths, patients, in_lung=True)
        figures |= {"pointing": game.value, "pointing_low": game.low, "pointing_high": game.high}
        figures["pointing_chance"] = game.chance
        figures |= per_region_overlap_with_interval(maps, truths, patients, in_lung=True).keyed("pro_in_lung")
        each = [_pixel_auroc(*pair) for pair in zip(maps, truths, strict=True)]
        figures["pixel/mean_per_image"] = float(np.nanmean(each))
    return figures


def _pixel_auroc(values: npt.NDArray[np.floating], truth: npt.NDArray[np.integer]) -> float:
    searched = ~np.isnan(values) & ((truth == IN_OPACITY) | (truth == HEALTHY_LUNG))
    opaque = truth[searched] == IN_OPACITY
    return auroc(values[searched], opaque) if opaque.any() and not opaque.all() else np.nan


def false_alarms_of_site(
    scores: npt.NDArray[np.floating], few: int, rate: float, draws: int = 200
) -> npt.NDArray[np.float64]:
    """Share of normals called anomalous where others of the same source are the standard, as `calibrate=` makes them.

    Args:
        scores: (n,) of normal radiographs.
        few: Number of radiographs that are the standard; the rest are judged.
        rate: Declared false-alarm rate.
        draws: Number of random draws of the standard.

    Returns:
        (draws,) shares.
    """
    rng = np.random.default_rng(0)
    orders = (rng.permutation(scores) for _ in range(draws))
    return np.array([(one[few:] > conformal_threshold(one[:few], rate)).mean() for one in orders])


class Bench:
    """A detector and the sets.

    Args:
        judge: The detector.
        trained: Names of radiographs that it was trained or validated on.
    """

    def __init__(self, judge: Predictor, trained: set[str]) -> None:
        self.judge, self.trained = judge, trained
        self.rows: list[dict[str, Any]] = []

    def open(self, table: pd.DataFrame) -> Radiographs:
        """Radiographs fitted as the detector wants them, in windows of 32 every 20 of 256 pixels."""
        height, width = self.judge.grid.image_size
        patch, stride = (round(pixels * min(height, width) / 256) for pixels in (32, 20))
        return Radiographs(
            table, (height, width), lungs=AutoFields(), fit=self.judge.fit, patch=patch, stride=stride, on_error="skip"
        )

    def unseen(self, data: Radiographs, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Those of some rows that the detector was not trained on."""
        names = data.store.table["image"].iloc[rows].str.rpartition("/")[2]
        return rows[~names.isin(self.trained).to_numpy()]

    def measure(self, name: str, data: Radiographs, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Two rows of the table, of the detector and of brightness; returns (I,) the detector's scores.

        Raises:
            DataError: No radiograph is left.
        """
        if not len(rows):
            raise DataError(f"{name}: none is left, the detector was trained or validated on all of them")
        both = found_by(self.judge, data, rows)
        for scorer, found in zip(("detector", "brightness"), both, strict=True):
            figures = measured(data, rows, found)
            counts = {"radiographs": len(rows), "normal": int((data.store.table["label"].iloc[rows] == NORMAL).sum())}
            figures |= self.found(data, rows, found["scores"]) if scorer == "detector" and counts["normal"] else {}
            self.rows.append({"set": name, "by": scorer} | counts | figures)
        return both[0]["scores"]

    def found(
        self, data: Radiographs, rows: npt.NDArray[np.int64], scores: npt.NDArray[np.float64]
    ) -> dict[str, float]:
        """Shares of the ill, and of the normal, that are called anomalous at the declared rate."""
        table = data.store.table.iloc[rows]
        called = np.array([np.nan if one is None else float(one) for one in self.judge.standard.decisions(scores)])
        shares: dict[str, float] = {}
        for key, label in (("sensitivity", PNEUMONIA), ("false_alarms", NORMAL)):
            chosen = (table["label"] == label).to_numpy() & ~np.isnan(called)
            if chosen.any():
                patients = table["patient"].to_numpy(dtype=str)[chosen]
                shares |= share_with_interval(called[chosen], patients).keyed(key)
        return shares

    def false_alarms(self, name: str, data: Radiographs, rows: npt.NDArray[np.int64]) -> None:
        """Share of normal radiographs called anomalous at the declared rate."""
        scores = found_by(self.judge, data, rows)[0]["scores"]
        decided = self.judge.standard.decisions(scores)
        row: dict[str, Any] = {"set": name, "by": "detector", "radiographs": len(rows), "normal": len(rows)}
        if all(one is None for one in decided):
            self.rows.append(row | {"left_out": "; ".join(self.judge.standard.limits) or "no held-out normals"})
            return
        patients = data.store.table["patient"].iloc[rows].to_numpy(dtype=str)
        share = share_with_interval(np.array([bool(one) for one in decided]), patients)
        declared = self.judge.standard.false_alarm_rate
        self.rows.append(row | {"declared": declared} | share.keyed("false_alarms"))
        told = scores[~np.isnan(scores)]
        if len(told) > (few := max(_CALIBRATED_ON, least_normals(declared))):
            each = false_alarms_of_site(told, few, declared)
            by = f"detector, calibrated on {few}, mean of {len(each)} draws"
            low, high = np.quantile(each, [0.025, 0.975])
            found = {"false_alarms": each.mean(), "false_alarms_low": low, "false_alarms_high": high}
            self.rows.append(row | {"by": by, "declared": declared} | found)

    def strata(self, data: Radiographs, rows: npt.NDArray[np.int64], scores: npt.NDArray[np.float64]) -> None:
        """Image AUROC within strata of equal size by sharpness of the centre, in which sharpness tells little."""
        table = data.store.table
        sharp = pixel_shortcuts(data.store.images, table, rows)["sharpness_centre"]
        ill = (table["label"].iloc[rows] != NORMAL).to_numpy()
        each = aurocs_in_strata(scores, ill, sharp)
        patients = table["patient"].iloc[rows].to_numpy(dtype=str)
        row = {"set": "chest_xray held out, by sharpness", "by": "sharpness of the centre", "radiographs": len(rows)}
        self.rows.append(row | auroc_with_interval(-sharp, ill, patients).keyed("image/auroc"))
        row |= {"by": f"detector, median of {len(each)} strata", "image/auroc": float(np.median(each))}
        self.rows.append(row | {"image/auroc_low": min(each), "image/auroc_high": max(each)})


def main(arguments: list[str]) -> None:
    """The command."""
    given = dict(argument.partition("=")[::2] for argument in arguments)
    if set(given) - {"run", "output", "only"} or "output" not in given:
        raise ConfigError(f"expected output=DIR [run=RUN] [only=SET,...], got {' '.join(arguments) or 'nothing'}")
    run = Path(given.get("run", SHIPPED))
    split, missing = read_split(run), []
    if split is None:
        missing.append(f"{run} does not tell which radiographs it was trained on: those are among the normals here")
        split = pd.DataFrame({"image": [], "label": [], "split": []}, dtype=str)
    learnt = (split["split"] == "train") & (split["label"] == NORMAL)  # nothing else trains
    chosen = (split["split"] == "val") & (split["label"] != OTHER)  # epochs and thresholds
    seen = split[learnt | chosen]["image"].str.rpartition("/")[2]
    bench = Bench(open_predictor(run), set(seen))
    data = Path(os.environ.get("PNEUMO_AD_DATA", "/nonexistent"))
    wanted = given["only"].split(",") if "only" in given else list(SETS)
    for name in wanted:
        try:
            SETS[name](bench, data)
        except DataError as reason:
            missing.append(f"{name}: {reason}")
    if not bench.rows:
        radiographs = bench.open(phantom(normal=60, pneumonia=60, seed=7).assign(split="test"))
        bench.measure("phantoms", radiographs, radiographs.rows(None))
    output = Path(given["output"])
    output.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(bench.rows)
    write_text(output / "bench.csv", table.to_csv(index=False, float_format="%.4f"))
    write_text(output / "bench.md", as_markdown(table, missing))
    print((output / "bench.md").read_text())


def _masks(bench: Bench, data: Path) -> None:
    radiographs = bench.open(masks(data / "opacity_masks", split="test"))
    bench.measure("opacity_masks", radiographs, radiographs.rows(None))


def _tuberculosis(bench: Bench, data: Path) -> None:
    radiographs = bench.open(masks(data / "shenzhen_tb", labels=TUBERCULOSIS, split="test"))
    rows = bench.unseen(radiographs, radiographs.rows(None))
    bench.measure("shenzhen_tb, normals not trained on", radiographs, rows)
    of_segmenter = radiographs.store.table["image"].iloc[rows].isin(_segmenter_saw(data)).to_numpy()
    for part, chosen in (("was trained or validated on", of_segmenter), ("never saw", ~of_segmenter)):
        if chosen.any():
            bench.measure(f"of these, the lung segmenter {part}", radiographs, rows[chosen])


def _segmenter_saw(data: Path) -> set[str]:
    """Names of the radiographs that the lung segmenter that ships was trained or validated on (its model card)."""
    table = masks(data / "lung_masks" / "montgomery_shenzhen", labels={"tuberculosis": "other"}, val=0.1, test=0.2)
    return set(table[table["split"] != "test"]["image"])


def _boxes(bench: Bench, data: Path) -> None:
    radiographs = bench.open(masks(data / "tbx11k_boxes", labels=TUBERCULOSIS, split="test"))
    bench.measure("tbx11k_boxes", radiographs, radiographs.rows(None))


def _other_normals(bench: Bench, data: Path) -> None:
    radiographs = bench.open(masks(data / "openist_normals", split="test"))
    bench.false_alarms("openist_normals", radiographs, radiographs.rows(None))


def _children(bench: Bench, data: Path) -> None:
    radiographs = bench.open(_few(chest_xray(data / "chest_xray_224" / "train", split="test"), bench.trained))
    rows = radiographs.rows(None)
    scores = bench.measure("chest_xray held out", radiographs, rows)
    bench.strata(radiographs, rows, scores)


def _few(table: pd.DataFrame, trained: set[str], most: int = 300) -> pd.DataFrame:
    """Of each class at most so many radiographs, evenly chosen, of those that were not trained on."""
    left = table[~table["image"].isin(trained)]
    parts = [part.iloc[evenly_spaced(len(part), most)] for _, part in left.groupby("label")]
    return pd.concat(parts).reset_index(drop=True)


SETS = {
    "masks": _masks,
    "tuberculosis": _tuberculosis,
    "boxes": _boxes,
    "normals": _other_normals,
    "children": _children,
}
_SHOWN = {
    "patch/auroc_opacity_vs_healthy": "patch",
    "patch/macro_f1": "macro-F1",
    "pixel/auroc_in_lung": "pixel in lung",
    "pixel/mean_per_image": "mean per image",
    "pro_in_lung": "PRO in lung",
    "pointing": "pointing",
    "pointing_chance": "its chance",
    "image/auroc": "image",
    "sensitivity": "found at the declared rate",
    "false_alarms": "false alarms",
}


def as_markdown(table: pd.DataFrame, missing: list[str]) -> str:
    """The table for a page, with the 95 % interval by patient behind each figure; sets that are missing below.

    Args:
        table: A row per set and scorer.
        missing: A sentence each.
    """
    shown = [key for key in _SHOWN if key in table]
    lines = ["| set | by | radiographs (normal) | " + " | ".join(_SHOWN[key] for key in shown) + " |"]
    lines += ["|---" * (len(shown) + 3) + "|"]
    for _, row in table.iterrows():
        figures = row.dropna().to_dict()
        cells = [figure_with_interval(figures, key) for key in shown]
        normal = "" if pd.isna(row.get("normal")) else f" ({row['normal']:.0f})"
        lines.append(f"| {row['set']} | {row['by']} | {row['radiographs']}{normal} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *missing]) + "\n"


if __name__ == "__main__":
    main(sys.argv[1:])
