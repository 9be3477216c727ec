import warnings

import lightning as L
import numpy as np
import pytest
import torch
from drawn import lung_mask, write_set
from PIL import Image

from pneumo_ad.data import VAL_KINDS, PatchDataModule, sources
from pneumo_ad.data.augment import Augment
from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.lungs import FileFields, WholeImage


@pytest.fixture
def table(tmp_path):
    return sources.masks(write_set(tmp_path / "set", normal=12, pneumonia=12), val=0.25, test=0.25)


def module(table, **options):
    return PatchDataModule(table, **{"image_size": 64, "patch": 8, "stride": 4, "lungs": FileFields()} | options)


def whole(loader):
    batches = list(loader)
    return {key: torch.cat([batch[key] for batch in batches]) for key in ("patch", "where")}


def test_training_sees_normal_lung_of_train_patients_alone(table):
    data = module(table)
    batch = whole(data.train_dataloader())
    seen = data.radiographs.store.table.iloc[np.unique(batch["where"][:, 0])]
    assert set(seen["split"]) == {"train"}
    assert set(seen["label"]) == {"normal"}
    assert set(seen["patient"]).isdisjoint(table.loc[table["split"] == "test", "patient"])
    assert set(seen["patient"]).isdisjoint(table.loc[table["split"] == "val", "patient"])
    for row, top, left in batch["where"].tolist():
        assert data.radiographs.lung_fields[row, top : top + 8, left : left + 8].all()


def test_validation_has_a_loader_for_each_kind(table):
    data = module(table, val_images=2)
    loaders = dict(zip(VAL_KINDS, map(whole, data.val_dataloader()), strict=True))
    for kind, label in (("normal_lung", "normal"), ("normal", "normal"), ("pneumonia", "pneumonia")):
        seen = data.radiographs.store.table.iloc[np.unique(loaders[kind]["where"][:, 0])]
        assert set(seen["split"]) == {"val"}
        assert set(seen["label"]) == {label}
    windows = len(data.radiographs.grid)
    assert len(loaders["normal"]["where"]) == 2 * windows  # at most val_images of them
    assert len(loaders["pneumonia"]["where"]) == 2 * windows


def test_the_test_split_is_whole(table):
    data = module(table)
    normal, pneumonia = (whole(loader) for loader in data.test_dataloader()[1:])
    for batch, label in ((normal, "normal"), (pneumonia, "pneumonia")):
        expected = data.radiographs.rows("test", label)
        assert np.unique(batch["where"][:, 0]).tolist() == expected.tolist()
        assert len(batch["where"]) == len(expected) * len(data.radiographs.grid)


def test_the_order_repeats_by_seed_and_epoch(table):
    def order(seed, epoch, **options):
        loader = module(table, seed=seed, **options).train_dataloader()
        loader.sampler.set_epoch(epoch)
        return whole(loader)["where"].tolist()

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)
    assert sorted(order(0, 0)) == sorted(order(0, 1))
    assert len(order(0, 0, per_epoch=10)) == 10
    assert order(0, 0, per_epoch=10) == order(0, 0)[:10]


def test_workers_deliver_the_same_batches(table):
    alone, helped = (whole(module(table, num_workers=n).train_dataloader()) for n in (0, 2))
    assert torch.equal(alone["where"], helped["where"])
    assert torch.equal(alone["patch"], helped["patch"])


def test_a_class_without_a_radiograph_leaves_its_loader_empty(table):
    data = module(table[table["label"] == "normal"])
    sizes = [len(loader.dataset) for loader in data.val_dataloader()]
    assert sizes[0] > 0
    assert sizes[2] == 0
    assert list(data.val_dataloader()[2]) == []


@pytest.mark.parametrize("split", ["train", "val"])
def test_no_normal_radiograph_in_a_split_is_named_with_what_there_is(table, split):
    data = module(table[(table["label"] != "normal") | (table["split"] != split)])
    data.prepare_data()
    with pytest.raises(
        DataError, match=f"no image of label=normal in the {split} split; there are .*{split}/pneumonia: "
    ):
        data.setup("fit")


def test_too_large_a_patch_is_refused_with_the_largest_that_works(table):
    with pytest.raises(DataError, match=r"the largest patch that fits is \d+ at stride 4, \d+ at stride 1"):
        module(table, patch=48).train_dataloader()


def test_radiographs_without_a_lung_are_counted_and_named(table):
    for path in table["lung"][[3, 5]]:
        Image.fromarray(np.zeros((96, 80), dtype=bool)).save(path)
    data = module(table)
    data.prepare_data()
    with pytest.warns(UserWarning, match=f"nothing to look at was found in 2 images, for example {table['image'][3]}"):
        data.setup()
    assert data.radiographs.rows_without_lung().tolist() == [3, 5]


def test_no_lung_anywhere_is_an_error(table):
    for path in table["lung"]:
        Image.fromarray(np.zeros((96, 80), dtype=bool)).save(path)
    with pytest.raises(DataError, match=r"lungs= found nothing in any of \d+ normal images"):
        module(table).train_dataloader()


def test_without_lungs_the_whole_radiograph_counts_and_padding_does_not(table):
    data = module(table, lungs=WholeImage(), fit="pad")
    batch = whole(data.train_dataloader())
    content = data.radiographs.store.content(np.arange(len(data.radiographs.store)))
    assert 0 < content.mean() < 1
    assert all(content[row, top : top + 8, left : left + 8].all() for row, top, left in batch["where"].tolist())


def brighter():
    import albumentations as A

    return Augment([A.RandomBrightnessContrast(brightness_limit=(0.1, 0.4), p=1.0)])


def test_augmentation_changes_training_alone_and_is_a_function_of_seed_and_epoch(table):
    def patches(epoch, seed=0, augment=brighter):
        data = module(table, seed=seed, augment=augment() if augment else None)
        data.trainer = L.Trainer(max_epochs=1, logger=False, enable_checkpointing=False, accelerator="cpu")
        data.trainer.fit_loop.epoch_progress.current.completed = epoch
        data.trainer.fit_loop.epoch_progress.current.processed = epoch
        loader = data.train_dataloader()
        order = whole(loader)
        return order["patch"][torch.argsort((order["where"] * torch.tensor([10**6, 10**3, 1])).sum(1))]

    plain = patches(0, augment=None)
    first = patches(0)
    assert first.float().mean() > plain.float().mean() + 10
    assert torch.equal(first, patches(0))
    assert not torch.equal(first, patches(1))
    assert not torch.equal(first, patches(0, seed=1))
    validation = [whole(module(table, augment=augment).val_dataloader()[0])["patch"] for augment in (None, brighter())]
    assert torch.equal(*validation)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"stride": 0}, "stride=0 must lie between 1 and the image side, 64 pixels"),
        ({"stride": 65}, "stride=65 must lie between 1 and the image side"),
        ({"patch": 65}, "a patch of 65 pixels does not fit a side of 64 pixels; the largest that works is 64"),
        ({"image_size": 0}, "image_size=0 must be one side or height and width"),
        ({"image_size": [64, 64, 1]}, "must be one side or height and width"),
        ({"image_size": [64, -1]}, "must be one side or height and width"),
        ({"batch_size": 0}, "batch_size=0 and val_images=12 must be at least 1"),
        ({"val_images": 0}, "must be at least 1"),
        ({"cover": "all"}, "cover='all' is not known"),
        ({"fit": "crop"}, "fit='crop' is not known; expected 'squash' or 'pad'"),
        ({"on_error": "ignore"}, "on_error='ignore' is not known"),
        ({"per_epoch": 0}, "per_epoch=0 must be at least 1"),
    ],
)
def test_options_that_cannot_work_are_refused(table, options, words):
    with pytest.raises(ConfigError) as refused:
        module(table, **options).train_dataloader()
    assert words in str(refused.value)


def test_masks_and_images_show_the_same_radiograph(table):
    data = module(table)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data.prepare_data()
        data.setup("fit")
    agreement = (data.radiographs.lung_fields == lung_mask(64, 64)).mean()
    assert agreement > 0.98
    inside = data.radiographs.store.images[data.radiographs.lung_fields == 1].mean()
    assert inside < data.radiographs.store.images[data.radiographs.lung_fields == 0].mean() - 30
