"""What the tests share: drawn cloth, a cache of their own, and settings that make a training take seconds."""

import pytest
from pneumo_ad.runs.trust import trust


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory):
    """A cache and trusted names of their own, which hold this package, be it installed or not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PNEUMO_AD_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("PNEUMO_AD_CONFIG", str(tmp_path_factory.mktemp("config")))
        trust("cloth_ad")
        yield


@pytest.fixture
def pictures():
    """Settings that draw little cloth."""
    return ["data.sound=14", "data.faulty=14", "data.size=64"]


@pytest.fixture
def tiny():
    """Settings that make a training take seconds."""
    return [
        "image_size=64",
        "patch=8",
        "batch_size=16",
        "per_epoch=64",
        "datamodule.val_images=1",
        "trainer=cpu",
        "trainer.max_epochs=1",
        "trainer.check_val_every_n_epoch=1",
        "callbacks=minimal",
        "callbacks.progress=null",
        "logger=csv",
    ]
