"""Options of an evaluation other than data and weights, one frozen field each.

An option is a key of `conf/train.yaml`, its interpolation in the node `evaluation` there, and a field here. The field
declares which results its value changes. Every list of options derives from that: options that may change after
training, that `predict` takes, that saved scores and predictions depend on, or that `metrics.json` records. No heavy
imports.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast, get_args

from pneumo_ad.errors import ConfigError

if TYPE_CHECKING:
    from omegaconf import DictConfig

# Results that a value changes: scores of windows and radiographs; decisions on them; further tables of `evaluate`; or
# the run time alone.
Changes = Literal["scores", "decisions", "tables", "speed"]
Plain: TypeAlias = dict[str, Any]  # a node of a config: `_target_` and arguments


def _option(changes: Changes, key: str = "", *, windows: bool = False, fixed: bool = False) -> dict[str, Any]:
    """Metadata of an option's field.

    `changes` is the kind of result that the option changes, `key` the key of `conf/train.yaml` that sets it (default:
    the field's name). `windows`: the option determines the grid of windows. `fixed`: the weights depend on it, so that
    it cannot change after training.
    """
    return {"changes": changes, "key": key, "windows": windows, "fixed": fixed}


@dataclass(frozen=True)
class EvaluationOptions:
    """Options of scoring and deciding on radiographs, as plain values.

    Attributes:
        score: Node of the score.
        aggregate: Node of the aggregate, from a radiograph's map or windows to one score.
        threshold: Node of the threshold rule.
        false_alarm_rate: Declared false-alarm rate on normal radiographs, in (0, 1).
        precision: Data type of the net's forward pass: `float32` or `bfloat16`.
        relative: Level in (0, 1] of the quantile that divides a radiograph's scores; None does not divide.
        map_of: `score` or `residual`: quantity that anomaly maps average.
        lungs: Node of the lung fields.
        intensity: Node of the intensity normalisation.
        view: `patch` or `image`: input of the net.
        image_size: Side, or height and width, of fitted radiographs in pixels.
        fit: Fit to `image_size`: `squash`, or `pad`, which keeps the aspect ratio.
        patch: Side of a patch in pixels.
        stride: Pixels from one window to the next.
        cover: Windows flush to the border: `full` adds them, `inside` does not.
        scoring: Input of a forward pass: `windows`, or `dense` for whole radiographs.
        halo: Pixels of context that the net sees around each patch.
        kept_windows: Largest number of windows of a radiograph in tables and patch metrics; None keeps all.
        matched: Whether radiographs are scored a second time, matched in aspect ratio, sharpness and intensity.
        batch_size: Windows per forward pass; None leaves the choice to the device.
        compile: Whether the net is compiled.

    Raises:
        ConfigError: An invalid value; names its key.
    """

    # Digests of earlier runs depend on the order of the options that change scores or decisions: append new ones.
    score: Plain = field(metadata=_option("scores"))
    aggregate: Plain = field(metadata=_option("scores"))
    threshold: Plain = field(metadata=_option("decisions"))
    false_alarm_rate: float = field(metadata=_option("decisions"))
    precision: str = field(metadata=_option("scores", "trainer.precision"))
    relative: float | None = field(metadata=_option("scores"))
    map_of: Literal["score", "residual"] = field(metadata=_option("scores"))
    lungs: Plain = field(metadata=_option("scores"))
    intensity: Plain = field(metadata=_option("scores"))
    view: Literal["patch", "image"] = field(metadata=_option("scores", fixed=True))
    image_size: int | list[int] = field(metadata=_option("scores", windows=True))
    fit: Literal["squash", "pad"] = field(metadata=_option("scores", windows=True))
    patch: int = field(metadata=_option("scores", windows=True))
    stride: int = field(metadata=_option("scores", windows=True))
    cover: Literal["inside", "full"] = field(metadata=_option("scores", windows=True))
    scoring: Literal["windows", "dense"] = field(metadata=_option("scores"))
    halo: int = field(metadata=_option("scores"))
    kept_windows: int | None = field(metadata=_option("tables"))
    matched: bool = field(metadata=_option("tables"))
    batch_size: int | None = field(metadata=_option("speed", "eval_batch_size"))
    compile: bool = field(metadata=_option("speed"))

    def __post_init__(self) -> None:
        from pneumo_ad.inference import MapOf, Mode
        from pneumo_ad.inference.scorer import check_relative

        for key, known in (("scoring", get_args(Mode)), ("map_of", get_args(MapOf))):
            if getattr(self, key) not in known:
                raise ConfigError(f"{key}={getattr(self, key)} is not known; expected {' or '.join(known)}")
        check_relative(self.relative)
        if not (_is_number(self.false_alarm_rate) and 0 < self.false_alarm_rate < 1):
            raise ConfigError(f"false_alarm_rate={self.false_alarm_rate} must lie between 0 and 1")
        if self.kept_windows is not None and not _is_whole(self.kept_windows):
            raise ConfigError(
                f"kept_windows={self.kept_windows} must be a whole number of windows of an image, or null for all"
            )
        if self.batch_size is not None and not (_is_whole(self.batch_size) and self.batch_size >= 1):
            raise ConfigError(
                f"eval_batch_size={self.batch_size} must be a whole number of windows, at least 1, or null"
            )
        for key in ("compile", "matched"):
            if not isinstance(getattr(self, key), bool):
                raise ConfigError(f"{key}={getattr(self, key)} is not known; expected true or false")

    @classmethod
    def of(cls, config: DictConfig) -> EvaluationOptions:
        """Read the options of a run from the node `evaluation` of its config.

        Args:
            config: Composed or saved config, with overrides applied.

        Raises:
            ConfigError: An invalid value, or one set in that node instead of at its own key.
        """
        from omegaconf import OmegaConf

        node = config.get("evaluation")
        if not OmegaConf.is_dict(node):
            raise ConfigError(f"evaluation={node} is no option; its options are set at keys of their own, as stride=N")
        if missing := [name for name in KEYS if name not in node]:
            raise ConfigError(f"evaluation lacks {', '.join(missing)}; leave it as conf/train.yaml has it")
        for name, value in cast(Plain, OmegaConf.to_container(node)).items():
            key = KEYS.get(name)
            if key is None or value != f"${{{key}}}":
                instead = f"{key}={value}" if key else f"its options are {', '.join(KEYS)}"
                raise ConfigError(f"evaluation.{name}={value} sets nothing; {instead}")
        values = cast(Plain, OmegaConf.to_container(config.evaluation, resolve=True))
        values["precision"] = "bfloat16" if "bf16" in str(values["precision"]) else "float32"
        return cls(**values)

    def changing(self, *what: Changes) -> dict[str, Any]:
        """Return the options that change some kinds of result, by name in the order of the fields.

        Args:
            what: Kinds of result (`Changes`); default: any.
        """
        return {name: getattr(self, name) for name in option_names(*what)}


def option_names(*what: Changes, windows: bool = False) -> tuple[str, ...]:
    """List names of options.

    Args:
        what: Kinds of result that the options change; default: any.
        windows: Whether to list only options that determine the grid of windows.

    >>> option_names("decisions"), option_names(windows=True)
    (('threshold', 'false_alarm_rate'), ('image_size', 'fit', 'patch', 'stride', 'cover'))
    """
    return tuple(
        one.name
        for one in fields(EvaluationOptions)
        if (not what or one.metadata["changes"] in what) and (one.metadata["windows"] or not windows)
    )


def keys_that_may_change(*what: Changes) -> tuple[str, ...]:
    """List the top-level keys of a run's config that may change after training.

    Args:
        what: Kinds of result that the keys change; default: any.

    >>> keys_that_may_change("decisions", "speed")
    ('threshold', 'false_alarm_rate', 'eval_batch_size', 'compile')
    """
    free = (name for name in option_names(*what) if name not in FIXED)
    return tuple(dict.fromkeys(KEYS[name].split(".")[0] for name in free))


def option_help(*what: Changes) -> str:
    """Return the usage text of the options that may change after training; `{score}` marks the choices of a group.

    Args:
        what: Kinds of result that the options change; default: any.

    >>> print(option_help("decisions"))
      threshold=GROUP            {threshold}
      false_alarm_rate=0.05      declared, for decisions that held-out normals alone fix
    """
    entries = re.split(r"\n(?=  \S)", _HELP.rstrip())
    keys = keys_that_may_change(*what)
    return "\n".join(entry for entry in entries if entry.split("=")[0].strip() in keys)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return _is_whole(value) or isinstance(value, float)


_HELP = """\
  score=GROUP                {score}
  aggregate=GROUP            {aggregate}; aggregate.of=pixels takes the map's pixels instead of patches
  threshold=GROUP            {threshold}
  false_alarm_rate=0.05      declared, for decisions that held-out normals alone fix
  relative=0.2               divide scores by this quantile of the radiograph's own; null leaves them as they are
  map_of=residual            maps are the mean of pixels' residuals instead of windows' scores
  lungs=GROUP                {lungs}
  intensity=GROUP            {intensity}
  image_size=N               side, or [height,width], of fitted radiographs in pixels
  fit=pad                    fitted with their aspect ratio kept; fit=squash does not keep it
  patch=N                    side of a patch in pixels, where the net takes others
  stride=N                   pixels from one window to the next
  cover=full                 with windows flush to the border; cover=inside leaves them out
  scoring=dense              the net over whole radiographs: the same scores, faster; needs a halo as wide as it sees
  halo=N                     show the net N pixels around each window
  kept_windows=4096          of a radiograph, that patch metrics, tables and figures are made of at most: of finer
                             strides every k-th each way; maps and image scores are made of all; null keeps all
  matched=true               score once more with all radiographs brought to one aspect, sharpness and intensity
  trainer=GROUP              {trainer}; trainer.precision=bf16-mixed scores in bfloat16
  eval_batch_size=N          windows per forward pass
  compile=true               the net compiled; pays for many radiographs
"""
# Name of each option -> key of `conf/train.yaml` that sets it.
KEYS = {one.name: one.metadata["key"] or one.name for one in fields(EvaluationOptions)}
# Options that the weights depend on.
FIXED: Sequence[str] = tuple(one.name for one in fields(EvaluationOptions) if one.metadata["fixed"])
