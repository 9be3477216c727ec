import hashlib

import lightning as L
import numpy as np
import pytest
import torch
from drawn import write_set
from running import TINY, start, story

from pneumo_ad.corruptions import DrawnOpacity, NoCorruption
from pneumo_ad.corruptions.exposure import expose
from pneumo_ad.data import PatchDataModule, sources
from pneumo_ad.errors import ConfigError
from pneumo_ad.lungs import FileFields
from pneumo_ad.lungs.features import SegmenterFeatures
from pneumo_ad.lungs.segmenter import LungSegmenter
from pneumo_ad.modules import FeatureDetector, OpacityDetector
from pneumo_ad.modules.opacity_detector import draw_opacities
from pneumo_ad.nets import FeatureGaussian, KindUNet, UNetAutoencoder

OF_SEGMENTER = [  # its features need no weights of the extra
    "net.features._target_=pneumo_ad.lungs.features.SegmenterFeatures",
    "~net.features.blocks",
    "+net.features.levels=[0,1]",
]
ADAM = torch.optim.Adam


@pytest.fixture
def data(tmp_path):
    table = sources.masks(write_set(tmp_path / "set", 20, 10), val=0.2, test=0.2)
    return PatchDataModule(table, image_size=64, lungs=FileFields(), patch=16, stride=16, batch_size=4, view="image")


def trainer(**options):
    return L.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, **options,
    )  # fmt: skip


def digest(module):
    state = module.state_dict()
    return hashlib.sha256(b"".join(state[key].numpy().tobytes() for key in sorted(state))).hexdigest()


def gaussian():
    return FeatureDetector(FeatureGaussian(SegmenterFeatures([0, 1]), cells=8))


def kinds(seed=0):
    torch.manual_seed(seed)
    net = KindUNet(width=4, depth=2)
    return OpacityDetector(net, DrawnOpacity((0.1, 0.3), p=1.0), lambda p: ADAM(p, 1e-2), warm_start=False, seed=seed)


def test_a_feature_detector_counts_every_normal_lung_once(data):
    module = gaussian()
    trainer(max_epochs=1).fit(module, data)
    rows = data.radiographs.rows("train", "normal")
    lung = torch.from_numpy(data.radiographs.lung_fields[rows])[:, None].float()
    cells = torch.nn.functional.adaptive_avg_pool2d(lung, (8, 8)) >= 0.9
    assert module.net.count.item() == cells.sum().item()


def test_a_feature_detector_refuses_to_count_twice(data):
    with pytest.raises(ConfigError, match="max_epochs=1"):
        trainer(max_epochs=2).fit(gaussian(), data)


def test_a_feature_detector_trains_nothing_else():
    with pytest.raises(ConfigError, match="UNetAutoencoder"):
        FeatureDetector(UNetAutoencoder(4))


def test_an_opacity_detector_learns_and_a_seed_gives_the_same_weights(data):
    modules = [kinds(), kinds(), kinds(1)]
    losses = []
    for module in modules:
        fitted = trainer(max_epochs=8)
        fitted.fit(module, data)
        losses.append(fitted.callback_metrics["train/loss"].item())
    assert digest(modules[0]) == digest(modules[1]) != digest(modules[2])
    assert losses[0] < 0.9  # three kinds by chance: 1.1


def test_an_opacity_detector_begins_as_the_segmenter_or_says_why_not():
    torch.manual_seed(0)
    module = OpacityDetector(KindUNet(), DrawnOpacity(), ADAM)
    own, known = module.net.unet.state_dict(), LungSegmenter.from_file().unet.state_dict()
    assert all(torch.equal(own[key], value) for key, value in known.items() if "head" not in key)
    with pytest.raises(ConfigError, match=r"net.width=16 net.depth=4.*warm_start=false"):
        OpacityDetector(KindUNet(width=4), DrawnOpacity(), ADAM)
    with pytest.raises(ConfigError, match="NoCorruption"):
        OpacityDetector(KindUNet(), NoCorruption(), ADAM)


def test_opacities_are_drawn_into_lungs_alone_and_brighten():
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(4, 1, 64, 64) * 0.2 + 0.1
    lung = torch.zeros_like(x)
    lung[..., 10:50, 8:30] = 1
    x[lung == 0] = 0.7
    drawn, share = draw_opacities(x, lung, DrawnOpacity((0.2, 0.4), p=1.0), 4, generator)
    assert share.max() > 0.2
    assert (share[lung == 0] == 0).all()
    assert torch.equal(drawn[share == 0], x[share == 0])
    assert drawn[share > 0.5].mean() > x[share > 0.5].mean() + 0.1
    none, nothing = draw_opacities(x, torch.zeros_like(lung), DrawnOpacity(p=1.0), 2, generator)
    assert torch.equal(none, x)
    assert not nothing.any()


def test_exposure_keeps_the_range_and_depends_on_the_generator_alone():
    x = torch.rand(8, 1, 16, 16)
    one, same, other = (expose(x, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert 0 <= one.min() <= one.max() <= 1


@pytest.mark.parametrize(
    ("recipe", "options"),
    [
        ("feature_gaussian", ["net=feature_gaussian_lung", "net.cells=8", "trainer.max_epochs=1", "per_epoch=null"]),
        ("aligned_gaussian", [*OF_SEGMENTER, "net.cells=8", "trainer.max_epochs=1", "per_epoch=null"]),
        ("normal_lung", ["net.cells=8", "trainer.max_epochs=1", "per_epoch=null"]),
        ("opacity_detector", ["net.width=4", "net.depth=2", "module.warm_start=false", "per_epoch=8"]),
    ],
)
def test_a_detector_goes_through_the_commands(tmp_path, monkeypatch, recipe, options):
    import json

    import pandas as pd

    monkeypatch.chdir(tmp_path)
    tiny = [one for one in TINY if not one.startswith(("net.", "callbacks=", "evaluate="))]
    chosen = [*tiny, "lungs=files", "augment=none", "callbacks=minimal", "batch_size=4"]
    assert start("train", f"experiment={recipe}", *chosen, *options, "hydra.run.dir=run") == 0
    assert story("run")["status"] == "finished"
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert 0 <= metrics["patch/auroc_outside_vs_healthy"] <= 1
    assert "patch/sad_median_healthy" not in metrics  # nothing is reconstructed
    patches = pd.read_csv(tmp_path / "run" / "patches.csv")
    assert "sad" not in patches
    assert np.isfinite(patches["score"]).all()
    before = patches["score"].to_numpy()
    assert start("evaluate", "run=run", "output=again", "trainer=cpu") == 0
    np.testing.assert_allclose(pd.read_csv(tmp_path / "again" / "patches.csv")["score"], before, rtol=1e-4)
    assert start("evaluate", "run=run", "view=patch") == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["net=kind_unet", "module=opacity_detector", "corruption=drawn_opacity"], "needs view=image"),
        (["view=image"], "needs view=patch"),
        (["experiment=opacity_detector", "module.layers=0"], "layers=0"),
    ],
)
def test_what_a_net_sees_must_be_what_it_is_shown(tmp_path, monkeypatch, capsys, options, words):
    monkeypatch.chdir(tmp_path)
    tiny = [one for one in TINY if not one.startswith("net.")]
    assert start("train", *tiny, *options, "hydra.run.dir=run") == 2
    assert words in capsys.readouterr().err
