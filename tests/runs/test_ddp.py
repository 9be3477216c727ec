"""Training in several processes: the same results, nobody left behind, and words for what cannot work."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from running import TINY, process, start, story, weights
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pneumo_ad.errors import ConfigError
from pneumo_ad.runs.ddp import count_processes
from pneumo_ad.runs.record import status

PLAIN = [
    *(one for one in TINY if not one.startswith(("trainer=", "callbacks=", "logger="))),
    "callbacks.progress=null", "callbacks.panels=null", "callbacks.maps=null", "net.norm=none", "corruption=none",
]  # fmt: skip
ONE = [*PLAIN, "trainer=cpu"]
TWO = [*PLAIN, "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]

pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture(scope="module")
def sweeps(shared):
    """The same two runs, one of which learns nothing, in one process and in two."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PNEUMO_AD_CACHE", str(shared / "cache"))
        for name, options in (("one", ONE), ("two", TWO)):
            sweep = ["-m", "optimizer.lr=0,0.001", f"hydra.sweep.dir={shared / name}"]
            assert start("train", *options, *sweep) == 0
    return shared


def of(sweep, lr):
    return sweep / f"optimizer.lr={lr}"


def state(run, name="last"):
    return torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"]


def events(run):
    (file,) = run.glob("events.*")
    read = EventAccumulator(str(file), size_guidance={"scalars": 0, "histograms": 0})
    read.Reload()
    return read


def test_each_job_of_a_sweep_trains_what_it_says(sweeps):
    for lr in ("0", "0.001"):
        for name, processes in (("one", 1), ("two", 2)):
            told = story(of(sweeps / name, lr))
            assert (told["status"], told["processes"], told["epochs"], told["steps"]) == ("finished", processes, 2, 8)
    assert weights(of(sweeps / "two", "0")) == weights(of(sweeps / "one", "0"))  # what nothing was learnt
    assert weights(of(sweeps / "two", "0.001")) != weights(of(sweeps / "two", "0"))


def test_two_processes_learn_what_one_learns(sweeps):
    one, two = (state(of(sweeps / name, "0.001")) for name in ("one", "two"))
    assert set(one) == set(two)
    for key, value in one.items():
        assert torch.allclose(two[key], value, atol=1e-5), key


def test_two_processes_measure_what_one_measures(sweeps):
    one, two = (events(of(sweeps / name, "0")) for name in ("one", "two"))
    scalars = [tag for tag in one.Tags()["scalars"] if tag.startswith("val/")]
    assert {"val/loss", "val/sad_normal_lung", "val/sad_normal", "val/sad_pneumonia"} <= set(scalars)
    for tag in scalars:
        expected = [(event.step, event.value) for event in one.Scalars(tag)]
        assert len(expected) == (1 if tag == "val/auroc_pixel" else 2), tag  # pixels are ranked when curves are drawn
        assert np.allclose([(event.step, event.value) for event in two.Scalars(tag)], expected, rtol=1e-6), tag


def test_histograms_count_the_patches_of_all_processes(sweeps):
    one, two = (events(of(sweeps / name, "0")) for name in ("one", "two"))
    tags = one.Tags()["histograms"]
    assert len(tags) == 3
    assert two.Tags()["histograms"] == tags
    for tag in tags:
        for expected, found in zip(one.Histograms(tag), two.Histograms(tag), strict=True):
            a, b = expected.histogram_value, found.histogram_value
            assert (a.num, a.bucket_limit, a.bucket) == (b.num, b.bucket_limit, b.bucket)
            assert np.allclose([a.min, a.max, a.sum, a.sum_squares], [b.min, b.max, b.sum, b.sum_squares], rtol=1e-5)


def alive(folder):
    """Processes that work at a run folder."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().decode().split("\0")
            running = entry.name.isdecimal() and (entry / "stat").read_text().rsplit(")")[-1].split()[0] != "Z"
        except OSError:
            continue
        if running and str(folder) in words:
            found.append(int(entry.name))
    return found


def wait_until(true, seconds=90):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_sigterm_and_sigkill_leave_nobody_behind(shared, capfd):
    run = shared / "told"
    last = run / "checkpoints" / "last.ckpt"

    def tell():
        wait_until(last.is_file)
        os.kill(os.getpid(), signal.SIGTERM)

    told = threading.Thread(target=tell)
    told.start()
    assert start("train", *TWO, "trainer.max_epochs=100000", f"hydra.run.dir={run}") == 143
    told.join(100)
    assert alive(run) == []
    assert status(run).word == "interrupted"
    said = capfd.readouterr()
    assert said.err.count("told to end") == 1
    assert "Traceback" not in said.err
    loop = torch.load(last, weights_only=True)["loops"]["fit_loop"]
    epochs, batches = loop["epoch_progress"]["current"]["processed"], loop["epoch_loop.batch_progress"]["current"]
    assert batches["ready"] == batches["completed"]
    steps = torch.load(last, weights_only=True)["global_step"]
    assert steps == 4 * epochs + (batches["ready"] % 4 if steps % 4 else 0)  # both stopped at the same batch

    # The process that started them is killed; whoever starts the run again must not find them at work.
    code = f"from pathlib import Path; from pneumo_ad.runs.ddp import launch; launch(Path({str(run)!r}), 2)"
    before = last.stat().st_mtime_ns
    with process([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        wait_until(lambda: last.stat().st_mtime_ns != before)
        assert len(alive(run)) == 3  # torchrun and two processes
    wait_until(lambda: not alive(run), seconds=20)


def test_what_a_process_refuses_reaches_the_user_in_one_line(sweeps, tmp_path, capfd):
    checkpoints = tmp_path / "run" / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "last.ckpt").write_bytes((of(sweeps / "one", "0") / "checkpoints" / "last.ckpt").read_bytes())
    capfd.readouterr()
    assert start("train", *TWO, "net.width=6", "hydra.run.dir=run") == 2
    said = capfd.readouterr().err
    assert said.count("the checkpoint holds the weights of another net") == 1
    assert "error: the checkpoint" in said
    assert "Traceback" not in said
    assert "ChildFailedError" not in said


REFUSED = {
    "batch": (["batch_size=15"], "cannot be split evenly among 2; the nearest that can: 14 or 16"),
    "batch of one": (["batch_size=1"], "the nearest that can: 2"),
    "few patches": (["per_epoch=1"], "2 processes and only 1 training patches: take fewer devices"),
    "spawn": (["trainer.strategy=ddp_spawn"], "trainer.strategy=ddp_spawn is not supported"),
    "machines": (["+trainer.num_nodes=2"], "trainer.num_nodes=2: one run trains on the devices of one machine"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_dealt_out_is_refused_before_anything_starts(name, capfd, monkeypatch):
    monkeypatch.setattr("pneumo_ad.runs.ddp.launch", lambda *_: pytest.fail("processes were started"))
    options, words = REFUSED[name]
    assert start("train", *TWO, *options, "hydra.run.dir=run") == 2
    said = capfd.readouterr().err
    assert words in said
    assert "Traceback" not in said
    assert not Path("run/checkpoints").exists()


@pytest.mark.parametrize(
    ("devices", "processes"),
    [(1, 1), (2, 2), ("3", 3), ("auto", 1), (-1, 1), ([0, 2], 2), ("0,2", 2), ("0,", 1)],
)
def test_a_process_for_each_device(devices, processes):
    trainer = OmegaConf.create({"accelerator": "cpu", "devices": devices, "strategy": "ddp"})
    assert count_processes(trainer) == processes


def test_a_strategy_that_forks_is_refused_only_where_there_are_several():
    trainer = {"accelerator": "cpu", "strategy": "ddp_fork"}
    assert count_processes(OmegaConf.create(trainer | {"devices": 1})) == 1
    with pytest.raises(ConfigError, match="ddp_fork is not supported; trainer=ddp"):
        count_processes(OmegaConf.create(trainer | {"devices": 2}))
