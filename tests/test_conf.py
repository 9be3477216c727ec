"""Every yaml is a test by itself: a new one is found by the glob."""

import re
from importlib.resources import files
from pathlib import Path

import pneumo_ad.conf
import pytest
import torch
import yaml
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from pneumo_ad.errors import ConfigError
from pneumo_ad.runs.compose import build, build_all, change_saved, compose_config, groups_among
from pneumo_ad.runs.search_path import saved_search_path
from pneumo_ad.runs.trust import trust
from pneumo_ad.runs.trusted import keep

CONF = Path(next(iter(pneumo_ad.conf.__path__)))
CHOICES = sorted((file.parent.name, file.stem) for file in CONF.glob("*/*.yaml") if file.parent.name != "experiment")
EXPERIMENTS = sorted(file.stem for file in CONF.glob("experiment/*.yaml"))
LUNG_CHOICES = {("augment", "lungs")}  # that belong to `train_lungs`
LUNG_EXPERIMENTS = {"lungs", "lungs_of_normals"}
ELSEWHERE = {"anomalib"}  # nets, and their recipe, that need another library and its checkpoint: test_anomalib.py
GIVEN = {"data.root", "data.sources", "net.model", "net.checkpoint"}  # what no yaml can know
# What each group's node is, once made; the others need data, a folder or a device.
OFFERS = {
    "net": ("forward",),
    "loss": ("forward",),
    "score": ("score", "residual_map"),
    "corruption": ("__call__",),
    "drawing": ("__call__",),
    "threshold": ("fit",),
    "aggregate": ("__call__",),
    "optimizer": ("__call__",),
    "lungs": ("__call__",),
    "intensity": ("__call__", "of_images"),
}


@pytest.fixture(autouse=True)
def data(monkeypatch):
    monkeypatch.setenv("PNEUMO_AD_DATA", "data")
    yield
    GlobalHydra.instance().clear()


def composed(group, choice):
    needed = ["module=drawing_detector"] if group == "drawing" else []  # the group comes with it
    name = "train_lungs" if (group, choice) in LUNG_CHOICES else "train"
    config = compose_config(name, [*needed, f"{group}={choice}"])
    config.run_dir = "run"
    return config


def seen_by_the_net(config):
    side = config.patch if config.view == "patch" else config.image_size
    return (side, side) if isinstance(side, int) else tuple(side)


def test_the_globs_find_something():
    assert {group for group, _ in CHOICES} >= {*OFFERS, "data", "augment", "callbacks", "logger", "trainer"}
    assert {"paper", "paper_420", "lungs"} <= set(EXPERIMENTS)
    found = {group for group, _ in CHOICES}
    assert groups_among([*found, "stride", "hydra"]) == found


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_every_choice_composes_and_all_its_values_resolve(group, choice):
    config = composed(group, choice)
    missing = OmegaConf.missing_keys(config)
    assert missing <= GIVEN
    for key in missing:
        OmegaConf.update(config, key, "somewhere")
    OmegaConf.to_container(config, resolve=True)


@pytest.mark.parametrize(
    ("group", "choice"), [pair for pair in CHOICES if pair[0] in OFFERS and pair[1] not in ELSEWHERE]
)
def test_every_choice_makes_what_its_group_promises(group, choice):
    made = build(composed(group, choice)[group])
    assert all(callable(getattr(made, name)) for name in OFFERS[group])


@pytest.mark.parametrize("choice", [choice for group, choice in CHOICES if group == "optimizer"])
def test_every_optimizer_optimises(choice):
    parameter = torch.nn.Parameter(torch.ones(1))
    optimizer = build(composed("optimizer", choice).optimizer)([parameter])
    parameter.square().sum().backward()
    optimizer.step()
    assert parameter.item() < 1


@pytest.mark.parametrize("choice", [choice for group, choice in CHOICES if group == "callbacks"])
def test_every_choice_of_callbacks_makes_callbacks(choice):
    import lightning as L

    made = build_all(composed("callbacks", choice).callbacks)
    assert made
    assert all(isinstance(callback, L.Callback) for callback in made)


@pytest.mark.parametrize("choice", [choice for group, choice in CHOICES if group == "augment" and choice != "none"])
def test_every_augmentation_changes_a_radiograph(choice):
    import numpy as np
    from drawn import lung_mask, radiograph

    augment = build(composed("augment", choice).datamodule.augment)
    image, lung = radiograph(0, 64, 64), lung_mask(64, 64).astype(np.uint8)
    changed = [augment(image, lung, seed)[0] for seed in range(5)]
    assert all(one.dtype == np.uint8 for one in changed)
    assert any(one.shape != image.shape or not np.array_equal(one, image) for one in changed)


@pytest.mark.parametrize("choice", [choice for group, choice in CHOICES if group == "data"])
def test_every_source_has_exactly_the_arguments_of_its_yaml(choice):
    import inspect

    from hydra.utils import get_method

    node = OmegaConf.to_container(compose_config("train", [f"data={choice}"]).data)
    source = get_method(node.pop("_target_"))
    accepted = inspect.signature(source).parameters
    assert set(node) == set(accepted)
    if choice != source.__name__:  # a preset of another yaml
        return
    # One default for one thing: what the yaml says is what a caller in Python gets.
    own = {key: value.default for key, value in accepted.items() if value.default is not inspect.Parameter.empty}
    assert {key: node[key] for key in own} == own


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_composes_with_its_command_and_its_parts_fit(name):
    config = compose_config("train_lungs" if name in LUNG_EXPERIMENTS else "train", [f"experiment={name}"])
    config.run_dir = "run"
    assert config.name == name
    assert OmegaConf.missing_keys(config) == ({"net.model", "net.checkpoint"} if name in ELSEWHERE else set())
    if name in ELSEWHERE:
        return
    OmegaConf.to_container(config, resolve=True)
    module = build(config.module)
    if name not in LUNG_EXPERIMENTS:
        with torch.no_grad():
            module.eval().try_out(torch.zeros(1, 1, *seen_by_the_net(config)))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_value_of_every_axis_makes_a_module(name):
    config = compose_config("train_lungs" if name in LUNG_EXPERIMENTS else "train", [f"experiment={name}"])
    for key, values in (config.sweep or {}).items():
        for value in values.split(","):
            changed = compose_config("train", [f"experiment={name}", f"{key}={value}"])
            build(changed.module)(torch.zeros(1, 1, *seen_by_the_net(changed)))


REPLACED = {
    group: [choice for other, choice in CHOICES if other == group]
    for group in ("loss", "corruption", "score", "callbacks", "optimizer")
}
TURNS = max(map(len, REPLACED.values()))


def choices_of(turn):
    """One choice of each group: within `TURNS` turns every choice has been taken."""
    return {group: choices[turn % len(choices)] for group, choices in REPLACED.items()}


@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if name not in LUNG_EXPERIMENTS])
@pytest.mark.parametrize("turn", range(TURNS), ids=lambda turn: ",".join(choices_of(turn).values()))
def test_every_recipe_takes_every_choice_of_another_part(name, turn):
    """A value that a recipe sets within a group would be handed to whatever the user takes in its place."""
    chosen = choices_of(turn)
    config = compose_config("train", [f"experiment={name}", *map("=".join, chosen.items())])
    config.run_dir = "run"
    for group in chosen:
        (build_all if group == "callbacks" else build)(config[group])


def test_the_paper_is_the_papers():
    config = compose_config("train", ["experiment=paper"])
    assert (config.image_size, config.patch, config.stride, config.net.depth) == (256, 32, 20, 2)
    assert config.loss == {"_target_": "pneumo_ad.losses.DiceLoss", "form": "squared", "smooth": 1.0}
    assert config.optimizer._target_ == "torch.optim.Adam"
    assert config.corruption._target_.endswith("NoCorruption")
    from pneumo_ad.patches import PatchGrid

    other = compose_config("train", ["experiment=paper_420"])
    assert len(PatchGrid(tuple(other.image_size), other.patch, other.stride)) == 420
    assert other.loss == config.loss


@pytest.mark.parametrize("file", sorted(CONF.rglob("*.yaml")), ids=lambda file: str(file.relative_to(CONF)))
def test_every_file_ships_and_says_what_it_is(file):
    assert (files("pneumo_ad.conf") / file.relative_to(CONF).as_posix()).is_file()
    assert isinstance(yaml.safe_load(file.read_text()), dict)
    first = file.read_text().splitlines()[0]
    assert re.match(r"# \S.{9}", first), f"{file.name}: no first line that says what it is"


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("net=resnet", "resnet"),
        ("nett=unet", "nett"),
        ("net.widht=8", "widht"),
        ("patch", "patch"),
        ("patch=[", "no viable alternative"),
    ],
)
def test_an_unknown_override_is_refused_with_hydras_words(override, words):
    with pytest.raises(ConfigError, match=words):
        compose_config("train", [override])


def test_a_saved_config_takes_groups_and_keys():
    saved = compose_config("train", ["net.width=4", "threshold=mixture", "seed=5"])
    changed = change_saved(saved, ["score=sad_contrast", "score.floor=3", "stride=7", "data.normal=3"], ["net"])
    assert changed.score == {"_target_": "pneumo_ad.scores.SADContrast", "floor": 3}
    assert (changed.stride, changed.datamodule.stride, changed.data.normal) == (7, 7, 3)
    assert changed.net.width == 4
    assert saved.stride == 20  # the saved one is left alone
    fresh = change_saved(saved, ["threshold=otsu", "threshold=mixture"], [])
    assert fresh.threshold.seed == 5  # interpolations live on
    replaced = change_saved(saved, ["data=folder", "data.root=x"], [])
    assert "normal" not in replaced.data
    assert replaced.datamodule.table.root == "x"


@pytest.fixture
def elsewhere(tmp_path):
    """Yaml of another project: a score, and a group that `train` does not have."""
    folder = tmp_path / "somebody's own"
    for name, line in (("score/theirs", "_target_: pneumo_ad.scores.SADSum"), ("dye/red", "shade: 3")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.yaml").write_text(line)
    return folder


def test_a_saved_config_takes_groups_of_another_project(elsewhere):
    saved, where = compose_config("train", ["seed=5"]), [f"file://{elsewhere}"]
    assert change_saved(saved, ["score=theirs"], [], where).score == {"_target_": "pneumo_ad.scores.SADSum"}
    with pytest.raises(ConfigError, match="theirs"):
        change_saved(saved, ["score=theirs"], [])
    assert groups_among(["net", "dye"], where) == {"net", "dye"}
    assert groups_among(["net", "dye"]) == {"net"}
    with pytest.raises(ConfigError, match="dye"):  # refused, not taken for a value
        change_saved(saved, ["dye=red"], [], where)


def test_evaluation_can_add_to_the_search_path(elsewhere):
    saved, override = compose_config("train"), f'hydra.searchpath=["file://{elsewhere}"]'
    changed = change_saved(saved, ["score=theirs", override], [])
    assert changed.score == {"_target_": "pneumo_ad.scores.SADSum"}
    assert "hydra" not in changed
    with pytest.raises(ConfigError, match="must be a list"):
        change_saved(saved, [f"hydra.searchpath={elsewhere.parent}"], [])


def test_a_run_folder_says_where_its_yaml_came_from(tmp_path, monkeypatch):
    assert saved_search_path(tmp_path) == []  # Hydra was told to note nothing
    sources = [("pkg", "hydra.conf"), ("pkg", "pneumo_ad.conf"), ("pkg", "their.conf"), ("file", "conf")]
    sources += [("file", "/far/conf"), ("structured", "")]
    noted = {"cwd": "/start", "config_sources": [{"schema": schema, "path": path} for schema, path in sources]}
    (tmp_path / ".hydra").mkdir()
    OmegaConf.save({"hydra": {"runtime": noted}}, tmp_path / ".hydra" / "hydra.yaml")
    monkeypatch.setenv("PNEUMO_AD_CONFIG", str(tmp_path / "config"))
    assert saved_search_path(tmp_path) == []  # nobody trusts it
    places = ["pkg://their.conf", "file:///start/conf", "file:///far/conf"]
    (tmp_path / "their").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("their", *places[1:]):
        trust(name)
    assert saved_search_path(tmp_path) == places


def test_build_names_the_package_that_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setenv("PNEUMO_AD_CONFIG", str(tmp_path))
    keep(["no_such_package"])  # it was there when it was trusted
    with pytest.raises(ConfigError, match=r"no_such_package\.Net: .*is installed"):
        build(DictConfig({"_target_": "no_such_package.Net"}))
    with pytest.raises(ConfigError, match="no_such_package"):
        build(
            DictConfig({"_target_": "pneumo_ad.nets.FeatureGaussian", "features": {"_target_": "no_such_package.Net"}})
        )


def test_build_passes_on_the_error_of_the_part_itself():
    config = compose_config("train", ["loss.form=cubic"])
    config.run_dir = "run"
    with pytest.raises(ConfigError, match=r"^form='cubic' is not known"):
        build(config.module)


def test_settings_of_a_callback_that_is_not_there_are_refused_by_name():
    nodes = OmegaConf.create({"callbacks": {"panels": {"patches": 3}}}).callbacks
    with pytest.raises(ConfigError, match=r"callbacks\.panels has settings \(patches\).*callbacks\.panels=null"):
        build_all(nodes)


def test_build_gives_plain_containers():
    node = {"_target_": "torch.optim.Adam", "_partial_": True, "betas": [1, {"b": 2}]}
    assert type(build(DictConfig(node)).keywords["betas"]) is list
