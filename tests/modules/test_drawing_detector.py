"""Training on drawings: targets, loss, and a run of it from end to end."""

import json
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from running import start
from sklearn.metrics import roc_auc_score

from pneumo_ad.drawings import Drawn, Mixture, Veils
from pneumo_ad.errors import ConfigError
from pneumo_ad.labels import HEALTHY, OPACITY, OUTSIDE
from pneumo_ad.lungs import LungSegmenter
from pneumo_ad.modules import DrawingDetector
from pneumo_ad.modules.detector import kinds_of_squares
from pneumo_ad.modules.drawing_detector import dice_of_opacity
from pneumo_ad.nets import KindUNet, UNetAutoencoder
from pneumo_ad.runs.run import load_run

ADAM = partial(torch.optim.Adam, lr=1e-2)


def test_a_square_is_what_is_drawn_there_and_outside_where_most_is():
    lung = torch.zeros(1, 1, 2, 8)
    lung[..., 2:] = 1
    opaque = torch.tensor([[[[True, False, True, False]]]])
    assert kinds_of_squares(lung, opaque).tolist() == [[[OUTSIDE, HEALTHY, OPACITY, HEALTHY]]]


def test_dice_is_none_where_all_is_right_and_grows_with_what_is_missed():
    target = torch.randint(0, 3, (2, 8, 8), generator=torch.Generator().manual_seed(0))
    right = 50 * torch.nn.functional.one_hot(target, 3).movedim(-1, 1).float()
    assert dice_of_opacity(right, target) == pytest.approx(0, abs=1e-5)
    missed = right.clone()
    missed[0] = 0
    missed[0, HEALTHY] = 50
    assert 0.2 < dice_of_opacity(missed, target) < 1
    empty = torch.full_like(target, HEALTHY)
    assert dice_of_opacity(50 * torch.nn.functional.one_hot(empty, 3).movedim(-1, 1).float(), empty) < 1e-3


def batch(count=4, side=64):
    lung = torch.zeros(count, 1, side, side, dtype=torch.uint8)
    lung[..., 10:50, 8:26] = lung[..., 10:50, 38:56] = 1
    noise = torch.randint(0, 12, lung.shape, generator=torch.Generator().manual_seed(0))
    return {"patch": (180 - 110 * lung + noise).to(torch.uint8), "lung": lung, "where": torch.zeros(count, 3)}


def module(**options):
    torch.manual_seed(0)
    made = DrawingDetector(KindUNet(width=4, depth=2), Mixture([Veils(strength=(0.5, 0.9))]), ADAM, **options)
    made.log = lambda *_, **__: None
    return made


def test_the_same_step_has_the_same_loss_and_another_another():
    made = module()
    first, again, other = (made._loss(batch(), epoch, 0).item() for epoch in (0, 0, 1))
    assert first == again != other


def test_it_learns_to_tell_what_is_drawn():
    made = module()
    optimizer = made.configure_optimizers() if not made.one_cycle else ADAM(made.net.parameters())
    before = made._loss(batch(), 0, 0).item()
    for step in range(60):
        optimizer.zero_grad()
        made._loss(batch(), 0, step % 4).backward()
        optimizer.step()
    assert made._loss(batch(), 0, 0).item() < 0.6 * before


def test_opacity_weighs_what_is_asked_for():
    drawing = lambda x, lung, generator: Drawn(x, lung)  # noqa: E731 - all of the lung is drawn
    light, heavy = (
        DrawingDetector(KindUNet(width=4, depth=2), drawing, ADAM, opacity_weight=weight, dice=0)
        for weight in (0.1, 10)
    )
    heavy.load_state_dict(light.state_dict())
    chances = light.net.logits(batch()["patch"].float() / 255).softmax(dim=1)
    lung = batch()["lung"].float()
    target = kinds_of_squares(lung, torch.nn.functional.max_pool2d(lung, 2) > 0)
    per_kind = torch.nn.functional.nll_loss(chances.log(), target, reduction="none")
    opaque = target == OPACITY
    for made, weight in ((light, 0.1), (heavy, 10)):
        expected = (weight * per_kind[opaque].sum() + per_kind[~opaque].sum()) / (
            weight * opaque.sum() + (~opaque).sum()
        )
        assert made._loss(batch(), 0, 0).item() == pytest.approx(expected.item(), rel=1e-4)


def test_it_begins_as_a_segmenter_when_its_training_does_and_not_when_it_goes_on(tmp_path):
    file = tmp_path / "lung_unet.safetensors"
    LungSegmenter(width=4, depth=2).save(file)
    known = {k: v for k, v in LungSegmenter.from_file(file).unet.state_dict().items() if "head" not in k}
    made = module(warm_start=str(file))
    for ckpt_path, same in (("last.ckpt", False), (None, True)):
        made.trainer = SimpleNamespace(ckpt_path=ckpt_path)
        made.setup("fit")
        own = made.net.unet.state_dict()
        assert all(torch.equal(own[key], value) for key, value in known.items()) == same
    other = DrawingDetector(KindUNet(width=8, depth=2), Veils(), ADAM, warm_start=str(file))
    other.trainer = SimpleNamespace(ckpt_path=None)
    with pytest.raises(ConfigError, match=r"net.width=4 net.depth=2"):
        other.setup("fit")


def test_what_is_found_of_unseen_families_is_the_auroc_of_the_lungs_pixels():
    made = module(unseen=Veils(strength=(0.7, 0.9)))
    made.validation_step(batch(), 0)
    drawn = made.unseen(batch()["patch"].float() / 255, batch()["lung"].float(), made.generator(0, 0, "cpu"))
    kept = (..., slice(None, None, 4), slice(None, None, 4))
    inside = batch()["lung"][kept] > 0
    chance = made.score.residual_map(drawn.x, made.net(drawn.x))[kept][inside]
    expected = roc_auc_score(drawn.mask[kept][inside].numpy(), chance.detach().numpy())
    assert made.found_unseen.compute().item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("options", "words"), [({"opacity_weight": 0}, "opacity_weight=0"), ({"dice": -1}, "dice=-1 at least 0")]
)
def test_weights_that_cannot_be_are_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        module(**options)
    with pytest.raises(ConfigError, match="trains net=kind_unet, got UNetAutoencoder"):
        DrawingDetector(UNetAutoencoder(width=4), Veils(), ADAM)


def test_a_run_of_several_sources_trains_averages_and_opens(tmp_path, monkeypatch):
    monkeypatch.setenv("PNEUMO_AD_CACHE", str(tmp_path / "cache"))
    target = "_target_: pneumo_ad.data.sources.phantom, size: 96, pneumonia: 0"
    sources = f"{{one: {{{target}, normal: 24, seed: 1}}, two: {{{target}, normal: 16, seed: 2}}}}"
    recipe = [
        "experiment=detector", "data=several", f"data.sources={sources}", "image_size=64", "patch=8", "stride=8",
        "net.width=4", "net.depth=2", "trainer=cpu", "trainer.max_epochs=2",
        "callbacks.average.update_starting_at_step=1", "logger=csv", f"hydra.run.dir={tmp_path / 'run'}",
    ]  # fmt: skip
    assert start("train", *recipe) == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "finished"
    run = load_run(tmp_path / "run")
    assert isinstance(run.module, DrawingDetector)
    names = run.radiographs.store.table["image"].str.partition("/")[0]
    assert set(names) == {"one", "two"}
    saved = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert any(
        not torch.equal(saved["state_dict"][key], saved["current_model_state"][key]) for key in saved["state_dict"]
    )
