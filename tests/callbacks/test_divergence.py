"""A training that diverged ends in words, keeps what was good, and is judged by nobody."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import lightning as L
import pytest
import torch
from drawn import write_set
from lightning.pytorch.callbacks import ModelCheckpoint
from running import TINY, start, story, times, weights
from safetensors.torch import load_file, save_file
from torch import nn

from pneumo_ad.callbacks import StopAtDivergence
from pneumo_ad.errors import DivergedError
from pneumo_ad.losses import DiceLoss
from pneumo_ad.lungs.segmenter import WEIGHTS, LungSegmenter
from pneumo_ad.nets.finite import check_weights
from pneumo_ad.runs.checkpoints import read_checkpoint

pytestmark = pytest.mark.usefixtures("here")

SMALL = ["data.normal=24", "data.pneumonia=20", "data.size=96", "image_size=64"]
HUGE = "optimizer.lr=1e30"
FITS = {
    "patches": ["train", *TINY],
    "no callbacks": ["train", *TINY, "callbacks.best=null", "callbacks.last=null", "callbacks.termination=null"],
    "whole radiographs": [
        *("train", "experiment=opacity_detector", *TINY, "module.warm_start=false", "per_epoch=8", "batch_size=2"),
    ],
    "classifier": [
        *("classify", *SMALL, "net.widths=[2,4,8]", "net.hidden=16", "trainer=cpu", "callbacks.progress=null"),
        *("logger=csv", "trainer.max_epochs=2"),
    ],
    "lungs": [
        *("train-lungs", "data.root=set", "data.val=0.3", "data.test=0.2", "segmenter.width=2", "segmenter.depth=2"),
        *("segmenter.image_size=64", "datamodule.batch_size=2", "datamodule.num_workers=0", "trainer=cpu"),
        *("logger=csv", "callbacks.progress=null", "trainer.precision=32-true", "++data.labels.pneumonia=other"),
        *("~also_measure_on.chest_xray_viral", "~also_measure_on.opacity_masks"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("fit", FITS)
def test_every_training_that_diverges_ends_with_its_epoch_and_keeps_nothing_that_is_not_finite(fit, capfd):
    write_set("set", normal=8, pneumonia=8)
    assert start(*FITS[fit], HUGE, "trainer.max_epochs=20", "hydra.run.dir=run") == 2
    said = capfd.readouterr().err
    assert "Traceback" not in said
    reason = story("run")["reason"]
    assert story("run")["status"] == "failed"
    assert reason in said
    for words in ("the training diverged: ", "epoch 1 of 20, step ", "a smaller optimizer.lr (it was 1e+30)"):
        assert words in reason
    written = list(Path("run").glob("checkpoints/*.ckpt"))
    assert not written
    assert "no checkpoint had been written" in reason
    assert "trainer.gradient_clip_val=1" in reason
    assert "precision" not in reason  # it was float32


def nan_from(step):
    """A loss that is as it is until that step of training."""
    whole, steps = DiceLoss.forward, []

    def forward(self, x, output):
        steps.extend([1] * self.training)
        return whole(self, x, output) * (float("nan") if len(steps) > step else 1)

    return forward


def test_what_was_good_stays_is_named_and_is_what_everybody_judges_by(monkeypatch, capfd):
    assert start("train", *TINY, "trainer.max_epochs=1", "hydra.run.dir=good") == 0
    with monkeypatch.context() as patch:
        patch.setattr(DiceLoss, "forward", nan_from(6))  # of four steps each epoch
        assert start("train", *TINY, "hydra.run.dir=run") == 2
    reason = story("run")["reason"]
    assert "the training loss is not finite in epoch 2 of 2, step 7;" in reason
    assert "the last good checkpoint is run/checkpoints/last.ckpt." in reason
    assert weights("run") == weights("good")
    kept = times("run/checkpoints")
    with monkeypatch.context() as patch:  # the same command goes on, to the same end
        patch.setattr(DiceLoss, "forward", nan_from(2))
        assert start("train", *TINY, "hydra.run.dir=run") == 2
    assert story("run")["reason"] == reason
    assert times("run/checkpoints") == kept
    assert start("train", *TINY, "hydra.run.dir=run") == 0  # and where the cause is gone, on to its own end
    assert start("train", *TINY, "hydra.run.dir=undisturbed") == 0
    assert weights("run") == weights("undisturbed")


def test_a_validation_loss_that_is_not_finite_leaves_no_checkpoint(monkeypatch):
    whole = DiceLoss.forward
    bad = float("inf")
    monkeypatch.setattr(DiceLoss, "forward", lambda self, *given: whole(self, *given) + (0 if self.training else bad))
    assert start("train", *TINY, "hydra.run.dir=run") == 2
    assert "the training diverged: val/loss is inf in epoch 1 of 2, step 4; no checkpoint" in story("run")["reason"]


def test_in_a_sweep_the_others_go_on():
    assert start("train", "-m", *TINY, "optimizer.lr=1e30,0.001", "hydra.sweep.dir=sweep") == 1
    failed, finished = (story(f"sweep/optimizer.lr={lr}") for lr in ("1e+30", "0.001"))
    assert (failed["status"], finished["status"]) == ("failed", "finished")
    assert "the training diverged" in failed["reason"]


def test_several_processes_end_together(capfd):
    plain = [one for one in TINY if one != "trainer=cpu"]
    two = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]
    assert start("train", *plain, *two, HUGE, "hydra.run.dir=run") == 2
    assert "the training diverged: " in story("run")["reason"]
    assert not list(Path("run").glob("checkpoints/*.ckpt"))
    assert "Traceback" not in capfd.readouterr().err


class Own(L.LightningModule):
    """Somebody's: of a loss that is finite whatever becomes of the second weight, and with a mask of minus infinity."""

    def __init__(self, bad_at=99, by_hand=False):
        super().__init__()
        self.weight, self.beside = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
        self.register_buffer("mask", torch.full((3, 3), -torch.inf).triu(1))
        self.bad_at, self.automatic_optimization = bad_at, not by_hand
        self.loss_bad_at = 99

    def training_step(self, batch, batch_idx):
        if batch_idx == self.bad_at:
            with torch.no_grad():
                self.beside[1] = torch.nan
        loss = (self.weight * batch[0]).square().sum() * (torch.inf if batch_idx == self.loss_bad_at else 1)
        if not self.automatic_optimization:
            self.manual_backward(loss)
            self.optimizers().step()
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-3)


def fit(module, folder, **options):
    every = ModelCheckpoint(folder / "checkpoints", save_top_k=-1, every_n_train_steps=1, **options)
    trainer = L.Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        callbacks=[every, StopAtDivergence(folder, module)],
    )  # fmt: skip
    trainer.fit(module, torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.rand(5, 3))))


def test_no_checkpoint_holds_weights_that_are_not_finite_though_the_loss_is(tmp_path):
    with pytest.raises(DivergedError, match=r"not finite \(beside\) in epoch 1 of 2, step 3; the last good"):
        fit(Own(bad_at=2), tmp_path)
    states = [read_checkpoint(file)["state_dict"] for file in (tmp_path / "checkpoints").iterdir()]
    assert len(states) == 2
    assert all(torch.isfinite(state["beside"]).all() for state in states)


def test_weights_alone_are_looked_at_when_the_epoch_ends(tmp_path):
    with pytest.raises(DivergedError, match=r"not finite \(beside\) in epoch 1 of 2, step 5"):
        fit(Own(bad_at=2), tmp_path, save_weights_only=True)


@pytest.mark.parametrize("by_hand", [False, True])
def test_whoever_steps_and_a_constant_that_is_infinite_is_none_of_it(by_hand, tmp_path):
    module = Own(by_hand=by_hand)
    fit(module, tmp_path / "whole")  # the mask is as it was built
    module.loss_bad_at = 3
    with pytest.raises(DivergedError, match="training loss is not finite in epoch 1 of 2, step 4"):
        fit(module, tmp_path / "bad")


def test_on_cuda_losses_are_looked_at_now_and_then_and_the_first_bad_one_is_told(tmp_path):
    trainer = SimpleNamespace(
        global_step=0, current_epoch=0, max_epochs=-1, log_every_n_steps=3, world_size=1, optimizers=[],
        gradient_clip_val=1.0, precision="16-mixed", strategy=SimpleNamespace(root_device=torch.device("cuda")),
    )  # fmt: skip
    stop = StopAtDivergence(tmp_path, nn.Linear(1, 1))

    def step(number, loss):
        trainer.global_step = number
        stop.on_train_batch_end(trainer, None, {"loss": torch.tensor(loss)}, None, number - 1)

    for number in (1, 2, 3):
        step(number, 1.0)
    step(4, 1.0)
    step(5, float("nan"))  # nobody waits for it
    with pytest.raises(DivergedError, match=r"in epoch 1, step 5; no .* folder: trainer\.precision=32-true$"):
        step(6, 1.0)
    step(7, float("inf"))
    with pytest.raises(DivergedError, match="in epoch 1, step 7"):
        stop.on_validation_start(trainer, None)


def spoiled(folder, name="net.layers"):
    """The first weight of a run's checkpoints made NaN, as a version before left them; its name."""
    for file in Path(folder).glob("checkpoints/*.ckpt"):
        content = torch.load(file, weights_only=True)
        key = next(key for key, value in content["state_dict"].items() if value.is_floating_point())
        content["state_dict"][key].view(-1)[-1] = torch.nan
        torch.save(content, file)
    return key


@pytest.fixture(scope="module")
def trained(shared):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PNEUMO_AD_CACHE", str(shared / "cache"))
        folder = shared / "trained"
        assert start("train", *TINY, "evaluate=test", f"hydra.run.dir={folder}") == 0
    return folder


COMMANDS = {
    "predict": ["input=set/images", "output=out"], "evaluate": ["output=out"], "export": ["output=out"],
    "figures": ["output=out"], "cluster": ["output=out"], "report": ["output=out/report.html"],
}  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_judges_by_weights_that_are_not_finite(trained, command, capfd):
    shutil.copytree(trained, "run")
    key = spoiled("run")
    write_set("set", normal=2, pneumonia=0)
    assert start(command, "run=run", *COMMANDS[command]) == 2
    said = capfd.readouterr().err
    assert f"error: {Path('run/checkpoints/best.ckpt')}: the weights are not finite ({key})" in said
    assert "Traceback" not in said
    assert not [file for file in Path("out").glob("*") if file.name != ".lock"]


def test_a_run_does_not_go_on_from_weights_that_are_not_finite(trained, capfd):
    shutil.copytree(trained, "run")
    spoiled("run")
    tell = story("run") | {"status": "interrupted"}
    Path("run/run.json").write_text(json.dumps(tell))
    before = times("run/checkpoints")
    assert start("train", "resume=run") == 2
    assert "last.ckpt: the weights are not finite (" in capfd.readouterr().err
    assert times("run/checkpoints") == before


def test_the_message_counts_the_tensors_and_lets_constants_be():
    module = Own()
    state = module.state_dict()
    check_weights(state, module, "a.ckpt")
    state = {key: torch.full_like(value, torch.inf) for key, value in state.items()}
    with pytest.raises(DivergedError, match=r"^a\.ckpt: the weights are not finite \(weight and 1 more tensors\)"):
        check_weights(state, module, "a.ckpt")


def test_weights_of_a_lung_segmenter_are_finite_or_refused(tmp_path):
    from safetensors import safe_open

    with safe_open(str(WEIGHTS), framework="pt") as file:
        options = file.metadata()
    tensors = load_file(WEIGHTS)
    key = next(iter(tensors))
    tensors[key].view(-1)[0] = torch.inf
    save_file(tensors, tmp_path / "odd.safetensors", options)
    with pytest.raises(DivergedError, match=rf"odd\.safetensors: the weights are not finite \({key}\)"):
        LungSegmenter.from_file(tmp_path / "odd.safetensors")
