"""Sweeps and shards on a SLURM cluster of this machine, which the test starts."""

import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
from drawn import write_set
from running import TINY, start, story, weights
from slurm import asked, jobs, slurm, until

# Holds the jobs of two seeds at their second epoch: one until SLURM has started it again, one until it is told to end.
HELD = """
import os, time
from pathlib import Path
import lightning as L
import pneumo_ad.evaluation.evaluate as evaluation

evaluation.draw_evaluation = lambda *_: None  # figures cost most of the time of a run of a second


class Held(L.Callback):
    def __init__(self, seed):
        self.seed = seed

    def on_train_epoch_start(self, trainer, module):
        on_slurm = "SLURM_JOB_ID" in os.environ and trainer.current_epoch == 1
        while on_slurm and (
            (self.seed == 0 and "SLURM_RESTART_COUNT" not in os.environ)
            or (self.seed == 1 and Path("hold").exists() and not trainer.received_sigterm)
        ):
            Path(trainer.default_root_dir, "held").touch()
            time.sleep(0.1)
"""
SWEEP = [
    "train", "-m", *TINY, "evaluate=test", "seed=0,1,2,3", "+callbacks.held._target_=held.Held",
    "+callbacks.held.seed=${seed}",
]  # fmt: skip
ON_SLURM = ["hydra/launcher=submitit_slurm", "hydra.launcher.timeout_min=5"]

pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture(scope="module")
def cluster(shared):
    (shared / "local").mkdir()
    with slurm(hidden=shared / "local") as folder:
        yield folder


@pytest.fixture
def held(tmp_path, monkeypatch):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "held.py").write_text(HELD)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "own"), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.syspath_prepend(tmp_path / "own")


@contextmanager
def beside(work):
    """Do something while the block waits; an error of it is raised at the end."""
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(work)
        yield
        other.result()


@pytest.mark.usefixtures("held", "cluster")
def test_a_sweep_with_a_job_cancelled_and_one_that_times_out_equals_the_serial_one(capfd):
    swept = [*SWEEP, *ON_SLURM, "hydra.sweep.dir=swept", "hydra.launcher.timeout_min=2"]
    swept += ["hydra.launcher.signal_delay_s=60", "hydra.launcher.max_num_timeout=9"]
    Path("hold").touch()

    def intervene():
        until(Path("swept/seed=1/held").exists, "the job to be cancelled is held", seconds=120)
        array = min(jobs()).partition("_")[0]
        subprocess.run(["scancel", f"{array}_1"], check=True)
        until(Path("swept/seed=0/held").exists, "the job to time out is held", seconds=120)
        update = ["scontrol", "update", f"JobId={array}_0"]
        subprocess.run([*update, "TimeLimit=1"], check=True)  # instead of a longer wait
        until(lambda: "Restarts=1" in asked("scontrol", "show", "job", f"{array}_0"), "it timed out", seconds=120)
        until(lambda: jobs()[f"{array}_0"] == "PENDING", "it is queued again")
        subprocess.run([*update, "TimeLimit=5", "StartTime=now"], check=True)  # SLURM would wait for two minutes

    with beside(intervene):
        assert start(*swept) == 1
    said, noted = capfd.readouterr()
    assert "sweep: swept (3 finished, 1 interrupted)" in said
    assert re.search(
        r"job \d+_1 was ended by SLURM before it was done \((CANCELLED|COMPLETED)\); the same command", noted
    )
    assert noted.count("sacct") == 1
    assert "Traceback" not in noted
    (log,) = Path("swept/.submitit").glob("*_0/*_0_log.err")
    assert "this job is timed-out" in log.read_text()

    Path("hold").unlink()
    assert start(*swept) == 0
    assert "sweep: swept (4 finished)" in capfd.readouterr().out
    assert start(*SWEEP, "hydra.sweep.dir=serial") == 0
    for seed in range(4):
        assert weights(f"swept/seed={seed}") == weights(f"serial/seed={seed}")
        assert set(weights(f"swept/seed={seed}")) == {"best.ckpt", "last.ckpt"}
    swept, serial = (pd.read_csv(f"{sweep}/comparison/leaderboard.csv") for sweep in ("swept", "serial"))
    figures = [column for column in serial if not column.startswith(("seconds_", "evaluation"))]
    pd.testing.assert_frame_equal(swept[figures], serial[figures], check_exact=True)
    assert len(figures) > 20


@pytest.mark.usefixtures("cluster")
def test_two_processes_of_one_task():
    two = [*TINY, "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "corruption=coarse_noise"]
    assert start("train", "-m", *two, *ON_SLURM, "hydra.launcher.cpus_per_task=2", "hydra.sweep.dir=swept") == 0
    assert start("train", *two, "hydra.run.dir=alone") == 0
    assert story("swept/run")["processes"] == story("alone")["processes"] == 2
    assert weights("swept/run") == weights("alone")


@pytest.mark.usefixtures("cluster")
def test_prepare_and_predict_over_an_array(tmp_path, monkeypatch, capfd):
    root = write_set(tmp_path / "set", normal=20, pneumonia=20)
    of_set = ["data=masks", "data.val=0.25", "data.test=0.25", f"data.root={root}", "image_size=64", "lungs=segmenter"]
    tiny = [one for one in TINY if not one.startswith(("data", "image_size"))]
    judged = ["predict", "run=run", f"input={root / 'images'}", "report=true"]
    shards = ["-m", "num_shards=2", "shard=0,1", *ON_SLURM]

    monkeypatch.setenv("PNEUMO_AD_CACHE", str(tmp_path / "serial"))
    assert start("prepare", *of_set) == 0
    assert start("train", *tiny, *of_set, "false_alarm_rate=0.3", "hydra.run.dir=run") == 0
    assert start(*judged, "output=serial_out") == 0

    monkeypatch.setenv("PNEUMO_AD_CACHE", str(tmp_path / "array"))
    assert start("prepare", *of_set, *shards) == 0
    assert stores("array") == stores("serial")
    capfd.readouterr()
    assert start(*judged, "output=array_out", *shards) == 0
    assert contents("array_out") == contents("serial_out")
    assert "prediction: array_out" in capfd.readouterr().out


def stores(cache):
    return {name: one for name, one in contents(f"{cache}/stores").items() if name.endswith((".npy", "table.csv"))}


def contents(folder):
    files = {str(file.relative_to(folder)): file for file in Path(folder).rglob("*") if file.is_file()}
    assert files
    return {name: sorted(file.read_bytes().splitlines()) for name, file in files.items()}


APART = "hydra.launcher.partition=apart"
WRONG = {
    "no SLURM": ([], "sbatch is not on the PATH; expected a machine that submits jobs to SLURM. Start the command on"),
    "no answer": (
        [],
        "SLURM does not answer; expected its partitions from `sinfo`, which says: Unable to contact slurm controller",
    ),
    "partition": (
        ["hydra.launcher.partition=mian"],
        "hydra.launcher.partition=mian is not known to this cluster; expected one of apart, main; did you mean main?",
    ),
    "tasks": (["hydra.launcher.tasks_per_node=2"], "hydra.launcher.tasks_per_node=2: expected 1, as a job is one task"),
    "too much": (["hydra.launcher.cpus_per_task=64"], "SLURM refuses the jobs: sbatch: error: "),
    "cache": ([APART], "{local} is not on node {node}, or is another folder there; expected one that all nodes share"),
    "sweep": ([APART, "hydra.sweep.dir={local}/sweep"], "{local}/sweep is not on node {node}, or is another folder"),
}


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("name", WRONG)
def test_what_no_job_can_run_with_is_refused_in_a_line_before_any_starts(name, shared, tmp_path, monkeypatch, capfd):
    words = {"local": shared / "local", "node": os.uname().nodename}
    options, told = ([one.format_map(words) for one in given] for given in (WRONG[name][0], WRONG[name][1:]))
    if name == "no SLURM":
        monkeypatch.setenv("PATH", str(tmp_path))
    elif name == "no answer":
        (tmp_path / "sinfo").write_text("#!/bin/sh\necho Unable to contact slurm controller >&2\nexit 1\n")
        (tmp_path / "sinfo").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    elif name == "cache":
        monkeypatch.setenv("PNEUMO_AD_CACHE", str(shared / "local"))
    assert start("train", "-m", *TINY, "seed=0,1", *ON_SLURM, *options) == 2
    said = capfd.readouterr().err
    (line,) = (line for line in said.splitlines() if line.startswith("error: "))
    assert told[0] in line
    assert "Traceback" not in said
    assert not list(tmp_path.rglob("run.json"))
    monkeypatch.undo()
    assert not jobs("--name=train")


@pytest.mark.usefixtures("cluster")
def test_a_node_that_could_not_be_asked_looks_itself(shared, monkeypatch, capfd):
    monkeypatch.setattr("pneumo_ad.runs.slurm_launcher._check_seen", lambda *_: None)
    monkeypatch.setenv("PNEUMO_AD_CACHE", str(shared / "local"))
    assert start("train", "-m", *TINY, "seed=0,1", *ON_SLURM, APART) == 2
    said = capfd.readouterr().err
    assert f"error: {shared / 'local'} is not on node " in said
    assert "Traceback" not in said
    assert not list(Path().rglob("run.json"))
