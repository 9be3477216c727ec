"""Runs, a sweep and an export that an earlier version made (tests/past/README.md) do what they did."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from running import start, story, times
from safetensors.torch import load_file

from pneumo_ad import load_run
from pneumo_ad.data.sources import phantom
from pneumo_ad.metrics.metrics_json import read_metrics
from pneumo_ad.runs.record import status

PAST = Path(__file__).parents[1] / "past"
SCORED = ["score", "lung_area"]
KINDS = ["windows_healthy", "windows_opacity", "windows_outside"]
RANKED = ["percentile", "p_value"]  # among the held-out normals

pytestmark = pytest.mark.usefixtures("here")


def taken(name):
    """A copy of something that the earlier version made, in the working directory."""
    shutil.copytree(PAST / name, name)
    return Path(name)


def numbers(file):
    """What `metrics.json` holds, and `shortcuts.json` where there is one, by key: what they are about aside."""
    found = read_metrics(Path(file).parent)
    return {key: np.nan if value is None else value for key, value in found.items() if key != "about"}


def as_before(now, before):
    """The keys of `before` in `now`, but for shortcuts of pixels: their scales are those of the model no more."""
    return {key: now[key] for key in before if not key.startswith("shortcut/pixel")}


def assert_judged_as_before(output, but=()):
    """Every file has its score, and but for some its rank."""
    before, now = (pd.read_csv(folder / "predictions.csv").set_index("file") for folder in (PAST / "predicted", output))
    assert now.index.tolist() == before.index.tolist()
    assert len(now) == 44
    assert (now[KINDS].fillna(0).sum(axis=1) == before[KINDS].sum(axis=1)).all()
    assert now[SCORED].to_numpy() == pytest.approx(before[SCORED].to_numpy(), abs=1e-4)
    before, now = before.drop(index=[*but]), now.drop(index=[*but])
    assert now[RANKED].to_numpy() == pytest.approx(before[RANKED].to_numpy(), abs=1e-3)


@pytest.fixture
def pictures():
    """The radiographs that the earlier version judged: drawn, as it drew them."""
    return Path(phantom(normal=24, pneumonia=20, size=96, split="patient")["path"].iloc[0]).parent


@pytest.fixture
def evaluated():
    assert start("evaluate", f"run={taken('run')}", "output=evaluated") == 0
    return Path("evaluated")


def test_a_run_opens_and_is_measured_as_it_was(evaluated):
    before, now = numbers(PAST / "run" / "metrics.json"), numbers(evaluated / "metrics.json")
    assert len(before) > 100
    before = as_before(before, before)
    assert as_before(now, before) == pytest.approx(before, abs=1e-5, nan_ok=True)


def test_a_run_judges_as_it_did_by_the_scores_that_it_keeps(pictures, capfd):
    (kept,) = taken("run").glob("validation_scores/*.npz")
    before = kept.stat().st_mtime_ns
    arguments = [f"input={pictures}", "output=predicted", "overlays=false", "maps=none"]
    assert start("predict", "run=run", *arguments) == 0
    assert_judged_as_before(Path("predicted"))
    assert pd.read_csv("predicted/predictions.csv")["windows_outside"].isna().all()  # lungs=none: there is no outside
    assert "validation radiographs" not in "".join(capfd.readouterr())  # which would be scored anew
    assert [(file, file.stat().st_mtime_ns) for file in kept.parent.iterdir()] == [(kept, before)]


def test_an_export_judges_as_it_did(pictures):
    taken("export")
    assert start("predict", "run=export", f"input={pictures}", "output=predicted", "overlays=false", "maps=none") == 0
    split = pd.read_csv(PAST / "run" / "split.csv").query("split == 'val' and label == 'normal'")
    themselves = (split["image"] + ".png").tolist()  # whose rank the last bit of their score decides
    assert_judged_as_before(Path("predicted"), but=themselves)
    before, now = (pd.read_csv(folder / "predictions.csv")[KINDS] for folder in (PAST / "predicted", Path("predicted")))
    pd.testing.assert_frame_equal(now, before)


def test_the_runs_of_a_sweep_compare_as_they_did():
    taken("sweep")
    assert start("compare", "sweep") == 0
    rows = pd.read_csv("sweep/comparison/leaderboard.csv").set_index("run")
    assert rows.index.tolist() == ["seed=0", "seed=1"]
    for name in rows.index:
        before = numbers(PAST / "sweep" / name / "metrics.json")
        before = as_before(before, before)
        shared = sorted(set(before) & set(rows.columns))
        assert {"image/auroc", "pixel/auroc_in_lung"} <= set(shared)
        assert rows.loc[name, shared].to_dict() == pytest.approx(
            {key: before[key] for key in shared}, rel=1e-5, abs=1e-5, nan_ok=True
        )
        now = numbers(f"sweep/{name}/metrics.json")
        assert as_before(now, before) == pytest.approx(before, abs=1e-5, nan_ok=True)


def test_a_run_that_was_stopped_ends_with_the_weights_of_one_that_was_not():
    taken("part")
    saved, begun = Path("part/.hydra/config.yaml").read_text(), torch.load("part/checkpoints/last.ckpt")["epoch"]
    assert begun < 20
    assert start("train", "resume=part") == 0
    assert status(Path("part")).word == "finished"
    assert Path("part/.hydra/config.yaml").read_text() == saved
    ended, whole = torch.load("part/checkpoints/last.ckpt"), load_file(PAST / "whole.safetensors")
    assert ended["epoch"] == 23
    assert ended["state_dict"].keys() == whole.keys()
    for key, weights in whole.items():
        assert torch.allclose(ended["state_dict"][key], weights, atol=1e-4)
    begun = torch.load(PAST / "part/checkpoints/last.ckpt")["state_dict"]
    assert not all(torch.allclose(begun[key], weights, atol=1e-2) for key, weights in whole.items())


def test_the_same_command_goes_on_with_what_was_begun():
    taken("part")
    assert start("train", *story("part")["command"], "hydra.run.dir=part") == 0
    assert story("part")["epochs"] == 24


def test_its_parts_have_todays_names():
    run = load_run(taken("run"))
    assert type(run.module).__module__.startswith("pneumo_ad.modules")
    assert run.config.evaluation.stride == 16
    assert run.options.matched is False


def test_a_finished_run_of_a_sweep_is_left_as_it_is(capfd):
    before = times(taken("sweep"))
    assert start("train", "resume=sweep/seed=1") == 0
    assert "finished already: sweep/seed=1" in "".join(capfd.readouterr())
    assert times("sweep") == before
