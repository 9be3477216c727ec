"""`pneumo-ad evaluate`: what a trained run finds, with every figure beside those of scores that need no model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from omegaconf import DictConfig

from pneumo_ad.checkpoints import weights_digest
from pneumo_ad.compilation import compile_net
from pneumo_ad.compose import build
from pneumo_ad.data.datamodule import PatchDataModule
from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.evaluation.calibration import Calibration, fit_thresholds, validation_scores, windows_of
from pneumo_ad.evaluation.deviation import Deviation, measure_deviation
from pneumo_ad.evaluation.evidence import gather_evidence
from pneumo_ad.evaluation.examination import Examination, Scoring, check_relative, examine
from pneumo_ad.evaluation.matched import measure_matched, too_few
from pneumo_ad.evaluation.measures import measure
from pneumo_ad.evaluation.pictures import draw
from pneumo_ad.evaluation.tables import write_tables
from pneumo_ad.files import writable_folder, write_json
from pneumo_ad.jobs import claim
from pneumo_ad.nets.reach import check_side
from pneumo_ad.runs import Run, explained, load_run, of_run
from pneumo_ad.sampled_maps import POINTS, SampledMaps, sample, write_maps
from pneumo_ad.scoring import Mode
from pneumo_ad.summary import kept_words
from pneumo_ad.sweeps import folder_name

log = logging.getLogger(__name__)

_PATIENCE = 10  # seconds that another process may take to leave the folder
_TRUTHS = 50  # radiographs with truth among which those with opacities are looked for
_SUBSETS = ("train", "val", "test", "all")


def evaluate(overrides: Sequence[str]) -> Path:
    """The command. `run=RUN` and optionally `output=DIR`, `subset=`, `checkpoint=`, and overrides of the run's config.

    Returns:
        The folder that holds `metrics.json`, `patches.csv`, `images.csv`, `maps/` and `figures/`.

    Raises:
        ConfigError: No `run=`, or an override that cannot be applied.
        DataError: A run folder without checkpoint, or data that cannot be evaluated.
        BusyError: Another process writes to the same folder.
    """
    own, rest = of_run(overrides, "evaluate", subset="", checkpoint="best")
    run = load_run(own["run"], rest, own["checkpoint"])
    output = writable_folder(Path(own["output"] or default_output(run.folder, overrides)))
    with claim(output, wait=_PATIENCE):
        return evaluate_run(run, output, own["subset"] or None)


def default_output(folder: Path, overrides: Sequence[str]) -> Path:
    """The run folder where nothing was changed; else a folder below it that says what was, so that nothing is lost.

    Args:
        folder: The run folder.
        overrides: What was asked for on the command line, `key=value`.

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
    check_options(config)
    rows, subset, seen = chosen_rows(run, subset)
    scoring = scoring_of(run)
    deviation = look_at_deviation(scoring, data, rows)
    calibration = _calibrate(run, scoring)
    thresholds, unfitted = fit_thresholds(calibration, build(config.threshold))
    seen_before = subset != "test" and not run.data_changed
    log.info("scoring %d radiographs of %d windows each", len(rows), len(data.grid))
    if (kept := scoring.kept(data)) != data.grid:
        log.info("kept for patch figures: %s", kept_words(data.grid.stride, kept.stride))
    result = examine(scoring, data, rows)
    findings = measure(data, result, calibration, thresholds, config.false_alarm_rate, seen_before)
    findings.explain_missing_kinds(unfitted)
    if config.matched:
        reason = too_few(data.store.table["label"].iloc[rows])  # before a store is built for it
        found = ({}, {"image/auroc_matched": reason}) if reason else measure_matched(scoring, _padded(run, rows))
        findings.add(found)
    metrics = findings.metrics
    metrics |= {"counts/images_seen_in_training": seen, "counts/images_skipped": len(data.skipped)}
    metrics |= {"counts/windows_scored": len(rows) * len(data.grid)}
    metrics |= deviation.metrics() if deviation is not None else {}
    metrics |= {"counts/shards_left_out": len(data.shards_left_out)} if data.shards > 1 else {}
    metrics |= {"counts/pixels_uncovered_per_image": data.grid.uncovered}
    output.mkdir(parents=True, exist_ok=True)
    about = {
        "omitted": findings.omitted,
        "thresholds": {name: list(value) for name, value in thresholds.items()},
        "score": type(run.module.score).__name__,
        "unit": scoring.unit,
        "aggregate": f"{type(scoring.aggregate).__name__} of {scoring.aggregate.of}",
        "strides": {"scored": data.grid.stride, "kept": result.grid.stride},
        "subset": subset,
        "store": data.store.key,
        "checkpoint": str(
            run.checkpoint.relative_to(run.folder) if run.checkpoint.is_relative_to(run.folder) else run.checkpoint
        ),
        "weights": weights_digest(run.module.net),
        "precision": str(scoring.precision),
        "scoring": scoring.mode,
        "halo": scoring.halo,
        "overrides": list(run.overrides),
        "skipped": data.skipped,
        "shards_left_out": list(data.shards_left_out),
    }
    write_maps(output / "maps", _sampled_maps(data, result))
    normals = np.zeros(0) if seen_before else calibration.get("score_normal_images", np.zeros(0))
    write_tables(output, data, result, thresholds.get("score"), normals, config.false_alarm_rate)
    findings.write_tables(output)
    write_json(output / "metrics.json", metrics | {"about": about})  # after the tables: where it stands, they do
    shape = {key.removeprefix("modality/"): value for key, value in metrics.items() if key.startswith("modality/")}
    draw(output / "figures", run, result, thresholds.get("score"), scoring.unit, shape or None)
    return output


def scoring_of(run: Run) -> Scoring:
    """How a run scores, its net moved to the device that its config asks for."""
    config = run.config
    with explained(run.folder, ConfigError):
        if config.halo and config.view == "patch":
            check_side(run.module.net, config.patch, config.halo)
        device = device_of(config.trainer)
        net = run.module.net.to(device).to(memory_format=torch.channels_last).eval()
        if config.compile:
            compile_net(net, device)
        precision = torch.bfloat16 if "bf16" in str(config.trainer.precision) else torch.float32
        return Scoring(
            net,
            run.module.score,
            config.map_of,
            eval_batch_size(config, device),
            precision,
            build(config.aggregate),
            config.relative,
            config.kept_windows,
            config.scoring,
            config.halo,
        )


def look_at_deviation(scoring: Scoring, data: PatchDataModule, rows: npt.NDArray[np.int64]) -> Deviation | None:
    """Of dense maps from exact windows, in the log and looked at before hours of scoring; None for exact windows.

    Args:
        scoring: How the run scores.
        data: Whose radiographs.
        rows: (I,) that will be scored.

    Raises:
        ConfigError: It is too large, or the net cannot run over whole radiographs.
    """
    if scoring.mode != "dense" or data.view != "patch":
        return None
    known = rows[data.truth.known[rows]]
    known = known[np.linspace(0, len(known) - 1, min(_TRUTHS, len(known))).round().astype(int)]
    chosen = known if len(known) else rows
    deviation = measure_deviation(scoring, data, chosen, gather_evidence(data, chosen).pixel_truth)
    log.info("%s", deviation)
    deviation.check()
    return deviation


def _calibrate(run: Run, scoring: Scoring) -> Calibration:
    """Scores of held-out validation patients; none where data were changed and the run's own are not at hand.

    Args:
        run: The opened run.
        scoring: How a run scores windows.
    """
    try:
        return validation_scores(run, scoring)
    except DataError as reason:
        if not run.data_changed:
            raise
        log.warning("no thresholds: validation of the run's own data is not at hand (%s)", reason)
        return {}


def _padded(run: Run, rows: npt.NDArray[np.int64]) -> PatchDataModule:
    """The radiographs of some rows and no others, with their aspect ratio kept: in a store of their own."""
    data = run.datamodule
    chosen = data.table["image"].isin(data.store.table["image"].iloc[rows])
    return build(run.config.datamodule, table=data.table[chosen].reset_index(drop=True), fit="pad", shards=1)


def check_evaluation(config: DictConfig) -> None:
    """See that what is asked of an evaluation can be done, before hours of training.

    Raises:
        ConfigError: An unknown split, or a `relative`, threshold, false-alarm rate, aggregate or device that cannot be.
    """
    if config.evaluate is None or config.evaluate is False:
        check_scoring(config)
        return
    if config.evaluate not in _SUBSETS:
        raise ConfigError(f"evaluate={config.evaluate} is not known; expected train, val, test or all; null for none")
    check_options(config)


def check_options(config: DictConfig) -> None:
    """See that scoring and decisions can be what a config asks for.

    Raises:
        ConfigError: A `relative`, `kept_windows`, threshold, false-alarm rate, aggregate, device or way of scoring
            that cannot be.
    """
    check_scoring(config)
    check_relative(config.relative)
    kept = config.kept_windows
    if kept is not None and (not isinstance(kept, int) or isinstance(kept, bool)):
        raise ConfigError(f"kept_windows={kept} must be a whole number of windows of a radiograph, or null for all")
    windows_of(config).thinned(kept)
    if not isinstance(config.compile, bool):
        raise ConfigError(f"compile={config.compile} is not known; expected true or false")
    size = config.eval_batch_size
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
        raise ConfigError(f"eval_batch_size={size} must be a whole number of windows, at least 1, or null")
    if not 0 < config.false_alarm_rate < 1:
        raise ConfigError(f"false_alarm_rate={config.false_alarm_rate} must lie between 0 and 1")
    device_of(config.trainer)
    build(config.threshold)
    build(config.aggregate)


def check_scoring(config: DictConfig) -> None:
    """See that the way of scoring is known.

    Raises:
        ConfigError: It is not.
    """
    if config.scoring not in get_args(Mode):
        raise ConfigError(f"scoring={config.scoring} is not known; expected {' or '.join(get_args(Mode))}")
    if config.scoring == "dense" and config.view == "image":
        log.warning("scoring=dense changes nothing: with view=image the net sees whole radiographs anyway")


def device_of(trainer: DictConfig) -> torch.device:
    """Where a trainer's `accelerator` and `devices` lead: of several devices to the first, as of `devices=[1]`.

    Args:
        trainer: Of a config.

    Raises:
        ConfigError: To CUDA, and there is none, or none of that number.
    """
    accelerator, devices = trainer.accelerator, trainer.get("devices", "auto")
    if accelerator in ("gpu", "cuda") and not torch.cuda.is_available():
        raise ConfigError("trainer=gpu needs a CUDA device and none was found; use trainer=cpu or trainer=auto")
    if accelerator == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    # A number is how many, a list which; so is a text with a comma, as Lightning reads it.
    named = devices.split(",") if isinstance(devices, str) and "," in devices else devices
    index = 0 if isinstance(named, (int, str)) or not named else int(named[0])
    if index >= (there := torch.cuda.device_count()):
        raise ConfigError(
            f"trainer.devices={devices} begins with CUDA device {index}, and there are {there}: trainer.devices=1"
        )
    return torch.device("cuda", index)


def eval_batch_size(config: DictConfig, device: torch.device) -> int:
    """Windows per forward pass; on the CPU few, whose activations the allocator keeps for the next batch.

    Args:
        config: Of a run.
        device: Where the net is.
    """
    return config.eval_batch_size or (64 if device.type == "cpu" else 2048)


def chosen_rows(run: Run, subset: str | None = None) -> tuple[npt.NDArray[np.int64], str, int]:
    """Rows of the store to evaluate, the name of their split, and how many were left out.

    On other data than the run's own, patients whom training or validation saw are left out, and counted.

    Raises:
        ConfigError: An unknown subset.
        DataError: Nothing is left.
    """
    subset = subset or ("all" if run.data_changed else "test")
    if subset not in _SUBSETS:
        raise ConfigError(f"subset={subset} is not known; expected train, val, test or all")
    rows = run.datamodule.rows(None if subset == "all" else subset)
    split, seen = run.folder / "split.csv", 0
    if run.data_changed and split.is_file():
        own = pd.read_csv(split, dtype=str, keep_default_na=False)
        known = set(own.loc[own["split"].isin(("train", "val")), "patient"])
        new = ~run.datamodule.store.table["patient"].iloc[rows].isin(known).to_numpy()
        seen = int((~new).sum())
        if seen:
            one = run.datamodule.store.table.iloc[rows[~new][0]]
            told = (
                f"{seen} of {len(rows)} radiographs are of patients of the same name as some whom the run saw in "
                f"training, for example {one['image']} of patient {one['patient']}"
            )
            if seen == len(rows):
                raise DataError(
                    f"nothing to evaluate: {told}. Where they are other people, name the patients in a csv with "
                    "columns image and patient: data.csv=FILE of data=folder, data.index=FILE of data=masks"
                )
            log.warning("%s; they are left out", told)
        rows = rows[new]
    if not len(rows):
        raise DataError(f"nothing to evaluate: no radiograph in subset={subset}")
    return rows, subset, seen


def _sampled_maps(data: PatchDataModule, result: Examination) -> SampledMaps:
    """Those whose opacities are known, in the radiograph's own frame."""
    places = sorted(result.evidence.pixel_truth)
    found = {name: np.empty((len(places), POINTS, POINTS), dtype=np.float32) for name in ("score", "brightness")}
    truth = np.empty((len(places), POINTS, POINTS), dtype=np.uint8)
    for i, place in enumerate(places):
        row = result.rows[place]
        placement = data.store.placement(row)
        for name, maps in found.items():
            maps[i] = sample(result.pixel[name][place], placement)
        # Not of the evidence, which leaves out what this run's windows do not cover.
        truth[i] = sample(data.truth.pixels(row), placement)
    images = data.store.table.iloc[result.rows[places]][["image", "patient"]].reset_index(drop=True)
    return SampledMaps(images, found["score"], found["brightness"], truth)
