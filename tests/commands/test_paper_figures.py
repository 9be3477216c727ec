"""Every figure of the paper for a tiny run, and the numbers behind each recomputed from what `evaluate` wrote."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drawn import write_kaggle, write_set
from PIL import Image
from running import start

from pneumo_ad.classifier.examination import FIGURE
from pneumo_ad.evaluation.background import background
from pneumo_ad.evaluation.kinds_table import NOT_KNOWN
from pneumo_ad.metrics.modality import modality
from pneumo_ad.runs.run import load_run

TINY = [
    "data.normal=24", "data.pneumonia=20", "data.size=96", "image_size=64", "patch=8", "stride=8", "net.width=4",
    "batch_size=16", "per_epoch=64", "datamodule.val_images=1", "trainer=cpu", "trainer.max_epochs=1",
    "callbacks=minimal", "callbacks.progress=null", "logger=csv",
]  # fmt: skip
STEMS = [
    "fig01_radiographs", FIGURE, "fig03_normal_patches", "fig04_pneumonia_patches", "fig05_lung_fields",
    "fig06_architecture", "fig07_normal_reconstructions", "fig08_pneumonia_reconstructions", "fig09_histogram",
    "fig09_histogram_by_kind", "fig10_red_frames", "fig10_red_frames_by_quantile", "table01_kinds",
]  # fmt: skip


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """Where `pneumo-ad classify` would have left its figure."""
    folder = tmp_path_factory.mktemp("classifier")
    (folder / "figures").mkdir()
    Image.new("RGB", (300, 200), "white").save(folder / "figures" / f"{FIGURE}.png", dpi=(300, 300))
    (folder / "figures" / f"{FIGURE}.csv").write_text("image,label\na,normal\n")
    return folder


@pytest.fixture(scope="module")
def drawn(tmp_path_factory, classifier):
    """An evaluated run, its cache, and its figures."""
    folder = tmp_path_factory.mktemp("drawn")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PNEUMO_AD_CACHE", str(folder / "cache"))
        run = folder / "run"
        assert start("train", *TINY, f"hydra.run.dir={run}") == 0
        assert start("figures", f"run={run}", f"classifier={classifier}") == 0
    return run, folder / "cache"


@pytest.fixture
def run(drawn, monkeypatch):
    monkeypatch.setenv("PNEUMO_AD_CACHE", str(drawn[1]))
    return drawn[0]


@pytest.fixture
def windows(run):
    """`patches.csv` with the label of each window's radiograph."""
    patches = pd.read_csv(run / "patches.csv", keep_default_na=False)
    return patches.merge(pd.read_csv(run / "images.csv")[["image", "label"]], on="image", validate="m:1")


def numbers(run, stem):
    return pd.read_csv(run / "paper_figures" / f"{stem}.csv", keep_default_na=stem == "table01_kinds")


def test_every_figure_is_there_with_its_numbers_printable_on_opaque_white(run):
    folder = run / "paper_figures"
    assert {file.name for file in folder.iterdir()} == {
        *(f"{stem}{suffix}" for stem in STEMS for suffix in (".png", ".csv")), "table01_kinds.md", "index.csv",
    }  # fmt: skip
    for stem in set(STEMS) - {FIGURE}:
        with Image.open(folder / f"{stem}.png") as image:
            assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
            assert image.width <= 7.0 * 300 + 1
            assert image.height <= 10 * 300
            pixels = np.asarray(image.convert("RGBA"))
        assert (pixels[..., 3] == 255).all()
        assert (pixels[[0, -1]][:, [0, -1], :3] == 255).all()
        assert (pixels[..., :3] < 128).mean() > 0.002, f"{stem} is empty"
        assert len(numbers(run, stem))


def test_the_index_names_each_figure_once(run):
    index = pd.read_csv(run / "paper_figures" / "index.csv", keep_default_na=False)
    assert index["figure"].tolist() == [f"Fig. {number}" for number in range(1, 11)] + ["Table 1"]
    assert (index["left_out"] == "").all()
    assert " ".join(index["files"]).split() == STEMS


def test_table_1_equals_a_group_by(run, windows):
    table = numbers(run, "table01_kinds").set_index("kind")
    sick = windows[windows["label"] != "normal"]
    groups = {
        "normal lung": windows[(windows["label"] == "normal") & (windows["lung_share"] == 1)],
        "pneumonia, every window": windows[windows["label"] == "pneumonia"],
        "healthy lung": sick[sick["kind_true"] == "healthy"],
        "opacity": sick[sick["kind_true"] == "opacity"],
        "outside": sick[sick["kind_true"] == "outside"],
    }
    for kind, group in groups.items():
        row, sad = table.loc[kind], group["sad"]
        expected = [sad.mean(), sad.median(), sad.quantile(0.25), sad.quantile(0.75)]
        assert row[["mean", "median", "q25", "q75"]].astype(float).tolist() == pytest.approx(expected, rel=1e-4), kind
        assert (row["windows"], row["radiographs"]) == (len(group), group["image"].nunique())
    assert len(groups["opacity"]) > 0
    parts = table.loc[["outside: body", "outside: background"]]
    assert parts["windows"].sum() == table.loc["outside", "windows"]
    weighted = (parts["mean"].fillna(0) * parts["windows"]).sum() / parts["windows"].sum()
    assert weighted == pytest.approx(table.loc["outside", "mean"], rel=1e-4)


def test_background_of_table_1_is_counted_window_by_window(run, windows):
    data = load_run(run).radiographs
    row_of = {name: row for row, name in enumerate(data.store.table["image"])}
    air = {name: background(np.asarray(data.store.images[row_of[name]])) for name in windows["image"].unique()}
    outside = windows[(windows["label"] != "normal") & (windows["kind_true"] == "outside")]
    dark = sum(air[w.image][w.top : w.top + 8, w.left : w.left + 8].mean() > 0.5 for w in outside.itertuples())
    table = numbers(run, "table01_kinds").set_index("kind")
    assert table.loc["outside: background", "windows"] == dark


def test_fig_9_counts_every_window_marks_the_thresholds_and_tells_the_humps(run, windows):
    found, about = numbers(run, "fig09_histogram"), json.loads((run / "metrics.json").read_text())["about"]
    bars = found[found["what"] == "windows"].astype({"from": float, "below": float, "value": int})
    scores = {
        "pneumonia": windows.loc[windows["label"] == "pneumonia", "score"],
        "normal_lung": windows.loc[(windows["label"] == "normal") & (windows["lung_share"] == 1), "score"],
    }
    for name, values in scores.items():
        own = bars[bars["of"] == name]
        assert own["value"].sum() == len(values)
        for bar in own.iloc[:-1].itertuples():
            low, below = bar[3], bar.below
            near = ((values - low).abs() < 1e-4).sum() + ((values - below).abs() < 1e-4).sum()  # as csv rounds
            assert abs(((values >= low) & (values < below)).sum() - bar.value) <= near
    thresholds = found.loc[found["what"] == "threshold", "value"]
    assert thresholds.tolist() == pytest.approx(about["thresholds"]["score"], rel=1e-4)
    told = found[found["what"] == "modality"].set_index("of")["value"]
    expected = modality(scores["pneumonia"].to_numpy(dtype=np.float32))
    assert told.to_dict() == pytest.approx({f"pneumonia_{key}": value for key, value in expected.items()}, rel=1e-3)


def test_fig_9_by_kind_counts_the_windows_of_table_1(run):
    bars = numbers(run, "fig09_histogram_by_kind")
    counted = bars[bars["what"] == "windows"].groupby("of")["value"].sum()
    table = numbers(run, "table01_kinds").set_index("kind")["windows"]
    assert counted[["healthy", "opacity", "outside"]].tolist() == table[["healthy lung", "opacity", "outside"]].tolist()


@pytest.mark.parametrize("stem", ["fig10_red_frames", "fig10_red_frames_by_quantile"])
def test_fig_10_frames_each_window_of_its_radiographs_in_one_range(run, windows, stem):
    found = numbers(run, stem)
    both = found.merge(windows, on=["image", "top", "left"], suffixes=("", "_evaluated"), validate="1:1")
    assert len(both) == len(found) == 64 * found["image"].nunique()
    assert set(found["label"]) == {"normal", "pneumonia"}
    assert both["score"].tolist() == pytest.approx(both["score_evaluated"].tolist(), rel=1e-4)
    assert (both["kind_true"] == both["kind_true_evaluated"]).all()
    inside = found[found["range"] != ""].astype({"range_from": float, "range_below": float, "range": int})
    assert (inside["score"] >= inside["range_from"] * (1 - 1e-5)).all()
    assert (inside["score"] <= inside["range_below"] * (1 + 1e-5)).all()
    assert len(inside) == len(found)
    if stem == "fig10_red_frames":
        predicted = both["kind_predicted"].map({"healthy": 1, "opacity": 2, "outside": 3})
        assert (predicted == inside["range"]).mean() > 0.99  # but for scores that are the threshold as csv rounds it
    else:
        shares = inside["range"].value_counts(normalize=True).sort_index()
        assert shares.tolist() == pytest.approx([0.25, 0.25, 0.25, 0.2, 0.05], abs=0.02)


@pytest.mark.parametrize(("stem", "label"), [("fig07_normal_reconstructions", "normal"),
                                             ("fig08_pneumonia_reconstructions", "pneumonia")])  # fmt: skip
def test_figs_7_and_8_show_the_least_and_the_largest_sad(run, windows, stem, label):
    found = numbers(run, stem)
    shown = found.drop_duplicates(["image", "top", "left"])
    assert len(shown) == 8
    both = shown.merge(windows, on=["image", "top", "left"], suffixes=("", "_evaluated"))
    assert both["sad"].tolist() == pytest.approx(both["sad_evaluated"].tolist(), rel=1e-3)
    chosen = windows[(windows["label"] == label) & ((windows["lung_share"] == 1) | (label == "pneumonia"))]
    ends = [chosen["sad"].min(), chosen["sad"].max()]
    assert [shown["sad"].min(), shown["sad"].max()] == pytest.approx(ends, rel=1e-3)
    pixels = found.groupby(["image", "top", "left"])[["input_pixels", "reconstruction_pixels"]].sum()
    assert (pixels == 64).all(axis=None)


def test_the_grey_levels_of_figs_7_are_those_of_the_store(run):
    found, store = numbers(run, "fig07_normal_reconstructions"), load_run(run).radiographs.store
    first = found.iloc[0]
    image = store.images[store.table["image"].tolist().index(first["image"])]
    patch = image[first["top"] : first["top"] + 8, first["left"] : first["left"] + 8]
    own = found[(found[["image", "top", "left"]] == first[["image", "top", "left"]]).all(axis=1)]
    expected = [((patch >= low) & (patch < low + 4)).sum() for low in own["grey_from"]]
    assert own["input_pixels"].tolist() == expected


def test_figs_1_3_4_5_show_the_test_split(run, windows):
    split = pd.read_csv(run / "split.csv", dtype=str).set_index("image")["split"]
    for stem in ("fig01_radiographs", "fig03_normal_patches", "fig04_pneumonia_patches", "fig05_lung_fields"):
        assert (split[numbers(run, stem)["image"]] == "test").all()
    assert numbers(run, "fig01_radiographs").groupby("label").size().to_dict() == {"normal": 4, "pneumonia": 4}
    assert (numbers(run, "fig03_normal_patches")["lung_share"] == 1).all()
    assert set(numbers(run, "fig04_pneumonia_patches")["label"]) == {"pneumonia"}
    assert set(numbers(run, "fig05_lung_fields")["lung_from"]) == {"mask file"}
    fields = pd.read_csv(run / "images.csv").set_index("image")["lung_area"]
    found = numbers(run, "fig05_lung_fields")
    assert found["lung_area"].tolist() == pytest.approx(fields[found["image"]].tolist(), rel=1e-4)


def test_fig_6_has_every_parameter_of_the_net(run):
    net = load_run(run).module.net
    assert numbers(run, "fig06_architecture")["parameters"].sum() == sum(p.numel() for p in net.parameters())


def test_fig_2_is_the_classifiers_own(run, classifier):
    for suffix in (".png", ".csv"):
        own = (classifier / "figures" / f"{FIGURE}{suffix}").read_bytes()
        assert (run / "paper_figures" / f"{FIGURE}{suffix}").read_bytes() == own


def test_a_run_that_was_evaluated_is_not_scored_again(run, monkeypatch, tmp_path):
    def refuse(*arguments, **options):
        raise AssertionError("scored again")

    monkeypatch.setattr("pneumo_ad.evaluation.examination.Scoring.__call__", refuse)
    arguments = ["figures", f"run={run}", f"output={tmp_path}", "only=8,9,table1"]
    assert start(*arguments) == 0
    assert (tmp_path / "table01_kinds.csv").read_text() == (run / "paper_figures" / "table01_kinds.csv").read_text()
    with pytest.raises(AssertionError, match="scored again"):  # another split was not evaluated
        start(*arguments, "subset=val")


def test_scores_made_anew_are_those_of_the_evaluation(run, tmp_path):
    copy = Path(shutil.copytree(run, tmp_path / "run"))
    (copy / "metrics.json").unlink()
    shutil.rmtree(copy / "paper_figures")
    assert start("figures", f"run={copy}", "only=table1") == 0
    assert {file.stem for file in (copy / "paper_figures").iterdir()} == {"table01_kinds", "index"}
    measured, again = (
        numbers(folder, "table01_kinds").drop(columns=["kind", "paper", "note"]) for folder in (run, copy)
    )
    assert np.allclose(measured.astype(float), again.astype(float), rtol=1e-3, equal_nan=True)


def test_without_masks_the_kinds_are_named_as_not_known(run, tmp_path):
    others = write_kaggle(tmp_path / "others", normal=6, pneumonia=6)
    options = ["data=chest_xray", f"data.root={others}", "data.split=test", "lungs=none", "classifier=none"]
    assert start("figures", f"run={run}", *options) == 0
    (folder,) = (run / "evaluations").glob("data=chest_xray*/paper_figures")
    index = pd.read_csv(folder / "index.csv", keep_default_na=False).set_index("figure")
    assert "classifier=train trains one" in index.loc["Fig. 2", "left_out"]
    assert "lung is not looked for" in index.loc["Fig. 5", "left_out"]
    assert index.loc["Fig. 9", "files"] == "fig09_histogram"
    table = pd.read_csv(folder / "table01_kinds.csv").set_index("kind")
    unknown = table.loc["healthy lung":]
    assert unknown[["mean", "median", "windows", "radiographs"]].isna().all(axis=None)
    assert (unknown["note"] == NOT_KNOWN).all()
    assert table.loc["pneumonia, every window", "windows"] == 6 * 64
    assert "not known" in (folder / "table01_kinds.md").read_text()
    shutil.rmtree(run / "evaluations")


def test_data_without_normal_radiographs_leave_out_what_shows_them(run, tmp_path):
    others = write_set(tmp_path / "others", normal=0, pneumonia=6)
    options = [
        "data=masks",
        f"data.root={others}",
        "data.split=test",
        "only=1,3,7,table1",
        f"output={tmp_path / 'out'}",
    ]
    assert start("figures", f"run={run}", *options) == 0
    index = pd.read_csv(tmp_path / "out" / "index.csv", keep_default_na=False).set_index("figure")["left_out"]
    assert index["Fig. 1"] == index["Table 1"] == ""
    assert index["Fig. 3"] == index["Fig. 7"] == "no window of normal lung in these images"
    table = pd.read_csv(tmp_path / "out" / "table01_kinds.csv").set_index("kind")
    assert (table.loc["normal lung", "windows"], table.loc["normal lung", "note"]) == (0, "no such window")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["only=1,11"], "only=11 is no figure of the paper; did you mean 1?"),
        (["only=tabel1"], "only=tabel1 is no figure of the paper; did you mean table1?"),
        (["only=fig04,xyz"], "only=xyz is no figure of the paper There are 1, 2, 3"),
        (["output={file}/below"], "cannot be written to"),
        (["classifier={folder}"], "no finished classifier there"),
        (["subset=half"], "subset=half is not known"),
        (["run={folder}"], "not a run folder"),
        (["net=vae"], "net cannot change"),
    ],
)
def test_mistakes_are_named(run, tmp_path, capsys, arguments, words):
    (tmp_path / "file").write_text("")
    given = [argument.format(file=tmp_path / "file", folder=tmp_path) for argument in arguments]
    assert start("figures", f"run={run}", *given) == 2
    assert words in capsys.readouterr().err


def test_figures_may_be_named_as_people_do(run, tmp_path):
    arguments = ["figures", f"run={run}", f"output={tmp_path / 'a'}"]
    assert start(*arguments, "only=Fig. 6,fig01, Table 1") == 0
    stems = {file.stem for file in (tmp_path / "a").glob("*.png")}
    assert stems == {"fig01_radiographs", "fig06_architecture", "table01_kinds"}


def test_a_classifier_is_trained_beside_the_run_where_that_is_asked_for(run, monkeypatch, classifier, caplog, capsys):
    asked = []

    def train(folder):
        asked.append(folder)
        return classifier

    monkeypatch.setattr("pneumo_ad.evaluation.paper_figures.classifier_beside", train)
    caplog.set_level("INFO")
    assert start("figures", f"run={run}", "only=2") == 0
    assert not asked
    assert "left out: it needs a CNN: classifier=train trains one" in capsys.readouterr().out
    assert start("figures", f"run={run}", "only=2", "classifier=train") == 0
    assert asked == [run]
    assert "a classifier is trained on the run's own images, once" in caplog.text
