"""The bench of detectors: what it says of one that knows the truth, of one that does not, and from end to end."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from running import start

from pneumo_ad.data.sources import phantom
from pneumo_ad.inference.predictor import Calibration, Prediction
from pneumo_ad.labels import NORMAL, RADIOGRAPH
from pneumo_ad.patches import PatchGrid
from pneumo_ad.prediction.opening import open_predictor
from pneumo_ad.runs.run import load_run

FOLDER = Path(__file__).parents[2] / "experiments" / "detection"
GRID = PatchGrid((64, 64), 8, 5)


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import bench

    return bench


class Knowing:
    """Judges by what a function says of a radiograph's place among all: an (H, W) map."""

    grid, fit, view, notes, identity, vocabulary = GRID, "squash", "patch", (), "knowing", RADIOGRAPH

    def __init__(self, maps, normals):
        self.maps = maps
        self.standard = Calibration("map", "", np.asarray(normals), 0.05, None, (0.0, 1.0))

    def __call__(self, images, content):
        maps = np.stack([self.maps(image) for image in images]).astype(np.float32)
        fields = np.ones(images.shape, dtype=np.uint8)
        windows = GRID.window_means(torch.from_numpy(maps)).numpy()
        return Prediction.of(fields, maps, windows, maps.max(axis=(1, 2)), content, GRID)


@pytest.fixture
def set_(tmp_path, monkeypatch):
    monkeypatch.setenv("PNEUMO_AD_CACHE", str(tmp_path / "cache"))
    return phantom(normal=12, pneumonia=12, size=96).assign(split="test")


def test_who_knows_the_truth_is_right_everywhere_and_a_constant_is_at_chance(bench, set_):
    blind = bench.Bench(Knowing(lambda image: np.zeros(image.shape), np.zeros(40)), set())
    data = blind.open(set_)
    rows = data.rows(None)
    truth = {image.tobytes(): opacity for image, opacity in zip(data.store.images, data.store.opacity, strict=True)}
    knowing = bench.Bench(Knowing(lambda image: truth[image.tobytes()], np.zeros(40)), set())
    knowing.measure("all", data, rows)
    blind.measure("all", data, rows)
    right, chance = (pd.DataFrame(one.rows).set_index("by").loc["detector"] for one in (knowing, blind))
    assert right["pixel/auroc_in_lung"] == right["pointing"] == right["image/auroc"] == 1
    assert right["pixel/mean_per_image"] == 1
    assert chance["pixel/auroc_in_lung"] == chance["image/auroc"] == 0.5
    assert chance["pointing"] == pytest.approx(chance["pointing_chance"])
    assert chance["pro_in_lung"] == pytest.approx(0.15, abs=0.02)


def test_false_alarms_are_the_share_of_normals_above_the_held_out_ones(bench, set_):
    normal = set_[set_["label"] == NORMAL]
    held_out = np.linspace(0, 1, 99)
    for grey, share in ((0.5, 0.0), (1.0, 1.0)):
        one = bench.Bench(Knowing(lambda image, grey=grey: np.full(image.shape, grey * 1.01), held_out), set())
        data = one.open(normal)
        one.false_alarms("normals", data, data.rows(None))
        assert one.rows[0]["false_alarms"] == share
    few = bench.Bench(Knowing(lambda image: np.zeros(image.shape), np.zeros(3)), set())
    few.false_alarms("normals", data, data.rows(None))
    assert "19 held-out normals" in few.rows[0]["left_out"]


def test_radiographs_that_were_trained_on_are_left_out(bench, set_):
    one = bench.Bench(Knowing(lambda image: np.zeros(image.shape), np.zeros(40)), {set_["image"][0], set_["image"][5]})
    data = one.open(set_)
    left = data.store.table["image"].iloc[one.unseen(data, data.rows(None))]
    assert set(set_["image"]) - set(left) == {set_["image"][0], set_["image"][5]}


def test_strata_of_sharpness_hide_what_sharpness_tells(bench, set_):
    one = bench.Bench(Knowing(lambda image: np.zeros(image.shape), np.zeros(40)), set())
    data = one.open(set_)
    rows = data.rows(None)
    constant = SimpleNamespace(scores=np.zeros(len(rows)))
    one.strata(data, np.repeat(rows, 5), np.repeat(constant.scores, 5))
    assert one.rows[-1]["image/auroc"] == 0.5


@pytest.mark.parametrize("words", [[], ["run=r"], ["run=r", "output=o", "ruin=x"]])
def test_what_it_was_given_is_checked(bench, words):
    with pytest.raises(bench.ConfigError, match="expected output=DIR"):
        bench.main(words)


def test_without_sets_drawn_radiographs_are_measured(bench, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PNEUMO_AD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PNEUMO_AD_DATA", str(tmp_path / "nothing"))
    assert start(
        "train", "experiment=detector", "data=phantom", "data.normal=24", "data.pneumonia=8", "data.size=96",
        "image_size=64", "patch=8", "stride=8", "net.width=4", "net.depth=2", "trainer=cpu", "trainer.max_epochs=1",
        f"hydra.run.dir={tmp_path / 'run'}",
    ) == 0  # fmt: skip
    bench.main([f"run={tmp_path / 'run'}", f"output={tmp_path / 'out'}"])
    table = pd.read_csv(tmp_path / "out" / "bench.csv")
    assert table["set"].tolist() == ["phantoms", "phantoms"]
    assert table["by"].tolist() == ["detector", "brightness"]
    told = capsys.readouterr().out
    assert told.count("no such folder") == len(bench.SETS)
    assert "| phantoms | detector | 120 (60) |" in told


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A small run of the recipe."""
    folder = tmp_path_factory.mktemp("detector") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PNEUMO_AD_CACHE", str(folder.parent / "cache"))
        patch.setenv("PNEUMO_AD_DATA", str(folder.parent))
        arguments = ["data=phantom", "data.normal=24", "data.pneumonia=8", "data.size=96", "image_size=64", "patch=8"]
        small = ["stride=8", "net.width=4", "net.depth=2", "trainer=cpu", "trainer.max_epochs=2"]
        every = (
            "+callbacks.every={_target_: lightning.pytorch.callbacks.ModelCheckpoint, dirpath: '${run_dir}/every', "
            "filename: '{epoch}', every_n_epochs: 2, save_top_k: -1}"
        )
        assert start("train", "experiment=detector", *arguments, *small, every, f"hydra.run.dir={folder}") == 0
        yield folder


def test_what_ships_is_the_run_in_half_precision_and_opens_without_its_data(run, tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(FOLDER))
    import ship

    ship.main([f"run={run}", f"output={tmp_path / 'shipped'}", "aggregate.fraction=0.2"])
    assert "held-out normals" in capsys.readouterr().out
    own, packed = load_run(run), load_run(tmp_path / "shipped")
    for key, value in own.module.state_dict().items():
        assert torch.equal(
            packed.module.state_dict()[key], value.half().float() if value.is_floating_point() else value
        )
    assert packed.config.aggregate.fraction == 0.2
    assert str(tmp_path) not in "".join(
        file.read_text() for file in (tmp_path / "shipped").rglob("*") if file.suffix in (".yaml", ".json", ".csv")
    )
    judge = open_predictor(tmp_path / "shipped")
    held_out = own.radiographs.table.query("split == 'val' and label == 'normal'")
    assert 0 < len(judge.standard.normals) <= len(held_out)


def test_drawn_validation_ranks_readouts_and_checkpoints(run, tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(FOLDER))
    import selection

    maps, lung = np.zeros((2, 8, 8), np.float32), np.ones((2, 8, 8), bool)
    maps[1, :2, :2] = maps[1, 6, 6] = 1
    found = selection.readouts(maps, lung)
    assert found["largest connected area above 0.5"].tolist() == [0, 4 / 64]
    assert found["area above 0.5"].tolist() == [0, 5 / 64]
    assert found["mean of the highest 100.0%"].tolist() == [0, 5 / 64]
    assert found["highest"].tolist() == [0, 1]
    monkeypatch.setenv("PNEUMO_AD_DATA", str(tmp_path))
    selection.main([f"run={run}", f"output={tmp_path / 'out'}"])
    ranked = pd.read_csv(tmp_path / "out" / "readouts.csv")
    assert set(ranked["read-out"]) == set(found)
    assert ranked["auroc"].is_monotonic_decreasing
    assert pd.read_csv(tmp_path / "out" / "checkpoints.csv")["epoch"].tolist() == [2]
    assert "no such folder" in capsys.readouterr().out


@pytest.mark.parametrize(("few", "rate"), [(19, 0.05), (30, 0.05), (99, 0.05), (30, 0.2)])
def test_calibrated_on_the_same_source_false_alarms_are_as_declared(bench, few, rate):
    shares = bench.false_alarms_of_site(np.random.default_rng(few).normal(size=2000), few, rate, draws=400)
    error = 3 * shares.std() / len(shares) ** 0.5
    assert rate - 1 / (few + 1) - error <= shares.mean() <= rate + error
