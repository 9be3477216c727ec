"""Extensions of Hydra's multirun: recipes with sweep axes, names of folders, resumption, a final report.

No heavy imports.
"""

from __future__ import annotations

import argparse
import math
import re
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.utils import get_method
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pneumo_ad.errors import ConfigError, DamagedError
from pneumo_ad.runs.arguments import choices, expanded
from pneumo_ad.runs.check_keys import check_added
from pneumo_ad.runs.frozen import arguments_on_run
from pneumo_ad.runs.grammar import for_hydra
from pneumo_ad.runs.known_keys import with_trainer_arguments
from pneumo_ad.runs.past import check_dropped
from pneumo_ad.runs.record import read_run_json, status
from pneumo_ad.runs.resolvers import short
from pneumo_ad.runs.resume import arguments_of_run
from pneumo_ad.runs.search_path import as_override, check_places, key_of

# Options with which Hydra prints something and starts no job.
_SHOWS = {"--hydra-help", "-c", "--cfg", "-i", "--info", "-sc", "--shell-completion"}


def complete(config_name: str, arguments: Sequence[str]) -> list[str]:
    """Complete the arguments of a command from a recipe or a run folder.

    - `resume=RUN`: adds the config of that run, and its folder.
    - `run=RUN` of `train`: adds the config of that run, with its net frozen (`frozen.arguments_on_run`).
    - A recipe with axes (`sweep:`): adds the axes that were not given, and `--multirun`.
    - A multirun: names its runs after the overrides that vary and its folder after the others, so that the same command
      finds its runs again and another command does not touch them.

    Args:
        config_name: Name of the command's config.
        arguments: Arguments as typed.

    Raises:
        DataError: `resume=` or `run=` names no run folder.
        ConfigError: One of them with `-m`, or see `arguments_of_run`; several recipes, one of which has axes; a group
            set to null; a removed key.
    """
    typed = [one for one in arguments if ("=" in one or one.startswith("~")) and not one.startswith("-")]
    options = [one for one in arguments if one not in typed]
    resumed = [one for one in typed if one.startswith("resume=")]
    frozen = [one for one in typed if one.startswith("run=") and config_name == "train" and not resumed]
    typed = [for_hydra(one) for one in typed if one not in (*resumed, *frozen)]
    if (resumed or frozen) and {"-m", "--multirun"} & set(options):
        raise ConfigError(f"{[*resumed, *frozen][-1]} goes on with one run; leave out -m")
    if resumed:
        folder = Path(expanded(resumed[-1].removeprefix("resume=")))
        return [*options, *arguments_of_run(config_name, folder, typed)]
    if frozen:
        folder = Path(expanded(frozen[-1].removeprefix("run=")))
        return [*options, *arguments_on_run(folder, typed)]
    check_dropped(key_of(one) for one in typed)
    _refuse_no_choice(typed)
    typed = with_trainer_arguments(config_name, typed)
    check_added(config_name, typed, config_dir(options))
    if {one.partition("=")[0] for one in options} & _SHOWS:
        return [*options, *typed]
    try:
        # The last of a repeated key counts, as in a single run; a multirun would take both as axes.
        last = {one.key_or_group: one.input_line or "" for one in OverridesParser.create().parse_overrides(typed)}
        typed = list(last.values())
        parsed = OverridesParser.create().parse_overrides(typed)
        check_places(_searchpath(parsed))
        axes = _axes(config_name, parsed, options)
    except (HydraException, OmegaConfBaseException):
        return [*options, *typed]  # Hydra reports what is wrong
    if axes and "hydra.mode=RUN" not in typed:
        given = {one.key_or_group for one in parsed}
        typed = [*(f"{key}={values}" for key, values in axes.items() if key not in given), *typed]
        parsed = OverridesParser.create().parse_overrides(typed)
        options = [*options, *(["--multirun"] if not {"-m", "--multirun"} & set(options) else [])]
    return [*options, *typed, *_names(config_name, parsed)]


def _refuse_no_choice(typed: Sequence[str]) -> None:
    """Refuse a group set to null or to a number, for which Hydra has no clear message.

    Raises:
        ConfigError: A group is no name; names its choices.
    """
    for override in typed:
        group, _, value = override.lstrip("+").partition("=")
        if re.fullmatch(r"null|true|false|[\d.]+", value) and (names := choices(group)):
            raise ConfigError(
                f"{override}: a group takes the name of a choice, or is left out; there are {', '.join(names)}"
            )


def _axes(config_name: str, parsed: Sequence[Override], options: Sequence[str]) -> dict[str, Any]:
    """Axes of the chosen recipe (`sweep`), by key.

    Raises:
        ConfigError: Several recipes at once, one of which has axes.
    """
    chosen = next((one for one in parsed if one.key_or_group == "experiment"), None)
    if chosen is None:
        return {}
    where = as_override([*config_dir(options), *_searchpath(parsed)])
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


def config_dir(options: Sequence[str]) -> list[str]:
    """Location of yaml that Hydra's option `--config-dir` names; none where it is not given."""
    folder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    folder.add_argument("--config-dir", "-cd", type=lambda text: f"file://{Path(text).resolve()}")
    found = folder.parse_known_args(options)[0].config_dir
    return [found] if found else []


def _searchpath(parsed: Sequence[Override]) -> list[str]:
    """Locations of yaml that overrides name."""
    return [str(place) for one in parsed if one.key_or_group == "hydra.searchpath" for place in one.value()]  # type: ignore[union-attr]


def _names(config_name: str, parsed: Sequence[Override]) -> list[str]:
    """Overrides that name the folders of a multirun."""
    swept = [one for one in parsed if one.is_sweep_override()]
    ours = [one for one in parsed if not one.key_or_group.startswith("hydra")]
    identifying = {"name"} if any(one.key_or_group == "name" for one in ours) else {"experiment"}
    fixed = [one for one in ours if one not in swept and one.key_or_group not in identifying]
    unnamed = ",".join(sorted({one.key_or_group for one in ours if one not in swept}))
    names = [f"hydra.job.config.override_dirname.exclude_keys=[{unnamed}]"]
    if not any(one.key_or_group == "hydra.sweep.dir" for one in parsed):
        folder = folder_name(sorted(one.input_line or "" for one in fixed)) if fixed else "default"
        # One folder for all runs, even of several studies.
        study = config_name if {"experiment", "name"} & {one.key_or_group for one in swept} else "${name}"
        names.append(f"hydra.sweep.dir='sweeps/{study}/{folder}'")
    return names


def folder_name(overrides: Sequence[str]) -> str:
    """Name a folder after overrides, shortened, with a digest that makes it unique.

    >>> folder_name(["data=masks", "data.root=/x/y"])  # doctest: +ELLIPSIS
    'data=masks,root=y-...'
    """
    parts = (override.partition("=") for override in overrides)
    words = ",".join(f"{key.split('.')[-1]}={Path(value).name}" for key, _, value in parts)
    return short(words, repr(list(overrides)))


def run_folders(sweep: Path) -> list[Path]:
    """List the run folders at any depth below a folder, sorted."""
    return sorted(file.parent.parent for file in sweep.rglob(".hydra/overrides.yaml"))


class SweepReport(Callback):
    """Report of the runs' status at the end of a multirun; exit status 1 if any failed.

    Args:
        show: Dotted name of a function that shows the measured runs below a folder, and writes `comparison` there;
            called at the end, if runs were measured by this command, or `comparison` is not whole.
    """

    def __init__(self, show: str | None = None) -> None:
        self._show = show

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Print what is about to be run, and record the time, to recognise failures of earlier commands.

        Args:
            config: The composed config.
        """
        self._began = time.time() - 2  # the clock of a file system may lag
        parsed = OverridesParser.create().parse_overrides(list(config.hydra.overrides.task))
        axes = [one for one in parsed if one.is_sweep_override()]
        number = math.prod(len(list(one.sweep_string_iterator())) for one in axes)
        runs = f"{number} run{'s' if number > 1 else ''}"
        print(
            f"{runs} in {config.hydra.sweep.dir}; each writes {config.hydra.job.name}.log into its folder", flush=True
        )

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Print the report.

        Args:
            config: The composed config.
        """
        sweep = Path(config.hydra.sweep.dir)
        statuses = {folder: status(folder) for folder in run_folders(sweep)}
        counted = Counter(state.word for state in statuses.values())
        print(f"sweep: {sweep} ({', '.join(f'{count} {word}' for word, count in counted.items())})")
        for folder, state in statuses.items():
            if state.word == "failed":
                print(f"failed: {folder.relative_to(sweep)}: {state.reason}")
        ended = [folder for folder, state in statuses.items() if state.word == "finished"]
        measured = all((folder / "maps" / "images.csv").is_file() for folder in ended)
        shown = (sweep / "comparison" / "leaderboard.md").is_file()  # not so where it was ended while it was made
        if self._show and ended and measured and (not shown or any(map(self._now, ended))):
            get_method(self._show)(sweep)
        print(f"leaderboard: pneumo-ad compare {sweep}\nTensorBoard: tensorboard --logdir {sweep}")
        if any(state.word == "failed" and self._now(folder) for folder, state in statuses.items()):
            raise SystemExit(1)

    def _now(self, folder: Path) -> bool:
        """Whether a run ended during this command; one with an unreadable `run.json` counts each time."""
        try:
            read_run_json(folder)
        except DamagedError:
            return True
        return (folder / "run.json").stat().st_mtime > self._began
