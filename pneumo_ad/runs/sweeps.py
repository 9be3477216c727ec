"""What the command line adds to Hydra's multirun: recipes that hold their axes, names, resumption, a report at the end.

Nothing heavy is imported here.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_module
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pneumo_ad.errors import ConfigError, DamagedError, DataError
from pneumo_ad.runs.arguments import choices, expanded
from pneumo_ad.runs.dot_hydra import CONFIG, OVERRIDES, read_config_name, read_overrides
from pneumo_ad.runs.grammar import for_hydra
from pneumo_ad.runs.past import check_dropped, shipped, to_today
from pneumo_ad.runs.record import read_run_json, runs_below, status
from pneumo_ad.runs.resolvers import short
from pneumo_ad.runs.run_config import saved_config
from pneumo_ad.runs.search_path import as_override, key_of, saved_search_path
from pneumo_ad.runs.trust import check_saved
from pneumo_ad.saved import is_there

_COMMANDS = {"train": "train", "classify": "classify", "train_lungs": "train-lungs"}  # by the name of their config
_RESUMED = "_resumed"  # the name under which Hydra finds the config of a run that goes on
# With these Hydra shows something and starts nothing.
_SHOWS = {"-h", "--help", "--hydra-help", "-c", "--cfg", "-i", "--info", "-sc", "--shell-completion"}


def complete(config_name: str, arguments: Sequence[str]) -> list[str]:
    """The arguments of a command, with what a recipe or a run folder adds to them.

    - `resume=RUN`: the config of that run, in its folder.
    - A recipe with axes (`sweep:`): those that were not given, and `--multirun`.
    - A multirun: its runs are named by what varies, its folder by what was set for all of them, so that the same
      command finds its runs again and another command does not touch them.

    Args:
        config_name: Of the command.
        arguments: As typed.

    Raises:
        DataError: `resume=` names no run folder.
        ConfigError: `resume=` beside `-m`, or see `_of_run`; several recipes, one of which holds axes; a group set to
            null; a key that is gone.
    """
    typed = [one for one in arguments if ("=" in one or one.startswith("~")) and not one.startswith("-")]
    options = [one for one in arguments if one not in typed]
    resumed = [one for one in typed if one.startswith("resume=")]
    typed = [for_hydra(one) for one in typed if one not in resumed]
    if resumed:
        folder = Path(expanded(resumed[-1].removeprefix("resume=")))
        if {"-m", "--multirun"} & set(options):
            raise ConfigError(f"resume={folder} goes on with one run; leave out -m")
        return [*options, *_of_run(config_name, folder, typed)]
    check_dropped(key_of(one) for one in typed)
    _refuse_no_choice(typed)
    if {one.partition("=")[0] for one in options} & _SHOWS:
        return [*options, *typed]
    try:
        # Typed twice, the last counts, as in a single run; a multirun would take both for axes.
        last = {one.key_or_group: one.input_line or "" for one in OverridesParser.create().parse_overrides(typed)}
        typed = list(last.values())
        parsed = OverridesParser.create().parse_overrides(typed)
        axes = _axes(config_name, parsed, options)
    except (HydraException, OmegaConfBaseException):
        return [*options, *typed]  # Hydra says what is wrong with them
    if axes and "hydra.mode=RUN" not in typed:
        given = {one.key_or_group for one in parsed}
        typed = [*(f"{key}={values}" for key, values in axes.items() if key not in given), *typed]
        parsed = OverridesParser.create().parse_overrides(typed)
        options = [*options, *(["--multirun"] if not {"-m", "--multirun"} & set(options) else [])]
    return [*options, *typed, *_names(config_name, parsed)]


def _refuse_no_choice(typed: Sequence[str]) -> None:
    """A group set to null: Hydra has no words for it.

    Raises:
        ConfigError: Names the group's choices.
    """
    for one in typed:
        group, _, value = one.lstrip("+").partition("=")
        if value == "null" and (names := choices(group)):
            raise ConfigError(
                f"{one}: a group takes the name of a choice, or is left out; there are {', '.join(names)}"
            )


def _axes(config_name: str, parsed: Sequence[Override], options: Sequence[str]) -> dict[str, Any]:
    """The `sweep` of the chosen recipe, by key.

    Raises:
        ConfigError: Several recipes at once, one of which holds axes.
    """
    chosen = next((one for one in parsed if one.key_or_group == "experiment"), None)
    if chosen is None:
        return {}
    folder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    folder.add_argument("--config-dir", "-cd", type=lambda text: f"file://{Path(text).resolve()}")
    places = [folder.parse_known_args(options)[0].config_dir]
    places += [str(place) for one in parsed if one.key_or_group == "hydra.searchpath" for place in one.value()]  # type: ignore[union-attr]
    where = as_override([place for place in places if place])
    GlobalHydra.instance().clear()
    with initialize_config_module("pneumo_ad.conf", version_base="1.3"):
        if chosen.is_sweep_override():
            for name in chosen.sweep_string_iterator():
                if compose(config_name, [f"experiment={name}", *where]).get("sweep"):
                    raise ConfigError(
                        f"{chosen.input_line}: {name} holds axes of its own (sweep:), and a command takes the axes of "
                        f"one recipe: experiment={name}"
                    )
            return {}
        axes = compose(config_name, [chosen.input_line or "", *where]).get("sweep")
    return {} if axes is None else OmegaConf.to_container(axes)  # type: ignore[return-value]


def _names(config_name: str, parsed: Sequence[Override]) -> list[str]:
    """Overrides that name the folders of a multirun."""
    swept = [one for one in parsed if one.is_sweep_override()]
    ours = [one for one in parsed if not one.key_or_group.startswith("hydra")]
    told_by_name = {"name"} if any(one.key_or_group == "name" for one in ours) else {"experiment"}
    fixed = [one for one in ours if one not in swept and one.key_or_group not in told_by_name]
    unnamed = ",".join(sorted({one.key_or_group for one in ours if one not in swept}))
    names = [f"hydra.job.config.override_dirname.exclude_keys=[{unnamed}]"]
    if not any(one.key_or_group == "hydra.sweep.dir" for one in parsed):
        folder = folder_name(sorted(one.input_line or "" for one in fixed)) if fixed else "default"
        # One folder for all runs, even where they are not of one study.
        study = config_name if {"experiment", "name"} & {one.key_or_group for one in swept} else "${name}"
        names.append(f"hydra.sweep.dir='sweeps/{study}/{folder}'")
    return names


def folder_name(overrides: Sequence[str]) -> str:
    """A folder's name that says what was set, and tells apart what its words do not.

    >>> folder_name(["data=masks", "data.root=/x/y"])  # doctest: +ELLIPSIS
    'data=masks,root=y-...'
    """
    parts = (override.partition("=") for override in overrides)
    words = ",".join(f"{key.split('.')[-1]}={Path(value).name}" for key, _, value in parts)
    return short(words, repr(list(overrides)))


def _of_run(config_name: str, folder: Path, typed: Sequence[str]) -> list[str]:
    """Arguments by which Hydra starts a run again in its folder, from the config that was saved there.

    What is typed anew changes it, and `keep_recipe` compares it with the saved one. The folder may be a stranger's:
    what its config makes is checked before Hydra starts, and no key of it is Hydra's own.

    Raises:
        DataError: Not a run folder, or one whose overrides are none.
        ConfigError: A run of another command; a key that cannot be typed here.
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
    from pneumo_ad.runs.compose import change_saved  # Lightning comes with it

    # What the run keeps as it is typed says the same, whatever a group or a recipe of that name holds today.
    last = {key_of(one): one for one in typed}.values()  # of what is typed twice
    new = [one for one in last if one not in (*hydras, *kept) or key_of(one) == "hydra.searchpath"]
    below = [one for one in kept if one.startswith(tuple(f"{key_of(group)}." for group in new))]
    config = to_today(change_saved(saved_config(folder), [*below, *new], (), saved_search_path(folder), config_name))
    check_saved(config, folder, resumed=True)
    plain = OmegaConf.to_container(config)
    assert isinstance(plain, dict)
    if own := sorted({"hydra", "defaults"} & plain.keys()):
        raise ConfigError(f"{folder / CONFIG}: {', '.join(own)} is no key of a run")
    plain["run_dir"] = MISSING
    ConfigStore.instance().store(_RESUMED, {**plain, "hydra": OmegaConf.to_container(shipped(config_name).hydra)})
    quoted = str(folder).replace("'", "\\'")
    # The recipe may be a sweep: this is one of its runs.
    return ["--config-name", _RESUMED, *hydras, f"hydra.run.dir='{quoted}'", "hydra.mode=RUN"]


def _refuse_hydra(file: Path, kept: Sequence[str]) -> None:
    """Hydra's own keys start what they name, and none stands among the overrides that a run keeps.

    Raises:
        DataError: One does, or something that is no override.
    """
    for one in kept:
        try:
            (parsed,) = OverridesParser.create().parse_overrides([one])
            ours = not any(name.startswith("hydra") for name in (parsed.key_or_group, parsed.package or ""))
        except HydraException:
            ours = False
        if not ours or one.startswith("-"):
            raise DataError(f"{file}: {one!r} is no override of a run")


def run_folders(sweep: Path) -> list[Path]:
    """Run folders below a folder, however deep, sorted."""
    return sorted(file.parent.parent for file in sweep.rglob(".hydra/overrides.yaml"))


class SweepReport(Callback):
    """Says when a multirun ends how its runs stand; exit status 1 if any of them failed."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Note the time: what failed before was another command's.

        Args:
            config: The composed config.
        """
        self._began = time.time() - 2  # a file system's clock may be a little behind

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Print.

        Args:
            config: The composed config.
        """
        sweep = Path(config.hydra.sweep.dir)
        found = {folder: status(folder) for folder in run_folders(sweep)}
        counted = Counter(one.word for one in found.values())
        print(f"sweep: {sweep} ({', '.join(f'{count} {word}' for word, count in counted.items())})")
        for folder, one in found.items():
            if one.word == "failed":
                print(f"failed: {folder.relative_to(sweep)}: {one.reason}")
        print(f"leaderboard: pneumo-ad compare {sweep}\nTensorBoard: tensorboard --logdir {sweep}")
        if any(one.word == "failed" and self._now(folder) for folder, one in found.items()):
            raise SystemExit(1)

    def _now(self, folder: Path) -> bool:
        """Whether a run's end is told by this command; one whose `run.json` cannot be read fails each time."""
        try:
            read_run_json(folder)
        except DamagedError:
            return True
        return (folder / "run.json").stat().st_mtime > self._began
