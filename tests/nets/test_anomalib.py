"""Models of anomalib: a stand-in for what is done with them, and the library itself in an environment of its own."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from drawn import opacity_mask, radiograph
from PIL import Image
from torch import nn

import pneumo_ad
from pneumo_ad.errors import ConfigError
from pneumo_ad.inference.radiographs import Loaded
from pneumo_ad.inference.scorer import Scoring
from pneumo_ad.modules import TrainedNet
from pneumo_ad.nets import AnomalibNet, UNetAutoencoder
from pneumo_ad.patches import PatchGrid
from pneumo_ad.runs.compose import build, compose_config
from pneumo_ad.scores import Judgement
from pneumo_ad.scores.aggregates import Mean

HERE = Path(__file__).parent
SIDE = ["image_size=64", "patch=8", "stride=8"]


class Bare(nn.Module):
    """A torch module as anomalib's: the map is the second channel, and the score ten times its maximum."""

    def forward(self, x):
        maps = x[:, 1:2]
        return SimpleNamespace(anomaly_map=maps, pred_score=10 * maps.amax(dim=(1, 2, 3)))


class Whole(nn.Module):
    """A module with a pre-processor that halves the picture, and a post-processor that shifts what comes out."""

    def __init__(self):
        super().__init__()
        self.model = Bare()
        self.pre_processor = SimpleNamespace(transform=lambda x: nn.functional.avg_pool2d(x, 2))
        self.post_processor = Shift()


class Shift(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("minimum", torch.tensor(torch.nan))  # as where nothing was validated

    def forward(self, found):
        return SimpleNamespace(anomaly_map=found.anomaly_map + 1, pred_score=found.pred_score + 2)


def pictures(number=3, side=16):
    return torch.rand(number, 1, side, side, generator=torch.Generator().manual_seed(0))


def test_a_bare_model_sees_the_grey_in_three_channels_and_its_score_is_kept():
    x = pictures()
    output = AnomalibNet(Bare())(x)
    assert torch.equal(output.anomaly, x)
    assert torch.equal(output.radiograph, 10 * x.amax(dim=(1, 2, 3)))


def test_a_whole_model_is_pre_and_post_processed_and_its_map_resized():
    x = pictures()
    net = AnomalibNet(Whole())
    assert net.shown(x).shape == (3, 3, 8, 8)
    output = net(x)
    halved = nn.functional.avg_pool2d(x, 2)
    assert output.anomaly.shape == x.shape
    assert output.anomaly.mean() == pytest.approx(float(halved.mean()) + 1, abs=0.05)
    assert torch.equal(output.radiograph, 10 * halved.amax(dim=(1, 2, 3)) + 2)
    assert not net.train().model.training
    assert not any(parameter.requires_grad for parameter in net.parameters())


def test_a_model_without_a_map_is_refused_and_one_without_a_score_has_its_highest_pixel():
    class Blind(nn.Module):
        def forward(self, x):
            return SimpleNamespace(anomaly_map=None, pred_score=x.mean(dim=(1, 2, 3)))

    class Scoreless(nn.Module):
        def forward(self, x):
            return SimpleNamespace(anomaly_map=x[:, 0], pred_score=None)

    with pytest.raises(ConfigError, match="Blind of anomalib gives no anomaly map"):
        AnomalibNet(Blind())(pictures())
    x = pictures()
    assert torch.equal(AnomalibNet(Scoreless())(x).radiograph, x.amax(dim=(1, 2, 3)))


@pytest.mark.skipif(find_spec("anomalib") is not None, reason="anomalib is installed here")
def test_without_anomalib_the_error_says_how_to_get_it():
    config = compose_config("train", ["experiment=anomalib", "net.model=Padim", "net.checkpoint=x.ckpt"])
    with pytest.raises(ConfigError, match=r"net=anomalib needs anomalib 2\.7 or later.*pip install anomalib"):
        build(config.net)


def test_a_net_that_is_not_trained_is_refused():
    with pytest.raises(ConfigError, match="UNetAutoencoder would stay untrained"):
        TrainedNet(UNetAutoencoder(width=4))


def loaded():
    """Three radiographs, of which the last has no lung."""
    images = (pictures() * 255).byte().numpy()[:, 0]
    fields = np.ones_like(images)
    fields[2] = 0
    return Loaded(PatchGrid((16, 16), 8, 8), "image", images, fields, np.ones_like(images))


def scoring(net, aggregate, **options):
    return Scoring(net, Judgement(), "residual", 64, torch.float32, aggregate, **options)


def test_the_nets_own_score_is_that_of_the_radiograph_where_it_has_a_lung():
    data, rows = loaded(), np.arange(3)
    own = scoring(AnomalibNet(Bare()).eval(), Mean("radiograph"))
    (part,) = own(data, rows, None, maps=True)
    shares = np.ones((3, 4))
    found = own.of_radiographs(part, "score", shares, data.lung_fields)
    expected = 10 * (data.images.max(axis=(1, 2)) / 255)
    np.testing.assert_allclose(found, [*expected[:2], np.nan], rtol=1e-6)
    # Scores that need no model have none of their own.
    usual = scoring(AnomalibNet(Bare()), Mean("patches"))
    of_patches, ours = (one.of_radiographs(part, "brightness", shares, data.lung_fields) for one in (usual, own))
    np.testing.assert_array_equal(ours, of_patches)


def test_a_score_of_its_own_is_asked_for_where_there_is_one_alone():
    class Mapping(nn.Module):
        def forward(self, x):
            return AnomalibNet(Bare())(x)._replace(radiograph=None)

    data = loaded()
    own = scoring(Mapping(), Mean("radiograph"))
    (part,) = own(data, np.arange(3), None)
    with pytest.raises(ConfigError, match="aggregate=own needs a net that scores images itself"):
        own.of_radiographs(part, "score", np.ones((3, 4)), data.lung_fields)
    with pytest.raises(ConfigError, match=r"relative=0\.2 does not divide"):
        scoring(Mapping(), Mean("radiograph"), relative=0.2)


# The library itself


@pytest.fixture(scope="module")
def peer(tmp_path_factory):
    """An interpreter that has anomalib beside this project."""
    sys.path.insert(0, str(HERE.parents[1] / "experiments" / "performance"))
    try:
        from peers import PeersError, environment
    finally:
        del sys.path[0]
    try:
        return environment(tmp_path_factory.mktemp("anomalib") / "env", HERE / "anomalib.txt")
    except PeersError as reason:
        pytest.skip(f"no environment with anomalib could be made, so that nothing is compared with it: {reason}")


@pytest.fixture(scope="module")
def called(peer, tmp_path_factory):
    """Runs a script or module there, in the folder of the data."""
    folder = tmp_path_factory.mktemp("drawn")
    own = {"PYTHONPATH": str(Path(pneumo_ad.__file__).parents[1]), "PNEUMO_AD_CACHE": str(folder / "cache")}

    def call(*arguments, status=0):
        command = [peer, "-W", "ignore", *map(str, arguments)]
        done = subprocess.run(command, cwd=folder, env=os.environ | own, capture_output=True, text=True, timeout=500)
        assert done.returncode == status, done.stdout[-2000:] + done.stderr[-4000:]
        return done.stdout + done.stderr

    write_drawn(folder)
    call(HERE / "anomalib_side.py", folder)
    call.folder = folder
    return call


def write_drawn(folder):
    """Faint opacities, as a published split for us and as folders for anomalib; no resampling on either side."""
    for name in ("images", "opacity", *(f"anomalib/{part}" for part in ("train", "normal", "sick", "masks"))):
        (folder / name).mkdir(parents=True)
    held = {"train": {"0": []}, "test": {"0": [], "1": []}}
    for number in range(36):
        sick = number >= 26
        part, name = "train" if number < 16 else "sick" if sick else "normal", f"{number:02d}.png"
        picture = Image.blend(*(Image.fromarray(radiograph(number, 64, 64, ill)) for ill in (False, sick)), 0.25)
        held["train" if number < 16 else "test"][str(int(sick))].append(name)
        mask = Image.fromarray(np.uint8(255 * opacity_mask(64, 64)))
        for image, place in ((picture, "images"), (picture, f"anomalib/{part}")):
            image.save(folder / place / name)
        for place in ("opacity", "anomalib/masks") if sick else ():
            mask.save(folder / place / name)
    (folder / "data.json").write_text(json.dumps(held))


@pytest.fixture(scope="module")
def run(called):
    said = called(
        "-m", "pneumo_ad", "train", "experiment=anomalib", "net.model=Padim", "net.checkpoint=model.ckpt",
        "data=splits", "data.root=.", *SIDE, "lungs=none", "trainer=cpu", "logger=csv", "hydra.run.dir=run",
    )  # fmt: skip
    assert "the net sees images of 64 x 64, their grey in 3 channels" in said
    return called.folder / "run"


def test_our_evaluation_says_what_anomalib_says_on_the_same_data(called, run):
    theirs = json.loads((called.folder / "figures.json").read_text())
    ours = json.loads((run / "metrics.json").read_text())
    assert 0.5 < theirs["image_AUROC"] < 1  # equal at neither end
    assert ours["image/auroc"] == pytest.approx(theirs["image_AUROC"], abs=1e-6)
    assert ours["pixel/auroc"] == pytest.approx(theirs["pixel_AUROC"], abs=1e-6)
    assert "shortcut/image/sharpness_centre" in json.loads((run / "shortcuts.json").read_text())  # what it never says


def test_its_run_predicts_what_was_evaluated(called, run):
    called("-m", "pneumo_ad", "predict", "run=run", "input=images", "output=predicted", "trainer=cpu")
    predicted = pd.read_csv(called.folder / "predicted" / "predictions.csv", dtype={"file": str}).set_index("file")
    evaluated = pd.read_csv(run / "images.csv", dtype={"image": str}).set_index("image")
    assert len(evaluated) == 20
    found = predicted.loc[[f"{name}.png" for name in evaluated.index], "score"].to_numpy()
    np.testing.assert_allclose(found, evaluated["score"].to_numpy(), atol=1e-5)


def test_other_files_models_and_sizes_are_named(called):
    script = """
import logging, sys
import torch
from pneumo_ad.errors import UserError
from pneumo_ad.modules import TrainedNet
from pneumo_ad.nets import AnomalibNet

older = torch.load("model.ckpt", weights_only=True)
del older["anomalib_components_enabled"]
torch.save(older, "older.ckpt")
open("half.ckpt", "wb").write(open("model.ckpt", "rb").read()[:1000])
for model, file in [("Padim", "export/weights/torch/model.pt"), ("Patchcore", "model.ckpt"), ("Padm", "model.ckpt"),
                    ("Padim", "older.ckpt"), ("Padim", "half.ckpt"), ("Padim", "absent.ckpt"), ("Padim", None)]:
    try:
        AnomalibNet(model, file)
    except UserError as reason:
        print("refused:", reason)
logging.basicConfig(level=logging.INFO)
net = TrainedNet(AnomalibNet("Padim", "model.ckpt")).eval()
net.try_out(torch.rand(1, 1, 96, 80))
print(net(torch.rand(2, 1, 96, 80)).anomaly.shape)
"""
    said = called("-c", script)
    refused = [line for line in said.splitlines() if line.startswith("refused: ")]
    expected = [
        "model.pt: holds other than weights and plain values; an export of anomalib (model.pt) is a pickle",
        "model.ckpt: Patchcore of anomalib 2.7.0 cannot be made of it, as of another model or version",
        "net.model=Padm is no model of anomalib 2.7.0; did you mean Padim?",
        "older.ckpt: Padim of anomalib 2.7.0 cannot be made of it, as of another model or version (anomalib_components",
        "half.ckpt: ",
        "net.checkpoint=absent.ckpt is no file; expected the Lightning checkpoint",
        "net.checkpoint=None is no file",
    ]
    assert len(refused) == len(expected)
    assert all(words in line for words, line in zip(expected, refused, strict=True)), refused
    assert "those of 96 x 80 are resized for it, and its maps back" in said
    assert "torch.Size([2, 1, 96, 80])" in said
