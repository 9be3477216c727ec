"""`pneumo-ad export`: a trained run as files that do not need this project."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pneumo_ad.errors import DataError, UserError
from pneumo_ad.runs.arguments import CHECKPOINT, RUN_OR_SHIPPED, Arguments, Key, Overrides, Place, path, switch
from pneumo_ad.runs.command import Command, typed
from pneumo_ad.runs.shipped import SHIPPED

if TYPE_CHECKING:
    from pneumo_ad.runs.run import Run

log = logging.getLogger(__name__)

USAGE = """\
pneumo-ad export [run=RUN] [key=value] ...

Writes a run as graphs that do not need this project: from a fitted radiograph and its lung field to anomaly map, window
scores, score and percentile among held-out normals; the lung segmenter beside it; model.json, MODEL_CARD.md and
example.py. The graphs are compared with the run in PyTorch on radiographs of its test split; if results differ by more
than 1e-4, nothing is written.

{keys}

Everything the weights do not depend on may change, as on `pneumo-ad evaluate`: score=GROUP threshold=GROUP
aggregate=GROUP relative=Q stride=N ...; data=GROUP data.root=DIR compares on other radiographs.

format=onnx needs onnx, onnxscript and onnxruntime: pip install "pneumo_ad[export]"
"""


@typed
def export_run(
    run: Place | Run = SHIPPED,
    overrides: Overrides = (),
    *,
    format: Literal["onnx", "torch_export"] = "onnx",
    output: Place | None = None,
    overwrite: bool = False,
    checkpoint: str | None = None,
) -> Path:
    """Export a run, as `pneumo-ad export` does.

    Args:
        run: Run folder, or an opened run; default: the detector that ships.
        overrides: Changes to the run's config, for example `{"stride": 4}`.
        format: Format of the graphs.
        output: New folder; default: `export/<format>` of the run folder.
        overwrite: Whether a model that was exported there before is replaced.
        checkpoint: `best`, `last` or a file; default: the best, or that of the opened run.

    Returns:
        The folder with the model, `model.json`, `MODEL_CARD.md` and `example.py`.

    Raises:
        ConfigError: An unknown or invalid argument or override, missing packages, a part of the run that no graph can
            represent, or a folder that is not empty.
        DataError: A run folder without checkpoint.
        UserError: Results of the exported model differ from those of the run; the export is removed.
    """
    given = COMMAND.read(locals())
    from dataclasses import replace

    from pneumo_ad.export.exported_predictor import ExportedPredictor
    from pneumo_ad.export.formats import format_named, other_formats
    from pneumo_ad.export.parity import check_parity
    from pneumo_ad.export.write import check_graph, folder_to_be, some_radiographs, write_graphs, write_words
    from pneumo_ad.metrics.metrics_json import read_metrics
    from pneumo_ad.prediction.run_predictor import RunPredictor
    from pneumo_ad.runs.run import named_run
    from pneumo_ad.runs.shipped import place_of_results
    from pneumo_ad.runs.sweeps import folder_name
    from pneumo_ad.saved import is_there

    folder, changes, weights = named_run(given["run"], given.overrides, given["checkpoint"])
    form = format_named(given["format"], write=True)
    below = form.name + (f",{folder_name(changes)}" if changes else "")
    output = given["output"] or place_of_results(folder) / "export" / below
    nothing = f"nothing was written. {other_formats(form)} may work"
    with folder_to_be(output, given["overwrite"]) as aside:
        opened, source = _opened(folder, changes, weights)
        config = _plain(opened)
        check_graph(opened)
        judge = RunPredictor(opened)
        model = write_graphs(aside, form, opened, judge, judge.scoring, config)
        model.write(aside)
        images, content = some_radiographs(opened)
        try:
            parity = check_parity(judge, ExportedPredictor(aside), images, content, source)
        except DataError as reason:
            raise UserError(f"{folder}: the exported model cannot be run ({reason}); {nothing}") from reason
        print(parity)
        if not parity.holds:
            raise UserError(f"{folder}: the exported model does not say what the run says ({parity}); {nothing}")
        metrics = read_metrics(opened.folder) if is_there(opened.folder / "metrics.json") else {}
        write_words(aside, form, opened, replace(model, parity=parity.as_dict()), config, metrics, changes)
    return output


def _opened(folder: Path, overrides: Sequence[str], checkpoint: str) -> tuple[Run, str]:
    """Run on the CPU in float32, as the graph will be, and a description of the radiographs for the comparison."""
    from pneumo_ad.export.write import COMPARED
    from pneumo_ad.runs.run import load_run

    given = ["trainer=cpu", *overrides]
    try:
        run = load_run(folder, given, checkpoint)
        _ = run.radiographs  # opened at first use, so that missing data fail here
    except DataError as reason:
        drawn = ["data=phantom", f"data.normal={COMPARED}", f"data.pneumonia={COMPARED}"]
        run = load_run(folder, [*given, *drawn], checkpoint)  # raises again if the error is not about the data
        log.warning("the run's data are not available (%s): compared on drawn images", reason)
        return run, "drawn images"
    images = run.vocabulary.images
    return run, f"other {images}" if run.data_changed else f"{images} of the run's test split"


def _plain(run: Run) -> dict[str, Any]:
    """Part of a run's config that an export contains."""
    from omegaconf import OmegaConf

    nodes = {key: run.config[key] for key in ("name", "seed", "net", "module", "aggregate")}
    return {
        key: OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
        for key, node in nodes.items()
    }


def _show(output: Path, _: Arguments) -> None:
    from pneumo_ad.export.description import read_description

    for file in sorted(output.iterdir()):
        print(f"{file.stat().st_size / 1e6:8.2f} MB  {file.name}")
    print(f"exported model: {output}\n{read_description(output).vocabulary.warning}".rstrip())


COMMAND = Command(
    section="use",
    place=2,
    summary="a run as ONNX or torch.export, with a model card",
    example="[run=RUN] format=onnx|torch_export",
    call=export_run,
    show=_show,
    usage=USAGE,
    keys=(
        RUN_OR_SHIPPED,
        Key("format", "onnx (default), or torch_export", "FORMAT"),
        Key("output", "where to write (default: RUN/export/<format>)", "DIR", path),
        Key("overwrite", "replace a model that was exported there before", "true", switch),
        CHECKPOINT,
    ),
    config="train",
)
