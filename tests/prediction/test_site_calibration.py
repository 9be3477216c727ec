"""Normals of the user's own site as the standard: the declared false alarms, kept scores, and bad input by name."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from drawn import radiograph
from PIL import Image
from running import TINY, start

from pneumo_ad.errors import DamagedError
from pneumo_ad.inference.predictor import Calibration
from pneumo_ad.labels import RADIOGRAPH
from pneumo_ad.metrics.conformal import conformal_threshold, p_values
from pneumo_ad.metrics.thresholds import Conformal, RuleOfNormals, Thresholds
from pneumo_ad.prediction import site_calibration
from pneumo_ad.prediction.opening import open_predictor
from pneumo_ad.prediction.site_calibration import Site, SiteScores, calibrated, find_site, site_scores

LEAST = 3  # normals that a rate of 0.3 needs


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site") / "run"
    arguments = [*TINY, "evaluate=test", "lungs=segmenter", "trainer.max_epochs=1"]
    with pytest.MonkeyPatch.context() as monkey:
        monkey.setenv("PNEUMO_AD_CACHE", str(folder.parent / "cache"))
        rule = ["threshold=quantiles", "threshold.low=0.5", "threshold.high=0.9", "false_alarm_rate=0.3"]
        assert start("train", *arguments, *rule, f"hydra.run.dir={folder}") == 0
    return folder


@pytest.fixture
def command(run, monkeypatch, tmp_path, capsys, caplog):
    """Runs a command on radiographs of `in`, calibrated on five of `site`; its exit status and what it said."""
    caplog.set_level("INFO")
    monkeypatch.setenv("PNEUMO_AD_CACHE", str(run.parent / "cache"))
    monkeypatch.chdir(tmp_path)
    for folder, seeds in (("in", range(4)), ("site", range(10, 15))):
        for seed in seeds:
            save(tmp_path / folder / f"{seed}.png", radiograph(seed))

    def go(name="predict", **keys):
        keys = {"run": run, "output": "out", "calibrate": "site"} | keys
        if name == "predict":
            keys = {"input": "in", "maps": "none", "overlays": "false"} | keys
        capsys.readouterr()
        caplog.clear()
        status = start(name, *(f"{key}={value}" for key, value in keys.items()))
        return status, "".join(capsys.readouterr()) + caplog.text

    return go


def save(path, pixels):
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path)


def predictions(folder):
    return pd.read_csv(folder / "predictions.csv").set_index("file")


class Judge:
    """All of a predictor that its standard needs."""

    standard = Calibration("SAD", "grey levels", np.arange(50.0), 0.1, Thresholds(1, 2), (0, 1))
    identity = "judge"
    vocabulary = RADIOGRAPH
    notes = ("no percentiles: held-out normals of the run are not at hand", "another")


def test_of_exchangeable_normals_at_most_the_declared_share_is_called_anomalous(tmp_path):
    rng = np.random.default_rng(0)
    called = []
    for _ in range(400):
        scores = 100 + rng.lognormal(5, 1, 60)  # a source whose scores lie above all of the run's
        site = SiteScores(scores[:20], rng.random(9), np.full(20, ""), "")
        judge = calibrated(Judge(), Site(tmp_path, {}), site)
        called.append(judge.standard.decisions(scores[20:]))
    assert np.mean(called) <= 0.1 + 2 * np.std(np.mean(called, axis=1)) / np.sqrt(len(called))
    assert np.mean(called) >= 0.1 - 1 / 21 - 0.01
    assert all(Judge.standard.decisions(scores))
    assert judge.identity != Judge.identity
    assert judge.notes[1:] == ["another"]
    assert judge.standard.thresholds == Judge.standard.thresholds  # their rule is not known
    assert "kinds of window on the run's own data" in judge.notes[0]


def test_normal_lung_of_the_site_sets_rules_of_normal_lung(tmp_path):
    rule = RuleOfNormals.of(Conformal(0.2, 0.1), three=False)
    judge, windows = Judge(), np.arange(100, dtype=np.float32)
    judge.standard = Calibration("SAD", "grey levels", np.arange(50.0), 0.1, None, (0, 1), rule)
    ours = calibrated(judge, Site(tmp_path, {}), SiteScores(np.arange(20.0), windows, np.full(20, ""), ""))
    assert ours.standard.thresholds == Thresholds(conformal_threshold(windows, 0.2))
    assert ours.standard.window_range == pytest.approx((49.5, 98.01))
    few = calibrated(judge, Site(tmp_path, {}), SiteScores(np.arange(20.0), windows[:2], np.full(20, ""), ""))
    assert few.standard.thresholds is None
    assert "run's own data (thresholds need at least 4" in few.notes[0]


def test_percentiles_p_values_and_decisions_rest_on_the_site(command, tmp_path):
    assert command(input="site", output="of_site", calibrate="")[0] == 0
    assert command(output="own", calibrate="")[0] == 0
    status, said = command()
    assert status == 0
    assert "rest on 5 normal radiographs of calibrate=site, and so do kinds of window" in said
    normals, own, ours = (predictions(tmp_path / name) for name in ("of_site", "own", "out"))
    np.testing.assert_allclose(ours["score"], own["score"], rtol=1e-5)
    np.testing.assert_allclose(ours["p_value"], p_values(ours["score"].to_numpy(), normals["score"].to_numpy()), 1e-5)
    assert (ours["normals"] == 5).all()
    assert ours["anomalous"].tolist() == (ours["p_value"] <= 0.3).tolist()
    story = json.loads((tmp_path / "out" / "predict.json").read_text())
    assert story["held_out_normals"] == 5
    assert json.loads((tmp_path / "own" / "predict.json").read_text())["asked"]["calibrate"] is None


def test_the_same_command_scores_no_normal_again(command, tmp_path, monkeypatch):
    assert command()[0] == 0
    before = predictions(tmp_path / "out")
    (tmp_path / "site" / "10.png").rename(tmp_path / "site" / "renamed.png")
    save(tmp_path / "in" / "new.png", radiograph(0))
    with monkeypatch.context() as scored:
        scored.setattr(site_calibration, "_made", None)
        assert command()[0] == 0
    after = predictions(tmp_path / "out")
    pd.testing.assert_frame_equal(after.drop(index="new.png"), before)
    assert after.loc["new.png", "p_value"] == before.loc["0.png", "p_value"]
    (tmp_path / "out" / "calibration.npz").write_bytes(b"damaged")
    status, said = command()
    assert status == 0
    assert "are recomputed" in said
    pd.testing.assert_frame_equal(predictions(tmp_path / "out"), after)


def test_other_normals_are_noticed(command, tmp_path):
    assert command()[0] == 0
    save(tmp_path / "site" / "10.png", radiograph(99))
    for keys in ({}, {"calibrate": ""}):
        status, said = command(**keys)
        assert status == 2
        assert "asked for otherwise" in said
        assert "site (5 files, digest " in said
    kept = (tmp_path / "out" / "calibration.npz").read_bytes()
    assert command(overwrite="true")[0] == 0
    assert (tmp_path / "out" / "calibration.npz").read_bytes() != kept
    assert command(overwrite="true", calibrate="")[0] == 0
    assert not (tmp_path / "out" / "calibration.npz").exists()


@pytest.mark.parametrize(
    ("prepare", "keys", "words"),
    [
        (lambda site: None, {"calibrate": "nowhere"}, "calibrate=nowhere: no such file or folder"),
        (
            lambda site: (site.parent / "empty").mkdir(),
            {"calibrate": "empty"},
            "calibrate=empty: no image found; it holds not",
        ),
        (lambda site: None, {"false_alarm_rate": 0.1}, "rate of 0.1 needs at least 9 normal radiographs; there are 5"),
        (
            lambda site: [save(site / f"{name}.png", np.full((90, 90), name, np.uint8)) for name in (10, 11, 12)],
            {},
            "needs at least 3 normal radiographs; there are 2, and 3 without a score: ",
        ),
        (lambda site: shutil.copy("in/2.png", site / "copy.png"), {}, "can be its own standard: in/2.png"),
        (lambda site: None, {"calibrate": "in"}, "holds 4 files that are to be judged too"),
        (lambda site: None, {"calibrate": "out"}, "calibrate=out: no such file"),
    ],
)
def test_mistakes_are_told_in_words(command, tmp_path, prepare, keys, words):
    prepare(tmp_path / "site")
    status, said = command(**keys)
    assert status == 2
    assert words in said
    assert "Traceback" not in said
    assert not (tmp_path / "out" / "predict.json").exists()  # normals may be added, and the same command works


def test_what_is_no_normal_chest_is_left_out_by_name(command, tmp_path):
    save(tmp_path / "site" / "black.png", np.zeros((90, 90), np.uint8))
    shutil.copy(tmp_path / "site" / "10.png", tmp_path / "site" / "twice.png")
    (tmp_path / "site" / "cut.png").write_bytes((tmp_path / "site" / "11.png").read_bytes()[:300])
    (tmp_path / "site" / "gone.png").symlink_to("nowhere.png")
    status, said = command()
    assert status == 0
    assert "calibrate: black.png is left out: no lung found" in said
    assert "calibrate: cut.png is left out: " in said
    assert "1 files cannot be read: gone.png" in said
    assert "1 files are there twice and count once: twice.png" in said
    assert (predictions(tmp_path / "out")["normals"] == 5).all()


def test_doubts_of_the_source_are_told_where_the_run_is_the_standard(command, tmp_path, monkeypatch):
    monkeypatch.setattr("pneumo_ad.prediction.predict.doubts_of_source", lambda rows, rate: f"doubt of {len(rows)}")
    for output, calibrate in (("own", ""), ("out", "site")):
        _, said = command(output=output, calibrate=calibrate)
        notes = json.loads((tmp_path / output / "predict.json").read_text())["notes"]
        assert ("doubt of 4" in said, "doubt of 4" in notes) == ((not calibrate),) * 2


def test_a_run_and_its_export_agree(command, run, tmp_path):
    assert start("export", f"run={run}", "format=torch_export", "output=model") == 0
    site = find_site(tmp_path / "site", tmp_path / "out", [])
    standards = []
    for folder in (run, tmp_path / "model"):
        judge = open_predictor(folder)
        standards.append(calibrated(judge, site, site_scores(judge, site, tmp_path / "none")).standard)
    theirs, ours = standards
    np.testing.assert_allclose(ours.normals, theirs.normals, rtol=1e-4)
    np.testing.assert_allclose(ours.window_range, theirs.window_range, rtol=1e-4)
    assert len(ours.normals) == 5
    np.testing.assert_allclose(ours.thresholds.finite, theirs.thresholds.finite, rtol=1e-4)
    content = json.loads((tmp_path / "model" / "model.json").read_text())
    for rule in (
        {**content["standard"]["rule"], "low": 2},
        {**content["standard"]["rule"], "name": "eval"},
        "Conformal",
    ):
        content["standard"]["rule"] = rule
        (tmp_path / "model" / "model.json").write_text(json.dumps(content))
        with pytest.raises(DamagedError, match="not what `pneumo-ad export` writes"):
            open_predictor(tmp_path / "model")


def test_an_evaluation_rests_on_the_site_too(command, tmp_path, run):
    status, said = command("evaluate")
    assert status == 0, said
    images = pd.read_csv(tmp_path / "out" / "images.csv")
    about = json.loads((tmp_path / "out" / "metrics.json").read_text())["about"]
    assert command(input="site", output="of_site", calibrate="")[0] == 0
    normals = predictions(tmp_path / "of_site")["score"].to_numpy()
    assert about["held_out_normals"] == 5
    assert about["calibrate"].startswith(str(tmp_path / "site"))
    np.testing.assert_allclose(images["p_value"], p_values(images["score"].to_numpy(), normals), 1e-5)
    shutil.copy(images["path"][0], tmp_path / "site" / "evaluated.png")
    status, said = command("evaluate")
    assert status == 2
    assert "can be its own standard" in said
