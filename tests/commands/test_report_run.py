"""`pneumo-ad report`: what a run's page shows is what `evaluate` wrote, chosen fairly, in a file of its own."""

import base64
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from drawn import write_set
from running import TINY, start

from pneumo_ad.evaluation.report_radiographs import spread_by_score
from pneumo_ad.inference.reconstruct import reconstructed
from pneumo_ad.inference.scorer import Scoring
from pneumo_ad.nets import Output
from pneumo_ad.patches import PatchGrid
from pneumo_ad.runs.run import load_run
from pneumo_ad.runs.scorer import scoring_of
from pneumo_ad.scores import SAD
from pneumo_ad.scores.aggregates import Mean

TINY = [*TINY, "evaluate=test"]
DETECTOR = [
    "experiment=opacity_detector", "net.width=4", "net.depth=2", "module.warm_start=false", "augment=none",
    "per_epoch=8",
]  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An evaluated run with its cache, and its report of six radiographs."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PNEUMO_AD_CACHE", str(folder / "cache"))
        run = folder / "run"
        assert start("train", *TINY, f"hydra.run.dir={run}") == 0
        patch.setattr("pneumo_ad.evaluation.report.evaluate_run", refuse)  # an evaluation that is there is read
        assert start("report", f"run={run}", "images=6") == 0
    return run, folder / "cache"


def refuse(*arguments, **options):
    raise AssertionError("evaluated again")


@pytest.fixture
def run(made, monkeypatch):
    monkeypatch.setenv("PNEUMO_AD_CACHE", str(made[1]))
    return made[0]


def held(file):
    text = file.read_text(encoding="utf-8")
    return json.loads(re.search(r'<script type="application/json" id="content">(.*?)</script>', text, re.S)[1])


def scores_of(one):
    return np.frombuffer(base64.b64decode(one["scores"]), "<f4")


def test_the_page_holds_what_the_evaluation_wrote(run):
    page = held(run / "report.html")
    windows = pd.read_csv(run / "patches.csv", dtype={"image": str}, keep_default_na=False)
    images = pd.read_csv(run / "images.csv", dtype={"image": str}).set_index("image")
    assert len(page["radiographs"]) == 6
    for one in page["radiographs"]:
        own = windows[windows["image"] == one["name"]]
        assert scores_of(one) == pytest.approx(own["score"].to_numpy(dtype=np.float32))
        top, left = (np.frombuffer(base64.b64decode(side), "<u2") for side in page["grids"][one["grid"]][:2])
        assert (np.column_stack([top, left]) == own[["top", "left"]].to_numpy()).all()
        facts = images.loc[one["name"]]
        assert (one["label"], one["score"], one["p"]) == (facts["label"], facts["score"], facts["p_value"])
        assert one["anomalous"] == (None if pd.isna(facts["anomalous"]) else facts["anomalous"])
        assert set(one["pictures"]) == {"reconstruction", "residual", "anomaly map"}
        assert "marked" in one["masks"]
        kinds = np.array(page["groups"])[np.frombuffer(base64.b64decode(one["groups"]), "u1")]
        words = {"healthy": "healthy lung", "outside": "outside the lung"}
        assert kinds.tolist() == [words.get(kind, kind) for kind in own["kind_true"]]
    assert page["thresholds"] == json.loads((run / "metrics.json").read_text())["about"]["thresholds"]["score"]


def test_what_is_marked_lies_above_nearly_all_held_out_normal_lung(run):
    kept = next((run / "validation_scores").glob("*.npz"))
    limit = np.quantile(np.load(kept)["score_normal_lung"], 0.99)
    assert held(run / "report.html")["marked"].startswith(f"Marked: above {limit:.3g} grey levels per pixel")
    title = re.search("<title>(.*)</title>", (run / "report.html").read_text())[1]
    assert re.fullmatch(r"How well anomalies are found in \d+ radiographs", title)


def test_the_table_and_the_notes_are_those_of_the_evaluation(run):
    text, found = (run / "report.html").read_text(), json.loads((run / "metrics.json").read_text())
    table = re.search(r"<table>.*</table>", text, re.S)[0]
    for key in ("pixel/auroc", "patch/auroc_outside_vs_healthy"):
        assert f"{found[key]:.3f} <small>({found[key + '_low']:.3f}–{found[key + '_high']:.3f})" in table
    notes = text.split("What to know")[1].split("<details>")[0]
    for key, reason in found["about"]["omitted"].items():
        if not key.startswith(("brightness/", "shortcut/")):
            assert key in notes
            assert reason.replace(">", "&gt;") in notes
    assert "6 of" in notes
    assert "Does bright mean opacity? In" in notes
    assert "net:\n  _target_: pneumo_ad.nets" in text
    assert "Not a medical device" in text


def test_frames_in_the_browser_are_counted_as_in_the_csv(run, browser):
    tab = browser.new_page(viewport={"width": 1300, "height": 900})
    tab.goto((run / "report.html").as_uri())
    tab.wait_for_selector("body[data-ready]")
    box = tab.locator("#chart svg").bounding_box()
    y = box["y"] + box["height"] / 2
    tab.mouse.move(box["x"] + 0.25 * box["width"], y)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 0.6 * box["width"], y, steps=4)
    tab.mouse.up()
    low, high = (float(tab.input_value(f"#{end}")) for end in ("low", "high"))
    tab.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    frames = tab.locator("#cards .frames").evaluate_all("all => all.map(one => one.getAttribute('d') ?? '')")
    counted = [int(words.split()[0]) for words in tab.locator("#cards .lit").all_text_contents()]
    assert [shape != "" for shape in frames] == [number > 0 for number in counted]
    lit = sum(counted)
    windows = pd.read_csv(run / "patches.csv", dtype={"image": str})
    shown = windows["image"].isin(tab.locator("#cards bdi").all_text_contents())
    assert lit == (shown & windows["score"].between(low, high)).sum() > 0
    assert tab.inner_text("#counts").startswith(f"{lit:,} window")
    tab.close()


def test_a_reconstruction_is_the_mean_of_its_windows(run):
    opened = load_run(run)
    data, scoring = opened.radiographs, scoring_of(opened)
    picture = np.asarray(data.images[0])
    made, residual = reconstructed(scoring, data.grid, picture)
    total, count = np.zeros(picture.shape), np.zeros(picture.shape)
    for top, left in data.grid.positions:
        place = (slice(top, top + 8), slice(left, left + 8))
        with torch.inference_mode():
            patch = torch.from_numpy(picture[place].copy())[None, None].float() / 255
            total[place] += 255 * opened.module.net(patch).reconstruction[0, 0].numpy()
        count[place] += 1
    assert np.abs(made - total / count).max() < 0.51
    assert residual == pytest.approx(np.abs(total / count - picture), abs=0.01)


@pytest.mark.parametrize("grid", [PatchGrid((42, 32), 16, 1), PatchGrid((43, 37), 16, 5)], ids=str)
def test_a_reconstruction_lies_where_the_windows_lie(grid):
    class Nothing(torch.nn.Module):
        def forward(self, x):
            return Output(x)

    scoring = Scoring(Nothing(), SAD(), "score", 64, torch.float32, Mean())
    picture = np.random.default_rng(0).integers(1, 256, grid.image_size, dtype=np.uint8)
    made, residual = reconstructed(scoring, grid, picture)
    assert np.array_equal(made, picture * grid.covered)
    assert np.array_equal(np.isnan(residual), ~grid.covered)


def test_the_most_and_the_least_anomalous_of_each_label_are_shown():
    rng = np.random.default_rng(0)
    labels = np.array(["normal"] * 30 + ["pneumonia"] * 5 + ["other"] * 20)
    table = pd.DataFrame({"label": labels, "score": rng.permutation(55).astype(float)})
    truth = np.arange(55) % 2 == 0
    places = spread_by_score(table, truth, 20)
    chosen = table.loc[places]
    assert len(places) == 20
    assert chosen["label"].value_counts().to_dict() == {"normal": 8, "other": 7, "pneumonia": 5}
    for label in ("normal", "other"):
        known = table[(table["label"] == label) & truth]
        assert truth[chosen.index[chosen["label"] == label]].all(), "those with truth first"
        assert {known["score"].idxmin(), known["score"].idxmax()} <= set(places)
    assert spread_by_score(table, truth, 1000).tolist() == list(range(55))


def test_radiographs_of_other_data_whatever_they_are_called(run, tmp_path):
    folder = write_set(tmp_path / "set", normal=4, pneumonia=4)
    hostile = "p<script>alert(1)<"
    for kind in ("images", "opacity", "lung"):
        (folder / kind / "p004.png").rename(folder / kind / f"{hostile}.png")
    index = folder / "index.csv"
    index.write_text(index.read_text().replace("p004", hostile))
    file = tmp_path / "a folder" / "page.html"
    overrides = ["data=masks", f"data.root={folder}", "data.split=test", "fit=pad"]
    assert start("report", f"run={run}", f"output={file}", *overrides) == 0
    assert hostile not in file.read_text()
    page = held(file)
    assert {one["name"] for one in page["radiographs"]} >= {hostile, "n000"}
    evaluated = next((run / "evaluations").iterdir())
    windows = pd.read_csv(evaluated / "patches.csv", dtype={"image": str})
    real = windows[windows["kind_true"] != "padding"]
    assert len(real) < len(windows), "padding is no window"
    assert sum(len(scores_of(one)) for one in page["radiographs"]) == len(real)
    assert all(("opacity (truth)" in one["masks"]) == one["name"].startswith("p") for one in page["radiographs"])


def test_a_net_of_whole_radiographs_has_a_report_without_reconstructions(tmp_path):
    run = tmp_path / "run"
    assert start("train", *TINY, *DETECTOR, f"hydra.run.dir={run}") == 0
    assert start("report", f"run={run}", "images=4") == 0
    page = held(run / "report.html")
    assert page["unit"] == "out of 1"
    assert all(set(one["pictures"]) == {"anomaly map"} for one in page["radiographs"])


def test_matched_figures_are_made_once_they_are_asked_for(run, tmp_path):
    def keys(folder):
        found = json.loads((folder / "metrics.json").read_text())
        return {*found, *found["about"]["omitted"]}

    shutil.copytree(run, tmp_path / "run")
    assert "image/auroc_matched" not in keys(run)
    assert start("report", f"run={tmp_path / 'run'}", "matched=true", "images=3") == 0
    (evaluated,) = (tmp_path / "run" / "evaluations").glob("matched=true*")
    assert keys(evaluated) >= keys(run) | {"image/auroc_matched"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["images=none"], "images=none is not known; expected a whole number, at least 1"),
        (["images=0"], "at least 1"),
        (["output={run}"], "must name an HTML file"),
        (["output=/proc/no/page.html"], "cannot be written to"),
        (["subset=tets"], "expected train, val, test or all"),
        (["net=vae"], "weights depend on net"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_scored(run, capsys, monkeypatch, arguments, told):
    monkeypatch.setattr("pneumo_ad.evaluation.report.evaluate_run", refuse)
    assert start("report", f"run={run}", *(one.format(run=run) for one in arguments)) == 2
    assert told in capsys.readouterr().err


def test_help_and_without_a_run_the_detector_that_ships(capsys, tmp_path, monkeypatch):
    assert start("report", "--help") == 0
    assert "images=50" in capsys.readouterr().out
    monkeypatch.chdir(tmp_path)
    assert start("report", "images=5") == 2
    assert "the shipped detector" in capsys.readouterr().err
    drawn = ["data=phantom", "data.normal=2", "data.pneumonia=2", "data.split=test"]
    assert start("report", "images=3", "output=page.html", *drawn) == 0
    assert len(held(tmp_path / "page.html")["radiographs"]) == 3


@pytest.mark.real_data
def test_real_radiographs_against_their_masks(run, real_data, tmp_path, browser):
    """Fifty real radiographs and 7,200 windows: small, quick, and what is brushed is what the csv holds."""
    file = tmp_path / "real.html"
    own = ["data=masks", f"data.root={real_data / 'opacity_masks'}", "data.split=test", "image_size=256", "patch=32"]
    assert start("report", f"run={run}", f"output={file}", *own, "stride=20") == 0
    assert file.stat().st_size < 15e6
    page = held(file)
    assert len(page["radiographs"]) == 50
    assert sum(len(scores_of(one)) for one in page["radiographs"]) == 50 * 144
    tab = browser.new_page()
    tab.goto(file.as_uri())
    tab.wait_for_selector("body[data-ready]")
    low, high = (round(float(value), 2) for value in np.quantile(scores_of(page["radiographs"][0]), [0.2, 0.7]))
    tab.fill("#low", str(low))
    tab.fill("#high", str(high))
    lit = sum(
        int(((scores_of(one) >= np.float32(low)) & (scores_of(one) <= np.float32(high))).sum())
        for one in page["radiographs"]
    )
    assert tab.evaluate("document.body.dataset.lit") == str(lit)
    tab.close()
