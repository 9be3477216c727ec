"""Configs of earlier versions, brought to today's form, so that runs made before open."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
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

TODAY = "<as conf/train.yaml has it>"  # for nodes that only say where values of other keys go
# What is new in the config of a training, with the value that keeps what runs without it did.
ADDED: dict[str, Any] = {
    "sweep": None,
    "tune": None,
    "logger": {},
    "view": "patch",
    "intensity": {"_target_": "pneumo_ad.data.intensity.AsStored"},
    "aggregate": {"_target_": "pneumo_ad.scores.aggregates.Mean", "of": "patches"},
    "bank": "auto",
    "compile": False,
    "false_alarm_rate": 0.05,
    "matched": True,
    "relative": None,
    "scoring": "windows",
    "halo": 0,
    "kept_windows": None,
    "draw_every_n_epochs": 5,
    "evaluation": TODAY,
}
# The same, of what has a target of ours.
ADDED_TO: dict[str, dict[str, Any]] = {
    "pneumo_ad.data.PatchDataModule": {key: f"${{{key}}}" for key in ("halo", "intensity", "view", "bank")},
    "pneumo_ad.modules.PatchAutoencoder": {"halo": "${halo}"},
}


def to_today(config: DictConfig) -> DictConfig:
    """A saved config in today's form, in which it says what its run did: renamed, and with the keys that are new.

    Args:
        config: Config as it was saved, interpolations as they stand; it is left as it is.

    >>> to_today(OmegaConf.create({"module": {"_target_": "pneumo_ad.module.PatchAutoencoder", "halo": "${halo}"}}))
    {'module': {'_target_': 'pneumo_ad.modules.PatchAutoencoder', 'halo': '${halo}'}}
    """
    plain = _with_added(_renamed(OmegaConf.to_container(config), RENAMED))
    if "patch" in plain:  # a training of patches, not `classify` or `train-lungs`
        new = {key: value for key, value in ADDED.items() if key not in plain}
        plain |= {key: _default(key) if value == TODAY else value for key, value in new.items()}
    today = OmegaConf.create(plain)
    assert isinstance(today, DictConfig)
    return today


@cache
def shipped(name: str) -> DictConfig:
    """A config of `pneumo_ad.conf` as its file has it, interpolations as they stand; empty where there is none.

    Args:
        name: Of a command, `train`.
    """
    file = files("pneumo_ad.conf").joinpath(f"{Path(name).name}.yaml")
    found = OmegaConf.create(file.read_text(encoding="utf-8") if file.is_file() else "{}")
    assert isinstance(found, DictConfig)
    return found


def _default(key: str) -> Any:
    """A key of `conf/train.yaml`."""
    return OmegaConf.to_container(OmegaConf.masked_copy(shipped("train"), key))[key]  # type: ignore[index,call-overload]


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


def _with_added(node: Any) -> Any:
    if isinstance(node, list):
        return [_with_added(one) for one in node]
    if not isinstance(node, dict):
        return node
    new = ADDED_TO.get(node["_target_"], {}) if isinstance(node.get("_target_"), str) else {}
    return {key: _with_added(value) for key, value in node.items()} | {k: v for k, v in new.items() if k not in node}
