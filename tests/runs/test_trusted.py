"""Yaml of trusted packages: found without a search path, behind that of this project, and as text alone."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from running import COMMAND, TINY, start

from pneumo_ad.commands.train import start_run
from pneumo_ad.errors import ConfigError
from pneumo_ad.runs import search_path
from pneumo_ad.runs.arguments import choices, groups_of, read_yaml
from pneumo_ad.runs.compose import build, compose_config
from pneumo_ad.runs.known_keys import keys_of_choices
from pneumo_ad.runs.search_path import places_of, saved_search_path
from pneumo_ad.runs.trust import trust
from pneumo_ad.runs.trusted import extensions, own_conf


def forget():
    """What a process remembers of packages and their choices."""
    for remembered in (choices, groups_of, read_yaml, keys_of_choices, extensions, search_path._warn_of_shadowed):
        remembered.cache_clear()


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    monkeypatch.setenv("PNEUMO_AD_CONFIG", str(tmp_path / "config"))
    forget()
    yield
    forget()


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A package that leaves a file when its code runs, with a loss."""
    package = tmp_path / "site" / "mine"
    (package / "conf" / "loss").mkdir(parents=True)
    (package / "conf" / "experiment").mkdir()
    (package / "__init__.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    (package / "loss.py").write_text("from pneumo_ad.losses import L1Loss\nclass Near(L1Loss): pass\n")
    (package / "conf" / "loss" / "near.yaml").write_text("_target_: mine.loss.Near\n")
    (package / "conf" / "experiment" / "first.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /loss: near\nname: first\n"
    )
    monkeypatch.syspath_prepend(str(package.parent))
    yield package
    for name in [name for name in sys.modules if name.split(".")[0] == "mine"]:
        del sys.modules[name]


def install(package, needs):
    """What `pip install` leaves beside a package."""
    about = package.parent / "mine-0.1.dist-info"
    about.mkdir()
    about.joinpath("METADATA").write_text(f"Metadata-Version: 2.1\nName: mine\nVersion: 0.1\n{needs}")
    about.joinpath("top_level.txt").write_text("mine\n")
    forget()


@pytest.mark.parametrize("how", ["installed", "named"])
def test_a_trusted_package_needs_no_search_path(how, mine, tmp_path):
    with pytest.raises(ConfigError):
        compose_config("train", ["loss=near"])
    install(mine, "Requires-Dist: pneumo_ad>=0.2\n") if how == "installed" else trust("mine")
    forget()
    config = compose_config("train", ["experiment=first"])
    assert config.loss._target_ == "mine.loss.Near"
    assert not (tmp_path / "ran").exists()  # yaml is text
    assert type(build(config.loss)).__name__ == "Near"
    assert (tmp_path / "ran").exists()


def test_a_package_that_nobody_trusts_adds_nothing(mine):
    install(mine, "Requires-Dist: torch\n")
    assert own_conf() == {}
    assert "near" not in choices("loss")


def test_its_choices_are_listed_and_none_of_its_code_runs(mine, tmp_path):
    trust("mine")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(mine.parent), *filter(None, sys.path)])}
    for words in (["--version"], ["--help"], ["train", "--help"], ["train", "--cfg", "job", "net=vae"]):
        done = subprocess.run([*COMMAND, *words], env=environment, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert words != ["train", "--help"] or "l1, mse, near, ssim" in done.stdout
    assert not (tmp_path / "ran").exists()
    done = subprocess.run([*COMMAND, "train", "loss=no"], env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert "near" in done.stderr


def test_it_replaces_no_choice_of_ours_and_says_so(mine, caplog):
    (mine / "conf" / "loss" / "l1.yaml").write_text("_target_: os.getcwd\n")
    (mine / "conf" / "train.yaml").write_text("evil: true\n")
    trust("mine")
    with caplog.at_level(logging.WARNING):
        config = compose_config("train", ["loss=l1"])
        compose_config("train", ["loss=near"])
    assert config.loss._target_ == "pneumo_ad.losses.L1Loss"
    assert "evil" not in config
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert said[0].startswith("loss/l1.yaml of mine is not read")
    assert said[1].startswith("train.yaml of mine is not read")


def test_a_run_does_not_note_the_places_of_trusted_packages(mine, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trust("mine")
    run = start_run("run", [*TINY, "experiment=first", "trainer.max_epochs=1"])
    assert type(run.module.loss).__name__ == "Near"
    assert saved_search_path(Path("run")) == []
    kept = OmegaConf.load("run/.hydra/hydra.yaml").hydra.runtime
    assert places_of(kept) == []
    assert any("mine/conf" in source.path for source in kept.config_sources)  # and yet says where its yaml was


def test_a_sweep_takes_the_axes_of_a_study_of_a_trusted_package(mine, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    trust("mine")
    study = mine / "conf" / "experiment" / "first.yaml"
    study.write_text(study.read_text() + "sweep:\n  stride: 4,8\n")
    assert start("train", *[one for one in TINY if one != "stride=8"], "experiment=first", "trainer.max_epochs=1") == 0
    assert {file.parent.parent.name for file in Path("sweeps/first").rglob(".hydra/config.yaml")} == {
        "stride=4", "stride=8"
    }  # fmt: skip
