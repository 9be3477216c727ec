from functools import partial

import albumentations as A
import lightning as L
import numpy as np
import pytest
import torch
from drawn import write_set

from pneumo_ad.data.augment import Augment
from pneumo_ad.data.datasets import WholeRadiographs
from pneumo_ad.data.sources import masks
from pneumo_ad.data.store.opening import open_store
from pneumo_ad.errors import DataError
from pneumo_ad.lungs import LungSegmenter
from pneumo_ad.lungs.training import (
    LungDataModule,
    LungSegmentation,
    dice,
    field_metrics,
    overlap_loss,
)


@pytest.fixture
def table(tmp_path):
    return masks(write_set(tmp_path / "set", normal=8, pneumonia=8), val=0.25, test=0.25)


def halves():
    lung = torch.zeros(1, 1, 4, 4, dtype=torch.uint8)
    lung[..., :2] = 1
    return lung


def test_loss_is_0_for_the_truth_and_grows_with_the_error():
    lung = halves()
    right, half, wrong = (overlap_loss(logits, lung) for logits in (40.0 * lung - 20, 0.0 * lung, 20 - 40.0 * lung))
    assert right == pytest.approx(0, abs=1e-6)
    assert right < half < wrong


def test_dice_by_hand():
    lung = halves().bool()
    assert dice(lung, lung).tolist() == [1]
    assert dice(lung[..., [2, 3, 0, 1]], lung).item() == pytest.approx(1 / 17)
    assert dice(torch.zeros_like(lung), torch.zeros_like(lung)).tolist() == [1]


def test_epochs_are_augmented_differently_and_each_the_same_again(table):
    store = open_store(table, (32, 32))
    augment = Augment([A.RandomBrightnessContrast(p=1.0)])
    one, other = (WholeRadiographs(store.images, np.arange(4), {"lung": store.lung}, augment) for _ in range(2))
    first, next_epoch = one.__getitems__([2, 2 + len(one)])["patch"]
    assert (first == other[2]["patch"]).all()
    assert (first != next_epoch).any()
    lungs = one.__getitems__([2, 2 + len(one)])["lung"]
    assert (lungs[0] == lungs[1]).all()


def test_radiographs_without_a_mask_are_not_used_and_a_split_must_have_some(table):
    table.loc[table["split"] == "test", "lung"] = ""
    assert (LungDataModule(table, 32).radiographs.table["split"] != "test").all()
    table.loc[table["split"] == "val", "lung"] = ""
    with pytest.raises(DataError, match=r"no radiograph with a lung mask in the val split \(16 in all\)"):
        LungDataModule(table, 32)


def test_a_last_batch_that_is_smaller_is_left_out_of_an_epoch(table):
    count = int((table["split"] == "train").sum())
    data = LungDataModule(table, 32, batch_size=count - 1)
    (batch,) = data.train_dataloader()
    rows = batch["where"][:, 0].tolist()
    assert len(set(rows)) == count - 1
    assert set(rows) <= set(data.rows("train"))


def test_training_lowers_the_loss(table, tmp_path):
    L.seed_everything(0, verbose=False)
    datamodule = LungDataModule(table, 32, Augment([A.HorizontalFlip(p=0.5)]), batch_size=4)
    module = LungSegmentation(LungSegmenter(4, 2, 32), partial(torch.optim.AdamW, lr=1e-2), max_lr_epochs=25)
    trainer = L.Trainer(
        max_epochs=25,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=tmp_path,
    )
    before = trainer.validate(module, datamodule, verbose=False)
    untrained = {name: value for result in before for name, value in result.items()}
    trainer.fit(module, datamodule)
    logged = trainer.callback_metrics
    assert set(logged) == {"train/loss", "val/loss", "val/dice", "val/loss_stressed", "val/dice_stressed"}
    for name in ("val/loss", "val/loss_stressed"):
        assert logged[name] < 0.75 * untrained[name]
    assert logged["val/dice"] > max(0.7, untrained["val/dice"] + 0.2)


def test_field_metrics_by_hand(table):
    store = open_store(table, (40, 40))
    perfect = field_metrics(np.asarray(store.lung), store)
    assert perfect == {"images": 16, "dice": 1, "precision": 1, "recall": 1, "opacity_inside": 1}
    upper = np.array(store.lung)
    upper[:, 20:] = 0
    half = field_metrics(upper, store)
    assert half["precision"] == 1
    assert half["recall"] == pytest.approx(0.5, abs=0.02)
    assert half["dice"] == pytest.approx(2 / 3, abs=0.02)
    assert half["opacity_inside"] == pytest.approx(0.5, abs=0.06)
    nothing = field_metrics(np.zeros_like(upper), store)
    assert nothing["dice"] == nothing["precision"] == nothing["recall"] == 0
