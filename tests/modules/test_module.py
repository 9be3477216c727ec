import functools
import hashlib

import lightning as L
import numpy as np
import pytest
import torch
from drawn import write_set

from pneumo_ad.callbacks import SADHistograms
from pneumo_ad.corruptions import CoarseNoise
from pneumo_ad.data import VAL_KINDS, PatchDataModule, sources
from pneumo_ad.data.batch import to_unit
from pneumo_ad.errors import ConfigError
from pneumo_ad.loggers import TensorBoardRun
from pneumo_ad.losses import DiceLoss, L1Loss, MSELoss
from pneumo_ad.lungs import FileFields
from pneumo_ad.modules.autoencoder import PatchAutoencoder
from pneumo_ad.nets import VAE, Output, UNetAutoencoder
from pneumo_ad.scores import SADContrast


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return sources.masks(write_set(tmp_path_factory.mktemp("module") / "set", normal=10, pneumonia=10), val=0.3)


def data_of(table, **options):
    options = {"image_size": 64, "patch": 8, "stride": 6, "lungs": FileFields(), "batch_size": 16} | options
    return PatchDataModule(table, **options)


def module_of(seed=0, loss=None, **options):
    torch.manual_seed(seed)
    adam = functools.partial(torch.optim.Adam, lr=1e-2)
    return PatchAutoencoder(UNetAutoencoder(width=4), loss or L1Loss(), adam, seed=seed, **options)


def fit(module, data, epochs=1, callbacks=(), **options):
    trainer = L.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, callbacks=list(callbacks), **options,
    )  # fmt: skip
    trainer.fit(module, data)
    return trainer


def digest(module):
    state = module.state_dict()
    return hashlib.sha256(b"".join(state[key].numpy().tobytes() for key in sorted(state))).hexdigest()


@pytest.mark.parametrize("corruption", [None, CoarseNoise(0.2, 4)])
def test_a_seed_gives_the_same_weights_and_another_gives_others(table, corruption):
    digests = []
    for seed in (0, 0, 1):
        module = module_of(seed, corruption=corruption)
        torch.manual_seed(99 + len(digests))  # what happens outside must not matter
        fit(module, data_of(table, seed=seed), epochs=2)
        digests.append(digest(module))
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]


def test_corruption_is_a_function_of_seed_epoch_and_batch(table):
    seen = {}

    class Watch(CoarseNoise):
        def __call__(self, x, generator):
            noise = super().__call__(x, generator) - x
            seen.setdefault(key, []).append(noise.clone())
            return x + noise

    x = torch.rand(4, 1, 8, 8)
    for key in ((0, 0, 0), (0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (7, 0, 0), (0, 7, 0)):
        module_of(key[0], corruption=Watch())._corrupted_loss(x, key[1], key[2])
    assert torch.equal(*seen[0, 0, 0])
    noises = [noise[0] for noise in seen.values()]
    assert all(not torch.equal(a, b) for i, a in enumerate(noises) for b in noises[:i])


@pytest.mark.parametrize("loss", [DiceLoss("squared"), L1Loss(), MSELoss()])
def test_a_few_patches_can_be_learnt_by_heart(loss):
    module = module_of(loss=loss)
    x = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.6 + 0.2
    optimizer = module.configure_optimizers()
    losses = []
    for _ in range(400):
        optimizer.zero_grad()
        value, _ = module._corrupted_loss(x, 0, 0)
        value.backward()
        optimizer.step()
        losses.append(value.item())
    with torch.no_grad():
        sad = module.examine(x)["sad"].mean()
    assert losses[-1] < 0.35 * losses[0]
    assert sad < 20


def test_linear_dice_collapses_where_squared_dice_learns():
    x = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.3 + 0.3
    sad = {}
    for form in ("squared", "linear"):
        module = module_of(loss=DiceLoss(form))
        optimizer = module.configure_optimizers()
        for _ in range(300):
            optimizer.zero_grad()
            module._corrupted_loss(x, 0, 0)[0].backward()
            optimizer.step()
        with torch.no_grad():
            sad[form] = module.examine(x)["sad"].mean().item()
    assert sad["linear"] > 100
    assert sad["squared"] < sad["linear"] / 4


def test_training_lowers_the_loss_of_patients_it_never_saw(table):
    module = module_of()
    trainer = fit(module, data_of(table), epochs=1)
    first = trainer.callback_metrics["val/loss"].item()
    trainer = fit(module, data_of(table), epochs=6)
    assert trainer.callback_metrics["val/loss"].item() < first


def test_validation_returns_what_callbacks_read_and_logs_each_kind(table):
    seen = {}

    class Reader(L.Callback):
        def on_validation_batch_end(self, trainer, module, outputs, batch, batch_idx, dataloader_idx=0):
            seen.setdefault(VAL_KINDS[dataloader_idx], []).append((outputs, batch))

    module = module_of(score=SADContrast())
    trainer = fit(module, data_of(table), callbacks=[Reader()])
    assert set(seen) == set(VAL_KINDS)
    for kind, parts in seen.items():
        for outputs, batch in parts:
            x = batch["patch"].float() / 255
            assert torch.equal(outputs["x"], x)
            assert outputs["reconstruction"].shape == x.shape
            sad = (outputs["reconstruction"] - x).abs().mean(dim=(1, 2, 3)) * 255
            assert torch.allclose(outputs["sad"], sad, rtol=1e-4)
            assert torch.allclose(outputs["score"], SADContrast().score(x, Output(outputs["reconstruction"])))
        mean = torch.cat([outputs["sad"] for outputs, _ in parts]).mean()
        assert trainer.callback_metrics[f"val/sad_{kind}"].item() == pytest.approx(mean.item(), rel=1e-4)
    assert {"train/loss", "train/sad", "val/loss"} <= set(trainer.callback_metrics)


def test_validation_loss_is_that_of_normal_lung_under_the_training_corruption(table):
    data, module = data_of(table), module_of(corruption=CoarseNoise(0.3, 4))
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    (first, *_) = trainer.validate(module, data, verbose=False)
    batches = list(data.val_dataloader()[0])
    sizes = [len(batch["patch"]) for batch in batches]
    with torch.no_grad():
        losses = [module._corrupted_loss(to_unit(batch["patch"]), 0, i)[0].item() for i, batch in enumerate(batches)]
    assert first["val/loss"] == pytest.approx(np.average(losses, weights=sizes), rel=1e-4)


def test_a_penalty_of_the_net_is_part_of_the_loss():
    class Penalised(UNetAutoencoder):
        def forward(self, x):
            return super().forward(x)._replace(penalty=torch.tensor(7.0))

    x = torch.rand(2, 1, 8, 8)
    plain = module_of()
    penalised = PatchAutoencoder(Penalised(width=4), L1Loss(), torch.optim.Adam)
    penalised.net.load_state_dict(plain.net.state_dict())
    difference = penalised._corrupted_loss(x, 0, 0)[0] - plain._corrupted_loss(x, 0, 0)[0]
    assert difference.item() == pytest.approx(7)


def test_grey_levels_and_unit_range_are_the_same_input():
    module = module_of().eval()
    patches = torch.randint(0, 256, (2, 1, 8, 8), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(module(patches).reconstruction, module(patches.float() / 255).reconstruction)


def test_checkpoints_load_as_plain_weights(table, tmp_path):
    module = module_of()
    trainer = fit(module, data_of(table))
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    saved = torch.load(tmp_path / "a.ckpt", weights_only=True)
    other = module_of(seed=5)
    assert digest(other) != digest(module)
    other.load_state_dict(saved["state_dict"])
    assert digest(other) == digest(module)


NETS = {"unet": UNetAutoencoder, "vae": lambda width: VAE(patch=8, latent=4, width=width)}  # the vae draws noise


@pytest.mark.parametrize("net", NETS)
def test_a_resumed_run_equals_an_uninterrupted_one(table, tmp_path, net):
    def fresh():
        torch.manual_seed(0)
        adam = functools.partial(torch.optim.Adam, lr=1e-2)
        return PatchAutoencoder(NETS[net](width=4), L1Loss(), adam, corruption=CoarseNoise(0.2, 4))

    whole, first, resumed = fresh(), fresh(), fresh()
    fit(whole, data_of(table), epochs=3)
    fit(first, data_of(table), epochs=1).save_checkpoint(tmp_path / "one.ckpt")
    torch.manual_seed(99)  # another process starts elsewhere
    trainer = L.Trainer(
        max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(resumed, data_of(table), ckpt_path=tmp_path / "one.ckpt")
    assert digest(resumed) == digest(whole)


def test_the_noise_a_net_draws_is_a_function_of_seed_epoch_and_batch_and_nothing_else_moves():
    class Noisy(UNetAutoencoder):
        def forward(self, x):
            drawn.append(torch.randn(8))
            return super().forward(x)

    drawn, x = [], torch.rand(2, 1, 8, 8)
    torch.manual_seed(3)
    expected = torch.rand(1)
    for seed, epoch, batch in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0)):
        torch.manual_seed(3)
        module = PatchAutoencoder(Noisy(width=1), L1Loss(), torch.optim.Adam, seed=seed, corruption=CoarseNoise())
        torch.manual_seed(3)
        module._corrupted_loss(x, epoch, batch)
        assert torch.equal(torch.rand(1), expected)  # the global generator is left as it was
    assert torch.equal(drawn[0], drawn[-1])
    assert all(not torch.equal(a, b) for i, a in enumerate(drawn[:-1]) for b in drawn[:i])


def test_histograms_count_every_patch_of_every_epoch(table):
    written = []

    class Writer(TensorBoardRun):
        experiment = property(lambda self: self)

        def add_histogram_raw(self, tag, *fields, **named):
            written.append((tag, fields, named))

    class Counted(SADHistograms):
        def on_validation_batch_end(self, trainer, module, outputs, batch, batch_idx, dataloader_idx=0):
            sads.setdefault(VAL_KINDS[dataloader_idx], []).append(outputs["sad"].numpy())
            super().on_validation_batch_end(trainer, module, outputs, batch, batch_idx, dataloader_idx)

    sads = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pneumo_ad.callbacks.histograms.picture_loggers", lambda trainer: [Writer("")])
        fit(module_of(), data_of(table), callbacks=[Counted()])
    assert {tag for tag, *_ in written} == {f"sad/{kind}" for kind in VAL_KINDS}
    for tag, arguments, named in written:
        names = ("min", "max", "num", "sum", "sum_squares", "bucket_limits", "bucket_counts")
        fields = dict(zip(names, arguments, strict=False)) | named
        sad = np.concatenate(sads[tag.removeprefix("sad/")]).astype(float)
        assert fields["num"] == sum(fields["bucket_counts"]) == len(sad)
        assert (fields["min"], fields["max"]) == pytest.approx((sad.min(), sad.max()))
        assert (fields["sum"], fields["sum_squares"]) == pytest.approx((sad.sum(), (sad**2).sum()), rel=1e-4)
        limits = np.array(fields["bucket_limits"])
        assert (np.diff(limits) > 0).all()
        below = np.array([(sad <= limit).sum() for limit in limits])
        assert np.abs(np.cumsum(fields["bucket_counts"]) - below).max() <= 1


class Returns(torch.nn.Module):
    def __init__(self, answer):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.answer = answer

    def forward(self, x):
        return self.answer(self.weight * x)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda x: x, "net Returns returned a Tensor; a net returns Output"),
        (lambda x: (x, x), "net Returns returned a tuple; a net returns Output"),
        (lambda x: {"reconstruction": x}, "net Returns returned a dict; a net returns Output"),
        (lambda x: None, "net Returns returned a NoneType; a net returns Output"),
        (lambda x: Output(x[..., 1:]), r"reconstruction is \(1, 1, 8, 7\), expected \(1, 1, 8, 8\)"),
        (lambda x: Output(x.squeeze(1)), r"reconstruction is \(1, 8, 8\), expected \(1, 1, 8, 8\)"),
        (lambda x: Output(None), r"reconstruction is NoneType, expected \(1, 1, 8, 8\)"),
        (lambda x: Output(x, log_variance=x[:, :, :1]), r"log_variance is \(1, 1, 1, 8\)"),
        (lambda x: Output(x, kinds=x), r"kinds is \(1, 1, 8, 8\), expected \(1, 3, 8, 8\)"),
    ],
    ids=["tensor", "tuple", "dict", "nothing", "cut", "flat", "none", "variance", "kinds"],
)
def test_what_a_net_returns_is_looked_at_before_it_is_trained(answer, said):
    module = PatchAutoencoder(Returns(answer), L1Loss(), torch.optim.SGD)
    with pytest.raises(ConfigError, match=said):
        module.try_out(torch.zeros(1, 1, 8, 8))
    PatchAutoencoder(Returns(Output), L1Loss(), torch.optim.SGD).try_out(torch.zeros(1, 1, 8, 8))
