"""A net that begins with the weights of the lung segmenter."""

from __future__ import annotations

from pneumo_ad.errors import ConfigError
from pneumo_ad.lungs.segmenter import LungSegmenter
from pneumo_ad.nets import KindUNet


def begin_as_segmenter(net: KindUNet) -> None:
    """Give a net the weights of the lung segmenter that ships, all but its last layer.

    Raises:
        ConfigError: The net has another size.
    """
    weights = {key: value for key, value in LungSegmenter.from_file().unet.state_dict().items() if "head" not in key}
    own = net.unet.state_dict()
    if {key: value.shape for key, value in weights.items()} != {
        key: value.shape for key, value in own.items() if "head" not in key
    }:
        options = LungSegmenter.from_file().options
        raise ConfigError(
            f"module.warm_start=true needs a net of the lung segmenter's size: net.width={options['width']} "
            f"net.depth={options['depth']}; module.warm_start=false begins anew"
        )
    net.unet.load_state_dict(weights, strict=False)
