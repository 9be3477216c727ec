"""Configs of runs that earlier versions made."""

import json
import shutil
from importlib import import_module
from importlib.resources import files

import pytest
from omegaconf import OmegaConf
from running import TINY, start

from pneumo_ad.errors import ConfigError
from pneumo_ad.runs import load_run
from pneumo_ad.runs.compose import build, compose_config
from pneumo_ad.runs.past import ADDED, RENAMED, TODAY, as_first_known, to_today
from pneumo_ad.runs.trust import ALLOWED

# Every target of ours in the yaml of 0.1.0 whose package is another since, or had a door elsewhere.
SHIPPED = """
pneumo_ad.aggregates.Highest pneumo_ad.aggregates.Mean pneumo_ad.aggregates.TopFraction
pneumo_ad.callbacks.AnomalyMaps pneumo_ad.callbacks.ReconstructionPanels pneumo_ad.callbacks.SADHistograms
pneumo_ad.callbacks.SaveOnTermination pneumo_ad.checkpoints.WholeCheckpoints pneumo_ad.classifier.RadiographCNN
pneumo_ad.classifier.RadiographClassifier pneumo_ad.classifier.RadiographDataModule pneumo_ad.corruptions.CoarseNoise
pneumo_ad.corruptions.DrawnOpacity pneumo_ad.corruptions.MaskCenter pneumo_ad.corruptions.NoCorruption
pneumo_ad.data.PatchDataModule pneumo_ad.data.augment.Augment pneumo_ad.data.intensity.AsStored
pneumo_ad.data.intensity.LungFieldIntensity pneumo_ad.data.sources.chest_xray pneumo_ad.data.sources.folder
pneumo_ad.data.sources.masks pneumo_ad.data.sources.phantom pneumo_ad.data.sources.rsna
pneumo_ad.detectors.FeatureDetector pneumo_ad.detectors.OpacityDetector pneumo_ad.loggers.MLFlowRun
pneumo_ad.loggers.WandbRun pneumo_ad.losses.DiceLoss pneumo_ad.losses.L1Loss pneumo_ad.losses.MSELoss
pneumo_ad.losses.SSIMLoss pneumo_ad.losses.UncertaintyLoss pneumo_ad.lungs.AutoFields pneumo_ad.lungs.FileFields
pneumo_ad.lungs.LungSegmenter pneumo_ad.lungs.SegmenterFields pneumo_ad.lungs.WholeImage
pneumo_ad.lungs.drawn_opacity.DrawnOpacity pneumo_ad.lungs.features.SegmenterFeatures
pneumo_ad.lungs.training.LungDataModule pneumo_ad.lungs.training.LungSegmentation pneumo_ad.module.PatchAutoencoder
pneumo_ad.nets.BottleneckAutoencoder pneumo_ad.nets.FeatureGaussian pneumo_ad.nets.KindUNet pneumo_ad.nets.LiteFeatures
pneumo_ad.nets.MemoryAutoencoder pneumo_ad.nets.UNetAutoencoder pneumo_ad.nets.UncertaintyAutoencoder
pneumo_ad.nets.VAE pneumo_ad.scores.Brightness pneumo_ad.scores.Contrast pneumo_ad.scores.ExpectedKind
pneumo_ad.scores.Judgement pneumo_ad.scores.OpacityChance pneumo_ad.scores.SAD pneumo_ad.scores.SADContrast
pneumo_ad.scores.SADSum pneumo_ad.scores.Sharpness pneumo_ad.scores.UncertaintyScore pneumo_ad.sweeps.SweepReport
pneumo_ad.thresholds.Conformal pneumo_ad.thresholds.Fixed pneumo_ad.thresholds.GaussianMixture
pneumo_ad.thresholds.MultiOtsu pneumo_ad.thresholds.NormalQuantiles
"""


@pytest.mark.parametrize("target", SHIPPED.split())
def test_what_was_shipped_is_built_by_the_name_of_today(target):
    today = to_today(OmegaConf.create({"part": [{"_target_": target, "within": "${part}"}]})).part[0]
    module, _, name = today._target_.rpartition(".")
    assert hasattr(import_module(module), name)
    assert today._target_ in {*set().union(*ALLOWED.values()), "pneumo_ad.runs.sweeps.SweepReport"}


def test_no_name_of_today_was_renamed_and_every_new_name_is_shipped():
    shipped = {
        line.split("_target_:")[1].split("#")[0].strip()
        for file in files("pneumo_ad.conf").rglob("*.yaml")
        for line in file.read_text().splitlines()
        if "_target_:" in line
    }
    assert not shipped & set(RENAMED)
    assert set(RENAMED) <= set(SHIPPED.split())
    assert set(RENAMED.values()) <= shipped


def test_other_targets_and_interpolations_stay_as_they_stand():
    config = OmegaConf.create(
        {"a": {"_target_": "mine.module.PatchAutoencoder", "b": "${a}"}, "pneumo_ad.module": "???"}
    )
    assert to_today(config) == config


def test_a_node_of_interpolations_is_taken_as_it_stands_today(monkeypatch):
    monkeypatch.setitem(ADDED, "datamodule", TODAY)
    today = to_today(OmegaConf.create({"patch": 8, "stride": 4}))
    assert OmegaConf.to_container(today.datamodule, resolve=False)["stride"] == "${stride}"
    assert today.datamodule.stride == 4
    assert "datamodule" not in to_today(
        OmegaConf.create({"segmenter": None})
    )  # not the config of a training of patches


def test_a_saved_value_stays_whatever_is_added():
    saved = OmegaConf.create({"patch": 8, "matched": False, "kept_windows": 7})
    assert to_today(saved).matched is False
    assert to_today(saved).kept_windows == 7
    assert to_today(to_today(saved)) == to_today(saved)


SHARDED = {"shards": 4, "missing_shards": "skip"}


def test_what_is_gone_is_left_out_where_it_stood_and_nowhere_else():
    data = {"_target_": "pneumo_ad.data.PatchDataModule", **SHARDED}
    today = to_today(OmegaConf.create({"patch": 8, **SHARDED, "datamodule": data, "mine": SHARDED}))
    assert not SHARDED.keys() & {*today, *today.datamodule}
    assert today.mine == SHARDED
    assert today.on_error == "skip"
    assert today.datamodule._target_ == "pneumo_ad.data.PatchDataModule"


def test_digests_know_an_argument_that_is_gone_by_the_value_that_all_runs_have_now():
    plain = [{"_target_": "pneumo_ad.data.PatchDataModule", "patch": 8}]
    assert as_first_known(plain) == [{**plain[0], "shards": 1, "missing_shards": "raise"}]
    assert as_first_known([{**plain[0], **SHARDED}]) == [{**plain[0], **SHARDED}]


@pytest.mark.parametrize("typed", ["shards=4", "+missing_shards=skip", "+datamodule.shards=2"])
@pytest.mark.parametrize("command", ["train", "prepare", "train -m", "evaluate"])
def test_who_asks_for_what_is_gone_is_told_what_to_do(command, typed, begun, capfd):
    asked = [f"run={begun}"] if command == "evaluate" else []
    assert start(*command.split(), *asked, typed) == 2
    key = typed.lstrip("+").partition("=")[0]
    (said,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error")]
    assert said.startswith(f"error: {key} is gone: `pneumo-ad prepare num_shards=N`")


@pytest.mark.parametrize("line", ["shards: 4", "datamodule: {missing_shards: skip}"])
def test_a_yaml_of_ones_own_that_sets_what_is_gone_is_told_so(line, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own" / "experiment").mkdir(parents=True)
    (tmp_path / "own" / "experiment" / "mine.yaml").write_text(f"# @package _global_\n{line}\n")
    assert start("train", "--config-dir", "own", *TINY, "experiment=mine", "hydra.run.dir=run") == 2
    assert "shards is gone: `pneumo-ad prepare num_shards=N`" in capfd.readouterr().err


@pytest.mark.parametrize("old", ["pneumo_ad.module.PatchAutoencoder", "pneumo_ad.lungs.drawn_opacity.DrawnOpacity"])
def test_a_yaml_of_ones_own_is_told_the_new_name(old):
    with pytest.raises(ConfigError, match=f"would build {old}, which is {RENAMED[old]} since 0"):
        build(OmegaConf.create({"_target_": old}))


@pytest.fixture
def begun(tmp_path):
    """A run folder with its config alone."""
    (tmp_path / "begun" / ".hydra").mkdir(parents=True)
    OmegaConf.save(compose_config("train"), tmp_path / "begun" / ".hydra" / "config.yaml")
    return tmp_path / "begun"


def test_a_run_saved_under_the_old_names_opens_and_its_kept_scores_are_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert start("train", *TINY, "lungs=none", "hydra.run.dir=new") == 0
    shutil.copytree("new", "old")
    config = tmp_path / "old" / ".hydra" / "config.yaml"
    saved = before = config.read_text()
    for name, today in RENAMED.items():
        saved = saved.replace(f"_target_: {today}\n", f"_target_: {name}\n")
    config.write_text(saved)
    assert saved != before
    assert "pneumo_ad.module.PatchAutoencoder" in saved
    assert {*load_run("old").module.state_dict()} == {*load_run("new").module.state_dict()}
    for folder in ("new", "old"):
        assert start("evaluate", f"run={folder}", f"output={folder}-evaluated") == 0
    assert names_in(tmp_path / "old") == names_in(tmp_path / "new")  # by the same digest
    assert start("train", *TINY, "lungs=none", "hydra.run.dir=old") == 0  # the same recipe: finished already
    assert metrics(tmp_path / "old-evaluated") == metrics(tmp_path / "new-evaluated")


def names_in(folder):
    return sorted(file.name for file in (folder / "validation_scores").iterdir())


def metrics(folder):
    found = json.loads((folder / "metrics.json").read_text())
    return {key: value for key, value in found.items() if key != "about"}
