from functools import partial

import lightning as L
import numpy as np
import pytest
import torch
from drawn import write_kaggle
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_class_weight

from pneumo_ad.classifier import (
    RadiographClassifier,
    RadiographCNN,
    RadiographDataModule,
    balanced_weights,
    weighted_loss,
)
from pneumo_ad.data.sources import chest_xray
from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.lungs import WholeImage


def test_weights_equal_scikit_learns_and_the_rarer_class_weighs_more():
    sick = np.array([False] * 3 + [True] * 9)
    normal, pneumonia = balanced_weights(sick)
    assert [normal, pneumonia] == pytest.approx(
        compute_class_weight("balanced", classes=np.array([False, True]), y=sick)
    )
    assert normal == pytest.approx(3 * pneumonia)
    assert np.where(sick, pneumonia, normal).mean() == pytest.approx(1)
    with pytest.raises(DataError, match="0 normal and 9 pneumonia"):
        balanced_weights(sick[3:])


def test_loss_equals_scikit_learns():
    rng = np.random.default_rng(0)
    logits, sick = rng.normal(size=20).astype(np.float32), rng.random(20) < 0.7
    weights = (2.5, 0.5)
    expected = log_loss(sick, 1 / (1 + np.exp(-logits)), sample_weight=np.where(sick, weights[1], weights[0]))
    expected *= np.where(sick, weights[1], weights[0]).mean()  # theirs divides by the sum of weights
    found = weighted_loss(torch.from_numpy(logits), torch.from_numpy(sick), weights)
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_under_the_weights_the_best_constant_answer_is_undecided():
    """Unweighted it would be to call everything pneumonia."""
    sick = torch.tensor([False] * 2 + [True] * 8)

    def best_constant(weights):
        logit = torch.zeros(1, requires_grad=True)
        optimizer = torch.optim.LBFGS([logit], max_iter=50)

        def step():
            optimizer.zero_grad()
            loss = weighted_loss(logit.expand(10), sick, weights)
            loss.backward()
            return loss

        optimizer.step(step)
        return logit.sigmoid().item()

    assert best_constant(balanced_weights(sick.numpy())) == pytest.approx(0.5, abs=1e-3)
    assert best_constant((1, 1)) == pytest.approx(0.8, abs=1e-3)


@pytest.mark.parametrize("weights", [(1,), (1, 0), (1, float("inf"))])
def test_weights_that_cannot_be_are_refused(weights):
    with pytest.raises(ConfigError, match="two positive numbers"):
        RadiographClassifier(RadiographCNN(), torch.optim.Adam, weights)


@pytest.fixture
def data(tmp_path):
    table = chest_xray(write_kaggle(tmp_path / "kaggle", normal=12, pneumonia=20), val=0.2, test=0.2)
    return RadiographDataModule(table, 32, lungs=WholeImage(), batch_size=4)


def train(data, folder, epochs=1, seed=0):
    torch.manual_seed(seed)
    module = RadiographClassifier(RadiographCNN((4, 8, 16), 32, 4), partial(torch.optim.Adam, lr=1e-2), seed=seed)
    trainer = L.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, default_root_dir=folder,
    )  # fmt: skip
    trainer.fit(module, data)
    return module, trainer


def test_training_lowers_the_loss_and_logs_what_it_says(data, tmp_path):
    _, trainer = train(data, tmp_path, epochs=30)
    logged = trainer.callback_metrics
    assert set(logged) == {"train/loss", "val/loss", "val/auroc"}
    assert logged["train/loss"] < 0.5
    assert logged["val/auroc"] == 1  # the drawn discs are easy to see


def test_the_same_seed_gives_the_same_weights_and_another_gives_others(data, tmp_path):
    one, same = (train(data, tmp_path)[0] for _ in range(2))
    torch.rand(1)  # whoever draws between two runs changes nothing
    other = train(data, tmp_path, seed=1)[0]
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not torch.equal(one.net.decide[0].weight, other.net.decide[0].weight)


def test_dropout_depends_on_seed_epoch_and_batch_alone(data, tmp_path):
    module, _ = train(data, tmp_path)
    module.log = lambda *_, **__: None
    module.train()
    batch = next(iter(data.train_dataloader()))
    losses = [module.training_step(batch, index).item() for index in (0, 1, 0)]
    assert losses[0] == losses[2] != losses[1]
