"""Models of anomalib, a library of anomaly detectors (Akcay et al. 2022, ICIP), as nets that judge by themselves."""

from __future__ import annotations

import difflib
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.nets.output import Output
from pneumo_ad.saved import in_a_line

_CONFIG = "anomalib_components_enabled"  # written since 2.7, beside the settings of pre- and post-processor
_CHECKPOINT = "the Lightning checkpoint of its Engine (weights/lightning/model.ckpt), written by anomalib 2.7 or later"


class AnomalibNet(nn.Module):
    """Trained model of anomalib; (B, 1, H, W) radiographs in [0, 1] -> `Output` with an anomaly and a radiograph score.

    A radiograph is shown to it as anomalib shows a grey file: the grey in three channels, resized and normalised by the
    model's own pre-processor. Map and score are those that `anomalib.Engine.test` measures, post-processed if the
    model has a post-processor. A map of another size is resized to the radiograph's, bilinearly.

    Args:
        model: Class of `anomalib.models`, for example `Padim`; or a model itself, with pre- and post-processor or bare.
        checkpoint: Lightning checkpoint of that class, read as weights and plain values alone; None: `model` is one.

    Raises:
        ConfigError: anomalib is not installed, or has no such class.
        DataError: A file that is no such checkpoint, as an export of anomalib, which is a pickle; or of another model
            or version.
    """

    def __init__(self, model: str | nn.Module, checkpoint: str | Path | None = None) -> None:
        super().__init__()
        whole: Any = model if isinstance(model, nn.Module) else _read(model, checkpoint)
        self.transform = getattr(getattr(whole, "pre_processor", None), "transform", None)
        self.model: nn.Module = getattr(whole, "model", whole)
        self.post: nn.Module | None = getattr(whole, "post_processor", None)
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> AnomalibNet:
        """Set the mode; the model stays in evaluation mode, as it would learn from what it sees."""
        super().train(mode)
        self.model.eval()
        return self

    def shown(self, x: Tensor) -> Tensor:
        """Prepare radiographs for the model, (B, 1, H, W) in [0, 1] -> (B, 3, h, w)."""
        colour = x.expand(-1, 3, -1, -1)
        return colour if self.transform is None else self.transform(colour)

    def forward(self, x: Tensor) -> Output:
        """See the class; the reconstruction is `x`.

        Raises:
            ConfigError: Model without an anomaly map.
        """
        found = self.model(self.shown(x))
        found = found if self.post is None else self.post(found)
        maps = getattr(found, "anomaly_map", None)
        if maps is None:
            raise ConfigError(f"{type(self.model).__name__} of anomalib gives no anomaly map, which is needed here")
        score = maps.flatten(1).amax(dim=1) if found.pred_score is None else found.pred_score.reshape(len(x))
        maps = maps.reshape(len(x), 1, *maps.shape[-2:])
        if maps.shape[-2:] != x.shape[-2:]:
            maps = F.interpolate(maps, x.shape[-2:], mode="bilinear", align_corners=False)
        return Output(x, anomaly=maps, radiograph=score)


def _read(name: str, checkpoint: str | Path | None) -> nn.Module:
    if find_spec("anomalib") is None:
        raise ConfigError(
            "net=anomalib needs anomalib 2.7 or later, in an environment of its own: pip install anomalib "
            "(experiments/published)"
        )
    import anomalib

    try:
        from anomalib import models
        from anomalib.utils.serialization import anomalib_safe_globals
    except ImportError as reason:
        raise ConfigError(
            f"net=anomalib needs anomalib 2.7 or later with all that it needs; installed is {anomalib.__version__} "
            f"({in_a_line(reason)})"
        ) from reason
    classes = {key: one for key, one in vars(models).items() if _is_model(one, models.AnomalibModule)}
    if name not in classes:
        near = difflib.get_close_matches(name, classes, 1, 0) or ["Padim"]
        raise ConfigError(f"net.model={name} is no model of anomalib {anomalib.__version__}; did you mean {near[0]}?")
    if checkpoint is None or not Path(checkpoint).is_file():
        raise DataError(f"net.checkpoint={checkpoint} is no file; expected {_CHECKPOINT}")
    model = classes[name]
    # The weights of a pretrained backbone are in the checkpoint: nothing is fetched.
    fetched = {"pre_trained": False} if "pre_trained" in signature(model).parameters else {}
    try:
        with anomalib_safe_globals(extra=model.checkpoint_safe_globals()):
            held = torch.load(checkpoint, map_location="cpu", weights_only=True)
        if _CONFIG not in held:  # it would be made anew with another pre-processor, without a word
            raise ValueError(f"{_CONFIG} is missing")
        whole: nn.Module = model.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True, **fetched)
    except UnpicklingError as reason:
        raise DataError(
            f"{checkpoint}: holds other than weights and plain values; an export of anomalib (model.pt) is a pickle, "
            f"which runs what it holds, and is not opened: give {_CHECKPOINT}"
        ) from reason
    except Exception as reason:  # half a file, or one of another model, can fail in any way
        raise DataError(
            f"{checkpoint}: {name} of anomalib {anomalib.__version__} cannot be made of it, as of another model or "
            f"version ({in_a_line(reason)}); expected {_CHECKPOINT}"
        ) from reason
    return whole


def _is_model(one: object, base: type) -> bool:
    return isinstance(one, type) and issubclass(one, base) and one is not base
