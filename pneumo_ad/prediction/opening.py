"""Opening of `run=`: a trained run, or a model that was exported from one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pneumo_ad.errors import ConfigError
from pneumo_ad.inference.predictor import Predictor
from pneumo_ad.prediction.run_predictor import RunPredictor
from pneumo_ad.runs.evaluation_options import keys_that_may_change
from pneumo_ad.runs.run import load_run
from pneumo_ad.saved import is_there

# Keys of a run's config that affect prediction and may be overridden.
CHANGEABLE = (*keys_that_may_change("scores", "decisions", "speed"), "vocabulary", "hydra")


def open_predictor(path: str | Path, overrides: Sequence[str] = (), checkpoint: str = "best") -> Predictor:
    """Open the predictor that `run=` names.

    Args:
        path: Run folder, or folder with the `model.json` of an export.
        overrides: Changes to the run's config.
        checkpoint: See `load_run`.

    Raises:
        ConfigError: An override without effect on prediction, or any override of an exported model.
        DataError: See `load_run`.
    """
    folder = Path(path)
    if is_there(folder / "model.json"):
        if overrides or checkpoint != "best":
            given = ", ".join([*overrides, *([f"checkpoint={checkpoint}"] if checkpoint != "best" else [])])
            raise ConfigError(f"{folder} is an exported model, in which everything is fixed; {given} needs the run")
        from pneumo_ad.export.exported_predictor import ExportedPredictor

        return ExportedPredictor(folder)
    for override in overrides:
        top = override.lstrip("+~").partition("=")[0].split(".")[0]
        if top == "data":
            raise ConfigError(f"{override}: predict reads the files of input=...; pneumo-ad evaluate takes data=...")
        if top not in CHANGEABLE:
            raise ConfigError(f"{override} has no effect on predict; what may change: {', '.join(CHANGEABLE)}")
    return RunPredictor(load_run(folder, overrides, checkpoint))
