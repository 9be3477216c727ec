"""Kinds of window are told where the score orders them, scores are finite, and p-values say of how many normals."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pneumo_ad.conf
import pytest
import torch
from drawn import radiograph
from PIL import Image
from running import TINY, start
from skimage.filters import threshold_otsu
from sklearn.metrics import roc_auc_score

from pneumo_ad.errors import DataError, DivergedError
from pneumo_ad.evaluation.kinds_table import kinds_table, order_words, printed
from pneumo_ad.evaluation.pictures import threshold_ranges
from pneumo_ad.evaluation.report import page_of
from pneumo_ad.export.description import read_description
from pneumo_ad.export.exported_predictor import ExportedPredictor
from pneumo_ad.inference.predictor import Calibration, Prediction, normals_of
from pneumo_ad.labels import HEALTHY, OPACITY, OUTSIDE
from pneumo_ad.metrics.catalogue import GroundTruth
from pneumo_ad.metrics.conformal import conformal_threshold
from pneumo_ad.metrics.thresholds import Thresholds, fit_kinds
from pneumo_ad.nets import UNetAutoencoder
from pneumo_ad.nets.output import Output
from pneumo_ad.prediction.pictures import in_words
from pneumo_ad.prediction.run_predictor import RunPredictor
from pneumo_ad.runs.calibration import tells_outside
from pneumo_ad.runs.check_options import windows_of
from pneumo_ad.runs.compose import build, compose_config
from pneumo_ad.runs.evaluation_options import EvaluationOptions
from pneumo_ad.runs.run import load_run
from pneumo_ad.scores import Score

pytestmark = pytest.mark.usefixtures("here")
CONF = Path(next(iter(pneumo_ad.conf.__path__)))
UNORDERED = {"brightness", "contrast", "sharpness", "opacity_chance", "opacity_in_lung", "excess", "judgement_in_lung"}
REASON = "the score does not order what lies outside the lung; windows are told as opacity or not"


@pytest.mark.parametrize("name", sorted(file.stem for file in (CONF / "score").glob("*.yaml")))
def test_every_score_says_whether_outside_lies_above_opacities(name):
    assert build(compose_config("train", [f"score={name}"]).score).orders_outside == (name not in UNORDERED)


def test_a_score_of_somebodys_own_tells_three_kinds_as_before():
    own = type("Own", (Score,), {"unit": "", "residual_map": lambda self, x, output: x})
    assert own().orders_outside


@pytest.mark.parametrize("short_of_all", [0, 1, 7])
@pytest.mark.parametrize("normals", [1, 5])
def test_outside_is_a_kind_where_the_score_orders_it_and_windows_lie_there(short_of_all, normals):
    def told(*overrides, kept=None):
        config = compose_config("train", [*TINY, *overrides])
        options = EvaluationOptions.of(config)
        run = SimpleNamespace(module=SimpleNamespace(score=build(config.score)), config=config, options=options)
        windows = normals * len(windows_of(options).thinned(kept)) - short_of_all
        scores = {"score_normal_images": np.zeros(normals), "score_normal_lung": np.zeros(windows)}
        return tells_outside(run, SimpleNamespace(kept_windows=kept), scores)

    assert told("score=sad") == told("score=sad", kept=30) == (short_of_all > 0)
    assert not told("score=brightness")
    assert not told("score=sad", "lungs=none")


NORMAL = np.random.default_rng(0).gamma(4, size=400)
SICK = np.exp(np.random.default_rng(1).normal(np.repeat([0.0, 3.0], [600, 200]), 0.3))
RULES = {
    "conformal": lambda: conformal_threshold(NORMAL, 0.05),
    "quantiles": lambda: np.quantile(NORMAL, 0.95),
    "otsu": lambda: np.exp(threshold_otsu(np.log(SICK), nbins=256)),
    "mixture": lambda: np.exp(1.5),  # half-way between two of one width, but for their shares
    "fixed": lambda: 0.5,
}


@pytest.mark.parametrize("name", RULES)
def test_one_threshold_of_every_rule(name):
    rule = build(compose_config("train", [f"threshold={name}"]).threshold)
    found = fit_kinds(rule, NORMAL, SICK, three=False)
    assert found.low == pytest.approx(RULES[name](), rel=0.1 if name in ("mixture", "otsu") else 1e-9)
    assert (found.finite, found.kinds, found.words) == ([found.low], (HEALTHY, OPACITY), ("not {anomaly}", "{anomaly}"))
    told = found.classify(SICK)
    assert (told == (found.low < SICK)).all()  # the strongest are opacities, none is outside
    assert fit_kinds(rule, NORMAL, SICK, three=True) == rule.fit(NORMAL, SICK)


def test_a_rule_that_knows_nothing_of_two_kinds_gives_its_lower_threshold():
    class Rule:
        def fit(self, normal_lung, pneumonia):
            return Thresholds(1.0, 2.0)

    assert fit_kinds(Rule(), NORMAL, SICK, three=False) == Thresholds(1.0)
    assert fit_kinds(Rule(), NORMAL, SICK, three=True).kinds == (HEALTHY, OPACITY, OUTSIDE)


def test_the_lower_threshold_alone_needs_fewer_normals():
    rule = build(compose_config("train", ["threshold=conformal"]).threshold)
    assert fit_kinds(rule, NORMAL[:30], SICK, three=False) == Thresholds(conformal_threshold(NORMAL[:30], 0.05))
    with pytest.raises(DataError, match="at least 99"):
        fit_kinds(rule, NORMAL[:30], SICK, three=True)


def test_frames_and_table_follow():
    scores = np.array([0.0, 1.0, 2.0, 9.0])
    assert threshold_ranges(scores, Thresholds(1.0)) == [(0, 1), (1, np.inf)]
    assert threshold_ranges(scores, Thresholds(1.0, 2.0)) == [(0, 1), (1, 2), (2, np.inf)]
    table = pd.DataFrame(
        {"kind": ["healthy lung", "opacity", "outside"], "median": [0.1, 0.8, 0.1], "auroc": [np.nan, 0.6, 0.4]}
    )
    assert "not the paper's order" in order_words(table)
    assert "paper" not in order_words(table, ordered=False)


@pytest.mark.parametrize("known", [True, False])
def test_the_order_is_that_of_the_paper_only_beside_its_auroc(known):
    table = pd.DataFrame({"kind": ["healthy lung", "opacity", "outside"], "median": [0.1, 0.2, 0.3]})
    if known:
        table = table.assign(auroc=[np.nan, 0.512, 0.634], auroc_low=0.4, auroc_high=0.7)
    lines = order_words(table).split("\n")
    said = [line for line in lines if "as the paper expected" in line]
    assert len(said) == known
    assert all("opacity 0.512 (0.400–0.700)" in line and "outside 0.634 (0.400–0.700)" in line for line in said)


def test_the_auroc_of_table_1_is_that_of_its_windows():
    rng = np.random.default_rng(0)
    kind = rng.choice([HEALTHY, OPACITY, OUTSIDE], (8, 40)).astype(np.int8)
    values = rng.normal(kind, 1.0)

    def table_of(number):
        sick = np.ones(number, dtype=bool)
        evidence = GroundTruth(np.arange(number), ~sick, sick, kind[:number], np.ones((number, 40)))
        return kinds_table(values[:number], evidence, np.zeros((number, 40)))

    table = table_of(8).set_index("kind")
    for name, number in (("opacity", OPACITY), ("outside", OUTSIDE)):
        both = kind != {OPACITY: OUTSIDE, OUTSIDE: OPACITY}[number]
        expected = roc_auc_score(kind[both] == number, values[both])
        assert table.loc[name, "auroc"] == pytest.approx(expected)
        assert table.loc[name, "auroc_low"] < expected < table.loc[name, "auroc_high"]
    assert table_of(4)["auroc"].isna().all()
    assert {cells[6] for cells in printed(table_of(1))[1] if cells[5] != "0"} == {"n = 1"}, "one radiograph is told"


@pytest.fixture(scope="module")
def detector(shared):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PNEUMO_AD_CACHE", str(shared / "cache"))
        folder = shared / "detector"
        options = [*TINY, "module.warm_start=false", "per_epoch=8", "batch_size=2", "trainer.max_epochs=1"]
        options += ["evaluate=test", "lungs=segmenter", "false_alarm_rate=0.3"]
        assert start("train", "experiment=opacity_detector", *options, f"hydra.run.dir={folder}") == 0
    return folder


@pytest.fixture(scope="module")
def paper(shared):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PNEUMO_AD_CACHE", str(shared / "cache"))
        folder = shared / "paper"
        options = [*TINY, "evaluate=test", "lungs=segmenter", "trainer.max_epochs=1"]
        assert start("train", *options, "false_alarm_rate=0.3", f"hydra.run.dir={folder}") == 0
    return folder


def read(folder, name):
    return pd.read_csv(Path(folder) / name, dtype=str, keep_default_na=False)


def test_an_evaluation_tells_opacity_or_not_and_of_how_many_normals(detector, paper):
    metrics = json.loads((detector / "metrics.json").read_text())
    about = metrics["about"]
    assert len(about["thresholds"]["score"]) == 1
    assert "patch/macro_f1" not in metrics
    assert about["omitted"]["patch/macro_f1"] == about["omitted"]["brightness/patch/macro_f1"] == REASON
    assert "oracle/macro_f1" in metrics  # a bound that tells of no window
    images, patches = read(detector, "images.csv"), read(detector, "patches.csv")
    assert set(images["windows_outside"]) == {""}
    counted = images[["windows_healthy", "windows_opacity"]].astype(int).sum(axis=1)
    assert (counted == len(patches) / len(images)).all()
    above = patches["score"].astype(float) > about["thresholds"]["score"][0]
    assert (patches["kind_predicted"] == np.where(above, "opacity", "healthy")).mean() > 0.99  # six digits are written
    assert set(images["normals"]) == {str(about["held_out_normals"])} != {"0"}
    told = json.loads((paper / "metrics.json").read_text())["about"]
    assert len(told["thresholds"]["score"]) == 2
    assert (read(paper, "images.csv")["windows_outside"] != "").all()


def test_a_report_tells_each_window_by_itself_and_an_older_evaluation_is_made_anew(detector, caplog):
    shutil.copytree(detector, "run")
    run = load_run("run")
    page = page_of(run, Path("run"), None, 4)
    assert page.thresholds.finite == json.loads(Path("run/metrics.json").read_text())["about"]["thresholds"]["score"]
    assert page.normals > 0
    metrics = json.loads(Path("run/metrics.json").read_text())
    metrics["about"]["thresholds"]["score"].append(0.9)  # as a version before left it
    Path("run/metrics.json").write_text(json.dumps(metrics))
    assert page_of(run, Path("run"), None, 4).thresholds == page.thresholds
    assert "made anew" in caplog.text


def save(folder, *seeds, spine=True):
    Path(folder).mkdir()
    for seed in seeds:
        Image.fromarray(radiograph(seed, spine=spine)).save(Path(folder) / f"{seed}.png")


def test_a_prediction_and_an_export_tell_the_same_and_an_older_export_opens(detector):
    save("in", 0, 1)
    assert start("predict", f"run={detector}", "input=in", "output=out") == 0
    rows = read("out", "predictions.csv")
    n = json.loads((detector / "metrics.json").read_text())["about"]["held_out_normals"]
    assert set(rows["windows_outside"]) == {""}
    assert (rows[["windows_healthy", "windows_opacity"]].astype(int).sum(axis=1) == 64).all()
    assert set(rows["normals"]) == {str(n)}
    assert start("export", f"run={detector}", "output=model", "format=torch_export") == 0
    about = json.loads(Path("model/model.json").read_text())
    assert (about["format_version"], len(about["standard"]["thresholds"])) == (2, 1)
    assert "classified as not opacity or opacity" in Path("model/MODEL_CARD.md").read_text()
    new = ExportedPredictor("model")
    assert new.standard.thresholds == RunPredictor(load_run(detector)).standard.thresholds
    # As the version before wrote it.
    about["format_version"] = 1
    about["standard"]["thresholds"].append(0.9)
    Path("model/model.json").write_text(json.dumps(about))
    old = ExportedPredictor("model")
    assert old.standard.thresholds == new.standard.thresholds
    assert "above the lower threshold lies opacity" in old.notes[-1]
    assert old.identity.endswith("-opacity_or_not")
    about["standard"]["score"] = "SAD"
    Path("model/model.json").write_text(json.dumps(about))
    assert read_description(Path("model")).standard.thresholds.kinds == (HEALTHY, OPACITY, OUTSIDE)
    assert not ExportedPredictor("model").identity.endswith("-opacity_or_not")


def test_a_prediction_that_a_version_before_began_goes_on(paper):
    save("in", 0)
    assert start("predict", f"run={paper}", "input=in", "output=out") == 0
    done = json.loads(Path("out/done.json").read_text())
    normals = done["files"][0]["row"].pop("normals")
    Path("out/done.json").write_text(json.dumps(done))
    Image.fromarray(radiograph(1)).save("in/1.png")
    assert start("predict", f"run={paper}", "input=in", "output=out") == 0
    assert read("out", "predictions.csv")["normals"].tolist() == [str(normals)] * 2


def test_words_of_an_overlay_say_of_how_many_normals():
    standard = Calibration("SAD", "grey levels", np.arange(41.0), 0.05, None, (0, 1))
    row = {"score": 38.5, "unit": "grey levels", "percentile": 95.12, "p_value": 0.0714, "normals": 41}
    decided, score = in_words(row | {"anomalous": False, "warnings": ""}, standard)
    assert decided == "not anomalous at a false-alarm rate of 5 % (p = 0.071)"
    assert score == "score 38.5, above 95 % of 41 held-out normals"
    of_site = replace(standard, whose=normals_of("scans/site"), highest=1.0)
    _, score = in_words(row | {"anomalous": False, "warnings": ""}, of_site)
    assert score == "score 38.5 (not a probability), above 95 % of 41 normals of site"


def nan_where(bad):
    """A forward pass whose output is NaN for the patches that `bad` picks."""
    whole = UNetAutoencoder.forward

    def forward(self, x):
        y = whole(self, x).reconstruction.clone()
        y[bad(x)] = torch.nan
        return Output(y)

    return forward


def test_a_file_that_the_net_cannot_judge_says_so_and_the_others_are_judged(paper, monkeypatch):
    save("in", 0, 1, spine=False)  # as bright as the mark
    marked = radiograph(0, spine=False)
    marked[40:44, 18:22] = 255  # in a lung
    Image.fromarray(marked).save("in/marked.png")
    Image.fromarray(np.full((80, 80), 90, dtype=np.uint8)).save("in/flat.png")
    monkeypatch.setattr(UNetAutoencoder, "forward", nan_where(lambda x: x.amax(dim=(1, 2, 3)) > 0.97))
    assert start("predict", f"run={paper}", "input=in", "output=out", "report=true") == 0
    rows = read("out", "predictions.csv").set_index("file")
    empty = rows[rows["score"] == ""]
    assert set(empty.index) == {"marked.png", "flat.png"}
    assert empty.loc["marked.png", "warnings"].split("; ")[0] == "what the net gives is not finite"
    assert "no lung found" in empty.loc["flat.png", "warnings"].split("; ")
    told = ["percentile", "p_value", "anomalous", "windows_healthy", "windows_opacity", "windows_outside"]
    assert (rows.loc["marked.png", told] == "").all()
    assert (rows.loc[["0.png", "1.png"], "score"] != "").all()
    assert "Infinity" not in Path("out/done.json").read_text()


def test_a_lung_field_without_a_window_is_the_reason(paper):
    judge = RunPredictor(load_run(paper, ["trainer=cpu"]))
    fields, content = np.zeros((1, 64, 64), np.uint8), np.ones((1, 64, 64), np.uint8)
    fields[0, 3, 3] = 1
    windows = np.zeros((1, len(judge.grid)), np.float32)
    found = Prediction.of(fields, np.zeros((1, 64, 64), np.float32), windows, np.array([np.nan]), content, judge.grid)
    from pneumo_ad.prediction.decoding import decode
    from pneumo_ad.prediction.rows import rows

    save("in", 0)
    one = decode(Path("in/0.png"), judge.grid, judge.fit, picture=False)
    (row,) = rows(["0.png"], [one], found, judge.standard)
    assert row["score"] is None
    assert row["warnings"].split("; ")[0] == "no window lies in the lung field"


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["windows", "maps", "scores"])
def test_what_is_not_finite_becomes_no_score(where, value, paper):
    grid = RunPredictor(load_run(paper, ["trainer=cpu"])).grid
    given = {"maps": np.ones((2, 64, 64), np.float32), "windows": np.ones((2, len(grid)), np.float32)}
    given["scores"] = np.ones(2)
    given[where].reshape(2, -1)[1, -1 if where != "maps" else 70] = value
    found = Prediction.of(np.ones((2, 64, 64), np.uint8), content=np.ones((2, 64, 64), np.uint8), grid=grid, **given)
    assert found.finite.tolist() == [True, where == "scores" and np.isnan(value)]  # NaN alone: no lung
    assert np.isnan(found.scores).tolist() == [False, True]
    assert not np.isinf(found.maps).any()


@pytest.mark.parametrize("command", ["evaluate", "export", "figures", "cluster"])
def test_a_run_whose_scores_are_not_finite_is_refused(paper, command, monkeypatch, capfd):
    shutil.copytree(paper, "run", ignore=shutil.ignore_patterns("patches.csv"))
    monkeypatch.setattr(UNetAutoencoder, "forward", nan_where(lambda x: x.amax(dim=(1, 2, 3)) > 0.5))
    assert start(command, "run=run", "output=out", "trainer=cpu") == 2
    said = capfd.readouterr().err
    assert "not finite" in said
    assert "Traceback" not in said
    written = {file.stem.partition("_")[0] for file in Path("out").glob("*.*")}
    assert written <= {f"fig{number:02d}" for number in range(1, 7)}  # figures of no score


def test_a_graph_whose_lung_probability_is_not_finite_is_named(detector, monkeypatch):
    assert start("export", f"run={detector}", "output=model", "format=torch_export") == 0
    judge = ExportedPredictor("model")
    judge.graphs["lungs"] = lambda image: [np.full_like(image, np.nan)]
    with pytest.raises(DivergedError, match=r"model.lungs\.pt2: the probability of the lung that it gives"):
        judge(np.zeros((1, 64, 64), np.uint8), np.ones((1, 64, 64), np.uint8))
