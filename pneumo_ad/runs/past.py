"""Configs of earlier versions, brought to today's form, so that runs made before open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf


def _moved(names: str, before: str, after: str) -> dict[str, str]:
    return {f"{before}.{name}": f"{after}.{name}" for name in names.split()}


OPENS = ("0.1.0",)  # earlier versions whose configs are brought to today's form
# Targets of shipped configs by the name that they had, and have.
RENAMED: dict[str, str] = {
    **_moved("Highest Mean TopFraction", "pneumo_ad.aggregates", "pneumo_ad.scores.aggregates"),
    **_moved(
        "Conformal Fixed GaussianMixture MultiOtsu NormalQuantiles",
        "pneumo_ad.thresholds",
        "pneumo_ad.metrics.thresholds",
    ),
    **_moved("WholeCheckpoints", "pneumo_ad.checkpoints", "pneumo_ad.runs.checkpoints"),
    **_moved("FeatureDetector OpacityDetector", "pneumo_ad.detectors", "pneumo_ad.modules"),
    **_moved("PatchAutoencoder", "pneumo_ad.module", "pneumo_ad.modules"),
    **_moved("SweepReport", "pneumo_ad.sweeps", "pneumo_ad.runs.sweeps"),
    "pneumo_ad.lungs.drawn_opacity.DrawnOpacity": "pneumo_ad.lungs.opacity_augment.OpacityAugment",
}


def to_today(config: DictConfig) -> DictConfig:
    """A saved config in today's form: what was renamed has its name of today.

    Args:
        config: Config as it was saved, interpolations as they stand; it is left as it is.

    >>> to_today(OmegaConf.create({"module": {"_target_": "pneumo_ad.module.PatchAutoencoder", "seed": "${seed}"}}))
    {'module': {'_target_': 'pneumo_ad.modules.PatchAutoencoder', 'seed': '${seed}'}}
    """
    today = OmegaConf.create(_renamed(OmegaConf.to_container(config), RENAMED))
    assert isinstance(today, DictConfig)
    return today


def under_first_names(plain: Any) -> Any:
    """Plain values with targets by the name they had first: for digests, which must not change with a name.

    Args:
        plain: Dicts, lists and values of a config, interpolations resolved.

    >>> under_first_names([{"_target_": "pneumo_ad.scores.aggregates.Mean", "of": "patches"}])
    [{'_target_': 'pneumo_ad.aggregates.Mean', 'of': 'patches'}]
    """
    return _renamed(plain, {after: before for before, after in RENAMED.items()})


def _renamed(node: Any, names: Mapping[str, str]) -> Any:
    if isinstance(node, list):
        return [_renamed(one, names) for one in node]
    if not isinstance(node, dict):
        return node
    found = {key: _renamed(value, names) for key, value in node.items()}
    if isinstance(target := found.get("_target_"), str):
        found["_target_"] = names.get(target, target)
    return found
