"""Whether what a config asks of scoring and of decisions can be, before hours of work."""

from __future__ import annotations

import logging
from typing import get_args

from omegaconf import DictConfig

from pneumo_ad.errors import ConfigError
from pneumo_ad.inference import Mode
from pneumo_ad.inference.scorer import check_relative
from pneumo_ad.runs.calibration import windows_of
from pneumo_ad.runs.compose import build
from pneumo_ad.runs.device import device_of
from pneumo_ad.runs.subset import SUBSETS

log = logging.getLogger(__name__)


def check_evaluation(config: DictConfig) -> None:
    """See that what is asked of an evaluation can be done, before hours of training.

    Raises:
        ConfigError: An unknown split, or a `relative`, threshold, false-alarm rate, aggregate or device that cannot be.
    """
    if config.evaluate is None or config.evaluate is False:
        check_scoring(config)
        return
    if config.evaluate not in SUBSETS:
        raise ConfigError(f"evaluate={config.evaluate} is not known; expected train, val, test or all; null for none")
    check_options(config)


def check_options(config: DictConfig) -> None:
    """See that scoring and decisions can be what a config asks for.

    Raises:
        ConfigError: A `relative`, `kept_windows`, threshold, false-alarm rate, aggregate, device or way of scoring
            that cannot be.
    """
    check_scoring(config)
    check_relative(config.relative)
    kept = config.kept_windows
    if kept is not None and (not isinstance(kept, int) or isinstance(kept, bool)):
        raise ConfigError(f"kept_windows={kept} must be a whole number of windows of a radiograph, or null for all")
    windows_of(config).thinned(kept)
    if not isinstance(config.compile, bool):
        raise ConfigError(f"compile={config.compile} is not known; expected true or false")
    size = config.eval_batch_size
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
        raise ConfigError(f"eval_batch_size={size} must be a whole number of windows, at least 1, or null")
    if not 0 < config.false_alarm_rate < 1:
        raise ConfigError(f"false_alarm_rate={config.false_alarm_rate} must lie between 0 and 1")
    device_of(config.trainer)
    build(config.threshold)
    build(config.aggregate)


def check_scoring(config: DictConfig) -> None:
    """See that the way of scoring is known.

    Raises:
        ConfigError: It is not.
    """
    if config.scoring not in get_args(Mode):
        raise ConfigError(f"scoring={config.scoring} is not known; expected {' or '.join(get_args(Mode))}")
    if config.scoring == "dense" and config.view == "image":
        log.warning("scoring=dense changes nothing: with view=image the net sees whole radiographs anyway")
