"""What a type checker sees of the calls from Python; `make types` checks this file, and nothing runs it.

`assert_type` fails where a result has another type. A comment `type: ignore[...]` fails where the call is accepted
(`warn_unused_ignores`): the calls below it are wrong on purpose.
"""

from pathlib import Path
from typing import assert_type

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

import pneumo_ad
from pneumo_ad.evaluation import Evaluation
from pneumo_ad.leaderboard import Comparison
from pneumo_ad.metrics import auroc
from pneumo_ad.modules import NetModule
from pneumo_ad.prediction import Predicted
from pneumo_ad.runs import Run


def results() -> None:
    """Each call returns an object whose tables are tables."""
    run = pneumo_ad.start_run("runs/first", {"patch": 16, "trainer.max_epochs": 2}, show=True)
    assert_type(run, Run)
    assert_type(run.history, pd.DataFrame)
    assert_type(run.module, NetModule)
    assert_type(pneumo_ad.load_run(Path("runs/first"), ["stride=4"]), Run)

    found = pneumo_ad.evaluate(run, ["stride=4"], output="out", subset="val", report=True)
    assert_type(found, Evaluation)
    assert_type(found.metrics["image/auroc"], float)
    assert_type(found.patches, pd.DataFrame)
    assert_type(found.maps["a"], npt.NDArray[np.float32])
    assert_type(found.report, Path | None)

    judged = pneumo_ad.predict("scans", Path("judged"), run, maps="npy", overlays=False)
    assert_type(judged, Predicted)
    assert_type(judged.predictions, pd.DataFrame)
    assert_type(judged.maps["a.png"], npt.NDArray[np.float32])

    assert_type(pneumo_ad.compare([run, "runs/second"], sort="image/auroc"), Comparison)
    assert_type(pneumo_ad.compare("sweeps/first").leaderboard, pd.DataFrame)
    assert_type(auroc(run.module.scores(torch.zeros(4, 1, 8, 8)), [True, True, False, False]), float)


def mistakes() -> None:
    """A checker finds each of these before it runs."""
    pneumo_ad.evaluate("runs/first", subst="val")  # type: ignore[call-arg]
    pneumo_ad.evaluate("runs/first", subset="half")  # type: ignore[arg-type]
    pneumo_ad.evaluate("runs/first", [], "out")  # type: ignore[call-arg]
    pneumo_ad.predict("scans")  # type: ignore[call-arg]
    pneumo_ad.predict("scans", "judged", maps="jpg")  # type: ignore[arg-type]
    pneumo_ad.compare(3)  # type: ignore[arg-type]
    pneumo_ad.start_run("runs/first", epochs=3)  # type: ignore[call-arg]
