"""Writing of an export: graphs, model card and example, and radiographs for the parity check."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from filelock import Timeout

import pneumo_ad
from pneumo_ad.data.evenly_spaced import evenly_spaced
from pneumo_ad.errors import ConfigError
from pneumo_ad.export.card import Record, model_card
from pneumo_ad.export.description import FILE, ModelDescription
from pneumo_ad.export.example import example_text
from pneumo_ad.export.formats import Format, trace_graph
from pneumo_ad.export.lungs import LungProbability, segmenter_of
from pneumo_ad.export.pipeline import Pipeline
from pneumo_ad.files import atomic_folder, writable_folder, write_text
from pneumo_ad.inference.predictor import Predictor
from pneumo_ad.inference.scorer import Scoring
from pneumo_ad.labels import UNDEALT
from pneumo_ad.runs.checkpoints import weights_digest
from pneumo_ad.runs.jobs import BusyError
from pneumo_ad.runs.record import read_run_json
from pneumo_ad.runs.run import Run
from pneumo_ad.runs.run_config import saved_config
from pneumo_ad.runs.split import read_split

COMPARED = 12  # radiographs for the parity check


@contextmanager
def folder_to_be(output: Path, overwrite: bool) -> Iterator[Path]:
    """Yield an `atomic_folder` that becomes `output` at the end.

    Args:
        output: Folder of the export.
        overwrite: Whether an earlier export there is replaced.

    Raises:
        ConfigError: `output` holds other files, or cannot be written to.
        BusyError: Another process exports to it.
    """
    _check_output(output, overwrite)
    writable_folder(output.parent)
    try:
        with atomic_folder(output, wait=1) as aside:
            _check_output(output, overwrite)  # another process may have exported meanwhile
            yield aside
    except Timeout:
        raise BusyError(f"output={output}: another process is at this export; nothing was changed") from None


def _check_output(output: Path, overwrite: bool) -> None:
    there = sorted(entry.name for entry in output.iterdir()) if output.is_dir() else []
    if output.exists() and not output.is_dir():
        raise ConfigError(f"output={output} is a file; expected a folder")
    if there and not (overwrite and FILE in there):
        hint = (
            "overwrite=true replaces it" if FILE in there else f"no exported model ({FILE}), so that it is left alone"
        )
        raise ConfigError(f"output={output} is not empty ({', '.join(there[:3])}, ...): {hint}")


def check_graph(run: Run) -> None:
    """Check that a run scores window by window without a halo, as exported graphs do.

    Raises:
        ConfigError: The run has dense scoring or a halo.
    """
    if run.options.scoring == "dense" and run.options.view == "patch":
        raise ConfigError(
            f"{run.folder} scores with scoring=dense, which no graph holds; scoring=windows can be exported"
        )
    if run.options.halo:
        raise ConfigError(
            f"{run.folder} shows its net halo={run.options.halo} pixels around each window, which no graph holds; "
            "halo=0 can be exported, and scores as the net does without them"
        )


def some_radiographs(run: Run) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return evenly spaced radiographs and their content masks, both (b, H, W) uint8; no others are read."""
    table = run.radiographs.table
    table = table[table["split"] != UNDEALT]
    if not run.data_changed and (table["split"] == "test").any():
        table = table[table["split"] == "test"]
    chosen = table.iloc[evenly_spaced(len(table), COMPARED)]
    few = run.some_radiographs(chosen.reset_index(drop=True))
    rows = few.rows(None)
    return few.store.images[rows], few.content(rows)


def write_graphs(
    folder: Path, form: Format, run: Run, judge: Predictor, scoring: Scoring, config: Mapping[str, Any]
) -> ModelDescription:
    """Write the graphs of a run and of its lung segmenter.

    Args:
        folder: Folder to write to.
        form: Format of the graphs.
        run: Opened run.
        judge: Predictor of the run.
        scoring: Scoring of the run.
        config: Part of the run's config that the export records, in plain values.
    """
    data = run.radiographs
    pipeline = Pipeline(
        data.grid,
        data.view,
        run.module.net,
        run.module.score,
        scoring.map_of,
        scoring.aggregate,
        scoring.relative,
        data.intensity,
        judge.standard.normals,
        scoring.likeliest,
    ).eval()
    segmenter = segmenter_of(data.lungs)
    model = ModelDescription(
        form.name,
        data.grid,
        data.fit,
        data.view,
        judge.standard,
        {"model": f"model{form.suffix}"} | ({"lungs": f"lungs{form.suffix}"} if segmenter is not None else {}),
        _about(run, config),
        judge.notes,
        vocabulary=run.vocabulary,
    )
    image = torch.rand(2, 1, *data.grid.image_size)
    inputs = {name: image if name == "image" else torch.ones_like(image) for name in model.inputs}
    form.save(trace_graph(pipeline, inputs), model.inputs, model.outputs, folder / model.files["model"])
    if segmenter is not None:
        lungs = trace_graph(LungProbability(segmenter), {"image": image})
        form.save(lungs, ["image"], ["lung_probability"], folder / model.files["lungs"])
    return model


def _about(run: Run, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the origin of a model in plain values: run, weights, versions and settings."""
    story = read_run_json(run.folder)
    return {
        "name": str(config["name"]),
        "pneumo_ad": pneumo_ad.__version__,
        "torch": torch.__version__,
        "trained": {key: story.get(key) for key in ("commit", "pneumo_ad", "torch", "seed")},
        "weights": weights_digest(run.module.net),
        "checkpoint": run.checkpoint.name,
        "net": type(run.module.net).__name__,
        "intensity": type(run.radiographs.intensity).__name__,
        "lungs": type(run.radiographs.lungs).__name__,
        "aggregate": run.options.aggregate,
        "relative": run.options.relative,
        "map_of": run.options.map_of,
    }


def write_words(
    folder: Path,
    form: Format,
    run: Run,
    model: ModelDescription,
    config: Mapping[str, Any],
    metrics: Mapping[str, Any],
    overrides: Sequence[str],
) -> None:
    """Write `model.json`, `example.py` and `MODEL_CARD.md`.

    Args:
        folder: Folder to write to.
        form: Format of the graphs.
        run: Opened run.
        model: Description of the model, with its parity.
        config: Part of the run's config that the export records, in plain values.
        metrics: Content of the run's `metrics.json`, or empty.
        overrides: Overrides of the run's config that the export was given, `key=value`.
    """
    model.write(folder)
    write_text(
        folder / "example.py", example_text(form.name, form.suffix, model.fit, "lungs" in model.files, run.vocabulary)
    )
    source = str(saved_config(run.folder).data.get("_target_", ""))
    record = Record(
        config={**config, "data": {"_target_": source}},
        story=read_run_json(run.folder),
        metrics=metrics,
        split=read_split(run.folder),
        source=_said_by(source),
        overrides=tuple(overrides),
        checkpoint=run.checkpoint.name,
    )
    write_text(folder / "MODEL_CARD.md", model_card(model, record))


def _said_by(target: str) -> str:
    """Return the docstring of a data source up to its Args section, as a description of the data."""
    if not target:
        return ""
    module, _, name = target.rpartition(".")
    return (inspect.getdoc(getattr(import_module(module), name)) or "").partition("\nArgs:")[0].strip()
