"""Another project on top of the installed package, run as a stranger runs it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from running import start

from pneumo_ad.runs.run import load_run
from pneumo_ad.scaffold import update_project

REUSE = Path(__file__).parents[2] / "experiments" / "reuse"
COMMAND = [sys.executable, "-c", "from pneumo_ad.cli import main; main()"]
TINY = [
    "data.sound=14", "data.faulty=6", "data.val=0.1", "data.test=0.1", "net.width=24", "net.depth=2", "net.code=3",
    "optimizer.lr=5e-3", "batch_size=16", "per_epoch=1920", "stride=8", "datamodule.val_images=1", "trainer=cpu",
    "trainer.check_val_every_n_epoch=1", "callbacks=minimal", "logger=csv", "evaluate=false",
]  # fmt: skip


def call(arguments, folder, environment):
    done = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """The other package installed from its own pyproject, and a sweep; where that is, and the environment."""
    folder = tmp_path_factory.mktemp("reuse")
    shutil.copytree(REUSE / "cloth", folder / "source")  # building writes beside the sources
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    call([*install, "--target", str(folder / "site"), str(folder / "source")], folder, os.environ)
    environment = os.environ | {"PNEUMO_AD_CACHE": str(folder / "cache"), "PYTHONPATH": str(folder / "site")}
    sweep = ["trainer.max_epochs=1,8", "hydra.sweep.dir=sweep", "hydra.sweep.subdir=${trainer.max_epochs}"]
    call([*COMMAND, "train", "-m", "experiment=cloth", *TINY, *sweep], folder, environment)
    return folder, environment


@pytest.fixture
def site(swept, monkeypatch):
    """The other package, importable in this process."""
    monkeypatch.setenv("PNEUMO_AD_CACHE", swept[1]["PNEUMO_AD_CACHE"])
    monkeypatch.syspath_prepend(swept[1]["PYTHONPATH"])
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "cloth_ad"]:
        del sys.modules[name]


def test_a_sweep_over_runs_of_a_net_from_outside(swept):
    for epochs in (1, 8):
        run = swept[0] / "sweep" / str(epochs)
        config = OmegaConf.load(run / ".hydra" / "config.yaml")
        assert config.trainer.max_epochs == epochs
        assert config.net._target_ == "cloth_ad.nets.residual.ResidualAutoencoder"
        assert config.data._target_ == "cloth_ad.sources.cloth.cloth"
        assert (run / "checkpoints" / "best.ckpt").is_file()


def test_faults_are_found_where_brightness_finds_nothing(swept, site, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", sys.argv)
    # A choice of the other package, without naming its search path again: the run remembers it.
    changes = ["score=sad_contrast", "data=cloth", "data.sound=16", "data.faulty=16", "data.seed=1"]
    assert start("evaluate", f"run={swept[0] / 'sweep' / '8'}", *changes, f"output={tmp_path / 'found'}") == 0
    metrics = json.loads((tmp_path / "found" / "metrics.json").read_text())
    assert metrics["counts/images"] == 32
    assert metrics["pixel/auroc"] > 0.6
    assert metrics["pixel/auroc"] > metrics["brightness/pixel/auroc"] + 0.1


def test_load_run_opens_a_run_of_the_other_package(swept, site):
    run = load_run(swept[0] / "sweep" / "1", ["data=cloth", "data.sound=3", "data.faulty=3"])
    assert type(run.module.net).__module__ == "cloth_ad.nets.residual"
    assert "site" in sys.modules["cloth_ad.nets.residual"].__file__  # the installed one
    assert run.data_changed
    assert len(run.radiographs.table) == 6


def test_the_tests_of_the_other_package_pass(tmp_path):
    shutil.copytree(REUSE / "cloth", tmp_path / "cloth")
    call([sys.executable, "-m", "pytest", "-q"], tmp_path / "cloth", os.environ)


def test_the_other_package_is_merged_with_todays_templates(tmp_path):
    """If not: pneumo-ad new experiments/reuse/cloth --update."""
    shutil.copytree(REUSE / "cloth", tmp_path / "cloth")
    assert update_project(tmp_path / "cloth") == []


def test_the_plain_script_learns(tmp_path):
    out = call([sys.executable, str(REUSE / "plain.py")], tmp_path, os.environ)
    lung = [float(value) for value in re.findall(r"normal lung ([\d.]+)", out)]
    assert len(lung) == 6
    assert lung[-1] < 0.6 * lung[0]
    assert len(re.findall(r"pneumonia windows [\d.]+", out)) == 6
