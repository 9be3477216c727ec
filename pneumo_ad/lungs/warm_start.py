"""A net that begins with the weights of the lung segmenter."""

from __future__ import annotations

from pathlib import Path

from pneumo_ad.errors import ConfigError
from pneumo_ad.lungs.segmenter import WEIGHTS, LungSegmenter
from pneumo_ad.nets import KindUNet


def begin_as_segmenter(net: KindUNet, weights_file: str | Path = WEIGHTS) -> None:
    """Give a net the weights of a lung segmenter, all but its last layer.

    Args:
        net: Changed in place.
        weights_file: Written by `pneumo-ad train-lungs`; default: those of the segmenter that ships.

    Raises:
        ConfigError: The net has another size.
        DataError: See `LungSegmenter.from_file`.
    """
    segmenter = LungSegmenter.from_file(weights_file)
    weights = {key: value for key, value in segmenter.unet.state_dict().items() if "head" not in key}
    own = net.unet.state_dict()
    if {key: value.shape for key, value in weights.items()} != {
        key: value.shape for key, value in own.items() if "head" not in key
    }:
        options = segmenter.options
        raise ConfigError(
            f"module.warm_start needs a net of the lung segmenter's size: net.width={options['width']} "
            f"net.depth={options['depth']}; module.warm_start=false begins anew"
        )
    net.unet.load_state_dict(weights, strict=False)
