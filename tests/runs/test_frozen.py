"""A run on the frozen net of another: its data and windows, its weights, its SAD to the bit."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf
from running import TINY, start, weights

from pneumo_ad import start_run
from pneumo_ad.errors import ConfigError
from pneumo_ad.runs.run import load_run

FEW = [one for one in TINY if not one.startswith("callbacks=")]
HEAD = ["experiment=variance_head", "trainer=cpu", "logger=csv", "callbacks.progress=null", "trainer.max_epochs=2"]


@pytest.fixture(scope="module")
def base(shared):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(shared)
        patch.setenv("PNEUMO_AD_CACHE", str(shared / "cache"))
        bottleneck = ["net=bottleneck_autoencoder", "net.latent=4", "loss=mse", "seed=3"]
        assert start("train", *FEW, "callbacks=minimal", *bottleneck, "hydra.run.dir=base") == 0
        assert start("train", *HEAD, "run=base", "hydra.run.dir=head") == 0
        assert start("evaluate", "run=base", "output=sad") == 0
        assert start("evaluate", "run=head", "output=ratio") == 0
    return shared


def test_a_head_takes_net_data_and_windows_of_its_run(base):
    below, head = load_run(base / "base"), load_run(base / "head")
    assert head.config.net.autoencoder == below.config.net
    for key in ("data", "seed", "patch", "stride", "image_size", "datamodule", "per_epoch"):
        assert head.config[key] == below.config[key]
    assert (head.config.run, head.config.name) == ("base", "variance_head")
    kept, ours = below.module.net.state_dict(), head.module.net.autoencoder.state_dict()
    assert all(torch.equal(kept[key], ours[key]) for key in kept)


def test_beside_the_ratio_stands_the_sad_of_the_run_to_the_bit(base):
    before, after = (pd.read_csv(base / name / "patches.csv") for name in ("sad", "ratio"))
    np.testing.assert_array_equal(after["sad"], before["sad"])
    assert not np.allclose(after["score"], before["score"])


def test_a_stopped_head_goes_on_with_the_same_bits_without_the_run(base, here):
    shutil.copytree(base / "base", "base")
    assert start("train", *HEAD, "run=base", "trainer.max_epochs=1", "hydra.run.dir=head") == 0
    shutil.rmtree("base")  # what has begun needs it no more
    assert start("train", "resume=head", "trainer.max_epochs=2") == 0
    assert weights("head")["last.ckpt"] == weights(base / "head")["last.ckpt"]


def test_a_head_is_exported_with_what_is_below_it(base, here):
    assert start("export", f"run={base / 'head'}", "output=export") == 0
    assert json.loads(Path("export/model.json").read_text())["parity"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run=nowhere", "experiment=variance_head"], "not a run folder"),
        (["run={base}"], "experiment=variance_head: give both"),
        (["run={base}", "experiment=paper"], "experiment=variance_head: give both"),
        (["run={base}", "experiment=variance_head", "-m"], "leave out -m"),
        (["run={base}", "experiment=variance_head", "net.widht=3"], "widht"),
        (["run={base}", "experiment=variance_head", "net.autoencoder.latent=3"], "the net is that of run="),
        (["experiment=variance_head"], "needs a trained net: experiment=variance_head run=RUN"),
    ],
)
def test_what_cannot_be_is_refused_in_words(base, here, capsys, arguments, words):
    given = [one.format(base=base / "base") for one in arguments]
    assert start("train", *given, *([] if "run=" in given[0] else FEW)) != 0
    assert words in capsys.readouterr().err


def test_radiographs_as_a_whole_are_no_patches(base, here, capsys):
    shutil.copytree(base / "base", "whole")
    config = OmegaConf.load("whole/.hydra/config.yaml")
    config.view = "image"
    OmegaConf.save(config, "whole/.hydra/config.yaml")
    assert start("train", "run=whole", "experiment=variance_head") != 0
    assert "reconstructs no patches" in capsys.readouterr().err


def test_a_head_from_python_is_that_of_the_command_line(base, here):
    shutil.copytree(base / "base", "net=unet")  # as the runs of a sweep are named
    run = start_run("python", [*HEAD, "run=net=unet"])
    assert weights("python") == weights(base / "head")
    assert run.config.net.autoencoder == load_run(base / "base").config.net
    assert start_run("python", [*HEAD, "run=net=unet"]).history.equals(run.history)  # opened, not trained
    with pytest.raises(ConfigError, match="experiment=variance_head: give both"):
        start_run("other", {"run": base / "base"})
