"""`threshold=kinds`: a window is of its likeliest kind, wherever kinds are told."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from drawn import lung_mask, radiograph
from PIL import Image
from running import TINY, start
from sklearn.metrics import f1_score
from torch import nn

from pneumo_ad.errors import ConfigError, DamagedError, DataError
from pneumo_ad.evaluation.pictures import threshold_ranges
from pneumo_ad.evaluation.report import page_of
from pneumo_ad.export.description import read_description
from pneumo_ad.export.exported_predictor import ExportedPredictor
from pneumo_ad.inference.radiographs import Loaded
from pneumo_ad.inference.scorer import Scoring
from pneumo_ad.inference.whole import check_tells_kinds
from pneumo_ad.labels import HEALTHY, KINDS, OPACITY, OUTSIDE
from pneumo_ad.metrics.metrics_json import read_metrics
from pneumo_ad.metrics.thresholds import LIKELIEST, LikeliestKind, Thresholds, fit_kinds, thresholds_of
from pneumo_ad.nets import KindUNet
from pneumo_ad.nets.output import Output
from pneumo_ad.patches import PatchGrid
from pneumo_ad.prediction.run_predictor import RunPredictor
from pneumo_ad.runs.calibration import fit_thresholds
from pneumo_ad.runs.run import load_run
from pneumo_ad.scores import SAD, ExpectedKind, OpacityChance
from pneumo_ad.scores.aggregates import Mean

pytestmark = pytest.mark.usefixtures("here")
GRID = PatchGrid((64, 96), patch=16, stride=12)
REASON = "no thresholds: threshold=kinds takes what the run's own net finds likeliest"
TOLD = ["windows_healthy", "windows_opacity", "windows_outside"]


class Drawn(nn.Module):
    """Tells the same kinds of every radiograph."""

    def __init__(self, kinds):
        super().__init__()
        self.kinds = kinds

    def forward(self, x):
        return Output(x, kinds=self.kinds.expand(len(x), -1, -1, -1) if self.kinds is not None else None)


def scored(net, score=None, grid=GRID, **options):
    images = np.stack([radiograph(seed, *grid.image_size, sick=bool(seed % 2)) for seed in range(3)])
    fields = np.stack([lung_mask(*grid.image_size).astype(np.uint8)] * 3)
    scoring = Scoring(
        net, score or OpacityChance(1.0), "residual", 64, torch.float32, Mean(), likeliest=True, **options
    )
    loaded = Loaded(grid, "image", images, fields, np.ones_like(images))
    (part,) = scoring(loaded, np.arange(3), None)
    return images, part


def balanced(seed):
    """A net that was not trained, and finds no kind the likeliest throughout."""
    torch.manual_seed(seed)
    net = KindUNet(width=4, depth=2).eval()
    (head,) = (one for one in net.modules() if isinstance(one, nn.Conv2d) and one.out_channels == 3)
    pictures = np.stack([radiograph(seed, *GRID.image_size) for seed in range(3)])
    with torch.no_grad():
        head.bias -= net.logits(torch.from_numpy(pictures)[:, None].float() / 255).mean(dim=(0, 2, 3))
    return net


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "options", [{}, {"relative": 0.2}, {"score": ExpectedKind()}], ids=["opacity chance", "relative", "expected kind"]
)
def test_it_is_the_argmax_of_the_mean_chances_whatever_the_score(seed, options):
    net = balanced(seed)
    images, part = scored(net, **options)
    with torch.no_grad():
        chances = net(torch.from_numpy(images)[:, None].float() / 255).kinds.double().numpy()
    expected = [
        [chance[:, top : top + 16, left : left + 16].mean(axis=(1, 2)).argmax() for top, left in GRID.positions]
        for chance in chances
    ]
    assert part.likeliest.tolist() == expected
    assert len(np.unique(expected)) > 1
    assert (LIKELIEST.classify(part.scores["score"], part.likeliest) == expected).all()
    assert (part.likeliest_pixels == chances.argmax(axis=1)).all()


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
def test_a_window_half_healthy_half_outside_is_no_opacity(share):
    """As thresholds on the expected kind have it."""
    grid, kinds = PatchGrid((64, 96), patch=16, stride=1), torch.full((1, 3, 64, 96), 0.05)
    border = round(96 * share)
    kinds[:, HEALTHY, :, :border] = kinds[:, OUTSIDE, :, border:] = 0.9
    _, part = scored(Drawn(kinds), ExpectedKind(), grid)
    assert (Thresholds(0.5, 1.5).classify(part.scores["score"]) == OPACITY).any()
    told = LIKELIEST.classify(part.scores["score"], part.likeliest)
    assert set(np.unique(told)) == {HEALTHY, OUTSIDE}


def test_there_is_nothing_to_fit_and_nothing_on_the_score():
    nothing = np.zeros(0)
    for three in (True, False):
        assert fit_kinds(LikeliestKind(), nothing, nothing, three) is LIKELIEST
    assert fit_thresholds({}, LikeliestKind(), three=False) == (
        {"score": LIKELIEST}, {"brightness": REASON.removeprefix("no thresholds: ")},
    )  # fmt: skip
    assert (LIKELIEST.finite, LIKELIEST.kinds, LIKELIEST.tell_outside) == ([], (HEALTHY, OPACITY, OUTSIDE), True)
    scores = np.arange(10.0)
    assert threshold_ranges(scores, LIKELIEST) == threshold_ranges(scores, None)


@pytest.mark.parametrize("one", [Thresholds(1.0), Thresholds(1.0, 2.0), LIKELIEST])
def test_thresholds_come_back_from_json(one):
    found = thresholds_of(json.loads(json.dumps(one.plain)))
    assert (found, type(found)) == (one, type(one))


@pytest.mark.parametrize("plain", [[], [1, 2, 3], "", "kinds", ["likeliest"], None, 0.5])
def test_other_thresholds_are_refused(plain):
    with pytest.raises(ValueError, match="expected one number or two, or likeliest"):
        thresholds_of(plain)


@pytest.mark.parametrize(("net", "view"), [(Drawn(None), "image"), (KindUNet(width=4, depth=2), "patch")])
def test_a_net_that_tells_no_kinds_of_radiographs_is_refused(net, view):
    with pytest.raises(ConfigError, match=r"threshold=kinds needs .* net=kind_unet with view=image"):
        check_tells_kinds(net, view, (64, 64))


def test_scoring_refuses_it_too():
    class Plain(nn.Module):
        def forward(self, x):
            return Output(x)

    with pytest.raises(ConfigError, match=r"threshold=kinds needs .* net=kind_unet"):
        scored(Plain(), SAD())


@pytest.fixture(scope="module")
def run(shared):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PNEUMO_AD_CACHE", str(shared / "cache"))
        folder = shared / "kinds"
        options = [
            "data=phantom",
            *TINY,
            "net.depth=2",
            "batch_size=2",
            "trainer.max_epochs=16",
            "optimizer.lr=0.01",
            "trainer.precision=32-true",
        ]
        options += ["augment=none", "callbacks.average=null", "evaluate=test", "false_alarm_rate=0.3"]
        assert start("train", "experiment=detector", *options, f"hydra.run.dir={folder}") == 0
    return folder


def read(folder, name):
    return pd.read_csv(Path(folder) / name, keep_default_na=False)


def test_an_evaluation_decides_by_it(run):
    metrics = read_metrics(run)
    assert (metrics["about"]["thresholds"], metrics["about"]["score"]) == ({"score": "likeliest"}, "OpacityChance")
    assert metrics["about"]["omitted"]["brightness/patch/macro_f1"] == REASON
    patches, images = read(run, "patches.csv"), read(run, "images.csv")
    told = patches[patches["kind_true"].isin(KINDS[:3])]
    found = f1_score(told["kind_true"], told["kind_predicted"], labels=KINDS[:3], average="macro", zero_division=0)
    assert metrics["patch/macro_f1"] == pytest.approx(found)
    counted = pd.crosstab(patches["image"], patches["kind_predicted"]).reindex(images["image"])
    for kind in KINDS[:3]:
        assert (images[f"windows_{kind}"].to_numpy() == counted.get(kind, 0)).all()
    assert patches["kind_predicted"].nunique() > 1
    assert "likeliest" not in {*patches, *images}


def test_a_report_has_kinds_and_no_marks(run, caplog):
    shutil.copytree(run, "run")
    page = page_of(load_run("run"), Path("run"), None, 4)
    assert page.thresholds is LIKELIEST
    assert "recomputed" not in caplog.text
    assert start("report", "run=run", "output=page.html") == 0
    assert '"thresholds":null,"kinds":["healthy lung","opacity","outside"]' in Path("page.html").read_text()


def test_figures_have_no_thresholds_to_mark(run):
    assert start("figures", f"run={run}", "only=9,10", "output=figures", drawn=True) == 0
    assert "threshold" not in set(read("figures", "fig09_histogram.csv")["what"])


@pytest.mark.parametrize("form", ["onnx", "torch_export"])
def test_a_prediction_and_an_export_tell_what_the_evaluation_told(run, form):
    opened = load_run(run, ["trainer=cpu"])
    assert start("export", f"run={run}", "output=model", f"format={form}") == 0
    about = json.loads(Path("model/model.json").read_text())
    assert (about["format_version"], about["standard"]["thresholds"]) == (3, "likeliest")
    assert about["files"]["model"]["outputs"][-1]["name"] == "window_kinds"
    assert about["parity"]["window_kinds"] == 0
    assert "or outside, whichever the net finds likeliest in it" in Path("model/MODEL_CARD.md").read_text()
    patches, data = read(run, "patches.csv"), opened.radiographs
    images = patches["image"].unique()
    rows = np.array([data.store.table["image"].tolist().index(name) for name in images])
    for judge in (RunPredictor(opened), ExportedPredictor("model")):
        assert judge.standard.thresholds is LIKELIEST
        judged = judge(data.store.images[rows], data.store.content(rows))
        kinds = judge.standard.thresholds.classify(judged.windows, judged.likeliest)
        assert (np.array(KINDS)[kinds].ravel() == patches["kind_predicted"]).all()
    Path("in").mkdir()
    for seed in range(2):
        Image.fromarray(radiograph(seed, sick=bool(seed))).save(f"in/{seed}.png")
    for judge, output in ((run, "by_run"), ("model", "by_model")):
        assert start("predict", f"run={judge}", "input=in", f"output={output}", "report=true") == 0
        assert json.loads(Path(output, "predict.json").read_text())["thresholds"] == "likeliest"
    ours, theirs = read("by_run", "predictions.csv")[TOLD], read("by_model", "predictions.csv")[TOLD]
    assert (ours == theirs).all(axis=None)
    assert (ours.astype(int).sum(axis=1) == 64).all()


def test_a_run_without_its_data_tells_kinds_all_the_same(run, monkeypatch):
    def away(*_, **__):
        raise DataError("away")

    monkeypatch.setattr("pneumo_ad.prediction.run_predictor.validation_scores", away)
    judge = RunPredictor(load_run(run))
    assert judge.standard.thresholds is LIKELIEST
    assert judge.notes == ["no percentiles and decisions: held-out normals of the run are not at hand"]


def test_a_description_that_does_not_fit_its_graph_is_refused(run):
    assert start("export", f"run={run}", "output=model", "format=torch_export") == 0
    file = Path("model/model.json")
    about = json.loads(file.read_text())
    for thresholds in ([0.5, 1.5], None):
        about["standard"]["thresholds"] = thresholds
        file.write_text(json.dumps(about))
        with pytest.raises(DataError, match=r"gives 5 outputs, model\.json says anomaly_map"):
            ExportedPredictor("model")(np.zeros((1, 64, 64), np.uint8), np.ones((1, 64, 64), np.uint8))
    about["standard"]["thresholds"] = "most likely"
    file.write_text(json.dumps(about))
    with pytest.raises(DamagedError, match=r"standard\.thresholds is most likely"):
        read_description(Path("model"))


def test_a_run_whose_net_tells_no_kinds_is_refused_before_any_work(shared, capfd):
    folder = shared / "no_kinds"
    options = [*TINY, "trainer.max_epochs=1", f"hydra.run.dir={folder}"]
    assert start("train", "threshold=kinds", *options) == 2
    assert "net=kind_unet" in capfd.readouterr().err
    assert not (folder / "checkpoints").exists()
    Path("in").mkdir()
    Image.fromarray(radiograph(0)).save("in/0.png")
    assert start("train", *options[:-1], f"hydra.run.dir={folder}_not") == 0
    for command, *more in (("evaluate", "output=out"), ("predict", "input=in", "output=out"), ("export", "output=out")):
        assert start(command, f"run={folder}_not", "threshold=kinds", *more) == 2
        said = capfd.readouterr().err
        assert "threshold=kinds needs" in said
        assert "net=kind_unet" in said
    assert not Path("out").exists()
