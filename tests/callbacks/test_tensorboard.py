"""TensorBoard in a real browser on a finished sweep: what a user watches is really there."""

import os
import re
import sys
import time

import pytest
from running import process, start

TINY = [
    "data.normal=30", "data.pneumonia=40", "data.size=96", "image_size=64", "patch=8", "stride=8", "net.width=4",
    "batch_size=16", "trainer=cpu", "trainer.max_epochs=2", "draw_every_n_epochs=2",
]  # fmt: skip
RUNS = ["net=autoencoder", "net=unet"]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    folder = tmp_path_factory.mktemp("watched")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", sys.argv)
        patch.setenv("PNEUMO_AD_CACHE", str(folder / "cache"))
        assert start("train", "-m", *TINY, "net=unet,autoencoder", f"hydra.sweep.dir={folder / 'sweep'}") == 0
    return folder / "sweep"


@pytest.fixture(scope="module")
def tensorboard(sweep):
    """Address of a server on the sweep."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(sweep), "--port", "0", "--load_fast=false"]
    told, deadline = sweep.parent / "told.txt", time.monotonic() + 120  # a file: a pipe that nobody reads fills up
    with told.open("w") as output, process(command, stderr=output) as server:
        while (found := re.search(r"(http://\S+)\s", told.read_text())) is None:
            assert server.poll() is None, told.read_text()
            assert time.monotonic() < deadline, told.read_text()
            time.sleep(0.1)
        yield found[1]


@pytest.fixture(scope="module")
def page(browser):
    page = browser.new_page(viewport={"width": 1500, "height": 1000})
    yield page
    page.close()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("timeseries", ["train/loss_epoch", "val/loss", "val/sad_normal_lung", *RUNS]),
        ("histograms", ["sad/normal_lung", "sad/pneumonia", *RUNS]),
        ("images", ["maps/anomaly", "maps/red_frames", *RUNS]),
        (
            "custom_scalars",
            ["loss in training and validation", "mean SAD by kind of patch", "AUROC on validation", *RUNS],
        ),
        ("text", ["card", "part", "of this run", *RUNS]),
        ("pr_curves", ["precision_recall_val/pixel", "precision_recall_test/patch_opacity_vs_healthy", *RUNS]),
        ("hparams", ["net", "patch AUROC outside / healthy lung", "autoencoder", "unet", "Table View"]),
    ],
)
def test_the_pages_show_the_sweep(page, tensorboard, name, shown):
    page.goto("about:blank")
    page.goto(f"{tensorboard}#{name}")
    if name == "timeseries":  # cards below the window are drawn when they come into sight
        page.get_by_role("combobox", name="Filter tags (regex)").fill("(train|val)/(loss|sad)")
    for text in shown:
        page.get_by_text(text, exact=False).first.wait_for(state="attached", timeout=60_000)
    folder = os.environ.get("PNEUMO_AD_SCREENSHOTS")  # for a person to look at
    if folder:
        page.wait_for_timeout(3000)
        page.screenshot(path=f"{folder}/tensorboard_{name}.png")


def test_without_a_browser_the_table_of_runs_is_in_the_files(sweep):
    """What HParams reads, checked where no browser is installed."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import plugin_data_pb2

    for run in RUNS:
        events = EventAccumulator(str(sweep / run))
        events.Reload()
        held = events.PluginTagToContent("hparams")
        start = plugin_data_pb2.HParamsPluginData.FromString(held["_hparams_/session_start_info"]).session_start_info
        assert {key: value.string_value for key, value in start.hparams.items()} == {"net": run.partition("=")[2]}
        assert events.Scalars("patch/auroc_outside_vs_healthy")
