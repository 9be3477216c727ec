"""Initialisation of a net with the weights of the lung segmenter."""

from __future__ import annotations

from pathlib import Path

from pneumo_ad.errors import ConfigError
from pneumo_ad.lungs.segmenter import WEIGHTS, LungSegmenter
from pneumo_ad.nets import KindUNet


def begin_as_segmenter(net: KindUNet, weights_file: str | Path = WEIGHTS) -> None:
    """Initialise a net with the weights of a lung segmenter, except the last layer.

    Args:
        net: Net, changed in place.
        weights_file: Safetensors file written by `pneumo-ad train-lungs`; default: the packaged weights.

    Raises:
        ConfigError: A net of another size.
        DataError: See `LungSegmenter.from_file`.
    """
    segmenter = LungSegmenter.from_file(weights_file)
    weights = {key: value for key, value in segmenter.unet.state_dict().items() if "head" not in key}
    initial = net.unet.state_dict()
    if {key: value.shape for key, value in weights.items()} != {
        key: value.shape for key, value in initial.items() if "head" not in key
    }:
        options = segmenter.options
        raise ConfigError(
            f"module.warm_start needs a net of the lung segmenter's size: net.width={options['width']} "
            f"net.depth={options['depth']}; module.warm_start=false begins anew"
        )
    net.unet.load_state_dict(weights, strict=False)
