"""Device on which nets run, from the config."""

from __future__ import annotations

from functools import partial

import torch
from omegaconf import DictConfig

from pneumo_ad.data.lung_fields import LungFields
from pneumo_ad.errors import ConfigError
from pneumo_ad.lungs.fields import SegmenterFields


def device_of(trainer: DictConfig) -> torch.device:
    """Return the device of a trainer's `accelerator` and `devices`: the first of several, number 1 for `devices=[1]`.

    Args:
        trainer: Node `trainer` of a config.

    Raises:
        ConfigError: CUDA is required and not available, or there is no CUDA device of that number.
    """
    accelerator, devices = trainer.accelerator, trainer.get("devices", "auto")
    if accelerator in ("gpu", "cuda") and not torch.cuda.is_available():
        raise ConfigError("trainer=gpu needs a CUDA device and none was found; use trainer=cpu or trainer=auto")
    if accelerator == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    # A number is a count, a list holds indices; a text with a comma is a list too, as Lightning reads it.
    named = devices.split(",") if isinstance(devices, str) and "," in devices else devices
    index = 0 if isinstance(named, (int, str)) or not named else int(named[0])
    if index >= (there := torch.cuda.device_count()):
        raise ConfigError(
            f"trainer.devices={devices} begins with CUDA device {index}, and there are {there}: trainer.devices=1"
        )
    return torch.device("cuda", index)


def place_lungs(lungs: LungFields, trainer: DictConfig) -> None:
    """Have the lung segmenter, if there is one, run on the device of a trainer (`device_of`).

    Args:
        lungs: Source of lung fields.
        trainer: Node `trainer` of a config; read at first use, as a run may be opened where its device is missing.
    """
    fields = getattr(lungs, "segmenter", lungs)
    if isinstance(fields, SegmenterFields):
        fields.device = partial(device_of, trainer)
