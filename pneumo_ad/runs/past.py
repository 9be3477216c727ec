"""Migration of configs of earlier versions to the current form, so that older runs open."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from pneumo_ad.errors import ConfigError
from pneumo_ad.labels import RADIOGRAPH


def _moved(names: str, before: str, after: str) -> dict[str, str]:
    return {f"{before}.{name}": f"{after}.{name}" for name in names.split()}


OPENS = ("0.1.0",)  # earlier versions whose configs are migrated
# Earlier name of a target in shipped configs -> current name.
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

_PARTS = "`pneumo-ad prepare num_shards=N` makes parts of one store, and training finds it by itself"
# Removed key of configs, dotted -> its replacement.
DROPPED: dict[str, str] = dict.fromkeys(
    ("shards", "missing_shards", "datamodule.shards", "datamodule.missing_shards"), _PARTS
)
# Target -> removed arguments, with the values that earlier digests contain.
DIGESTED_WITH: dict[str, dict[str, Any]] = {
    "pneumo_ad.data.PatchDataModule": {"shards": 1, "missing_shards": "raise"},
}
# Target whose arguments have changed too -> how shipped configs build it, earlier and today.
REPLACED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "lightning.pytorch.loggers.TensorBoardLogger": (
        {"save_dir": "${run_dir}", "name": "", "version": ""},
        {"_target_": "pneumo_ad.loggers.TensorBoardRun", "run_dir": "${run_dir}"},
    ),
}
TODAY = "<as conf/train.yaml has it>"  # for nodes that hold interpolations of other keys alone
# New key in the config of a training -> value that reproduces the behaviour of runs without it.
ADDED: dict[str, Any] = {
    "run": None,
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
    "vocabulary": vars(RADIOGRAPH),
}
# Target -> new arguments, likewise.
ADDED_TO: dict[str, dict[str, Any]] = {
    "pneumo_ad.data.PatchDataModule": {key: f"${{{key}}}" for key in ("halo", "intensity", "view", "bank")},
    "pneumo_ad.modules.PatchAutoencoder": {"halo": "${halo}"},
}


def to_today(config: DictConfig) -> DictConfig:
    """Migrate a saved config to the current form, without a change of meaning.

    Targets get their current names, removed keys are dropped, and new keys are added.

    Args:
        config: Config as it was saved, interpolations unresolved; it is not modified.

    >>> to_today(OmegaConf.create({"module": {"_target_": "pneumo_ad.module.PatchAutoencoder", "halo": "${halo}"}}))
    {'module': {'_target_': 'pneumo_ad.modules.PatchAutoencoder', 'halo': '${halo}'}}
    """
    saved = _renamed(OmegaConf.to_container(config), RENAMED)
    plain = _with(ADDED_TO, _without_dropped(_replaced(saved)))
    if saved.get("missing_shards") == "skip":  # radiographs of the run may be missing, others may be new
        plain["on_error"] = "skip"
    if "patch" in plain:  # a training of patches, not `classify` or `train-lungs`
        new = {key: value for key, value in ADDED.items() if key not in plain}
        plain |= {key: _default(key) if value == TODAY else value for key, value in new.items()}
        if isinstance(plain["evaluation"], dict):  # a version with fewer options
            plain["evaluation"] = _default("evaluation") | plain["evaluation"]
    today = OmegaConf.create(plain)
    assert isinstance(today, DictConfig)
    return today


SPREAD = ("experiment", "scale", "augment")  # groups of `conf/train.yaml` whose yaml sets keys of others


@cache
def shipped(name: str) -> DictConfig:
    """Read a config of `pneumo_ad.conf` without composing it, interpolations unresolved; empty if there is none.

    Args:
        name: Name of the config, for example `train`.
    """
    file = files("pneumo_ad.conf").joinpath(f"{Path(name).name}.yaml")
    found = OmegaConf.create(file.read_text(encoding="utf-8") if file.is_file() else "{}")
    assert isinstance(found, DictConfig)
    return found


def _default(key: str) -> Any:
    """Value of a key in `conf/train.yaml`."""
    return OmegaConf.to_container(OmegaConf.masked_copy(shipped("train"), key))[key]  # type: ignore[index,call-overload]


def check_dropped(keys: Iterable[str]) -> None:
    """Check that no key was removed.

    Args:
        keys: Dotted keys of a new config or of typed overrides.

    Raises:
        ConfigError: A key was removed; names the replacement.
    """
    for key in keys:
        if key in DROPPED:
            raise ConfigError(f"{key} is gone: {DROPPED[key]}")


def as_first_known(plain: Any) -> Any:
    """Convert plain values to the names of the first version that made digests of them, so that digests stay the same.

    Args:
        plain: Dicts, lists and values of a config, interpolations resolved.

    >>> as_first_known([{"_target_": "pneumo_ad.scores.aggregates.Mean", "of": "patches"}])
    [{'_target_': 'pneumo_ad.aggregates.Mean', 'of': 'patches'}]
    """
    return _renamed(_with(DIGESTED_WITH, plain), {after: before for before, after in RENAMED.items()})


def _renamed(node: Any, names: Mapping[str, str]) -> Any:
    if isinstance(node, list):
        return [_renamed(one, names) for one in node]
    if not isinstance(node, dict):
        return node
    found = {key: _renamed(value, names) for key, value in node.items()}
    if isinstance(target := found.get("_target_"), str):
        found["_target_"] = names.get(target, target)
    return found


def _replaced(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    arguments = {key: value for key, value in node.items() if key != "_target_"}
    before, today = REPLACED.get(str(node.get("_target_")), (None, {}))
    return dict(today) if arguments == before else {key: _replaced(value) for key, value in node.items()}


def _without_dropped(node: Any, prefix: str = "") -> Any:
    if not isinstance(node, dict):
        return node
    return {
        key: _without_dropped(value, f"{prefix}{key}.")
        for key, value in node.items()
        if f"{prefix}{key}" not in DROPPED
    }


def _with(lacking: Mapping[str, Mapping[str, Any]], node: Any) -> Any:
    """Add to nodes the keys that they lack, by target."""
    if isinstance(node, list):
        return [_with(lacking, one) for one in node]
    if not isinstance(node, dict):
        return node
    new = lacking.get(node["_target_"], {}) if isinstance(node.get("_target_"), str) else {}
    return {key: _with(lacking, value) for key, value in node.items()} | {
        key: value for key, value in new.items() if key not in node
    }
