"""Many runs of one command: which, where, again, and what becomes of those that fail."""

import json
import os
import signal
from pathlib import Path

import pytest
from omegaconf import OmegaConf, open_dict
from running import TINY, start, story, times, weights

from pneumo_ad.errors import ConfigError
from pneumo_ad.modules.autoencoder import PatchAutoencoder
from pneumo_ad.runs.compose import compose_config, compose_job
from pneumo_ad.runs.sweeps import complete, folder_name, run_folders

SHORT = [*TINY, "trainer.max_epochs=1", "trainer.limit_val_batches=1"]
EVALUATED = [one for one in SHORT if one != "evaluate=false"]

pytestmark = pytest.mark.usefixtures("here")


def runs(sweep):
    return {str(folder.relative_to(sweep)): story(folder) for folder in run_folders(Path(sweep))}


def only(pattern):
    (folder,) = Path().glob(pattern)
    return folder


def test_a_recipe_launches_its_grid_with_nothing_else(capfd):
    assert start("train", "experiment=ablate_loss", *SHORT) == 0
    sweep = only("sweeps/ablate_loss/*")
    assert set(runs(sweep)) == {f"loss={name}" for name in ("dice", "dice_linear", "l1", "mse", "ssim")}
    assert {run["status"] for run in runs(sweep).values()} == {"finished"}
    assert len({weights(sweep / name)["last.ckpt"] for name in runs(sweep)}) == 5
    said = capfd.readouterr().out
    assert f"sweep: {sweep} (5 finished)" in said
    assert f"pneumo-ad compare {sweep}" in said


def test_the_same_command_runs_only_what_is_left_and_another_value_goes_elsewhere(capfd):
    command = ["train", "experiment=ablate_patch_size", *SHORT]
    assert start(*command, "patch=4,8") == 0
    sweep = only("sweeps/ablate_patch_size/*")
    before = times(sweep)
    assert start(*command, "patch=4,8", "seed=0,1") == 0  # one more axis: the others' names change with it
    assert set(runs(sweep)) == {"patch=8", "patch=4", *(f"patch={p},seed={s}" for p in (4, 8) for s in (0, 1))}
    assert {name: times(sweep)[name] for name in before if name != "multirun.yaml"} == {
        name: time for name, time in before.items() if name != "multirun.yaml"
    }
    before = {name: time for name, time in times(sweep).items() if name != "multirun.yaml"}
    (sweep / "patch=8" / "run.json").unlink()
    capfd.readouterr()
    assert start(*command, "patch=4,8", "seed=0,1,2") == 0
    assert "".join(capfd.readouterr()).count("finished already") == 4
    assert {name: times(sweep)[name] for name in before if name != "patch=8/run.json"} == {
        name: time for name, time in before.items() if name != "patch=8/run.json"
    }
    assert start(*command, "patch=8", "optimizer.lr=0.1") == 0  # one value in place of the axis
    (other,) = set(Path().glob("sweeps/ablate_patch_size/*")) - {sweep}
    assert list(runs(other)) == ["run"]


def test_a_sweep_says_a_line_a_job_and_ends_with_its_leaderboard(capfd, monkeypatch):
    sweep = ["train", "-m", *EVALUATED, "seed=0,1", "hydra.sweep.dir=sweep"]
    assert start(*sweep) == 0
    said, noted = capfd.readouterr()
    first, *lines = said.splitlines()
    assert first == "2 runs in sweep; each writes train.log into its folder"
    assert all((Path("sweep") / name / "train.log").is_file() for name in ("seed=0", "seed=1"))
    assert [line for line in lines if line.endswith(": begins")] == ["seed=0: begins", "seed=1: begins"]
    jobs = [line for line in lines if line.startswith("seed=") and not line.endswith(": begins")]
    assert [line.partition(",")[0].rpartition(" in ")[0] for line in jobs] == ["seed=0: finished", "seed=1: finished"]
    assert all("pixel/auroc_in_lung 0." in line for line in jobs)
    assert (
        said.index("sweep: sweep (2 finished)") < said.index("sorted by") < said.index("leaderboard: pneumo-ad compare")
    )
    assert "median SAD" not in said
    assert "[HYDRA]" not in said + noted
    assert Path("sweep/comparison/leaderboard.csv").is_file()
    for file in Path("sweep").glob("*/run.json"):
        os.utime(file, (0, 0))  # ended long ago
    assert start(*sweep) == 0  # nothing is left, and nothing is compared again
    assert "sorted by" not in capfd.readouterr().out
    with monkeypatch.context() as patch:
        patch.setattr("pneumo_ad.leaderboard.compare.draw_comparison", lambda *_: 1 / 0)  # as good as killed
        with pytest.raises(ZeroDivisionError):
            start("compare", "sweep", drawn=True)
    capfd.readouterr()
    assert start(*sweep) == 0
    assert "sorted by" in capfd.readouterr().out


def test_a_run_that_fails_fails_alone_with_its_reason(capfd):
    values = {"8": "finished", "30": "failed", "48": "failed"}
    assert start("train", "--multirun", *SHORT, f"patch={','.join(values)}", "name=mixed") == 1
    found = runs(only("sweeps/mixed/*"))
    assert {name: run["status"] for name, run in found.items()} == {f"patch={p}": word for p, word in values.items()}
    assert "needs sides divisible by 4; got 30" in found["patch=30"]["reason"]
    assert "the largest patch that fits is" in found["patch=48"]["reason"]
    said = "".join(capfd.readouterr())
    assert "failed: patch=30: " in said
    assert "Traceback" not in said
    assert "(2 failed, 1 finished)" in said


def test_an_unexpected_error_fails_alone_too(capfd, monkeypatch):
    from pneumo_ad.runs import training

    built = training.build_parts
    monkeypatch.setattr(training, "build_parts", lambda config: built(config) if config.seed else 1 / 0)
    assert start("train", "--multirun", *SHORT, "seed=0,1", "name=broken") == 1
    assert {name: run["status"] for name, run in runs(only("sweeps/broken/*")).items()} == {
        "seed=0": "failed",
        "seed=1": "finished",
    }
    assert "failed: seed=0: ZeroDivisionError: division by zero" in capfd.readouterr().out


def test_sigterm_ends_the_sweep_and_the_same_command_does_the_rest(monkeypatch):
    def stop(module, *_):
        os.kill(os.getpid(), signal.SIGTERM)

    sweep = ["train", "--multirun", *SHORT, "seed=0,1,2", "hydra.sweep.dir=sweep"]
    with monkeypatch.context() as told:
        told.setattr(PatchAutoencoder, "on_train_batch_end", stop)
        assert start(*sweep) == 143
    assert {name: run["status"] for name, run in runs("sweep").items()} == {"seed=0": "interrupted"}
    assert start(*sweep) == 0
    assert [run["status"] for run in runs("sweep").values()] == ["finished"] * 3


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("net=unet,resnet", "net=resnet is not known; did you mean net=unet?"),
        ("experiment=ablate_los", "experiment=ablate_los is not known; did you mean experiment=ablate_loss?"),
        ("net.widht=4,8", "net.widht=4,8 is not known; did you mean net.width=4,8?"),
        ("seed=0,,1", "seed=0,,1"),
    ],
)
def test_what_hydra_does_not_know_is_refused_before_anything_starts(wrong, words, capfd):
    assert start("train", "--multirun", *SHORT, wrong) == 2
    assert not list(Path().rglob("run.json"))
    assert words in capfd.readouterr().err


def test_a_folder_of_another_recipe_is_refused_in_one_line_and_the_rest_runs(capfd):
    sweep = ["train", "--multirun", *SHORT, "hydra.sweep.dir=sweep"]
    assert start(*sweep, "seed=0,2") == 0
    before = times(Path("sweep/seed=0"))
    assert start(*sweep, "seed=0,1", "optimizer.lr=0.1") == 1
    said = capfd.readouterr().err
    assert "error: " in said
    assert "optimizer.lr: 0.001 -> 0.1" in said
    assert "Traceback" not in said
    assert times(Path("sweep/seed=0")) == before
    assert runs("sweep")["seed=1"]["status"] == "finished"


def sweep_of(*arguments, config_name="train"):
    """Names of the folders that a command gives its sweep and its runs; nothing is trained."""
    return [one for one in complete(config_name, arguments) if one.startswith("hydra.")]


def test_two_recipes_of_one_study_do_not_meet():
    paper, denoiser = (sweep_of(f"experiment={one}", "name=mine", "seed=0,1") for one in ("paper", "denoiser"))
    assert paper != denoiser
    assert sweep_of("experiment=paper", "seed=0,1")[-1] == "hydra.sweep.dir='sweeps/${name}/default'"


def test_sweeps_over_recipes_lie_in_one_folder_and_hold_no_axes_of_their_own(capfd):
    assert start("train", *SHORT, "-m", "experiment=paper,ablation") == 0
    sweep = only("sweeps/train/*")
    assert set(runs(sweep)) == {"experiment=paper", "experiment=ablation"}
    assert f"sweep: {sweep} (2 finished)" in capfd.readouterr().out
    with pytest.raises(ConfigError, match="ablate_loss holds axes of its own"):
        complete("train", ["-m", "experiment=paper,ablate_loss"])


def test_axes_are_added_once_and_only_where_a_sweep_is_meant():
    added = complete("train", ["experiment=ablate_stride"])
    assert "stride=8,16,32" in added
    assert "--multirun" in added
    assert complete("train", ["-m", "experiment=ablate_stride"]).count("--multirun") == 0
    assert "stride=8,16,32" not in complete("train", ["experiment=ablate_stride", "stride=4,5"])
    assert "--multirun" not in complete("train", ["experiment=ablate_stride", "hydra.mode=RUN"])
    for shows in (["--cfg", "job"], ["--cfg=job"], ["--hydra-help"], ["--info", "all"]):
        assert complete("train", [*shows, "experiment=ablate_stride"]) == [*shows, "experiment=ablate_stride"]


def test_a_recipe_from_elsewhere_brings_its_axes(tmp_path):
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    text = "# @package _global_\nname: mine\nsweep:\n  seed: 3,4\n"
    (tmp_path / "mine" / "experiment" / "own.yaml").write_text(text)
    for where in (["--config-dir", "mine"], ["--config-dir=mine"], [f"hydra.searchpath=[file://{tmp_path}/mine]"]):
        assert {"seed=3,4", "--multirun"} <= set(complete("train", [*where, "experiment=own"]))


def test_values_that_are_no_names_still_give_folders(tmp_path):
    for one in "ab":
        (tmp_path / one / "with, comma").mkdir(parents=True)
    roots = ",".join(f"'{tmp_path}/{one}/with, comma'" for one in "ab")
    fixed = [f"+metadata.some_long_key_{number}={'x' * 20}" for number in range(20)]
    options = ["data=folder", f"data.root={roots}", "name=far", *fixed, *SHORT[3:]]
    assert start("train", "--multirun", *options, "image_size=64,[64,48]") == 1  # there are no radiographs
    folders = [file.parent for file in Path("sweeps/far").rglob("run.json")]
    assert len(folders) == 4
    assert len({folder.parent for folder in folders}) == 1
    assert all(len(part.encode()) < 255 for folder in folders for part in folder.parts)
    assert all("no image found" in story(folder)["reason"] for folder in folders)


def test_folder_names_tell_apart():
    assert folder_name(["data.root=/x/y"]) != folder_name(["data.root=/z/y"])
    assert "/" not in folder_name(["data.root=/x/y"])
    assert len(folder_name([f"key{number}={number}" for number in range(99)])) < 255
    assert folder_name(["data.root=/x/y/"]).startswith("root=y-")


def outcome(sweep):
    """Weights and metrics of every run."""
    return {
        name: (weights(Path(sweep) / name), json.loads((Path(sweep) / name / "metrics.json").read_text()))
        for name, run in runs(sweep).items()
        if run["status"] == "finished"
    }


@pytest.mark.parametrize("launcher", [["joblib", "hydra.launcher.n_jobs=2"], ["submitit_local"]])
def test_parallel_jobs_give_what_they_give_one_after_the_other(shared, launcher, monkeypatch, capfd):
    if launcher[0] == "joblib":
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)  # it shares out the cores by itself
    command = ["train", "--multirun", *EVALUATED, "patch=8,30"]
    serial = shared / "serial"
    if not serial.is_dir():
        assert start(*command, f"hydra.sweep.dir={serial}") == 1
    capfd.readouterr()
    name, *options = launcher
    assert start(*command, f"hydra/launcher={name}", *options, "hydra.sweep.dir=side_by_side") == 1
    said = capfd.readouterr().out
    assert "sweep: side_by_side (" in said
    assert "failed: patch=30: " in said
    assert outcome("side_by_side") == outcome(serial)
    assert {name: run["status"] for name, run in runs("side_by_side").items()} == {
        "patch=8": "finished",
        "patch=30": "failed",
    }
    if name == "joblib":
        assert runs("side_by_side")["patch=8"]["threads"] == max(1, (os.cpu_count() or 1) // 2)


@pytest.mark.parametrize("name", ["train", "classify", "train_lungs"])
def test_a_run_goes_on_from_the_very_config_that_it_keeps(name, tmp_path):
    folder = tmp_path / "it's mine, seed=0"
    (folder / ".hydra").mkdir(parents=True)
    config = compose_config(name, ["seed=7", "on_error=skip"])
    with open_dict(config):
        config.new_since = {"a": "${seed}"}
    OmegaConf.save(config, folder / ".hydra" / "config.yaml")
    (folder / ".hydra" / "overrides.yaml").write_text("- seed=7\n- gone=1\n")
    arguments = complete(name, [f"resume={folder}", "seed=7", "gone=1"])
    found, hydra = compose_job(arguments[arguments.index("--config-name") + 1], arguments[2:])
    assert found == config
    assert found.new_since.a == 7
    assert (hydra.hydra.run.dir, hydra.hydra.mode.name) == (str(folder), "RUN")
    assert hydra.hydra.job_logging.formatters.simple.format == "[%(asctime)s] %(message)s"
    assert complete(name, [f"resume={folder}"]) == arguments
