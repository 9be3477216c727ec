"""`pneumo-ad export`: a trained run as files that need nothing of this project."""

from __future__ import annotations

import inspect
import logging
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from hydra.utils import get_object
from omegaconf import OmegaConf

import pneumo_ad
from pneumo_ad.data.evenly_spaced import evenly_spaced
from pneumo_ad.errors import ConfigError, DataError, UserError
from pneumo_ad.evaluation.summary import read_metrics
from pneumo_ad.export.card import Record, model_card
from pneumo_ad.export.description import FILE, ModelDescription
from pneumo_ad.export.example import example_text
from pneumo_ad.export.formats import FORMATS, Format, format_named, trace_graph
from pneumo_ad.export.judge import ExportedPredictor
from pneumo_ad.export.lungs import LungProbability, segmenter_of
from pneumo_ad.export.parity import check_parity
from pneumo_ad.export.pipeline import OUTPUTS, Pipeline
from pneumo_ad.files import write_text
from pneumo_ad.labels import UNDEALT
from pneumo_ad.metrics.catalogue import HEADLINE
from pneumo_ad.prediction.run_judge import RunPredictor
from pneumo_ad.runs.checkpoints import weights_digest
from pneumo_ad.runs.record import read_run_json
from pneumo_ad.runs.run import Run, load_run, of_run
from pneumo_ad.runs.run_config import saved_config
from pneumo_ad.runs.split import read_split
from pneumo_ad.runs.sweeps import folder_name
from pneumo_ad.saved import is_there

log = logging.getLogger(__name__)

_COMPARED = 12  # radiographs for the parity check


def export_run(overrides: Sequence[str]) -> Path:
    """The command. `run=RUN` and optionally `format=`, `output=`, `overwrite=true`, `checkpoint=`, run's overrides.

    Returns:
        The folder with the model, `model.json`, `MODEL_CARD.md` and `example.py`.

    Raises:
        ConfigError: No `run=`, an unknown format, packages that are missing, a part of the run that no graph can hold,
            or a folder that is not empty.
        DataError: A run folder without checkpoint.
        UserError: The exported model does not say what the run says; nothing is left of it.
    """
    own, rest = of_run(overrides, "export", format="onnx", overwrite="false", checkpoint="best")
    if own["overwrite"] not in ("true", "false"):
        raise ConfigError(f"overwrite={own['overwrite']} is not known; expected true or false")
    form = format_named(own["format"], write=True)
    below = form.name + (f",{folder_name(rest)}" if rest else "")
    output = Path(own["output"] or Path(own["run"]) / "export" / below)
    with _folder_to_be(output, own["overwrite"] == "true") as aside:
        run, source = _opened(Path(own["run"]), rest, own["checkpoint"])
        _check_graph(run)
        judge = RunPredictor(run)
        model = _write_graphs(aside, form, run, judge)
        model.write(aside)
        images, content = _radiographs(run)
        try:
            parity = check_parity(judge, ExportedPredictor(aside), images, content, source)
        except DataError as reason:
            raise UserError(f"{own['run']}: the exported model cannot be run ({reason}); {_other(form)}") from reason
        print(parity)
        if not parity.holds:
            raise UserError(
                f"{own['run']}: the exported model does not say what the run says ({parity}); {_other(form)}"
            )
        _write_words(aside, form, run, replace(model, parity=parity.as_dict()), tuple(rest))
    return output


def _other(form: Format) -> str:
    others = ", ".join(f"format={name}" for name in FORMATS if name != form.name)
    return f"nothing was written. {others} may work"


def print_export(output: Path) -> None:
    """Print where everything lies."""
    for file in sorted(output.iterdir()):
        print(f"{file.stat().st_size / 1e6:8.2f} MB  {file.name}")
    print(f"exported model: {output}; not a medical device")


@contextmanager
def _folder_to_be(output: Path, overwrite: bool) -> Iterator[Path]:
    """A folder aside that becomes `output` when all is written; nothing is left of a failure.

    Raises:
        ConfigError: There is something in `output` that may not be replaced, or it cannot be written to.
    """
    there = sorted(entry.name for entry in output.iterdir()) if output.is_dir() else []
    if output.exists() and not output.is_dir():
        raise ConfigError(f"output={output} is a file; expected a folder")
    if there and not (overwrite and FILE in there):
        hint = (
            "overwrite=true replaces it" if FILE in there else f"no exported model ({FILE}), so that it is left alone"
        )
        raise ConfigError(f"output={output} is not empty ({', '.join(there[:3])}, ...): {hint}")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{output.name}-", suffix=".partial", dir=output.parent))
    except OSError as reason:
        raise ConfigError(f"output={output} cannot be written to ({reason.strerror})") from reason
    try:
        yield aside
        aside.chmod(0o755)
        if output.is_dir():
            shutil.rmtree(output)
        aside.rename(output)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _opened(folder: Path, overrides: Sequence[str], checkpoint: str) -> tuple[Run, str]:
    """A run on the CPU in float32, as the graph will be, and in words what it can be compared on."""
    given = ["trainer=cpu", *overrides]
    try:
        run = load_run(folder, given, checkpoint)
        _ = run.radiographs  # looked for at first use, which is here
    except DataError as reason:
        drawn = ["data=phantom", f"data.normal={_COMPARED}", f"data.pneumonia={_COMPARED}"]
        run = load_run(folder, [*given, *drawn], checkpoint)  # or what is wrong is not the data
        log.warning("the run's data are not at hand (%s): compared on drawn radiographs", reason)
        return run, "drawn radiographs"
    return run, "other radiographs" if run.data_changed else "radiographs of the run's test split"


def _check_graph(run: Run) -> None:
    """A graph cuts windows, without surroundings, and runs the net on each.

    Raises:
        ConfigError: The run scores in another way.
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


def _radiographs(run: Run) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Some radiographs, evenly chosen, and their content; no store of all is built for them."""
    table = run.radiographs.table
    table = table[table["split"] != UNDEALT]
    if not run.data_changed and (table["split"] == "test").any():
        table = table[table["split"] == "test"]
    chosen = table.iloc[evenly_spaced(len(table), _COMPARED)]
    few = run.some_radiographs(chosen.reset_index(drop=True))
    rows = few.rows(None)
    return few.store.images[rows], few.content(rows)


def _write_graphs(folder: Path, form: Format, run: Run, judge: RunPredictor) -> ModelDescription:
    data, scoring = run.radiographs, judge.scoring
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
    ).eval()
    segmenter = segmenter_of(data.lungs)
    model = ModelDescription(
        form.name,
        data.grid,
        data.fit,
        data.view,
        judge.standard,
        {"model": f"model{form.suffix}"} | ({"lungs": f"lungs{form.suffix}"} if segmenter is not None else {}),
        _about(run),
        judge.notes,
    )
    image = torch.rand(2, 1, *data.grid.image_size)
    inputs = {name: image if name == "image" else torch.ones_like(image) for name in model.inputs}
    form.save(trace_graph(pipeline, inputs), list(inputs), OUTPUTS, folder / model.files["model"])
    if segmenter is not None:
        lungs = trace_graph(LungProbability(segmenter), {"image": image})
        form.save(lungs, ["image"], ["lung_probability"], folder / model.files["lungs"])
    return model


def _about(run: Run) -> dict[str, Any]:
    """Where a model comes from, in plain words."""
    story = read_run_json(run.folder)
    return {
        "name": str(run.config.name),
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


def _write_words(folder: Path, form: Format, run: Run, model: ModelDescription, overrides: tuple[str, ...]) -> None:
    """What goes with the graphs."""
    model.write(folder)
    write_text(folder / "example.py", example_text(form.name, form.suffix, model.fit, "lungs" in model.files))
    source = str(saved_config(run.folder).data.get("_target_", ""))
    told = {key: run.config[key] for key in ("name", "seed", "net", "module", "aggregate")}
    record = Record(
        config={key: _plain(node) for key, node in told.items()} | {"data": {"_target_": source}},
        story=read_run_json(run.folder),
        metrics=read_metrics(run.folder) if is_there(run.folder / "metrics.json") else {},
        split=read_split(run.folder),
        source=_said_by(source),
        overrides=overrides,
        checkpoint=run.checkpoint.name,
    )
    write_text(folder / "MODEL_CARD.md", model_card(model, record, HEADLINE))


def _plain(node: Any) -> Any:
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def _said_by(target: str) -> str:
    """What a data source's docstring says of its data, up to its arguments."""
    return (inspect.getdoc(get_object(target)) or "" if target else "").partition("\nArgs:")[0].strip()
