"""Early checks of a config's scoring and decision options, before hours of training."""

from __future__ import annotations

import logging

from omegaconf import DictConfig

from pneumo_ad.data.fit import sides
from pneumo_ad.errors import ConfigError
from pneumo_ad.inference.scorer import OWN
from pneumo_ad.patches import PatchGrid
from pneumo_ad.runs.compose import build, vocabulary_of
from pneumo_ad.runs.device import device_of
from pneumo_ad.runs.evaluated_rows import SUBSETS
from pneumo_ad.runs.evaluation_options import EvaluationOptions

log = logging.getLogger(__name__)


def check_evaluation(config: DictConfig) -> None:
    """Check, before hours of training, that the configured evaluation is possible.

    Args:
        config: Config of the training.

    Raises:
        ConfigError: An unknown split, or see `check_options`.
    """
    if config.evaluate and config.evaluate not in SUBSETS:
        raise ConfigError(f"evaluate={config.evaluate} is not known; expected {', '.join(SUBSETS)}; null for none")
    if not config.evaluate:
        EvaluationOptions.of(config)
        vocabulary_of(config)
        return
    check_options(config)


def check_options(config: DictConfig) -> None:
    """Check that radiographs can be scored and decided on as configured.

    Args:
        config: Config of a run.

    Raises:
        ConfigError: An invalid option or word, a threshold or aggregate that cannot be built, or a missing device.
    """
    options = EvaluationOptions.of(config)
    vocabulary_of(config)
    if options.scoring == "dense" and options.view == "image":
        log.warning("scoring=dense changes nothing: with view=image the net sees whole images anyway")
    windows_of(options).thinned(options.kept_windows)
    device_of(config.trainer)
    build(config.threshold)
    if build(config.aggregate).of == "radiograph" and options.view == "patch":
        raise ConfigError(
            f"{OWN} needs a net that sees and scores whole images, as net=anomalib; view=patch shows none"
        )


def windows_of(options: EvaluationOptions) -> PatchGrid:
    """Compute the windows of a radiograph from options alone, without data.

    Args:
        options: Options of the evaluation, which give image size, patch, stride and cover.
    """
    return PatchGrid(sides(options.image_size), options.patch, options.stride, options.cover)
