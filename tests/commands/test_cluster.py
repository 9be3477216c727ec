"""`pneumo-ad cluster` on a run that takes seconds."""

import json
import shutil
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_rgb
from PIL import Image
from running import TINY, start
from sklearn.metrics import adjusted_rand_score

from pneumo_ad.clustering import DESCRIPTIONS, METHODS, train_embedding
from pneumo_ad.clustering import plots as cluster_plots
from pneumo_ad.clustering.agreement import best_match_macro_f1
from pneumo_ad.clustering.plots import CLUSTER_COLOURS
from pneumo_ad.commands.cluster import cluster
from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.evaluation.clusters import (
    CHANCE,
    _windows_to_fit_on,
    cluster_run,
    measure_clusters,
    print_clusters,
)
from pneumo_ad.labels import KINDS
from pneumo_ad.metrics import macro_f1
from pneumo_ad.metrics.catalogue import GroundTruth
from pneumo_ad.nets import Output
from pneumo_ad.patches import PatchGrid
from pneumo_ad.runs.run import load_run

CLUSTERINGS = [f"{name}/{method}" for name in DESCRIPTIONS for method in METHODS]
WINDOWS = 64
FIGURES = ("projection", "difference_images", "where_clusters_lie")


def write_blocks(folder, normal, pneumonia, masks=True):
    """A folder for `data=masks`, 64 x 64 pixels, whose windows of 8 x 8 are each lung, opacity or outside as a whole.

    Lung is dark and even, opacity brighter by a cloud, outside brightest and striped.
    """
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:64, 0:64]
    lung = (y >= 8) & (y < 56) & (x >= 8) & (x < 56)
    cloud = 25 + 10 * np.cos((x % 8 - 3.5) / 3) * np.cos((y % 8 - 3.5) / 3)
    rows = []
    for kind in ("images", "lung", "opacity") if masks else ("images",):
        (folder / kind).mkdir(parents=True)
    for number in range(normal + pneumonia):
        sick = number >= normal
        name = f"{'p' if sick else 'n'}{number:03d}"
        opacity = lung & (x < 32) & (y < 40) & sick
        picture = 80 + np.where(lung, cloud * opacity, 90 + 30 * (x % 4 < 2)) + rng.normal(0, 2, (64, 64))
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(folder / "images" / f"{name}.png")
        if masks:
            Image.fromarray(lung).save(folder / "lung" / f"{name}.png")
            Image.fromarray(opacity).save(folder / "opacity" / f"{name}.png")
        rows.append(
            {"image": name, "patient": f"{folder.name}{number // 2}", "label": "pneumonia" if sick else "normal"}
        )
    pd.DataFrame(rows).to_csv(folder / "index.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on drawn radiographs with masks, and the cache it filled."""
    folder = tmp_path_factory.mktemp("trained")
    data = write_blocks(folder / "set", normal=32, pneumonia=32)
    given = [one for one in TINY if one not in ("data.normal=24", "data.pneumonia=20", "data.size=96")]
    given += ["data=masks", f"data.root={data}", "data.val=0.15", "data.test=0.35", "trainer.max_epochs=1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", sys.argv)
        patch.setenv("PNEUMO_AD_CACHE", str(folder / "cache"))
        assert start("train", *given, f"hydra.run.dir={folder / 'run'}") == 0
    return folder / "run", folder / "cache"


@pytest.fixture
def run(trained, tmp_path, monkeypatch):
    """A copy of the run, with its cache, and embeddings that are hardly trained."""
    monkeypatch.setenv("PNEUMO_AD_CACHE", str(trained[1]))
    monkeypatch.setattr("pneumo_ad.clustering.description.train_embedding", partial(train_embedding, steps=5))
    return Path(shutil.copytree(trained[0], tmp_path / "run"))


@pytest.fixture
def undrawn(monkeypatch):
    """Figures cost most of the time and are looked at in one test."""
    monkeypatch.setattr("pneumo_ad.evaluation.clusters._draw", lambda *arguments: None)


class Copies(torch.nn.Module):
    """Reconstructs every patch as the grey of drawn lungs: what is brighter remains in the difference image."""

    def __init__(self):
        super().__init__()
        self.device_of = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return Output(torch.full_like(x, 80 / 255))


def found_in(folder):
    return json.loads((folder / "clusters.json").read_text()), pd.read_csv(folder / "clusters.csv")


def test_everything_is_written_and_measured(run, capsys):
    output = cluster(run)
    assert output == run / "clusters"
    found, table = found_in(output)
    for name in CLUSTERINGS:
        for key in ("adjusted_rand", "best_match_macro_f1"):
            assert found[f"{name}/{key}_low"] <= found[f"{name}/{key}"] <= found[f"{name}/{key}_high"], (name, key)
        assert found[f"{name}/macro_f1_by_sad"] <= found[f"{name}/best_match_macro_f1"]
        assert sorted(found["about"]["match"][name]) == sorted(KINDS[:3])
        assert set(table[name.replace("/", "_")]) <= {0, 1, 2}
    assert abs(found[f"{CHANCE}/adjusted_rand"]) < 0.02
    split = pd.read_csv(run / "split.csv", dtype=str)
    assert set(table["image"]) == set(split.loc[split["split"] == "test", "image"])
    assert table.groupby("image").size().eq(WINDOWS).all()
    val_pneumonia = (split["split"].eq("val") & split["image"].str.startswith("p")).sum()
    assert found["about"]["fitted_on"]["windows"] == val_pneumonia * WINDOWS
    for name in FIGURES:
        assert (output / "figures" / f"{name}.png").stat().st_size > 10_000
    print_clusters(output, "clusters of tiny")
    said = capsys.readouterr().out
    assert "residual embedding," in said
    assert "not evaluated yet" in said


def test_figures_of_merit_are_those_of_the_table(run, undrawn):
    found, table = found_in(cluster(run))
    kind = table["kind_true"].map(KINDS.index).to_numpy()
    for name in CLUSTERINGS:
        clusters = table[name.replace("/", "_")].to_numpy()
        assert found[f"{name}/adjusted_rand"] == pytest.approx(adjusted_rand_score(kind[kind < 3], clusters[kind < 3]))
        assert found[f"{name}/best_match_macro_f1"] == pytest.approx(best_match_macro_f1(kind, clusters))
        assert found[f"{name}/macro_f1_by_sad"] == pytest.approx(macro_f1(kind, clusters))


def test_the_same_command_finds_the_same(run, undrawn):
    one, other = (cluster(run, output=run / name) for name in ("one", "other"))
    for name in ("clusters.csv", "clusters.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes()


def test_kinds_that_the_difference_images_tell_apart_are_recovered(run, undrawn):
    opened = load_run(run)
    opened.module.net = Copies()
    found, _ = found_in(cluster_run(opened, run / "planted"))
    for name in ("residual_plain/kmeans", "residual_plain/mixture", "sad/mixture"):
        assert found[f"{name}/adjusted_rand"] > 0.95, name
        assert found[f"{name}/best_match_macro_f1"] > 0.95, name
        assert found[f"{name}/macro_f1_by_sad"] > 0.95, name


def test_without_masks_clusters_are_written_and_scores_named(run, tmp_path, capsys):
    others = write_blocks(tmp_path / "others", normal=2, pneumonia=3, masks=False)
    output = cluster(run, ["data=masks", f"data.root={others}", "data.split=test"])
    assert output.parent.parent == run / "evaluations"
    found, table = found_in(output)
    omitted = found["about"]["omitted"]
    for name in CLUSTERINGS:
        for key in ("adjusted_rand", "best_match_macro_f1", "macro_f1_by_sad"):
            assert f"{name}/{key}" not in found
            assert "0 radiographs with" in omitted[f"{name}/{key}"]
    assert len(table) == 5 * WINDOWS
    assert found["about"]["match"] == {}
    assert all((output / "figures" / f"{name}.png").is_file() for name in FIGURES)
    print_clusters(output, "others")
    assert "residual_plain/kmeans/adjusted_rand" in capsys.readouterr().out


def test_thresholds_of_the_same_radiographs_stand_beside(run, undrawn):
    def evaluated(**about):
        omitted = {"oracle/macro_f1": "no truth"}
        content = {"patch/macro_f1": 0.5, "brightness/patch/macro_f1": 0.25, "about": about | {"omitted": omitted}}
        (run / "metrics.json").write_text(json.dumps(content))
        return found_in(cluster(run))[0]

    store = load_run(run).radiographs.store.key
    found = evaluated(subset="test", store=store)
    assert (found["thresholds/macro_f1"], found["thresholds_of_brightness/macro_f1"]) == (0.5, 0.25)
    assert found["about"]["omitted"] == {"thresholds_by_truth/macro_f1": "no truth"}
    for about in ({"subset": "train", "store": store}, {"subset": "test", "store": "another"}):
        found = evaluated(**about)
        assert "thresholds/macro_f1" not in found
        assert "not evaluated yet" in found["about"]["omitted"]["thresholds/macro_f1"]


@pytest.mark.parametrize("subset", ["val", "all"])
def test_what_clusters_are_fitted_on_is_not_clustered(run, subset):
    with pytest.raises(ConfigError, match=f"subset={subset} holds the validation images"):
        cluster(run, subset=subset)


def test_an_unknown_subset_is_refused(run):
    with pytest.raises(ConfigError, match="subset=tset is not known; expected train, val, test or all"):
        cluster(run, subset="tset")


def test_a_net_that_does_not_reconstruct_is_refused(run):
    opened = load_run(run)
    opened.radiographs.view = "radiograph"
    with pytest.raises(ConfigError, match="reconstructs none; module=autoencoder"):
        cluster_run(opened, run / "clusters")


def test_a_run_must_be_given():
    with pytest.raises(ConfigError, match="run=RUN_FOLDER must be given"):
        cluster(overrides=["data=masks"])


def test_a_validation_split_without_pneumonia_is_refused(run):
    split = pd.read_csv(run / "split.csv", dtype=str)
    split.loc[split["split"].eq("val") & split["image"].str.startswith("p"), "split"] = "train"
    split.to_csv(run / "split.csv", index=False)
    with pytest.raises(DataError, match="pneumonia radiographs of the validation split"):
        cluster(run)


def test_too_few_windows_are_refused(run):
    with pytest.raises(DataError, match="at least 100 windows"):
        cluster(run, {"stride": 40})


def test_a_kind_seen_in_too_few_radiographs_is_named():
    kind = np.zeros((8, 10), dtype=np.int8)
    kind[:, 5:] = 2
    kind[:4, 0] = 1
    none = np.zeros(8, dtype=bool)
    evidence = GroundTruth(np.arange(8), none, ~none, kind, np.ones((8, 10)))
    metrics, omitted, match = measure_clusters(evidence, {"some/kmeans": np.zeros(80, dtype=np.int8)})
    assert (metrics, match) == ({}, {})
    assert "4 {images} with {anomaly} patches; at least 5" in omitted["some/kmeans/adjusted_rand"]


def test_a_pixel_is_painted_as_most_of_its_windows():
    grid = PatchGrid((8, 8), patch=4, stride=2)
    clusters = np.zeros((1, len(grid)), dtype=np.int8)
    clusters[0, grid.positions[:, 1] >= 4] = 2  # only these cover the last two columns
    image = np.zeros((8, 8), dtype=np.uint8)
    figure = cluster_plots.where_clusters_lie([image], {"some": clusters}, grid, ["one"], ["a", "b", "c"], [None])
    painted = np.asarray(figure.axes[1].images[0].get_array())
    for column, number in ((0, 0), (7, 2)):
        assert np.allclose(painted[:, column], 0.4 * np.array(to_rgb(CLUSTER_COLOURS[number])))


def test_a_cluster_without_a_window_leaves_its_rows_empty(tmp_path):
    rng = np.random.default_rng(0)
    parts = [rng.normal(100, 30, (n, 8, 8)) for n in (3, 0, 8)]
    figure = cluster_plots.draw_difference_images(parts, [part - 100 for part in parts], ["a", "b", "c"])
    figure.savefig(tmp_path / "drawn.png")
    assert [bool(axis.images) for axis in figure.axes[16:32]] == [False] * 16
    scales = {image.norm.vmax for axis in figure.axes[8:16] for image in axis.images}
    assert len(scales) == 1
    assert scales == {-image.norm.vmin for axis in figure.axes[40:48] for image in axis.images}


def test_clusters_are_fitted_on_the_runs_own_data_however_the_others_lie(run, tmp_path):
    others = write_blocks(tmp_path / "others", normal=2, pneumonia=3)
    own = _windows_to_fit_on(load_run(run))
    changes = ["data=masks", f"data.root={others}"]
    assert torch.equal(_windows_to_fit_on(load_run(run, changes)), own)
