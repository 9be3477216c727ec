"""What TensorBoard shows of a run, read back from its event files."""

import json
import re
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from running import TINY, start, story
from sklearn.metrics import precision_recall_curve
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import plugin_data_pb2
from tensorboard.util.tensor_util import make_ndarray

from pneumo_ad.metrics.catalogue import HEADLINE

EPOCHS = 3
RUN = [one for one in TINY if not one.startswith(("logger=", "evaluate=", "callbacks=minimal", "datamodule.", "data."))]
RUN += ["data.normal=30", "data.pneumonia=40", "data.size=96", "datamodule.val_images=4", "draw_every_n_epochs=2"]
RUN += ["trainer.log_every_n_steps=1", f"trainer.max_epochs={EPOCHS}"]
STEPS = 4  # of an epoch

pytestmark = pytest.mark.usefixtures("here")


def events_of(folder):
    events = EventAccumulator(str(folder), size_guidance=dict.fromkeys(("scalars", "images", "tensors"), 0))
    events.Reload()
    return events


def scalars_of(events):
    return {
        key: [(event.step, event.value) for event in events.Scalars(key)]
        for key in events.Tags()["scalars"] if key != "epoch"
    }  # fmt: skip


def curve_of(events, tag, number=-1):
    """Step and (6, T): tp, fp, tn, fn, precision, recall."""
    event = events.Tensors(tag)[number]
    return event.step, make_ndarray(event.tensor_proto)


def text_of(events, name):
    (event,) = events.Tensors(f"{name}/text_summary")
    return make_ndarray(event.tensor_proto).item().decode()


def hparams_of(events, field):
    content = events.PluginTagToContent("hparams")[f"_hparams_/{field}"]
    return getattr(plugin_data_pb2.HParamsPluginData.FromString(content), field)


@pytest.fixture(scope="module")
def run(shared):
    """A run that is told to TensorBoard alone, as by default."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PNEUMO_AD_CACHE", str(shared / "cache"))
        patch.chdir(shared)
        assert start("train", *RUN, "hydra.run.dir=run") == 0
    return shared / "run"


@pytest.fixture(scope="module")
def events(run):
    return events_of(run)


@pytest.fixture(scope="module")
def resumed(shared):
    """The same run, killed in its last epoch without a checkpoint of it, and gone on with."""

    def stop(self, trainer, module, outputs, batch, batch_idx):
        if (trainer.current_epoch, batch_idx) == (EPOCHS - 1, 1):
            raise RuntimeError("the machine is gone")

    command = ["train", *RUN, "hydra.run.dir=resumed"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PNEUMO_AD_CACHE", str(shared / "cache"))
        patch.chdir(shared)
        with pytest.MonkeyPatch.context() as broken:
            broken.setattr("pneumo_ad.callbacks.SaveOnTermination.on_train_batch_end", stop)
            assert start(*command) == 1
            assert "the machine is gone" in story("resumed")["reason"]
        before = events_of(shared / "resumed")
        assert start(*command) == 0
    return shared / "resumed", before


def test_a_run_writes_one_file_and_nothing_beside_it(run):
    assert len(list(run.rglob("events.*"))) == 1
    assert not list(run.rglob("hparams.yaml"))


def test_a_resumed_run_goes_on_where_its_checkpoint_was(resumed, events):
    folder, before = resumed
    assert len(list(folder.rglob("events.*"))) == 2
    assert scalars_of(before)["train/loss_step"][-1][0] > 2 * STEPS - 1  # beyond the checkpoint
    found, expected = scalars_of(events_of(folder)), scalars_of(events)
    assert found.keys() == expected.keys()
    for key, points in expected.items():
        assert [step for step, _ in found[key]] == [step for step, _ in points], key
        assert [value for _, value in found[key]] == pytest.approx([value for _, value in points], rel=1e-4), key
    assert all(before < after for before, after in pairwise(step for step, _ in found["train/loss_step"]))


def test_pictures_stand_at_the_steps_of_the_scalars_of_the_same_validation(events):
    drawn = [2 * STEPS - 1, EPOCHS * STEPS - 1]  # every second epoch, and the last
    assert {step for step, _ in scalars_of(events)["val/loss"]} >= set(drawn)
    for tag in ("maps/anomaly", "maps/red_frames", "reconstruction/normal_lung", "reconstruction/pneumonia"):
        assert [event.step for event in events.Images(tag)] == drawn
    for name in ("patch_opacity_vs_healthy", "pixel"):
        assert [event.step for event in events.Tensors(f"precision_recall_val/{name}")] == drawn
    assert [step for step, _ in scalars_of(events)["val/auroc_pixel"]] == drawn
    assert len(scalars_of(events)["val/auroc_patch_opacity_vs_healthy"]) == EPOCHS


def test_charts_group_what_belongs_together(events):
    (event,) = events.Tensors("custom_scalars__config__")
    layout = layout_pb2.Layout.FromString(make_ndarray(event.tensor_proto).item())
    tags = events.Tags()["scalars"]
    shown = {
        chapter.title: {tag for chart in chapter.chart for pattern in chart.multiline.tag
                        for tag in tags if re.fullmatch(pattern, tag)}
        for chapter in layout.category
    }  # fmt: skip
    assert shown == {
        "Loss": {"train/loss_epoch", "val/loss"},
        "SAD": {"train/sad", "val/sad_normal_lung", "val/sad_normal", "val/sad_pneumonia"},
        "AUROC": {tag for tag in tags if tag.startswith("val/auroc_")},
    }
    assert len(shown["AUROC"]) == 4


def test_the_curve_of_patches_is_that_of_sklearn(run, events):
    patches = pd.read_csv(run / "patches.csv")
    known = patches[patches["kind_true"].isin(["healthy", "opacity"])]
    step, (tp, fp, tn, fn, precision, recall) = curve_of(events, "precision_recall_test/patch_opacity_vs_healthy")
    assert step == story(run)["steps"]
    assert (tp + fp + tn + fn == len(known)).all()
    assert (tp + fn == (known["kind_true"] == "opacity").sum()).all()
    true = precision_recall_curve(known["kind_true"] == "opacity", known["score"])
    possible = {(round(p, 5), round(r, 5)) for p, r in zip(true[0], true[1], strict=True)}
    found = [(round(float(p), 5), round(float(r), 5)) for p, r in zip(precision, recall, strict=True)]
    assert set(found) <= possible
    assert found[0] == (round((known["kind_true"] == "opacity").mean(), 5), 1.0)


def test_the_curve_of_pixels_counts_all_known_pixels(run, events):
    """A pixel's AUROC is the area between hits and alarms: that of `metrics.json`, but for the few thresholds."""
    _, (tp, fp, tn, fn, *_) = curve_of(events, "precision_recall_test/pixel")
    hits, alarms = tp / (tp + fn), fp / (fp + tn)
    area = np.trapezoid([*hits[::-1], 1], [*alarms[::-1], 1])
    assert area == pytest.approx(json.loads((run / "metrics.json").read_text())["pixel/auroc"], abs=0.01)


def test_the_confusion_matrix_is_the_count_of_the_table_of_patches(run, events):
    patches = pd.read_csv(run / "patches.csv", keep_default_na=False)
    found = pd.read_csv(run / "confusion_of_kinds.csv", index_col="kind_true")
    assert list(found.columns) == ["healthy lung", "opacity", "outside"]
    for true in ("healthy", "opacity", "outside"):
        for predicted, words in zip(("healthy", "opacity", "outside"), found.columns, strict=True):
            counted = ((patches["kind_true"] == true) & (patches["kind_predicted"] == predicted)).sum()
            assert found.loc[true, words] == counted
    assert found.to_numpy().sum() > 100
    (picture,) = events.Images("confusion_of_kinds/test")
    assert picture.encoded_image_string.startswith(b"\x89PNG")


def test_the_card_says_what_it_was_made_of_and_how_to_go_on(run, events):
    card, facts = text_of(events, "card"), story(run)
    assert f"{facts['parameters']:,} parameters" in card
    assert "UNetAutoencoder(width=4" in card
    assert "phantom(normal=30, pneumonia=40" in card
    assert "DiceLoss(" in card
    assert str(run) in card
    assert facts["torch"] in card
    assert "net.width=4" in card
    table = pd.read_csv(run / "split.csv")
    for split, rows in table.groupby("split"):
        assert f"| radiographs, {split} | {(rows['label'] == 'normal').sum()} normal, " in card
    commands = re.findall(r"^pneumo-ad (\w+)", card, re.MULTILINE)
    assert commands == ["evaluate", "report", "predict", "train"]


def test_the_results_are_a_text_too(run, events):
    metrics, results = json.loads((run / "metrics.json").read_text()), text_of(events, "results")
    assert f"{metrics['pixel/auroc']:.3f} ({metrics['pixel/auroc_low']:.3f}" in results
    assert "pixel AUROC opacity / rest, in the lung" in results
    for key, reason in metrics["about"]["omitted"].items():
        assert key not in HEADLINE or reason in results


def test_the_table_of_runs_has_the_results_in_words(events):
    experiment = hparams_of(events, "experiment")
    shown = {info.name.tag: info.display_name for info in experiment.metric_infos}
    assert shown["pixel/auroc_in_lung"] == "pixel AUROC opacity / rest, in the lung"
    assert shown.keys() <= set(events.Tags()["scalars"])
    assert {info.name for info in experiment.hparam_infos} == set(hparams_of(events, "session_start_info").hparams)
    assert all(info.differs for info in experiment.hparam_infos)
    assert hparams_of(events, "session_end_info").status == 1  # of success


def test_a_failed_run_is_one_in_the_table_of_runs(resumed):
    assert hparams_of(resumed[1], "session_end_info").status == 2


def test_minimal_callbacks_draw_nothing():
    assert start("train", *RUN, "callbacks=minimal", "evaluate=null", "hydra.run.dir=run") == 0
    tags = events_of("run").Tags()
    assert not tags["images"]
    assert not tags["histograms"]
    assert not any(tag.startswith("precision_recall") for tag in tags["tensors"])
    assert "card/text_summary" in tags["tensors"]
    assert not any("auroc" in tag for tag in tags["scalars"])
