"""Sweeps and shards on a SLURM cluster of this machine, which the test starts."""

import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
from running import TINY, start, weights
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
