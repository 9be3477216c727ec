"""A run judges files as its evaluation does."""

import shutil

import numpy as np
import pandas as pd
import pytest
from running import TINY, start

from pneumo_ad.inference.predictor import Calibration
from pneumo_ad.metrics.thresholds import Thresholds
from pneumo_ad.prediction.run_predictor import RunPredictor
from pneumo_ad.runs.run import load_run

CASES = {
    "patches": ["fit=pad", "relative=0.2", "intensity=lung_field"],
    "pixels of residual maps": ["aggregate=top", "aggregate.of=pixels", "map_of=residual"],
    "whole radiographs": ["experiment=opacity_detector", "module.warm_start=false", "per_epoch=8"],
}


@pytest.fixture(scope="module", params=list(CASES))
def run(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    shared = [*TINY, "evaluate=test", "lungs=segmenter", "trainer.max_epochs=1"]
    arguments = [*CASES[request.param][:1], *shared, *CASES[request.param][1:], f"hydra.run.dir={folder}"]
    monkey = pytest.MonkeyPatch()
    monkey.setenv("PNEUMO_AD_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    assert start("train", *arguments) == 0
    opened = load_run(folder)
    assert len(opened.radiographs.store)  # opened here, in the cache that outlives a test
    yield opened
    monkey.undo()


def test_scores_windows_and_maps_equal_those_of_an_evaluation(run):
    found = pd.read_csv(run.folder / "images.csv")
    windows = pd.read_csv(run.folder / "patches.csv")
    store = run.radiographs.store
    rows = np.array([store.table["image"].tolist().index(name) for name in found["image"]])
    judge = RunPredictor(run)
    judged = judge(store.images[rows], store.content(rows))
    np.testing.assert_allclose(judged.scores, found["score"], rtol=2e-5)
    np.testing.assert_allclose(judged.windows.ravel(), windows["score"], rtol=2e-4, atol=1e-5)
    assert (judged.lung_fields == run.radiographs.lung_fields[rows]).all()
    assert np.isfinite(judged.maps).any()
    expected = found["anomalous"].astype(object)
    told = [("" if one is None else str(one)) for one in judge.standard.decisions(judged.scores)]
    assert told == [("" if pd.isna(one) else str(one)) for one in expected]


def test_radiographs_do_not_change_each_other(run):
    store, judge = run.radiographs.store, RunPredictor(run)
    rows = np.arange(5)
    together = judge(store.images[rows], store.content(rows))
    alone = judge(store.images[rows[3:4]], store.content(rows[3:4]))
    np.testing.assert_allclose(together.scores[3], alone.scores[0], rtol=1e-5)
    np.testing.assert_allclose(together.maps[3], alone.maps[0], rtol=1e-4, atol=1e-5)


def test_a_radiograph_without_lung_has_no_score_and_no_decision(run):
    judge = RunPredictor(run)
    nothing = np.zeros((1, *judge.grid.image_size), dtype=np.uint8)
    judged = judge(nothing, np.ones_like(nothing))
    assert np.isnan(judged.scores[0])
    assert judge.standard.decisions(judged.scores) == [None]


def test_a_run_folder_that_cannot_be_written_to_is_enough(run, tmp_path, caplog):
    theirs = tmp_path / "run"
    shutil.copytree(run.folder, theirs, ignore=shutil.ignore_patterns("validation_scores"))
    (theirs / "validation_scores").write_text("in the way")
    expected, found = RunPredictor(run).standard, RunPredictor(load_run(theirs)).standard
    np.testing.assert_array_equal(found.normals, expected.normals)
    assert "are not kept" in caplog.text


def standard(normals, rate=0.1):
    return Calibration("SAD", "grey levels", np.asarray(normals, dtype=float), rate, Thresholds(1, 2), (0, 1))


def test_percentiles_and_decisions_follow_the_normals():
    ours = standard(range(19))
    scores = np.array([-1.0, 9.0, 18.5, np.nan])
    np.testing.assert_allclose(ours.percentiles(scores), [0, 100 * 9 / 19, 100, np.nan])
    np.testing.assert_allclose(ours.p_values(scores), [1, 0.55, 0.05, np.nan])
    assert ours.decisions(scores) == [False, False, True, None]


def test_too_few_normals_decide_nothing():
    assert standard(range(8)).decisions(np.array([100.0])) == [None]  # a rate of 0.1 needs nine
    assert standard(range(9)).decisions(np.array([100.0])) == [True]
    assert np.isnan(standard([]).p_values(np.array([1.0]))).all()
    assert np.isnan(standard([]).percentiles(np.array([1.0]))).all()
