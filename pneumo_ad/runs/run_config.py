"""What commands read of a run's config, checked once when the run is opened: its kinds, and that it can be resolved."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationToMissingValueError, MissingMandatoryValue, OmegaConfBaseException

from pneumo_ad.errors import ConfigError
from pneumo_ad.saved import Expected, check_mapping, in_a_line

_PARTS = ("module", "net", "score", "aggregate", "threshold", "lungs", "intensity", "data")
_READ: Expected = {
    **{part: {"_target_": str} for part in _PARTS},
    **dict.fromkeys(("fit", "view", "cover", "scoring", "map_of", "on_error"), str),
    **dict.fromkeys(("seed", "patch", "stride", "halo"), int),
    **{"image_size": int | list, "false_alarm_rate": int | float, "relative": int | float | None, "name": str},
    "datamodule": {"_target_": str, "image_size": int | list, "patch": int, "stride": int, "cover": str},
    "trainer": {"_target_": str, "accelerator": str},
}
_OF_TRAINING = ("logger", "callbacks", "sweep", "tune")  # they may refer to what is not here


def check_config(config: DictConfig) -> None:
    """See that a run's config can be read to its end.

    Args:
        config: Of a run, changed as asked for.

    Raises:
        ConfigError: A value refers to itself or to nothing, is missing, or is of another kind; names its key.
    """
    plain: dict[str, Any] = {}
    for key in map(str, config):
        if key in _OF_TRAINING:
            continue
        try:
            node = config[key]
            plain[key] = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
        except (MissingMandatoryValue, InterpolationToMissingValueError):  # asked for by name where it is needed
            plain[key] = OmegaConf.to_container(OmegaConf.masked_copy(config, key))[key]  # type: ignore[index,call-overload]
        except (OmegaConfBaseException, RecursionError) as reason:
            raise ConfigError(f"{key}: {in_a_line(reason)}") from reason
    try:
        check_mapping(plain, _READ)
    except ValueError as reason:
        raise ConfigError(str(reason)) from reason
