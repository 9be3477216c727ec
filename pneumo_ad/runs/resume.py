"""`resume=RUN`: continuation of a stopped run from the config saved in its folder.

The checkpoint is chosen in `training.fit`. No heavy imports.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import MISSING, OmegaConf

from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.runs.dot_hydra import CONFIG, OVERRIDES, read_config_name, read_overrides
from pneumo_ad.runs.past import shipped, to_today
from pneumo_ad.runs.record import runs_below
from pneumo_ad.runs.run_config import saved_config
from pneumo_ad.runs.search_path import key_of, saved_search_path
from pneumo_ad.runs.trust import check_saved
from pneumo_ad.saved import is_there

_COMMANDS = {"train": "train", "classify": "classify", "train_lungs": "train-lungs"}  # config name -> command
_RESUMED = "_resumed"  # name under which Hydra finds the config of a resumed run


def arguments_of_run(config_name: str, folder: Path, typed: Sequence[str]) -> list[str]:
    """Return the arguments with which Hydra restarts a run in its folder, from the config saved there.

    New overrides change the config, which `keep_recipe` then compares with the saved one. The folder may be untrusted:
    the targets of its config are checked before Hydra starts, and Hydra's own keys are refused.

    Args:
        config_name: Config of the command.
        folder: The run folder.
        typed: Overrides beside `resume=`, in Hydra's grammar.

    Raises:
        DataError: Not a run folder, or one with invalid overrides.
        ConfigError: A run of another command, or a key that is not allowed here.
    """
    for file in (OVERRIDES, CONFIG):
        if not is_there(folder / file):
            raise DataError(f"resume={folder}: not a run folder (no {file}){runs_below(folder)}")
    began = read_config_name(folder)
    if began in _COMMANDS and began != config_name:
        command = f"pneumo-ad {_COMMANDS[began]}"
        raise ConfigError(f"resume={folder} is a run of `{command}`: {command} resume={folder}")
    kept = read_overrides(folder)
    _refuse_hydra(folder / OVERRIDES, kept)
    hydras = [one for one in typed if key_of(one).startswith("hydra")]
    if any(key_of(one) == "hydra.run.dir" for one in hydras):
        raise ConfigError(f"resume={folder} goes on in its own folder; leave out hydra.run.dir")
    from pneumo_ad.runs.compose import change_saved  # imports Lightning

    # An override equal to a saved one changes nothing, even if its group or recipe has changed since.
    last = {key_of(one): one for one in typed}.values()  # of a repeated key
    new = [one for one in last if one not in (*hydras, *kept) or key_of(one) == "hydra.searchpath"]
    below = [one for one in kept if one.startswith(tuple(f"{key_of(group)}." for group in new))]
    config = to_today(change_saved(saved_config(folder), [*below, *new], (), saved_search_path(folder), config_name))
    check_saved(config, folder, resumed=True)
    plain = OmegaConf.to_container(config)
    assert isinstance(plain, dict)
    if own := sorted({"hydra", "defaults"} & plain.keys()):
        raise ConfigError(f"{folder / CONFIG}: {', '.join(own)} is no key of a run")
    plain["run_dir"] = MISSING
    hydra = OmegaConf.merge(shipped("run_folders").hydra, shipped(config_name).hydra)
    ConfigStore.instance().store(_RESUMED, {**plain, "hydra": OmegaConf.to_container(hydra)})
    quoted = str(folder).replace("'", "\\'")
    # The recipe may be a sweep, of which this is a single run.
    return ["--config-name", _RESUMED, *hydras, f"hydra.run.dir='{quoted}'", "hydra.mode=RUN"]


def _refuse_hydra(file: Path, kept: Sequence[str]) -> None:
    """Refuse saved overrides of Hydra's own keys, which can execute code.

    Raises:
        DataError: An override of Hydra, or an invalid one.
    """
    for override in kept:
        try:
            (parsed,) = OverridesParser.create().parse_overrides([override])
            ours = not any(name.startswith("hydra") for name in (parsed.key_or_group, parsed.package or ""))
        except HydraException:
            ours = False
        if not ours or override.startswith("-"):
            raise DataError(f"{file}: {override!r} is no override of a run")
