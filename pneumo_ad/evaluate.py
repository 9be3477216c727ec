"""`pneumo-ad evaluate`: what a trained run finds, with every figure beside that of mean brightness."""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

from pneumo_ad import figures
from pneumo_ad.compose import build, change_saved
from pneumo_ad.data.datamodule import PatchDataModule
from pneumo_ad.data.table import NORMAL, PNEUMONIA
from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.files import whole, write_json
from pneumo_ad.lungs.segmenter import WEIGHTS, file_digest
from pneumo_ad.metrics.headline import Evidence, Measured, counts, headline, image_scores, sad_medians
from pneumo_ad.metrics.kinds import HEALTHY, KINDS, OPACITY, OUTSIDE, PADDING, UNKNOWN, true_kinds
from pneumo_ad.runs import FIXED, Run, load_run, saved_config
from pneumo_ad.sampled_maps import POINTS, SampledMaps, sample, write_maps
from pneumo_ad.scores import SAD, Brightness, Score
from pneumo_ad.scoring import MapOf, Scored, score_radiographs
from pneumo_ad.search_path import saved_search_path
from pneumo_ad.sweeps import folder_name
from pneumo_ad.thresholds import Threshold, Thresholds

log = logging.getLogger(__name__)

_THRESHOLD_IMAGES = 100  # validation radiographs of each class on which thresholds are fitted
_SUBSETS = ("train", "val", "test", "all")
_SHOWN = 4  # radiographs in a figure


def evaluate(overrides: Sequence[str]) -> Path:
    """The command. `run=RUN` and optionally `output=DIR`, `subset=`, `checkpoint=`, and overrides of the run's config.

    Returns:
        The folder that holds `metrics.json`, `patches.csv`, `images.csv`, `maps/` and `figures/`.

    Raises:
        ConfigError: No `run=`, or an override that cannot be applied.
        DataError: A run folder without checkpoint, or data that cannot be evaluated.
    """
    own = {"run": "", "output": "", "subset": "", "checkpoint": "best"}
    rest = []
    for override in overrides:
        key, _, value = override.partition("=")
        if key in own:
            own[key] = value
        else:
            rest.append(override)
    if not own["run"]:
        raise ConfigError("run=RUN_FOLDER must be given: pneumo-ad evaluate run=runs/paper/2026-01-31_12-00-00")
    run = load_run(own["run"], rest, own["checkpoint"])
    return evaluate_run(run, Path(own["output"] or default_output(run.folder, overrides)), own["subset"] or None)


def default_output(folder: Path, overrides: Sequence[str]) -> Path:
    """The run folder where nothing was changed; else a folder below it that says what was, so that nothing is lost.

    >>> default_output(Path("r"), ["run=r", "data=masks", "data.root=/x/y"]).as_posix()  # doctest: +ELLIPSIS
    'r/evaluations/data=masks,root=y-...'
    """
    changes = [override for override in overrides if not override.startswith(("run=", "output="))]
    if not changes:
        return folder
    return folder / "evaluations" / folder_name(changes)


def evaluate_run(run: Run, output: Path, subset: str | None = None) -> Path:
    """Evaluate an opened run.

    Args:
        run: From `load_run`.
        output: Folder to write to; made where it is not there.
        subset: Split to evaluate: train, val, test or all; default: test of the run's own data, all of other data.

    Returns:
        `output`.
    """
    data, config = run.datamodule, run.config
    subset = subset or ("all" if run.data_changed else "test")
    if subset not in _SUBSETS:
        raise ConfigError(f"subset={subset} is not known; expected train, val, test or all")
    rows = data.rows(None if subset == "all" else subset)
    rows, seen = _leave_out_seen(run, data, rows)
    if not len(rows):
        raise DataError(f"nothing to evaluate: no radiograph in subset={subset}")
    net = run.module.net.to(_device(config.trainer.accelerator)).eval()
    precision = torch.bfloat16 if "bf16" in str(config.trainer.precision) else torch.float32
    scoring = Scoring(net, run.module.score, config.map_of, config.eval_batch_size, precision, config.get("relative"))
    thresholds = fit_thresholds(run, scoring, build(config.threshold))
    log.info("scoring %d radiographs of %d windows each", len(rows), len(data.grid))
    result = examine(scoring, data, rows)
    metrics, omitted = _measure(result, thresholds)
    metrics |= {"counts/images_seen_in_training": seen, "counts/images_skipped": len(data.skipped)}
    metrics |= {"counts/pixels_uncovered_per_image": data.grid.uncovered}
    output.mkdir(parents=True, exist_ok=True)
    about = {
        "omitted": omitted,
        "thresholds": {name: list(value) for name, value in thresholds.items()},
        "score": type(run.module.score).__name__,
        "unit": scoring.unit,
        "subset": subset,
        "store": data.store.key,
        "checkpoint": str(
            run.checkpoint.relative_to(run.folder) if run.checkpoint.is_relative_to(run.folder) else run.checkpoint
        ),
        "precision": str(precision),
        "overrides": list(run.overrides),
        "skipped": data.skipped,
    }
    write_maps(output / "maps", result.sampled)
    _write_tables(output, data, result, thresholds)
    write_json(output / "metrics.json", metrics | {"about": about})  # after the tables: where it stands, they do
    _draw(output / "figures", run, data, result, thresholds, scoring.unit)
    return output


def check_evaluation(config: DictConfig) -> None:
    """See that what is asked of an evaluation can be done, before hours of training.

    Raises:
        ConfigError: An unknown split, or a `relative`, threshold or device that cannot be.
    """
    if config.evaluate is None or config.evaluate is False:
        return
    if config.evaluate not in _SUBSETS:
        raise ConfigError(f"evaluate={config.evaluate} is not known; expected train, val, test or all; null for none")
    _check_relative(config.get("relative"))
    _device(config.trainer.accelerator)
    build(config.threshold)


def _check_relative(relative: float | None) -> None:
    if relative is not None and not 0 < relative <= 1:
        raise ConfigError(f"relative={relative} must be a quantile in (0, 1], or null")


def _device(accelerator: str) -> torch.device:
    if accelerator in ("gpu", "cuda") and not torch.cuda.is_available():
        raise ConfigError("trainer=gpu needs a CUDA device and none was found; use trainer=cpu or trainer=auto")
    return torch.device("cuda" if accelerator != "cpu" and torch.cuda.is_available() else "cpu")


def _leave_out_seen(run: Run, data: PatchDataModule, rows: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], int]:
    """On other data than the run's own, patients whom training or validation saw are left out, and counted."""
    split = run.folder / "split.csv"
    if not run.data_changed or not split.is_file():
        return rows, 0
    own = pd.read_csv(split, dtype=str, keep_default_na=False)
    known = set(own.loc[own["split"] != "test", "patient"])
    new = ~data.store.table["patient"].iloc[rows].isin(known).to_numpy()
    if not new.all():
        log.warning("%d radiographs of patients whom the run saw in training are left out", int((~new).sum()))
    return rows[new], int((~new).sum())


@dataclass(frozen=True)
class Scoring:
    """How radiographs are scored.

    Attributes:
        net: Trained.
        score: The run's score.
        map_of: What anomaly maps are made of.
        batch_size: Windows per forward pass.
        precision: dtype of autocast.
        relative: Quantile of a radiograph's own scores by which they are divided, or None. Exposure and build change
            SAD more between radiographs than an opacity does within one.
    """

    net: nn.Module
    score: Score
    map_of: MapOf
    batch_size: int
    precision: torch.dtype
    relative: float | None = None

    def __post_init__(self) -> None:
        _check_relative(self.relative)

    def scores(self) -> dict[str, Score]:
        """The run's score, brightness as the baseline and, where it is not the score itself, SAD, from one pass."""
        scores: dict[str, Score] = {"score": self.score, "brightness": Brightness()}
        return scores if type(self.score) is SAD and self.relative is None else scores | {"sad": SAD()}

    @property
    def unit(self) -> str:
        """Of the run's score."""
        if self.relative is None:
            return self.score.unit
        return f"of the radiograph's {self.relative:.0%} quantile"

    def __call__(
        self, data: PatchDataModule, rows: npt.NDArray[np.int64], progress: str, maps: bool = False
    ) -> Iterator[Scored]:
        """Score some radiographs, a few at a time."""
        for part in score_radiographs(
            self.net,
            self.scores(),
            data.store.images,
            rows,
            data.grid,
            self.batch_size,
            self.map_of if maps else None,
            self.precision,
            progress,
        ):
            if self.relative is not None:
                own = np.quantile(part.scores["score"], self.relative, axis=1).clip(1e-6)
                part.scores["score"] /= own[:, None]
                if maps:
                    part.maps["score"] /= own[:, None, None]
            yield part


@dataclass(frozen=True)
class Examination:
    """Scored radiographs with what is known of them."""

    rows: npt.NDArray[np.int64]
    evidence: Evidence
    window: dict[str, npt.NDArray[np.float32]]  # by score, (I, N)
    pixel: dict[str, dict[int, npt.NDArray[np.float32]]]  # by score, by position in `rows`
    maps: dict[int, npt.NDArray[np.float32]]  # of the run's score, those that figures show
    sampled: SampledMaps  # of those whose masks are known


def examine(scoring: Scoring, data: PatchDataModule, rows: npt.NDArray[np.int64]) -> Examination:
    """Score every window of some radiographs and gather what their masks and labels tell."""
    evidence = gather_evidence(data, rows)
    shown = set(_shown(evidence))
    window: dict[str, list[npt.NDArray[np.float32]]] = {name: [] for name in scoring.scores()}
    pixel: dict[str, dict[int, npt.NDArray[np.float32]]] = {"score": {}, "brightness": {}}
    maps: dict[int, npt.NDArray[np.float32]] = {}
    known_places = sorted(evidence.pixel_truth)
    number = {known: n for n, known in enumerate(known_places)}
    sampled = {name: np.empty((len(known_places), POINTS, POINTS), dtype=np.float32) for name in pixel}
    place = 0
    for part in scoring(data, rows, "scoring", maps=True):
        for name, values in part.scores.items():
            window[name].append(values)
        for i in range(len(part.rows)):
            if place + i in evidence.pixel_truth:
                known = _known_pixels(data, part.rows[i])
                for name, kept in pixel.items():
                    kept[place + i] = part.maps[name][i][known]
                    placement = data.store.placement(part.rows[i])
                    sampled[name][number[place + i]] = sample(part.maps[name][i], placement)
            if place + i in shown:
                maps[place + i] = part.maps["score"][i]
        place += len(part.rows)
    scores = {name: np.concatenate(parts) for name, parts in window.items()}
    kept_maps = _with_truth(data, rows[known_places], sampled)
    return Examination(rows, evidence, {"sad": scores["score"]} | scores, pixel, maps, kept_maps)


def _with_truth(
    data: PatchDataModule, rows: npt.NDArray[np.int64], sampled: dict[str, npt.NDArray[np.float32]]
) -> SampledMaps:
    images = data.store.table.iloc[rows][["image", "patient"]].reset_index(drop=True)
    truth = np.empty((len(rows), POINTS, POINTS), dtype=np.uint8)
    for i, row in enumerate(rows):
        truth[i] = sample(_pixel_truth(data, row), data.store.placement(row))
    return SampledMaps(images, sampled["score"], sampled["brightness"], truth)


def gather_evidence(data: PatchDataModule, rows: npt.NDArray[np.int64]) -> Evidence:
    """Labels, patients, true kinds of windows and true pixels of some radiographs."""
    store, grid = data.store, data.grid
    table = store.table.iloc[rows]
    kind = np.full((len(rows), len(grid)), UNKNOWN, dtype=np.int8)
    lung_share = np.empty((len(rows), len(grid)))
    pixel_truth = {}
    has_lung = table["has_lung"].to_numpy(dtype=bool)
    # A radiograph labelled normal has no opacity; otherwise only a mask file tells.
    has_opacity = table["has_opacity"].to_numpy(dtype=bool) | (table["label"] == NORMAL).to_numpy()
    for i, row in enumerate(rows):
        one = slice(row, row + 1)
        lung_share[i] = grid.window_shares(data.lung_fields[one])[0]
        if has_lung[i] and has_opacity[i]:
            kind[i] = true_kinds(grid.window_shares(store.lung[one])[0], grid.window_shares(store.opacity[one])[0])
            pixel_truth[i] = _pixel_truth(data, row)[_known_pixels(data, row)]
        # A window with padding in it is no patch of a radiograph, whatever its masks say.
        padded = grid.window_shares(store.content(rows[i : i + 1]))[0] < 1
        kind[i][padded], lung_share[i][padded] = PADDING, 0
    return Evidence(
        patient=np.unique(table["patient"].to_numpy(dtype=str), return_inverse=True)[1],
        normal=(table["label"] == NORMAL).to_numpy(),
        pneumonia=(table["label"] == PNEUMONIA).to_numpy(),
        kind=kind,
        lung_share=lung_share,
        pixel_truth=pixel_truth,
    )


def _pixel_truth(data: PatchDataModule, row: int) -> npt.NDArray[np.uint8]:
    """(H, W): 0 outside the lung, 1 healthy lung, 2 opacity."""
    return np.where(data.store.opacity[row] == 1, 2, data.store.lung[row]).astype(np.uint8)


def _known_pixels(data: PatchDataModule, row: int) -> npt.NDArray[np.bool_]:
    return data.grid.covered & (data.store.content(np.array([row]))[0] == 1)


def fit_thresholds(run: Run, scoring: Scoring, rule: Threshold) -> dict[str, Thresholds]:
    """Thresholds of each score, from validation patients of the run's own data; empty where none can be fitted."""
    fitted = {}
    try:
        scores = validation_scores(run, scoring)
        for name in ("score", "brightness"):
            fitted[name] = rule.fit(scores[f"{name}_normal_lung"], scores[f"{name}_pneumonia"])
    except DataError as reason:
        log.warning("no thresholds, and so no kinds of patch: %s", reason)
    return fitted


def validation_scores(run: Run, scoring: Scoring) -> dict[str, npt.NDArray[np.float32]]:
    """Scores of validation windows: `<score>_normal_lung` (wholly inside normal lungs) and `<score>_pneumonia`.

    Of the run's own data, under whatever else the overrides changed. They are kept in the run folder by a digest of
    what they depend on, so that data elsewhere can be judged where the run's own are not at hand.
    """
    overrides = [override for override in run.overrides if not override.startswith(("data=", "data."))]
    own = change_saved(saved_config(run.folder), overrides, FIXED, saved_search_path(run.folder))
    # Interpolations resolved: a stride or an image size that was changed stands elsewhere in the config.
    made_of = [OmegaConf.to_container(node, resolve=True) for node in (own.score, own.datamodule)]
    depends = [json.dumps(made_of, sort_keys=True), str(scoring.precision), str(scoring.relative)]
    depends.append(file_digest(run.checkpoint))
    depends.append(file_digest(Path(own.lungs.get("weights") or WEIGHTS)))
    kept = run.folder / "validation_scores" / f"{hashlib.sha256(repr(depends).encode()).hexdigest()[:12]}.npz"
    if kept.is_file():
        return dict(np.load(kept, allow_pickle=False))
    data = load_run(run.folder, overrides, str(run.checkpoint)).datamodule if run.data_changed else run.datamodule
    groups = {
        "normal_lung": data.exhaustive_patches("val", NORMAL, _THRESHOLD_IMAGES).rows,
        "pneumonia": data.exhaustive_patches("val", PNEUMONIA, _THRESHOLD_IMAGES).rows,
    }
    log.info("scoring %d validation radiographs for thresholds", sum(map(len, groups.values())))
    found: dict[str, npt.NDArray[np.float32]] = {}
    for group, rows in groups.items():
        parts = list(scoring(data, rows, "validation"))
        inside = np.ones((len(rows), len(data.grid)), dtype=bool)
        for i, row in enumerate(rows):
            mask = data.lung_fields[row : row + 1] if group == "normal_lung" else data.store.content(rows[i : i + 1])
            inside[i] = data.grid.window_shares(mask)[0] == 1
        for score in ("score", "brightness"):
            values = [part.scores[score] for part in parts]
            found[f"{score}_{group}"] = np.concatenate(values)[inside] if values else np.zeros(0, dtype=np.float32)
    kept.parent.mkdir(exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=kept.parent, suffix=".partial", delete=False) as file:
        np.savez(file, **found)  # type: ignore[arg-type]
    Path(file.name).rename(kept)
    return found


def _measure(result: Examination, thresholds: dict[str, Thresholds]) -> tuple[dict[str, float], dict[str, str]]:
    metrics: dict[str, float] = {}
    omitted: dict[str, str] = {}
    for name, prefix in (("score", ""), ("brightness", "brightness/")):
        window = result.window[name]
        kind = thresholds[name].classify(window) if name in thresholds else None
        found, missing = headline(result.evidence, Measured(window, kind, result.pixel[name]))
        metrics |= {prefix + key: value for key, value in found.items()}
        omitted |= {prefix + key: reason for key, reason in missing.items()}
    medians, missing = sad_medians(result.window["sad"], result.evidence)
    return metrics | medians | counts(result.evidence), omitted | missing


def _write_tables(output: Path, data: PatchDataModule, result: Examination, thresholds: dict[str, Thresholds]) -> None:
    table, evidence = data.store.table.iloc[result.rows], result.evidence
    windows = len(data.grid)
    known = np.array(KINDS)
    predicted = thresholds["score"].classify(result.window["score"]) if "score" in thresholds else None
    true = np.where(evidence.kind == UNKNOWN, "", known[evidence.kind])
    patches = pd.DataFrame(
        {
            "image": np.repeat(table["image"].to_numpy(), windows),
            "top": np.tile(data.grid.positions[:, 0], len(table)),
            "left": np.tile(data.grid.positions[:, 1], len(table)),
            "sad": result.window["sad"].ravel(),
            "score": result.window["score"].ravel(),
            "brightness": result.window["brightness"].ravel(),
            "lung_share": evidence.lung_share.ravel().round(4),
            "kind_predicted": "" if predicted is None else known[predicted].ravel(),
            "kind_true": true.ravel(),
        }
    )
    columns = ["image", "path", "patient", "label", "split", "height", "width", "window_low", "window_high"]
    images = table[columns].reset_index(drop=True)
    images["score"] = image_scores(result.window["score"], evidence.lung_share)
    images["sad"] = image_scores(result.window["sad"], evidence.lung_share)
    images["brightness"] = image_scores(result.window["brightness"], evidence.lung_share)
    images["windows_mostly_lung"] = (evidence.lung_share > 0.5).sum(axis=1)
    images["lung_area"] = [float(data.lung_fields[row].mean()) for row in result.rows]
    for kind in (HEALTHY, OPACITY, OUTSIDE):
        images[f"windows_{KINDS[kind]}"] = "" if predicted is None else (predicted == kind).sum(axis=1)
    for name, frame in (("patches", patches), ("images", images)):
        with whole(output / f"{name}.csv") as aside:
            frame.to_csv(aside, index=False, float_format="%.6g")


def _shown(evidence: Evidence) -> list[int]:
    """Places of the radiographs that figures show: pneumonia first, those with truth before those without."""
    chosen: list[int] = []
    for group in (evidence.pneumonia, evidence.normal):
        with_truth = [i for i in np.flatnonzero(group) if i in evidence.pixel_truth]
        places = with_truth or np.flatnonzero(group).tolist()
        chosen += [
            int(places[i]) for i in np.linspace(0, len(places) - 1, min(_SHOWN, len(places))).round().astype(int)
        ]
    return sorted(set(chosen), key=chosen.index) or list(range(min(_SHOWN, len(evidence.patient))))


def _draw(
    folder: Path, run: Run, data: PatchDataModule, result: Examination, thresholds: dict[str, Thresholds], unit: str
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    evidence, window = result.evidence, result.window
    cuts = tuple(thresholds.get("score", ()))
    name = type(run.module.score).__name__
    normal_lung = evidence.normal[:, None] & (evidence.lung_share == 1)
    groups = {"normal_lung": normal_lung, "pneumonia": np.broadcast_to(evidence.pneumonia[:, None], normal_lung.shape)}
    kinds = {KINDS[kind]: evidence.kind == kind for kind in (HEALTHY, OPACITY, OUTSIDE)}
    drawn = {
        "fig07_normal_patches": _panel(run, data, result, normal_lung, "normal lung"),
        "fig08_pneumonia_patches": _panel(run, data, result, groups["pneumonia"], "pneumonia radiographs"),
        "fig09_histogram": figures.score_histogram(
            {key: window["score"][chosen] for key, chosen in groups.items()}, cuts, f"{name} ({unit})"
        ),
        "fig09_histogram_by_kind": figures.score_histogram(
            {key: window["score"][chosen] for key, chosen in kinds.items()}, cuts, f"{name} ({unit})"
        ),
    }
    shown = _shown(evidence)
    images = [np.asarray(data.store.images[result.rows[i]]) for i in shown]
    opacities = [np.asarray(data.store.opacity[result.rows[i]]) for i in shown]
    table = data.store.table.iloc[result.rows]
    names = [f"{table['image'].iloc[i]}\n{table['label'].iloc[i]}" for i in shown]
    scores = window["score"]
    low, high = cuts or np.quantile(scores, [1 / 3, 2 / 3])
    ranges = [(float(scores.min()), low), (low, high), (high, float("inf"))]
    frames = figures.red_frames(images, scores[shown], data.grid, ranges, names, name, opacities)
    drawn["fig10_red_frames"] = frames
    maps = [result.maps[i] for i in shown]
    drawn["anomaly_maps"] = figures.anomaly_maps(images, maps, names, f"{name}\n({unit})", opacities)
    for title, figure in drawn.items():
        if figure is not None:
            figure.savefig(folder / f"{title}.png", dpi=200)


def _panel(
    run: Run, data: PatchDataModule, result: Examination, chosen: npt.NDArray[np.bool_], title: str
) -> figures.Figure | None:
    """Eight windows at evenly spaced ranks of SAD, so that a panel shows the range and not a choice."""
    places = np.argwhere(chosen)
    if not len(places):
        return None
    order = np.argsort(result.window["sad"][chosen], kind="stable")
    picked = places[order[np.linspace(0, len(order) - 1, min(8, len(order))).round().astype(int)]]
    where = np.column_stack([result.rows[picked[:, 0]], data.grid.positions[picked[:, 1]]])
    p = data.grid.patch
    patches = np.stack([data.store.images[row, top : top + p, left : left + p] for row, top, left in where])
    device = next(run.module.net.parameters()).device
    with torch.inference_mode():
        examined = run.module.examine(torch.from_numpy(patches)[:, None].to(device).float() / 255)
    x, y = (examined[key][:, 0].cpu().numpy() for key in ("x", "reconstruction"))
    ranks = "at evenly spaced ranks of SAD"
    return figures.reconstruction_panel(
        x, y, examined["sad"].cpu().numpy(), f"{title}, {len(places):,} patches, {ranks}"
    )
