"""`start_run`: a run from Python is the command line's run."""

import sys
from pathlib import Path

import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from running import TINY, start, story, times, weights

from pneumo_ad.commands.train import start_run
from pneumo_ad.errors import ConfigError
from pneumo_ad.runs.search_path import saved_search_path


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pytest"])
    GlobalHydra.instance().clear()
    # What an earlier test of the command line left in this process.
    monkeypatch.setattr(HydraConfig.instance(), "cfg", None)


def test_a_run_from_python_is_that_of_the_command_line():
    run = start_run("python", TINY)
    assert start("train", *TINY, "hydra.run.dir=shell") == 0
    assert weights("python") == weights("shell")
    for name in ("config.yaml", "overrides.yaml"):
        ours, theirs = (OmegaConf.load(Path(folder) / ".hydra" / name) for folder in ("python", "shell"))
        assert ours == theirs
    assert story("python")["command"] == story("shell")["command"] == TINY
    assert story("python")["status"] == "finished"
    assert not run.module.training
    assert run.folder == Path("python")


def test_nothing_of_hydra_stays_behind():
    before = list(sys.argv)
    start_run("run", TINY)
    assert not GlobalHydra.instance().is_initialized()
    assert not HydraConfig.initialized()
    assert sys.argv == before


def test_a_finished_run_is_opened_and_the_command_line_knows_it_too():
    first = start_run("run", TINY)
    before = times("run")
    again = start_run("run", TINY)
    assert start("train", "resume=run") == 0
    assert times("run") == before
    for one, other in zip(first.module.parameters(), again.module.parameters(), strict=True):
        assert torch.equal(one, other)


def test_another_recipe_in_the_same_folder_is_refused():
    start_run("run", TINY)
    with pytest.raises(ConfigError, match=r"net\.width: 4 -> 2"):
        start_run("run", [*TINY, "net.width=2"])


def test_a_failure_stands_in_run_json():
    with pytest.raises(ConfigError, match="nearest that work"):
        start_run("run", [*TINY, "patch=10"])
    assert story("run")["status"] == "failed"


@pytest.mark.parametrize("override", ["hydra.run.dir=x", "+hydra.mode=RUN", "hydra/launcher=joblib"])
def test_overrides_of_hydra_itself_are_refused(override):
    with pytest.raises(ConfigError, match=r"start_run takes the folder"):
        start_run("run", [*TINY, override])
    assert not Path("run").exists()


def test_a_run_remembers_the_search_path_of_its_yaml(tmp_path):
    folder = tmp_path / "theirs" / "loss"
    folder.mkdir(parents=True)
    (folder / "near.yaml").write_text("_target_: pneumo_ad.losses.L1Loss\n")
    where = f"file://{tmp_path / 'theirs'}"
    run = start_run("run", [*TINY, "loss=near"], search_path=[where])
    assert type(run.module.loss).__name__ == "L1Loss"
    assert saved_search_path(Path("run")) == [where]
