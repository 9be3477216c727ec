"""The scripts of experiments/performance run, and what they count is right."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import running
import torch

FOLDER = Path(__file__).parents[2] / "experiments" / "performance"


def script(name, *arguments, **environment):
    done = subprocess.run(
        [sys.executable, FOLDER / name, *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def module(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


@pytest.mark.parametrize("name", ["device.py", "on_cuda.py"])
def test_without_a_cuda_device_the_script_says_so(name):
    assert script(name, CUDA_VISIBLE_DEVICES="").startswith("no CUDA device was found: nothing is measured")


@pytest.fixture
def machine(module, tmp_path, monkeypatch):
    """The CPU beside itself, commands in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pneumo-ad"])
    monkeypatch.setenv("PNEUMO_AD_CACHE", str(tmp_path / "cache"))
    machine = module("on_cuda").Machine("cpu", True, tmp_path)
    machine.run = lambda name, *given: running.start(*given) == 0 or machine.wrong.append(name)
    return machine


@pytest.mark.parametrize("name", ["paper", "detector", "dense"])
def test_every_command_is_compared_with_the_cpu(machine, module, name, capsys):
    machine.train(name, module("on_cuda").TRAININGS[name])
    machine.compare_evaluations(name)
    machine.compare_predictions(name)
    assert machine.wrong == []
    said = capsys.readouterr().out
    assert said.count("differs by 0.0e+00 at most") == 4
    assert "steps/s" in said


def test_more_than_rounding_is_told(machine, tmp_path, capsys):
    for file, factor in (("here", 1), ("rounded", 1 + 1e-6), ("tf32", 1 + 1e-3), ("nan", float("nan"))):
        pd.DataFrame({"score": np.arange(1, 5) * factor}).to_csv(tmp_path / file, index=False)
    for file in ("rounded", "tf32", "nan"):
        machine._tables(file, tmp_path / file, tmp_path / "here")
    assert [line.partition(",")[0] for line in machine.wrong] == ["tf32", "nan"]


def test_the_same_runs_on_the_cpu():
    small = ["--steps", "2", "--width", "4", "--batch", "16", "--radiographs", "1", "--ways", "float32", "bf16"]
    said = script("device.py", "--device", "cpu", *small)
    for way in ("float32", "bf16"):
        for bank in ("memory", "device"):
            assert f"training, batch 16, {way}, bank={bank}" in said
        assert f"scoring windows, {way}" in said
    assert said.count("% of the matrix rate") == said.count("% of the bandwidth") == 6


def test_the_work_of_a_layer_is_counted(module):
    """A convolution and what follows it, by hand."""
    layer, x = torch.nn.Conv2d(3, 5, 3, padding=1, bias=False), torch.zeros(2, 3, 8, 8)

    def run():
        with torch.inference_mode():
            layer(x).view(-1).add_(1)

    flops, nbytes = module("device").work(run, patches=2)
    out = 2 * 5 * 64
    assert flops == 2 * out * 27 / 2
    assert nbytes == 4 * (x.numel() + 5 * 27 + out + 2 * out) / 2  # conv; add in place reads and writes; view nothing


def test_all_ways_to_batches_are_measured_on_the_same_batches(module):
    batches = module("batches")
    times = batches.compare(batches.bank(images=2, side=64, stride=16), size=4, steps=3, repeats=2)
    assert {name: len(seconds) for name, seconds in times.items()} == {"ours": 2, "per_item": 2, "direct": 2}
    assert np.min(list(times.values())) > 0
