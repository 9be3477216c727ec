"""What a run folder tells of its run: the recipe in `.hydra`, and in `run.json` how it ended and in what time."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import UnionType
from typing import Any, Literal, NamedTuple

from filelock import FileLock, Timeout
from omegaconf import DictConfig, ListConfig, OmegaConf
from packaging.version import InvalidVersion, Version

from pneumo_ad import __version__
from pneumo_ad.errors import ConfigError, DamagedError, UserError, printable
from pneumo_ad.files import replace_paths, write_json, write_text
from pneumo_ad.runs import resolvers  # noqa: F401 - its words stand in the configs that come by here
from pneumo_ad.runs.dot_hydra import CONFIG, HYDRA, OVERRIDES, read_config
from pneumo_ad.runs.past import check_dropped, to_today
from pneumo_ad.runs.search_path import places_of
from pneumo_ad.runs.trust import name_own
from pneumo_ad.saved import MIB, check_mapping, is_there, read_json

# What commands read of `run.json`.
_ENDS = ("finished", "failed", "interrupted", "running")
_TOLD: dict[str, type | UnionType] = {
    "status": str,
    "reason": str,
    "command": list,
    "seed": int,
    "commit": str | None,
    "pneumo_ad": str,
    "epochs": int,
    "steps": int,
    "parameters": int,
    "seconds_preparing": int | float,
    "seconds_training": int | float,
    "seconds_evaluating": int | float,
}
Word = Literal["finished", "failed", "interrupted", "running", "unfinished"]


class Status(NamedTuple):
    """How a run stands.

    Attributes:
        word: `finished`; `failed`; `interrupted` (it was told to end, and saved); `running`; `unfinished` (it was
            killed, or never began).
        reason: Why it failed, else empty.
    """

    word: Word
    reason: str = ""


def runs_below(folder: Path) -> str:
    """A hint for who named a folder of runs instead of a run; empty where there is none."""
    found = sorted(path.parent for depth in ("*", "*/*") for path in folder.glob(f"{depth}/.hydra"))
    return f"; runs below it: {', '.join(map(str, found[:5]))}" if found else ""


def status(folder: Path) -> Status:
    """How the run in a folder stands; failed, where its `run.json` cannot be read."""
    try:
        story = read_run_json(folder)
    except DamagedError as reason:
        return Status("failed", str(reason))
    word = story.get("status", "unfinished")
    if word == "running":
        try:
            with FileLock(folder / ".lock", timeout=0):
                word = "unfinished"  # nobody is at it: it was killed
        except Timeout:
            pass
    return Status(word, story.get("reason", ""))


def keep_recipe(folder: Path, config: DictConfig, overrides: Iterable[str], hydra: Any) -> None:
    """Save a job's config, its overrides and Hydra's own config in `.hydra`.

    Hydra would do so before the job begins, over whatever lies there; here a folder with another recipe is refused.

    Args:
        folder: The run folder.
        config: Config of the job.
        overrides: Overrides as they were typed.
        hydra: Hydra's own config, which knows the search path.

    Raises:
        ConfigError: The folder holds a run of another config (names what differs), or one that a later version began,
            or the config has a key that was removed.
        DamagedError: The config there cannot be read.
    """
    check_dropped(flatten(_plain(config)))
    name_own(config, places_of(hydra.hydra.runtime), folder)
    file = folder / CONFIG
    if is_there(file):
        later = made_by_later(folder)
        if later and read_run_json(folder).get("status") != "finished":
            raise ConfigError(
                f"{folder} was begun by pneumo_ad {later}, which is later than this one, {__version__}: go on with it "
                "by that version"
            )
        changed = differences(read_config(folder), to_today(config))
        if changed:
            raise ConfigError(
                f"{folder} holds a run of another config, and a run cannot change once it has begun: "
                f"{'; '.join(changed[:5])}{' ...' if len(changed) > 5 else ''}. Give the same values, or another "
                "folder: hydra.run.dir=DIR (hydra.sweep.dir=DIR for a sweep)"
            )
        return
    file.parent.mkdir(exist_ok=True)
    typed = OmegaConf.to_container(overrides) if isinstance(overrides, ListConfig) else list(overrides)
    write_text(folder / OVERRIDES, OmegaConf.to_yaml(OmegaConf.create(typed)))
    write_text(folder / HYDRA, OmegaConf.to_yaml(hydra))
    write_text(file, OmegaConf.to_yaml(config))  # last: where it stands, the rest does


def differences(saved: DictConfig | dict[str, Any], config: DictConfig | dict[str, Any]) -> list[str]:
    """`key: saved value -> new value` for every key of two configs that differs, interpolations as they are written.

    Args:
        saved: The config of the run folder.
        config: The one asked for.

    >>> differences(OmegaConf.create({"net": {"width": 8}, "seed": 0}), OmegaConf.create({"net": {"width": 9}}))
    ['net.width: 8 -> 9', 'seed: 0 -> (absent)']
    """
    # A recipe's axes are not part of a run's own recipe: a sweep or a search may grow.
    before, after = (
        flatten({key: value for key, value in _plain(one).items() if key not in ("run_dir", "sweep", "tune")})
        for one in (saved, config)
    )
    absent = "(absent)"
    return [
        f"{key}: {before.get(key, absent)} -> {after.get(key, absent)}"
        for key in dict.fromkeys([*before, *after])
        if before.get(key, absent) != after.get(key, absent)
    ]


def _plain(config: DictConfig | dict[str, Any]) -> dict[Any, Any]:
    plain = config if isinstance(config, dict) else OmegaConf.to_container(config)
    assert isinstance(plain, dict)
    return plain


def flatten(node: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one, by dotted key; an empty dict is a value.

    Args:
        node: Nested dicts, lists and values.
        prefix: Key of the node itself.

    >>> flatten({"a": {"b": 1, "c": {}}, "d": [2]})
    {'a.b': 1, 'a.c': {}, 'd': [2]}
    """
    if not isinstance(node, dict) or (not node and prefix):
        return {prefix: node}
    flat: dict[str, Any] = {}
    for key, value in node.items():
        flat |= flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return flat


@contextmanager
def recorded(folder: Path) -> Iterator[None]:
    """Write into `run.json` that a job runs and how it ends."""
    update_run_json(folder, status="running", reason="")
    try:
        yield
    except UserError as reason:
        update_run_json(folder, status="failed", reason=without_place(str(reason), folder))
        raise
    except Exception as reason:
        words = printable("".join(traceback.format_exception_only(reason)).strip(), lines=True)
        update_run_json(folder, status="failed", reason=without_place(words, folder))
        raise
    except (SystemExit, KeyboardInterrupt):
        update_run_json(folder, status="interrupted")
        raise
    update_run_json(folder, status="finished")


def read_run_json(folder: Path) -> dict[str, Any]:
    """What `run.json` tells; empty where there is none.

    Args:
        folder: The run folder.

    Raises:
        DamagedError: It is there and cannot be read: nobody knows then whether the run finished.
    """
    file = folder / "run.json"
    if not is_there(file):
        return {}
    story = read_json(file, most=MIB)
    try:
        check_mapping(story, {key: kind for key, kind in _TOLD.items() if key in story})
        if (word := story.get("status", "running")) not in _ENDS:
            raise ValueError(f"status is {word!r}, expected {', '.join(_ENDS)}")
    except ValueError as reason:
        raise DamagedError(f"{file}: {reason}") from reason
    return story


def is_later(version: str) -> bool:
    """Whether a version of this project is later than the one that runs.

    >>> is_later("99.1"), is_later("0.0.1"), is_later("an unknown version")
    (True, False, False)
    """
    try:
        return Version(version) > Version(__version__)
    except InvalidVersion:
        return False


def made_by_later(folder: Path) -> str:
    """The version that made a run, where it is later than this one; else empty.

    Args:
        folder: The run folder.
    """
    version: str = read_run_json(folder).get("pneumo_ad", "")
    return version if is_later(version) else ""


def update_run_json(folder: Path, **facts: Any) -> None:
    """Add facts to `run.json`.

    Args:
        folder: The run folder.
        facts: By key.
    """
    write_json(folder / "run.json", read_run_json(folder) | facts)


@contextmanager
def timed(folder: Path, key: str) -> Iterator[None]:
    """Add the seconds that something takes, also where it fails, to those that `run.json` notes already.

    Args:
        folder: The run folder.
        key: Key in `run.json`, `seconds_...`.
    """
    before, started = read_run_json(folder).get(key, 0), time.perf_counter()
    try:
        yield
    finally:
        update_run_json(folder, **{key: round(before + time.perf_counter() - started, 1)})


def without_place(reason: str, folder: Path) -> str:
    """A reason that stays in the run folder, which may move or be shown, and says no more than its name."""
    return replace_paths(reason, {str(folder): folder.name})
