import lightning as L
import numpy as np
import pytest
import torch
from drawn import write_set
from hypothesis import given
from hypothesis import strategies as st

from pneumo_ad.data import PatchDataModule, sources
from pneumo_ad.data.augment import Augment
from pneumo_ad.data.bank import DeviceBank, MemoryBank, device_of_bank
from pneumo_ad.data.datasets import ExhaustivePatches
from pneumo_ad.errors import ConfigError
from pneumo_ad.lungs import FileFields
from pneumo_ad.patches import PatchGrid

CPU = torch.device("cpu")


@given(st.integers(1, 9), st.integers(0, 8), st.integers(0, 2**32 - 1))
def test_a_batch_cut_on_a_device_is_that_cut_in_memory(patch, halo, seed):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (6, 12, 9), dtype=np.uint8)
    rows = rng.choice(6, 4, replace=False)
    places = np.stack(
        [rng.integers(0, 4, 20), rng.integers(0, 13 - patch, 20), rng.integers(0, 10 - patch, 20)], axis=1
    )
    memory = MemoryBank(images, rows).cut(places, patch, halo)
    device = DeviceBank(images, rows, CPU).cut(places, patch, halo)
    for expected, found in zip(memory, device, strict=True):
        assert found.dtype == expected.dtype
        assert torch.equal(found, expected)
    assert memory[0].shape == (20, 1, patch + 2 * halo, patch + 2 * halo)
    assert memory[1][:, 0].tolist() == rows[places[:, 0]].tolist()


def test_a_device_holds_the_rows_of_the_dataset_alone_and_the_radiographs_need_not_stay(monkeypatch, tmp_path):
    monkeypatch.setattr("pneumo_ad.data.bank._AT_ONCE", 2)
    np.save(tmp_path / "images.npy", np.random.default_rng(0).integers(0, 256, (9, 8, 8), dtype=np.uint8))
    images = np.load(tmp_path / "images.npy", mmap_mode="r+")
    dataset = ExhaustivePatches(images, np.array([7, 1, 4]), PatchGrid((8, 8), 4, 2))
    before = dataset.cut(np.arange(len(dataset)))
    assert dataset.to(CPU) is dataset
    assert dataset.bank.images.shape == (3, 8, 8)
    images[:] = 0
    after = dataset.cut(np.arange(len(dataset)))
    assert torch.equal(after["patch"], before["patch"])
    assert torch.equal(after["where"], before["where"])
    assert after["patch"].any()


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return sources.masks(
        write_set(tmp_path_factory.mktemp("set") / "set", normal=12, pneumonia=12), val=0.25, test=0.25
    )


def module(table, **options):
    return PatchDataModule(table, **{"image_size": 64, "patch": 8, "stride": 4, "lungs": FileFields()} | options)


def batches(loader):
    return [(batch["patch"], batch["where"]) for batch in loader]


def brighter():
    import albumentations as A

    return Augment([A.RandomBrightnessContrast(brightness_limit=(0.1, 0.4), p=1.0)])


@pytest.mark.parametrize("augment", [None, brighter])
def test_training_and_validation_get_the_same_batches_from_either_bank(table, augment):
    given = {}
    for bank in ("memory", "device"):
        data = module(table, bank=bank, augment=augment() if augment else None)
        loaders = [data.train_dataloader(), *data.val_dataloader()]
        assert {type(loader.dataset.bank) for loader in loaders} == {MemoryBank if bank == "memory" else DeviceBank}
        given[bank] = [batch for loader in loaders for batch in batches(loader)]
    assert len(given["memory"]) == len(given["device"]) > 5
    for expected, found in zip(given["memory"], given["device"], strict=True):
        assert torch.equal(expected[0], found[0])
        assert torch.equal(expected[1], found[1])


def test_lightning_hands_a_batch_of_the_device_on_as_it_is(table):
    """A transfer of what is there already costs nothing."""
    seen, made = [], []

    class Seeing(L.LightningModule):
        def training_step(self, batch, batch_idx):
            seen.append(batch["patch"].data_ptr())

        def on_before_batch_transfer(self, batch, dataloader_idx):
            made.append(batch["patch"].data_ptr())
            return batch

        def configure_optimizers(self):
            return None

    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "accelerator": "cpu"}
    trainer = L.Trainer(max_epochs=1, limit_val_batches=0, enable_model_summary=False, **options)
    trainer.fit(Seeing(), module(table, bank="device"))
    assert seen == made
    assert len(seen) > 1


@pytest.mark.parametrize(
    ("bank", "device", "nbytes", "expected"),
    [
        ("memory", "cuda", 10, None),
        ("auto", "cpu", 10, None),
        ("device", "cpu", 10, "cpu"),
        ("auto", "cuda", 500, "cuda"),
        ("auto", "cuda", 501, None),
        ("device", "cuda", 1000, "cuda"),
    ],
)
def test_auto_goes_to_a_cuda_device_with_room(monkeypatch, bank, device, nbytes, expected):
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (1000, 2000))
    found = device_of_bank(bank, torch.device(device), nbytes)
    assert found == (None if expected is None else torch.device(expected))


def test_radiographs_that_do_not_fit_on_the_device_are_refused(monkeypatch):
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (2**30, 2**31))
    with pytest.raises(ConfigError, match=r"take 3.0 GiB and 1.0 GiB are free on cuda; bank=memory leaves them"):
        device_of_bank("device", torch.device("cuda"), 3 * 2**30)


def test_where_the_radiographs_lie_is_decided_by_all_that_will_lie_there(monkeypatch, table):
    asked = []
    monkeypatch.setattr("pneumo_ad.data.datamodule.device_of_bank", lambda *of: asked.append(of[2]))
    for augment in (None, brighter()):
        data = module(table, augment=augment, val_images=2)
        data.train_dataloader(), data.val_dataloader()
    trained, held_out = (((table["split"] == split) & (table["label"] == "normal")).sum() for split in ("train", "val"))
    assert asked == [(times * trained + held_out + 4) * 64 * 64 for times in (1, 2)]  # asked once each


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bank": "gpu"}, "bank=gpu is not known; expected auto, memory or device"),
        ({"bank": "device", "num_workers": 2}, "num_workers=2 in other processes: take bank=memory or datamodule.num_"),
        ({"bank": "device", "view": "image"}, "with view=image there are none: take bank=memory"),
    ],
)
def test_banks_that_cannot_be_are_refused(table, options, words):
    with pytest.raises(ConfigError) as refused:
        module(table, **options)
    assert words in str(refused.value)


def test_auto_leaves_workers_and_whole_radiographs_in_memory(table):
    assert module(table, num_workers=1).bank == module(table, view="image").bank == "memory"
    assert module(table).bank == "auto"
