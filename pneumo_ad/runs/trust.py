"""Allow-list of the targets that a config may build: an untrusted run folder is data, not a program.

`build` accepts the targets in `ALLOWED`, group by group, and those in trusted packages: installed packages that require
pneumo_ad, and packages named in a file of the user's config folder, by `trust=NAME` or by training with them on this
machine. No heavy imports.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.util import find_spec
from inspect import ismodule
from pathlib import Path
from typing import Literal, NamedTuple

from omegaconf import DictConfig, ListConfig
from omegaconf.base import Node
from omegaconf.errors import OmegaConfBaseException

from pneumo_ad.errors import ConfigError
from pneumo_ad.runs.past import RENAMED
from pneumo_ad.runs.trusted import extensions, file_of_names, is_own, is_trusted_package, keep, named

log = logging.getLogger(__name__)


def _in(module: str, names: str) -> frozenset[str]:
    return frozenset(f"{module}.{name}" for name in names.split())


# Group -> full names of allowed targets. A test compares the yaml of `pneumo_ad.conf` with it.
ALLOWED: dict[str, frozenset[str]] = {
    "data": _in("pneumo_ad.data.sources", "chest_xray folder masks phantom rsna several splits"),
    "lungs": _in("pneumo_ad.lungs", "AutoFields FileFields LungSegmenter SegmenterFields WholeImage"),
    "intensity": _in("pneumo_ad.data.intensity", "AsStored LungFieldIntensity"),
    "net": _in(
        "pneumo_ad.nets",
        "AlignedGaussian AnomalibNet BottleneckAutoencoder FeatureGaussian KindUNet LiteFeatures MemoryAutoencoder "
        "NormalLung UNetAutoencoder UncertaintyAutoencoder VAE VarianceHead",
    )
    | _in("pneumo_ad.lungs.features", "SegmenterFeatures SegmenterProbability")
    | {"pneumo_ad.classifier.RadiographCNN"},
    "corruption": _in("pneumo_ad.corruptions", "CoarseNoise DrawnOpacity MaskCenter NoCorruption"),
    "drawing": _in(
        "pneumo_ad.drawings",
        "Blends Consolidations Deformations Devices Effusions Exposure Haze Lines Mixture Pastes Shade Spots Swells "
        "Veils",
    ),
    "loss": _in("pneumo_ad.losses", "DiceLoss L1Loss MSELoss SSIMLoss UncertaintyLoss"),
    "score": _in(
        "pneumo_ad.scores",
        "Brightness Contrast Excess ExpectedKind Judgement JudgementInLung OpacityChance SAD SADContrast SADSum "
        "Sharpness UncertaintyScore",
    ),
    "threshold": _in(
        "pneumo_ad.metrics.thresholds", "Conformal Fixed GaussianMixture LikeliestKind MultiOtsu NormalQuantiles"
    ),
    "aggregate": _in("pneumo_ad.scores.aggregates", "Highest Mean TopFraction"),
    "optimizer": _in(
        "torch.optim",
        "ASGD Adadelta Adafactor Adagrad Adam AdamW Adamax LBFGS NAdam RAdam RMSprop Rprop SGD SparseAdam",
    ),
    "scheduler": _in(
        "torch.optim.lr_scheduler",
        "ChainedScheduler ConstantLR CosineAnnealingLR CosineAnnealingWarmRestarts CyclicLR ExponentialLR LinearLR "
        "MultiStepLR OneCycleLR PolynomialLR ReduceLROnPlateau SequentialLR StepLR",
    ),
    "augment": _in(  # without Lambda and without readers of files: from_dict, load, reference images, fonts
        "albumentations",
        "AdditiveNoise AdvancedBlur Affine AutoContrast Blur CLAHE CenterCrop CoarseDropout ColorJitter Compose "
        "ConstrainedCoarseDropout Crop CropAndPad CropNonEmptyMaskIfExists D4 Defocus Downscale ElasticTransform "
        "Emboss Equalize Erasing GaussNoise GaussianBlur GlassBlur GridDistortion GridDropout GridElasticDeform "
        "HorizontalFlip ISONoise Illumination ImageCompression InvertImg LongestMaxSize MaskDropout MedianBlur "
        "Morphological MotionBlur MultiplicativeNoise NoOp Normalize OneOf OneOrOther OpticalDistortion Pad "
        "PadIfNeeded Perspective PiecewiseAffine PixelDropout PlasmaBrightnessContrast PlasmaShadow Posterize "
        "RandomBrightnessContrast RandomCrop RandomCropFromBorders RandomGamma RandomGridShuffle RandomOrder "
        "RandomResizedCrop RandomRotate90 RandomScale RandomShadow RandomSizedCrop RandomToneCurve Resize "
        "RingingOvershoot Rotate SafeRotate SaltAndPepper Sequential Sharpen ShiftScaleRotate ShotNoise "
        "SmallestMaxSize Solarize SomeOf Spatter SquareSymmetry Superpixels ThinPlateSpline Transpose UnsharpMask "
        "VerticalFlip XYMasking ZoomBlur",
    )
    | {"pneumo_ad.data.augment.Augment", "pneumo_ad.lungs.opacity_augment.OpacityAugment"},
    "datamodule": frozenset(
        {
            "pneumo_ad.data.PatchDataModule",
            "pneumo_ad.classifier.RadiographDataModule",
            "pneumo_ad.lungs.training.LungDataModule",
        }
    ),
    "module": _in("pneumo_ad.modules", "DrawingDetector FeatureDetector OpacityDetector PatchAutoencoder TrainedNet")
    | {"pneumo_ad.classifier.RadiographClassifier", "pneumo_ad.lungs.training.LungSegmentation"},
    "trainer": frozenset(
        {
            "lightning.Trainer",
            "lightning.pytorch.Trainer",
            "lightning.pytorch.strategies.DDPStrategy",
            "pneumo_ad.runs.checkpoints.WholeCheckpoints",
        }
    ),
    "callbacks": _in(
        "pneumo_ad.callbacks",
        "AnomalyMaps EpochProgress PrecisionRecall ReconstructionPanels SADHistograms SaveOnTermination",
    )
    | _in(
        "lightning.pytorch.callbacks",
        "DeviceStatsMonitor EMAWeightAveraging EarlyStopping GradientAccumulationScheduler LearningRateMonitor "
        "ModelCheckpoint RichProgressBar StochasticWeightAveraging TQDMProgressBar Timer",
    ),
    "logger": _in("pneumo_ad.loggers", "MLFlowRun TensorBoardRun WandbRun")
    | _in("lightning.pytorch.loggers", "CSVLogger TensorBoardLogger"),
}
HOW_TO_IMPORT = "install it, or name the folder that holds it: PYTHONPATH=$PWD pneumo-ad train ..."
_ANY = "any group"  # group of a node that is a whole config
ALLOWED[_ANY] = frozenset().union(*ALLOWED.values())
# Groups that write files: allowed at the top level of a config alone, built by a training alone.
_WRITING = ("trainer", "callbacks", "logger")
# Key -> group, where the names differ.
_KEYS = {"table": "data", "also_measure_on": "data", "segmenter": "lungs", "unseen": "drawing"}
# Allowed interpolations of a saved value: other values, custom resolvers, and the one variable of a shipped recipe.
_PLAIN = re.compile(r"\$\{\s*(?:(?:share|run_name):[^${}]*|oc\.env:PNEUMO_AD_DATA|[\w.\[\]-]+)\s*\}")
# Keys of output paths.
_PATHS = {"default_root_dir", "dirpath", "file", "log_dir", "run_dir", "save_dir", "tracking_uri"}

Kind = Literal["target", "interpolation", "path"]


class Foreign(NamedTuple):
    """Entry of a config that is not on the list.

    Attributes:
        kind: `target` (of an object to build), `interpolation` (of a value outside the config) or `path` (of output
            outside the run folder).
        key: Dotted key of the entry.
        group: Group as which the target would be built; empty for none.
        name: The target, the text of the interpolation, or the path.
    """

    kind: Kind
    key: str
    group: str
    name: str


def check(node: DictConfig) -> None:
    """Check that a node, with all nodes below it, may be built. Only trusted packages are imported.

    Args:
        node: Node with a `_target_`, within its config or as a whole config.

    Raises:
        ConfigError: A target that is neither on the list of its group nor trusted.
    """
    key = node._get_full_key("")
    _refuse(found for found in _foreign(node, key, _group_of(key) if key else _ANY) if found.kind == "target")


def check_saved(config: DictConfig, folder: Path, resumed: bool = False) -> None:
    """Check that opening a run folder builds only allowed targets and takes values from its config alone.

    Args:
        config: Whole config of the run folder.
        folder: The run folder.
        resumed: Whether training resumes, so that parts that write files are built too, and must write below the
            folder.

    Raises:
        ConfigError: An entry that is not allowed; names the target, interpolation or path, its group, and the argument
            that allows it.
    """
    _refuse(_foreign(config), f"{folder}: ")
    if resumed:
        _refuse(_outside(config, folder), f"{folder}: ")


def name_own(config: DictConfig, places: Iterable[str] = (), folder: Path | None = None) -> None:
    """Record as trusted the user's own packages, search paths, output paths and interpolations of a newly typed config.

    Its runs then open again without a refusal.

    Args:
        config: Config composed from typed overrides; never a saved one.
        places: Locations of yaml besides `pneumo_ad.conf`.
        folder: The run folder.

    Raises:
        ConfigError: The package of a target is not there.
    """
    foreign = list(_foreign(config))
    for one in foreign:  # here alone: of a folder that somebody else made nothing should be installed
        if one.kind == "target" and "." in one.name:
            check_package(one.name, f"{one.key} would build {one.name}")
    if folder is not None:
        config = config.copy()
        config.run_dir = str(folder)
        foreign += _outside(config, folder)
    packages = {one.name.partition(".")[0] for one in foreign if one.kind == "target"}
    packages |= {place.removeprefix("pkg://").partition(".")[0] for place in places if place.startswith("pkg://")}
    packages = {package for package in packages if package not in named() and is_own(package) and find_spec(package)}
    names = {one.name for one in foreign if one.kind != "target" and one.name}
    names |= {place for place in places if not place.startswith("pkg://")}
    if new := sorted(packages.difference(extensions(tuple(sys.path))) | names.difference(named())):
        keep(new)
        log.info("trusted from now on, as it was typed here: %s (%s)", ", ".join(new), file_of_names())


def trust(name: str) -> bool:
    """Record a name as trusted, for all runs.

    Args:
        name: A package of the user's own (`mine`), one object of another package by its full name
            (`torchvision.models.resnet18`), a location of yaml (`file:///folder`), or the name given in a refusal.

    Returns:
        Whether it was not trusted before.

    Raises:
        ConfigError: A whole package that is not the user's own or cannot be imported, or an empty name.
    """
    if not name.strip() or "\n" in name:
        raise ConfigError(f"trust={name} must name a package of your own, or in full what may be built")
    if name.isidentifier() and not is_own(name):
        raise ConfigError(
            f"trust={name}: {name} is a library, and all of it would be too much. Name one thing of it in full: "
            f"trust={name}.THING. A whole package can be named where it lies in a folder of your own"
        )
    if name.isidentifier() and find_spec(name) is None:
        raise ConfigError(
            f"trust={name}: {name} cannot be imported. Install it (pip install -e FOLDER), or put the folder that "
            "holds it on PYTHONPATH, as a full path"
        )
    if name in named():
        return False
    keep([name])
    return True


def check_package(name: str, what: str) -> None:
    """Check that the package of a module or an object is there; it is not imported.

    Args:
        name: Full name of the module or object.
        what: Beginning of the message: the typed setting that needs it.

    Raises:
        ConfigError: There is no such package; says how to make it known.
    """
    package = name.partition(".")[0]
    if package.isidentifier() and find_spec(package) is None:
        raise ConfigError(f"{what}, but no module {package} is there: {HOW_TO_IMPORT}")


def is_trusted_place(place: str) -> bool:
    """Whether yaml at a location may be composed: one that was named or typed here, or that of a trusted package.

    Args:
        place: Location as in `hydra.searchpath`.
    """
    package = place.removeprefix("pkg://").partition(".")[0]
    return place in named() or (place.startswith("pkg://") and is_trusted_package(package))


def _refuse(foreign: Iterable[Foreign], where: str = "") -> None:
    """Raise an error for the first entry that is not trusted."""
    for found in foreign:
        if not (_is_trusted(found.name) if found.kind == "target" else found.name in named()):
            raise ConfigError(where + _refusal(found))


def _refusal(found: Foreign) -> str:
    kind, key, group, name = found
    if kind == "interpolation":
        reason = f"{key} would take its value from {name}; a saved config may refer to its own values alone"
    elif kind == "path" and not name:
        return f"{key} must name the run folder, or what it leaves out is written to the working directory"
    elif kind == "path":
        reason = f"{key} would write to {name}, outside of the run folder"
    else:
        reason = f"{key} would build {name}, " + (
            f"which is not on the list of {group}" if group else "and is no group"
        )
        if name in RENAMED:
            return f"{key} would build {name}, which is {RENAMED[name]} since 0.2.0"
        near = [one for one in sorted(ALLOWED.get(group, ())) if one.rpartition(".")[2] == name.rpartition(".")[2]]
        reason += f"; did you mean {near[0]}?" if near else ""
    package = name.partition(".")[0]
    if kind == "target" and package == "pneumo_ad":
        return reason
    wanted = package if kind == "target" and package.isidentifier() and is_own(package) else name
    return (
        f"{reason}. Who made the folder could do harm by it. If you trust them and want it, add trust='{wanted}' once; "
        "it then holds for every run that you open"
    )


def _foreign(node: Node | None, key: str = "", group: str = "") -> Iterator[Foreign]:
    """Entries not on the list, in a node with all that it contains or refers to.

    `key` is the dotted key of the node (empty for a whole config), `group` the group whose list its target must be on.
    """
    waiting, seen = [(node, key, group)], set()
    for node, key, group in waiting:  # grows during the loop
        if isinstance(node, Node) and node._is_interpolation():
            if not _is_plain(text := str(node._value())):
                yield Foreign("interpolation", key, group, text)
            node = _followed(node)
        if not isinstance(node, (DictConfig, ListConfig)) or (id(node), group) in seen:
            continue
        seen.add((id(node), group))
        for name, inner in _items(node):
            if name == "_target_":
                target = _followed(inner)
                value = target._value() if isinstance(target, Node) else None
                if not isinstance(value, str) or value not in ALLOWED.get(group, ()):
                    yield Foreign("target", key or "it", group, str(value))
            waiting.append((inner, f"{key}.{name}".lstrip("."), _group_below(group, key, str(name))))


def _outside(config: DictConfig, folder: Path) -> Iterator[Foreign]:
    """Output paths of a config outside its run folder."""
    home = folder.resolve()
    for group in _WRITING:
        waiting = [(group, config._get_node(group))]
        for key, node in waiting:  # grows during the loop
            node = _followed(node)
            if isinstance(node, (DictConfig, ListConfig)):
                waiting += [(f"{key}.{name}", inner) for name, inner in _items(node)]
            elif isinstance(node, Node) and isinstance(value := node._value(), str):
                written = key.rpartition(".")[2] in _PATHS or value.startswith(("/", "~")) or ".." in Path(value).parts
                if "://" in value or (written and not _lies_below(value, home)):
                    yield Foreign("path", key, group, value)
    root = "trainer.default_root_dir"  # default location of all output
    if "trainer" in config and not (config.trainer and config.trainer.get("default_root_dir")):
        yield Foreign("path", root, "trainer", "")


def _lies_below(path: str, home: Path) -> bool:
    try:
        return Path(path).expanduser().resolve().is_relative_to(home)
    except (OSError, ValueError, RuntimeError):
        return False


def _items(node: DictConfig | ListConfig) -> list[tuple[object, Node | None]]:
    """Keys and child nodes, interpolations not followed; empty for null and missing nodes."""
    content = node._content
    if isinstance(content, dict):
        return list(content.items())
    return list(enumerate(content)) if isinstance(content, list) else []


def _followed(node: Node | None) -> Node | None:
    """Target of an interpolation; None if it cannot be resolved, which building reports."""
    if isinstance(node, Node) and node._is_interpolation():
        try:
            return node._maybe_dereference_node(throw_on_resolution_failure=False)
        except OmegaConfBaseException:
            return None
    return node


def _is_plain(text: str) -> bool:
    """Whether a value refers to nothing outside its config.

    >>> _is_plain("${run_dir}/${share:${image_size},8}"), _is_plain("${oc.env:HOME}"), _is_plain("${oc.${a}:HOME}")
    (True, False, False)
    """
    before = ""
    while text != before:
        before, text = text, _PLAIN.sub("0", text)
    return "${" not in text


def _group_of(key: str) -> str:
    """Group of the node at a dotted key."""
    group = above = ""
    for name in filter(None, re.split(r"[.\[\]]", key)):
        group, above = _group_below(group, above, name), f"{above}.{name}".lstrip(".")
    return group


def _group_below(group: str, key: str, name: str) -> str:
    """Group of the value `name` below a key of a group.

    >>> _group_below("", "", "net"), _group_below("net", "net", "features"), _group_below("net", "net", "logger")
    ('net', 'net', 'net')
    """
    own = _KEYS.get(name, name)
    if own in ALLOWED and (own not in _WRITING or not (key or group)):
        return own
    return group


def _is_trusted(target: str) -> bool:
    """Whether a target outside the list may be built: named in full, or defined in a trusted package."""
    package = target.partition(".")[0]
    return ("." in target and target in named()) or (is_trusted_package(package) and _is_defined_in(package, target))


def _is_defined_in(package: str, target: str) -> bool:
    """Whether a name leads, through a package's own modules and classes alone, to a definition in that package.

    Imported names do not count: `mine.net.torch.load` is torch's. If the import fails, nothing can be built.
    """
    parts = target.split(".")
    try:
        value = import_module(parts[0])
        for i, name in enumerate(parts[1:], 2):
            if ismodule(value) and not hasattr(value, name):
                import_module(".".join(parts[:i]))
            value = getattr(value, name)
            owner = value.__name__ if ismodule(value) else getattr(value, "__module__", None)
            if not isinstance(owner, str) or owner.partition(".")[0] != package:
                return False
    except (ImportError, AttributeError):
        return True  # building reports the error
    return True
