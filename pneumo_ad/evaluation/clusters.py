"""Three clusters of a run's difference images (§ 5.3), compared with clusters of simpler descriptions."""

from __future__ import annotations

import json
import logging
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.table import Table

from pneumo_ad.clustering import (
    DESCRIPTIONS,
    FEATURES,
    METHODS,
    Clustering,
    Description,
    difference_images,
    fit_clusters,
    train_description,
)
from pneumo_ad.clustering import plots as cluster_plots
from pneumo_ad.clustering.agreement import CLUSTERS, agreement, best_match
from pneumo_ad.clustering.description import Features
from pneumo_ad.data.datasets import ExhaustivePatches
from pneumo_ad.data.evenly_spaced import evenly_spaced
from pneumo_ad.data.radiographs import Radiographs
from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.evaluation.examination import typical_places
from pneumo_ad.evaluation.ground_truth import gather_ground_truth
from pneumo_ad.evaluation.pictures import pictures_of
from pneumo_ad.evaluation.summary import print_left_out
from pneumo_ad.evaluation.windows import every_window, kind_names
from pneumo_ad.files import write_csv, write_json
from pneumo_ad.labels import HEALTHY, IN_OPACITY, KIND_WORDS, KINDS, OPACITY, OUTSIDE, PNEUMONIA, RADIOGRAPH, Vocabulary
from pneumo_ad.metrics.catalogue import GroundTruth, counts, figure_with_interval, missing_kind
from pneumo_ad.metrics.kinds import macro_f1
from pneumo_ad.metrics.metrics_json import read_metrics
from pneumo_ad.nets.output import inner
from pneumo_ad.runs.check_options import check_options
from pneumo_ad.runs.device import device_of
from pneumo_ad.runs.evaluated_rows import chosen_rows
from pneumo_ad.runs.run import Run
from pneumo_ad.runs.scorer import batch_size_at, check_net
from pneumo_ad.saved import is_there

log = logging.getLogger(__name__)

CHANCE = "chance"  # random clusters: agreement at chance under a match by the truth
_FIT_IMAGES = 100  # validation pneumonia radiographs, as for thresholds
_FIT_WINDOWS = 20_000  # evenly chosen windows: all at the paper's stride, bounded memory at stride 1
_SHOWN_PATCHES = 8
_DRAWN = "residual_plain"
_WORDS = {"kmeans": "k-means", "mixture": "Gaussian mixture"}

Clusters = dict[str, npt.NDArray[np.int8]]  # `<description>/<method>` -> (windows,)
Match = dict[str, tuple[int, ...]]


def cluster_run(run: Run, output: Path, subset: str | None = None, evaluation: Path | None = None) -> Path:
    """Cluster the windows of an opened run.

    Clusters are fitted on every window of validation pneumonia radiographs of the run's own data, without labels, and
    applied to every window of `subset`.

    Args:
        run: Opened run, from `load_run`.
        output: Folder to write to; created if missing.
        subset: test or train; for data other than the run's own also val or all. Default: test of the run's own data,
            all of other data.
        evaluation: Folder of the `metrics.json` of the same radiographs, for the macro-F1 of thresholds.

    Returns:
        `output`.
    """
    check_options(run.config)
    check_net(run)
    data, seed = run.radiographs, int(run.config.seed)
    if data.view != "patch":
        raise ConfigError(
            f"clusters are of difference images, and the net of {run.folder} reconstructs none; module=autoencoder "
            "trains nets that do"
        )
    if not run.data_changed and subset in ("val", "all"):
        raise ConfigError(
            f"subset={subset} holds the validation images that clusters are fitted on; expected test or train"
        )
    rows, subset, seen = chosen_rows(run, subset)
    windows = _windows_to_fit_on(run)
    log.info("learning to describe %d windows of validation images that are not normal", len(windows))
    device = device_of(run.config.trainer)
    net = run.module.net.to(device).to(memory_format=torch.channels_last).eval()
    describe, explained = train_description(net, windows, seed, data.halo)
    models = _fit(describe, windows, seed)
    kept = data.grid.thinned(run.options.kept_windows)
    log.info("describing %d %s of %d windows each", len(rows), run.vocabulary.images, len(kept))
    dataset = ExhaustivePatches(data.images, rows, kept, data.halo)
    features = describe.every(dataset, batch_size_at(run.options, device), "describing")
    clusters = {name: model(features[name.split("/")[0]]) for name, model in models.items()}
    evidence = gather_ground_truth(data, rows, kept)
    metrics, omitted, match = measure_clusters(evidence, clusters, seed)
    of_thresholds, missing = _thresholds(evaluation, subset, data.store.key)
    metrics |= of_thresholds | counts(evidence) | {"counts/images_seen_in_training": seen}
    output.mkdir(parents=True, exist_ok=True)
    about = {
        "omitted": {key: run.vocabulary.fill(reason) for key, reason in (omitted | missing).items()},
        "vocabulary": vars(run.vocabulary),
        "match": {name: [KINDS[kind] for kind in kinds] for name, kinds in match.items()},
        "share": {name: (np.bincount(of, minlength=CLUSTERS) / len(of)).tolist() for name, of in clusters.items()},
        "features": list(FEATURES),
        "explained": explained,
        "fitted_on": {"split": "val", "label": PNEUMONIA, "windows": len(windows)},
        "subset": subset,
        "store": data.store.key,
        "checkpoint": run.checkpoint.name,
        "overrides": list(run.overrides),
        "seed": seed,
    }
    table = every_window(data, rows, kept).assign(kind_true=kind_names(evidence.kind.ravel()))
    write_csv(output / "clusters.csv", table.assign(**{name.replace("/", "_"): of for name, of in clusters.items()}))
    write_json(output / "clusters.json", metrics | {"about": about})  # last: implies a complete table
    of_run = run.vocabulary
    _draw(output / "figures", dataset, data, evidence, describe, features, clusters, models, match, of_run)
    return output


def _windows_to_fit_on(run: Run) -> torch.Tensor:
    """(n, 1, p, p) uint8: every window of validation pneumonia radiographs of the run's own data, without padding."""
    data = run.own_radiographs()
    dataset = data.exhaustive_patches("val", PNEUMONIA, _FIT_IMAGES)
    if not len(dataset.rows):
        raise DataError(
            f"clusters are fitted on {run.vocabulary.abnormal} {run.vocabulary.images} of the validation split, and "
            f"{run.folder} was trained on data that hold none; split.csv lists the splits, and data.val=0.1 at its "
            "training assigns more"
        )
    whole_windows = [
        data.grid.window_shares(data.store.content(dataset.rows[i : i + 1]))[0] == 1 for i in range(len(dataset.rows))
    ]
    numbers = np.flatnonzero(np.concatenate(whole_windows))
    return dataset.cut(numbers[evenly_spaced(len(numbers), _FIT_WINDOWS)])["patch"]


def _fit(describe: Description, windows: torch.Tensor, seed: int) -> dict[str, Clustering]:
    fitted = describe(windows)
    models = {}
    for name, method in product(DESCRIPTIONS, METHODS):
        log.info("clustering by %s, %s", name, method)
        models[f"{name}/{method}"] = fit_clusters(fitted[name], fitted["sad"][:, 0], method, seed)
    return models


def measure_clusters(
    evidence: GroundTruth, found: Clusters, seed: int = 0
) -> tuple[dict[str, float], dict[str, str], Match]:
    """Compute the agreement of each clustering, and of a random one, with the masks.

    Args:
        evidence: Ground truth of I radiographs of N windows each.
        found: Name -> (I * N,) clusters.
        seed: Seed of the random clusters.

    Returns:
        `metrics`: `<name>/adjusted_rand` and `<name>/best_match_macro_f1` (an oracle: see `best_match`), each with
        `_low` and `_high`, and `<name>/macro_f1_by_sad`, where clusters rise in SAD from healthy lung to opacity to
        outside; `omitted`, key -> reason; and the kinds that clusters are matched to.
    """
    metrics: dict[str, float] = {}
    match: Match = {}
    kind = evidence.kind.ravel()
    found = found | {CHANCE: np.random.default_rng(seed).integers(0, CLUSTERS, len(kind)).astype(np.int8)}
    if reason := missing_kind(evidence):
        keys = ("adjusted_rand", "best_match_macro_f1", "macro_f1_by_sad")
        return {}, {f"{name}/{key}": reason for name in found for key in keys}, {}
    patient = np.repeat(evidence.patient, evidence.kind.shape[1])
    for name, clusters in found.items():
        measured = agreement(kind, clusters, patient)
        for key, interval in measured._asdict().items():
            metrics |= interval.keyed(f"{name}/{key}")
        if name != CHANCE:
            metrics[f"{name}/macro_f1_by_sad"] = macro_f1(kind, clusters)
            match[name] = best_match(kind, clusters)
    return metrics, {}, match


def _thresholds(evaluation: Path | None, subset: str, store: str) -> tuple[dict[str, float], dict[str, str]]:
    """Read macro-F1 of thresholds on the run's score (fitted and oracle) and on brightness from an evaluation."""
    metrics = read_metrics(evaluation) if evaluation is not None and is_there(evaluation / "metrics.json") else None
    keys = {
        "thresholds/macro_f1": "patch/macro_f1",
        "thresholds_by_truth/macro_f1": "oracle/macro_f1",
        "thresholds_of_brightness/macro_f1": "brightness/patch/macro_f1",
    }
    if metrics is None or (metrics["about"]["subset"], metrics["about"]["store"]) != (subset, store):
        reason = "these images were not evaluated yet: pneumo-ad evaluate with the same arguments"
        return {}, dict.fromkeys(keys, reason)
    figures = {key: metrics[source] for key, source in keys.items() if source in metrics}
    gone = {key: metrics["about"]["omitted"].get(source, "not in metrics.json") for key, source in keys.items()}
    return figures, {key: reason for key, reason in gone.items() if key not in figures}


def _draw(
    folder: Path,
    dataset: ExhaustivePatches,
    data: Radiographs,
    evidence: GroundTruth,
    describe: Description,
    features: Features,
    found: Clusters,
    models: dict[str, Clustering],
    match: Match,
    terms: Vocabulary,
) -> None:
    """Draw the figures, each cluster in the colour of the kind it is matched to; without masks, of its rank of SAD."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {name: np.array(match.get(name, range(CLUSTERS)))[of] for name, of in found.items()}
    by_kmeans = drawn[f"{_DRAWN}/kmeans"]
    kinds = [terms.fill(KIND_WORDS[kind]) for kind in (HEALTHY, OPACITY, OUTSIDE)]
    ranks = [f"{word} SAD" for word in ("least", "middle", "most")]
    words = [f"matched to {word}" for word in kinds] if match else ranks
    groupings = {
        f"clusters by {_WORDS[method]}": {word: drawn[f"{_DRAWN}/{method}"] == c for c, word in enumerate(words)}
        for method in METHODS
    }
    if match:
        kind = evidence.kind.ravel()
        groupings["true kinds, mixed left out"] = {word: kind == k for k, word in enumerate(kinds)}
    standardised = models[f"{_DRAWN}/kmeans"].standardised(features[_DRAWN])
    title = "Difference images in the plane of their plain features"
    title += ", clusters coloured by their best match" if match else ""
    figures = {"projection": cluster_plots.projection(standardised, groupings, FEATURES, title)}
    patches = [_at_ranks(dataset, by_kmeans == c, features["sad"][:, 0]) for c in range(CLUSTERS)]
    residuals = [difference_images(describe.net, part, describe.halo).cpu().numpy()[:, 0] for part in patches]
    named = [f"{word}\n{int((by_kmeans == c).sum()):,} windows" for c, word in enumerate(words)]
    figures["difference_images"] = cluster_plots.draw_difference_images(
        [inner(part, describe.halo).numpy()[:, 0] for part in patches], residuals, named
    )
    shown = [i for i in typical_places(evidence) if evidence.pneumonia[i]] or typical_places(evidence)
    pictures = pictures_of(data, dataset.rows[shown], terms)
    truth, of_windows = evidence.pixel_truth, evidence.kind.shape
    shapes = {
        f"{name.replace('_', ', ')}\n({_WORDS[method]})": drawn[f"{name}/{method}"].reshape(of_windows)[shown]
        for name, method in ((_DRAWN, "kmeans"), (_DRAWN, "mixture"), ("residual_embedding", "kmeans"))
    }
    outlines = [(truth[i] > 0, truth[i] == IN_OPACITY) if i in truth else None for i in shown]
    figures["where_clusters_lie"] = cluster_plots.where_clusters_lie(
        pictures.images, shapes, dataset.grid, pictures.names, words, outlines, pictures.proportions, terms
    )
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=200)


def _at_ranks(dataset: ExhaustivePatches, chosen: npt.NDArray[np.bool_], sad: npt.NDArray[np.floating]) -> torch.Tensor:
    """(n, 1, p, p) windows of a cluster at evenly spaced ranks of SAD, so that they show the full range."""
    numbers = np.flatnonzero(chosen)
    numbers = numbers[np.argsort(sad[numbers], kind="stable")]
    ranks = np.linspace(0.05, 0.95, min(_SHOWN_PATCHES, len(numbers))) * max(len(numbers) - 1, 0)
    return dataset.cut(numbers[ranks.round().astype(int)])["patch"]


def cluster_table(found: dict[str, float], title: str, terms: Vocabulary = RADIOGRAPH) -> Table:
    """Build a table with a row per clustering, in the order of `clusters.json`, with intervals.

    Args:
        found: Content of `clusters.json`.
        title: Title above the table.
        terms: Words of the run.
    """
    brackets = f"In brackets: 95 % bootstrap interval by {terms.patient}"
    caption = f"best match looks at the truth; by SAD does not. {brackets}"
    header = ("clusters of", "adjusted Rand", "best-match macro F1", "macro F1 by SAD")
    table = Table(*header, title=title, caption=caption)
    for key in found:
        name, _, metric = key.rpartition("/")
        if metric == "adjusted_rand":
            keys = (f"{name}/{one}" for one in ("adjusted_rand", "best_match_macro_f1", "macro_f1_by_sad"))
            cells = (figure_with_interval(found, one).replace(" ", "\n") for one in keys)
            table.add_row(name.replace("_", " ").replace("/", ",\n"), *cells)
    table.add_section()
    for key, value in found.items():
        if key.startswith("thresholds"):
            table.add_row(key.removesuffix("/macro_f1").replace("_", " "), "–", "–", f"{value:.3f}")
    return table


def print_clusters(output: Path, title: str) -> None:
    """Print the table of a `clusters.json`, the omitted metrics with reasons, and the output folder.

    Args:
        output: Folder with `clusters.json`.
        title: Heading of the table.
    """
    content = json.loads((output / "clusters.json").read_text())
    about = content["about"]
    console, terms = Console(highlight=False), Vocabulary.kept_in(about)
    if about["match"]:
        console.print(cluster_table(content, title, terms))
    print_left_out(console, about["omitted"])
    console.print(
        f"{content['counts/images']} {terms.images}, {content['counts/patches']:,} windows, "
        f"{content['counts/patches_mixed']:,} of them mixed and left out of the figures; clusters fitted on "
        f"{about['fitted_on']['windows']:,} validation windows"
    )
    console.print(f"tables and figures: {output}")
