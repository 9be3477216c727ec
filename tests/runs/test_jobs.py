"""One run: started again, refused, interrupted, killed, resumed."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from omegaconf import OmegaConf
from running import TINY, process, start, story, times, weights

from pneumo_ad.modules.autoencoder import PatchAutoencoder
from pneumo_ad.runs.record import Status, read_run_json, recorded, status, update_run_json
from pneumo_ad.runs.resolvers import run_name
from pneumo_ad.runs.search_path import saved_search_path

EPOCHS, BATCHES = 3, 4
NOISY = [*TINY, f"trainer.max_epochs={EPOCHS}", "corruption=coarse_noise"]
VARIANTS = {
    "noise": [],
    "vae": ["net=vae", "net.width=4", "net.latent=4"],
    "augment": ["augment=light"],
    "workers": ["datamodule.num_workers=1"],
    "seldom": ["trainer.check_val_every_n_epoch=2"],
    "accumulated": ["trainer.check_val_every_n_epoch=2", "+trainer.accumulate_grad_batches=2"],
}

pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture
def uninterrupted(shared):
    """The weights of a run that nobody stopped, by variant."""

    def of(variant):
        folder = shared / variant
        if not folder.is_dir():
            assert start("train", *NOISY, *VARIANTS[variant], f"hydra.run.dir={folder}") == 0
        found = weights(folder)
        assert set(found) == {"best.ckpt", "last.ckpt"}
        return found

    return of


@pytest.fixture
def finished(uninterrupted, shared):
    uninterrupted("noise")
    return shared / "noise"


@pytest.fixture
def at(monkeypatch):
    """Sends this process a signal where a hook of the module is called for this batch of this epoch, once."""

    def when(hook, epoch, batch=None, number=signal.SIGTERM):
        def act(module, *arguments):
            counted = next((one for one in arguments if isinstance(one, int)), None)
            if module.current_epoch == epoch and batch in (None, counted) and not sent:
                sent.append(True)
                os.kill(os.getpid(), number)

        sent = []
        monkeypatch.setattr(PatchAutoencoder, hook, act)
        return sent

    return when


def test_a_finished_run_started_again_does_nothing(finished, capfd):
    before = times(finished)
    assert start("train", *NOISY, f"hydra.run.dir={finished}") == 0
    assert start("train", f"resume={finished}") == 0
    assert times(finished) == before
    assert f"finished already: {os.path.relpath(finished)}" in "".join(capfd.readouterr())


def test_another_value_is_refused_by_name_and_touches_nothing(finished, capfd):
    before = times(finished)
    for arguments in ([*NOISY, "seed=4", f"hydra.run.dir={finished}"], [f"resume={finished}", "seed=4"]):
        assert start("train", *arguments) == 2
        said = capfd.readouterr().err
        assert "seed: 0 -> 4" in said
        assert str(finished) in said
        assert "Traceback" not in said
    assert start("train", f"resume={finished}", "net=vae") == 2
    assert "net._target_: " in capfd.readouterr().err
    assert times(finished) == before


def test_the_command_that_a_run_keeps_repeats_it(finished, tmp_path):
    assert start("train", *story(finished)["command"], "hydra.run.dir=again") == 0
    assert weights("again") == weights(finished)


def test_yaml_from_elsewhere_is_found_again(tmp_path, monkeypatch):
    mine = tmp_path / "it's mine" / "net"
    mine.mkdir(parents=True)
    (mine / "small.yaml").write_text("defaults: [unet]\nwidth: 2\n")
    place = str(mine.parent).replace("'", "\\'")
    small = [one for one in TINY if not one.startswith("net.")]
    assert start("train", *small, "net=small", f"hydra.searchpath=['file://{place}']", "hydra.run.dir=a") == 0
    assert start("train", "--config-dir", "it's mine", *small, "net=small", "hydra.run.dir=b") == 0
    assert start("train", *story("a")["command"], "hydra.run.dir=c") == 0
    update_run_json(Path("b"), status="failed")
    assert story("b")["command"][-1] == "hydra.searchpath=['file://it\\'s mine']"
    monkeypatch.chdir(mine)
    assert saved_search_path(tmp_path / "b") == [f"file://{mine.parent}"]
    assert start("train", f"resume={tmp_path / 'b'}") == 0
    assert weights(tmp_path / "a") == weights(tmp_path / "b") == weights(tmp_path / "c")


def test_a_failed_run_is_tried_again(capfd, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr("pneumo_ad.runs.training.try_out", lambda *_: 1 / 0)
        assert start("train", *TINY, "hydra.run.dir=run") == 1
    assert status(Path("run")) == Status("failed", "ZeroDivisionError: division by zero")
    assert start("train", *TINY, "hydra.run.dir=run") == 0
    assert status(Path("run")) == Status("finished")


def test_a_second_process_at_a_run_is_refused_by_name(finished, capfd, monkeypatch):
    monkeypatch.setattr("pneumo_ad.runs.jobs.LINGER", 0.5)
    before = times(finished)
    with FileLock(finished / ".lock"):
        assert start("train", f"resume={finished}") == 2
        assert f"error: {finished}: another process is at this run" in capfd.readouterr().err
        sweep = ["--multirun", "seed=0", f"hydra.sweep.dir={finished.parent}", f"hydra.sweep.subdir={finished.name}"]
        assert start("train", *NOISY, *sweep) == 0  # left to it
        assert f"{finished}: another process is at this run" in "".join(capfd.readouterr())
    assert times(finished) == before


def test_how_a_run_stands(tmp_path):
    assert status(tmp_path) == Status("unfinished")
    update_run_json(tmp_path, status="running")
    assert status(tmp_path) == Status("unfinished")  # nobody holds the lock: it was killed
    with FileLock(tmp_path / ".lock"):
        assert status(tmp_path) == Status("running")
    update_run_json(tmp_path, status="failed", reason="why")
    assert status(tmp_path) == Status("failed", "why")


def test_resume_needs_a_run_folder(finished, capfd):
    assert start("train", f"resume={finished.parent}") == 2
    assert f"not a run folder (no .hydra/overrides.yaml); runs below it: {finished}" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("command", "beside", "words"),
    [
        (["classify"], [], "is a run of `pneumo-ad train`: pneumo-ad train resume="),
        (["train", "-m"], [], "goes on with one run; leave out -m"),
        (["train"], ["hydra.run.dir=x"], "goes on in its own folder; leave out hydra.run.dir"),
        (["train"], ["experiment=paper"], "experiment=paper: only group=choice and key=value can be applied"),
        (["train"], ["seed=0,1"], "seed=0,1: only group=choice and key=value can be applied"),
        (["train"], ["net.widht=4"], "net.widht"),
    ],
)
def test_what_a_run_cannot_go_on_with_is_named(command, beside, words, finished, capfd):
    before = times(finished)
    assert start(*command, f"resume={finished}", *beside) == 2
    said = capfd.readouterr().err
    assert words in said
    assert "Traceback" not in said
    assert times(finished) == before


def test_what_is_typed_again_may_stand_beside_a_run_that_goes_on(finished, capfd):
    before = times(finished)
    typed = ["net=unet", "net.width=4", "trainer=cpu", "corruption=coarse_noise", "seed=0"]
    assert start("train", f"resume={finished}", *typed) == 0
    assert start("train", *NOISY, f"resume={finished}") == 0
    assert "".join(capfd.readouterr()).count("finished already") == 2
    assert times(finished) == before


def test_a_run_goes_on_with_what_it_keeps_whatever_is_the_default_today(finished, uninterrupted):
    """Of a version with another default, an option that is gone, and a part that has another name since."""
    shutil.copytree(finished, "run")
    file, overrides = (Path("run/.hydra") / name for name in ("config.yaml", "overrides.yaml"))
    config = OmegaConf.load(file)
    config.optimizer.lr = 0.005
    config.kept_windows = 17
    OmegaConf.save(config, file)
    overrides.write_text(overrides.read_text() + "- gone=4\n- module._target_=pneumo_ad.module.PatchAutoencoder\n")
    shutil.rmtree("run/checkpoints")
    update_run_json(Path("run"), status="interrupted")
    kept = file.read_text()
    assert start("train", "resume=run", "gone=4") == 0
    assert status(Path("run")).word == "finished"
    assert file.read_text() == kept
    assert weights("run") != uninterrupted("noise")
    assert start("train", *NOISY, "optimizer.lr=0.005", "hydra.run.dir=typed") == 0
    assert weights("run") == weights("typed")
    assert start("train", "resume=run", "kept_windows=4096") == 2  # as of today


# Where SIGTERM comes, and which epochs and batches last.ckpt must hold; none where nothing was complete yet.
STOPS = {
    "within the first epoch": ("on_train_batch_end", 0, 1, (0, 2)),
    "within a later epoch": ("on_train_batch_start", 1, 2, (1, 3)),  # that batch is brought to its end
    "at the last batch": ("on_train_batch_end", 1, BATCHES - 1, (0, BATCHES)),
    "in a validation": ("on_validation_batch_end", 1, 0, (0, BATCHES)),
    "in the first validation": ("on_validation_batch_end", 0, 0, None),
    "at the end of an epoch": ("on_train_epoch_end", 1, None, (1, BATCHES)),
    "at the start of an epoch": ("on_train_epoch_start", 1, None, (1, 1)),
    "before the first batch": ("on_train_start", 0, None, (0, 1)),
}


def stop(at, stopped_at, *arguments):
    hook, epoch, batch, _ = stopped_at
    sent = at(hook, epoch, batch)
    assert start("train", *NOISY, *arguments, "hydra.run.dir=run") == 143
    assert sent
    assert status(Path("run")).word == "interrupted"


def place(file):
    """Epoch and batches done of a checkpoint, as its epoch loop says."""
    loop = torch.load(file, weights_only=True)["loops"]["fit_loop"]
    return (
        loop["epoch_progress"]["current"]["ready"] - 1,
        loop["epoch_loop.batch_progress"]["current"]["ready"],
    )


@pytest.mark.parametrize("name", STOPS)
def test_sigterm_saves_and_resumption_ends_with_the_weights_of_an_uninterrupted_run(at, uninterrupted, name, capfd):
    stop(at, STOPS[name])
    last = Path("run/checkpoints/last.ckpt")
    assert (place(last) if last.is_file() else None) == STOPS[name][3]
    assert "resume=" in "".join(capfd.readouterr())
    assert start("train", "resume=run") == 0
    assert status(Path("run")).word == "finished"
    assert weights("run") == uninterrupted("noise")


@pytest.mark.parametrize("variant", ["vae", "augment", "workers"])
def test_whatever_draws_by_chance_goes_on_where_it_was(at, uninterrupted, variant):
    stop(at, STOPS["within a later epoch"], *VARIANTS[variant])
    assert start("train", *NOISY, *VARIANTS[variant], "hydra.run.dir=run") == 0  # the command, as well as resume=
    assert weights("run") == uninterrupted(variant)


@pytest.mark.parametrize("name", ["within the first epoch", "at the last batch", "at the end of an epoch"])
@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_epochs_without_a_validation_are_resumed_as_well(at, uninterrupted, name, epoch):
    hook, _, batch, _ = STOPS[name]
    stop(at, (hook, epoch, batch, None), *VARIANTS["seldom"])
    assert start("train", "resume=run") == 0
    assert weights("run") == uninterrupted("seldom")


def test_gradients_that_were_gathered_are_not_lost(at, uninterrupted):
    stop(at, ("on_train_batch_end", 1, 1, None), *VARIANTS["accumulated"])
    assert start("train", "resume=run") == 0
    assert weights("run") == uninterrupted("accumulated")


def test_a_run_may_be_interrupted_again_and_again(at, uninterrupted):
    for epoch, batch in ((0, 0), (0, 2), (1, 0), (1, 1), (2, 2)):
        stop(at, ("on_train_batch_end", epoch, batch, None))
    assert start("train", "resume=run") == 0
    assert weights("run") == uninterrupted("noise")


def test_a_killed_run_goes_on_from_its_last_epoch(uninterrupted, shared):
    code = f"""
        import os, signal
        from pneumo_ad import cli
        from pneumo_ad.modules.autoencoder import PatchAutoencoder
        def die(module, outputs, batch, number):
            if (module.current_epoch, number) == (1, 2):
                os.kill(os.getpid(), signal.SIGKILL)
        PatchAutoencoder.on_train_batch_end = die
        cli.main(["train", *{NOISY}, "hydra.run.dir=run"])
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    assert read_run_json(Path("run"))["status"] == "running"
    assert status(Path("run")).word == "unfinished"
    assert place("run/checkpoints/last.ckpt") == (0, BATCHES)
    assert start("train", "resume=run") == 0
    assert weights("run") == uninterrupted("noise")


def test_a_worker_ends_with_the_process_that_started_it(tmp_path):
    (tmp_path / "workers.py").write_text(
        "import multiprocessing, os, time\n"
        "def work():\n"
        "    from pneumo_ad.runs.jobs import end_with_parent\n"
        "    end_with_parent()\n"
        "    print(os.getpid(), flush=True)\n"
        "    time.sleep(60)\n"
        "if __name__ == '__main__':\n"
        "    multiprocessing.get_context('spawn').Process(target=work).start()\n"
        "    time.sleep(60)\n"
    )
    with process([sys.executable, "workers.py"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as first:
        assert first.stdout.readline().strip().isdigit()
        first.kill()
        ended = time.monotonic()
        assert first.stdout.read() == b""  # comes back when nobody is left to write
        assert time.monotonic() - ended < 30  # long before it would have ended of itself


def test_the_folders_of_runs_are_names_that_any_file_system_takes():
    assert run_name("net=unet,net.width=4") == "net=unet,net.width=4"
    long = ",".join(f"key{number}.of.some.length={number}" for number in range(40))
    names = [
        run_name(one) for one in ("", "a=/x,b=1", "a=x,b=1", "a=../y", "a=[1,2]", "a=" + "é" * 300, long, long + "1")
    ]
    assert len(set(names)) == len(names)
    assert all(len(name.encode()) < 255 and "/" not in name for name in names)


def test_runs_begun_in_one_second_get_a_folder_each(tmp_path, monkeypatch):
    from pneumo_ad.runs import resolvers

    class Clock(resolvers.datetime):
        @classmethod
        def now(cls):
            return cls(2026, 1, 31, 12)

    monkeypatch.setattr(resolvers, "datetime", Clock)
    assert start("train", *TINY, "trainer.max_epochs=1", "seed=0") == 0
    assert start("train", *TINY, "trainer.max_epochs=1", "seed=1") == 0
    runs = sorted((tmp_path / "runs" / "train").iterdir())
    assert [run.name for run in runs] == ["2026-01-31_12-00-00", "2026-01-31_12-00-00-2"]
    assert [story(run)["seed"] for run in runs] == [0, 1]


def test_a_job_of_a_cluster_that_timed_out_too_often_is_interrupted(tmp_path):
    from submitit.core.utils import UncompletedJobError

    with pytest.raises(UncompletedJobError), recorded(tmp_path):
        raise UncompletedJobError("Job not requeued because: timed-out too many times.")
    assert status(tmp_path) == Status("interrupted", "Job not requeued because: timed-out too many times.")


def test_an_error_of_a_library_that_counts_as_the_systems_is_recorded_too(tmp_path):
    with pytest.raises(OSError, match="cannot identify"), recorded(tmp_path):
        raise OSError("cannot identify image file")  # as Pillow does: without a number
    assert status(tmp_path) == Status("failed", "OSError: cannot identify image file")
