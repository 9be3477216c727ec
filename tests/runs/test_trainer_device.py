"""Nets and the lung segmenter run on the device of the trainer."""

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from pneumo_ad.errors import ConfigError
from pneumo_ad.lungs.segmenter import LungSegmenter
from pneumo_ad.runs.compose import compose_config
from pneumo_ad.runs.device import device_of
from pneumo_ad.runs.origin import Origin


@pytest.mark.parametrize(
    ("accelerator", "devices", "expected"),
    [
        ("auto", 1, "cuda:0"),
        ("auto", "auto", "cuda:0"),
        ("gpu", [1], "cuda:1"),
        ("gpu", "1,0", "cuda:1"),
        ("gpu", 2, "cuda:0"),
        ("gpu", "2", "cuda:0"),
        ("gpu", [2], None),
        ("cpu", [1], "cpu"),
    ],
)
def test_a_run_is_evaluated_on_the_device_that_trained_it(monkeypatch, accelerator, devices, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    trainer = OmegaConf.create({"accelerator": accelerator, "devices": devices})
    if expected is None:
        with pytest.raises(ConfigError, match="begins with CUDA device 2, and there are 2"):
            device_of(trainer)
    else:
        assert device_of(trainer) == torch.device(expected)


@pytest.mark.parametrize("lungs", ["auto", "segmenter", "files"])
def test_the_lungs_are_segmented_there_too(monkeypatch, tmp_path, lungs):
    devices = []
    segmented = LungSegmenter.segment_each

    def segment_each(self, images, batch_size=16, progress=True, device=None):
        devices.append(device)
        return segmented(self, images, batch_size, progress, torch.device("cpu"))

    monkeypatch.setattr(LungSegmenter, "segment_each", segment_each)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    image = np.zeros((1, 64, 64), dtype=np.uint8)
    for trainer in (["trainer=cpu"], ["trainer=gpu"], ["trainer=gpu", "trainer.devices=[1]"]):
        config = compose_config("train", [f"lungs={lungs}", *trainer])
        Origin(config, tmp_path).datamodule().radiographs.lungs.of_images(image, image)
    assert devices == [torch.device(name) for name in ("cpu", "cuda:0", "cuda:1")]
