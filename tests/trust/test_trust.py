"""What the folder of a stranger may build, and how a package of one's own becomes trusted."""

import importlib
import inspect
import os
import pickle
import shutil
import sys
from pathlib import Path

import albumentations
import pneumo_ad.conf
import pytest
import torch
from omegaconf import OmegaConf
from running import TINY, start

from pneumo_ad import corruptions, losses, lungs, nets, scores
from pneumo_ad.commands.train import start_run
from pneumo_ad.data import sources
from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.metrics import thresholds
from pneumo_ad.runs.compose import build, compose_config
from pneumo_ad.runs.run import load_run
from pneumo_ad.runs.run_config import saved_config
from pneumo_ad.runs.search_path import saved_search_path
from pneumo_ad.runs.sweeps import complete
from pneumo_ad.runs.trust import _ANY, ALLOWED, _foreign, check, check_saved, is_trusted_place, name_own, trust
from pneumo_ad.scores import aggregates

CONF = Path(next(iter(pneumo_ad.conf.__path__)))
YAML = sorted(CONF.rglob("*.yaml"))


@pytest.fixture(autouse=True)
def config_folder(tmp_path, monkeypatch):
    """Nothing is trusted when a test begins."""
    monkeypatch.setenv("PNEUMO_AD_CONFIG", str(tmp_path / "config"))
    return tmp_path / "config"


@pytest.fixture(scope="module")
def composed():
    return compose_config("train")


@pytest.fixture
def folder(composed, tmp_path):
    """A run folder with its config alone: nothing else is looked at before that."""
    folder = tmp_path / "run"
    (folder / ".hydra").mkdir(parents=True)
    OmegaConf.save(composed, folder / ".hydra" / "config.yaml")
    return folder


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A package of the user's own, which imports as anybody's does."""
    package = tmp_path / "site" / "mine"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "net.py").write_text(
        "import os\nfrom functools import partial\nimport lightning\nimport torch\nfrom torch import load, nn\n"
        "from pneumo_ad.nets import UNetAutoencoder\n"
        "class Shallow(UNetAutoencoder): pass\nclass Module(lightning.LightningModule): pass\n"
        "def make(width=4): return Shallow(width=width)\nloads = partial(torch.load)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    yield package
    for name in [name for name in sys.modules if name.split(".")[0] == "mine"]:
        del sys.modules[name]


def changed(folder, key, value):
    """The run folder with something else in its config."""
    file = folder / ".hydra" / "config.yaml"
    config = OmegaConf.load(file)
    OmegaConf.update(config, key, value, merge=False, force_add=True)
    OmegaConf.save(config, file)
    return folder


# The list


@pytest.mark.parametrize("file", YAML, ids=lambda file: str(file.relative_to(CONF)))
def test_what_ships_is_on_the_list_of_its_group(file):
    content = OmegaConf.load(file)
    group = file.relative_to(CONF).parts[0] if file.parent != CONF else "experiment"
    content.pop("hydra", None)
    wrapped = {"experiment": content, "augment": {"datamodule": content}}.get(group, {group: content})
    assert list(_foreign(OmegaConf.create(OmegaConf.to_container(OmegaConf.create(wrapped))))) == []


@pytest.mark.parametrize(
    ("group", "module", "others"),
    [
        ("net", nets, {"Output", "UNet"}),
        ("loss", losses, {"dice_loss", "uncertainty_loss"}),
        ("score", scores, {"Score", "score_named", "score_words"}),
        ("corruption", corruptions, {"Corruption"}),
        ("lungs", lungs, {"LungFields"}),
        ("data", sources, set()),
    ],
)
def test_what_a_package_exports_is_on_the_list(group, module, others):
    exported = {f"{module.__name__}.{name}" for name in set(module.__all__) - others}
    assert exported == {name for name in ALLOWED[group] if name.rpartition(".")[0] == module.__name__}


@pytest.mark.parametrize(("group", "module"), [("threshold", thresholds), ("aggregate", aggregates)])
def test_what_can_be_chosen_of_a_module_is_on_the_list(group, module):
    shipped = {OmegaConf.load(file)._target_ for file in (CONF / group).glob("*.yaml")}
    assert shipped == ALLOWED[group]
    assert all(hasattr(module, name.rpartition(".")[2]) for name in shipped)


@pytest.mark.parametrize("group", [group for group in ALLOWED if group != _ANY])
def test_every_name_on_the_list_is_a_class_or_a_source(group):
    for name in ALLOWED[group]:
        module, _, attribute = name.rpartition(".")
        thing = getattr(importlib.import_module(module), attribute)
        assert inspect.isclass(thing) or (group == "data" and inspect.isfunction(thing)), name


def test_transforms_are_albumentations_own_without_those_that_take_functions_or_files():
    names = {name.rpartition(".")[2] for name in ALLOWED["augment"] if name.startswith("albumentations.")}
    for name in names:
        thing = getattr(albumentations, name)
        assert issubclass(thing, (albumentations.BasicTransform, albumentations.BaseCompose))
        takes = set(inspect.signature(thing.__init__).parameters)
        assert not takes & {"read_fn", "reference_images", "font_path", "templates", "image"}, name
    assert names.isdisjoint({"Lambda", "ReplayCompose", "from_dict", "load", "FDA", "TextImage"})


# A stranger's folder


class Payload:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (self.mark,)


def poisoned(place):
    """A file that makes a folder when it is unpickled, or read as Python, and that folder."""
    mark = str(place / "executed")
    (place / "e.pkl").write_bytes(pickle.dumps(Payload(mark)))
    torch.save(Payload(mark), place / "e.pt")
    (place / "e.py").write_text(f"import os\nos.mkdir({mark!r})\n")
    return Path(mark)


def node(target, **arguments):
    return {"_target_": target, **arguments}


# What stands at a key; {} is the folder of what `poisoned` wrote.
MKDIR = node("os.mkdir", path="{}/executed")
HOSTILE = {
    "call": ("net", MKDIR),
    "torch.load": ("net", node("torch.load", f="{}/e.pt", weights_only=False)),
    "read_pickle": ("data", node("pandas.read_pickle", filepath_or_buffer="{}/e.pkl")),
    "run_path": ("loss", node("runpy.run_path", path_name="{}/e.py")),
    "our files": ("score", node("pneumo_ad.files.write_text", path="{}/executed", text="")),
    "our reader": ("net", node("pneumo_ad.runs.checkpoints.read_checkpoint", file="{}/e.pt")),
    "nested": ("net.norm", MKDIR),
    "in lists": ("net.norm", [1, [MKDIR]]),
    "positional": ("net", node("os.mkdir", _args_=["{}/executed"])),
    "positional, of one that is allowed": ("lungs", node("pneumo_ad.lungs.WholeImage", _args_=[MKDIR])),
    "partial": ("optimizer", MKDIR | {"_partial_": True}),
    "not recursive": ("net.norm", MKDIR | {"_recursive_": False}),
    "converted": ("net", MKDIR | {"_convert_": "none"}),
    "through a module of ours": ("net", node("pneumo_ad.nets.unet.torch.load", f="{}/e.pt", weights_only=False)),
    "through another": ("net", node("pneumo_ad.data.store.store.np.load", file="{}/e.pkl", allow_pickle=True)),
    "a method of ours": ("net", node("pneumo_ad.lungs.LungSegmenter.from_file", path="{}/e.pt")),
    "an inherited one": (
        "module",
        node("pneumo_ad.modules.PatchAutoencoder.load_from_checkpoint", _args_=["{}/e.pt"]),
    ),
    "globals": ("net", node("pneumo_ad.nets.VAE.__init__.__globals__.get", _args_=["torch"])),
    "subclasses": ("net", node("pneumo_ad.nets.VAE.__class__.__subclasses__")),
    "get_method": ("net", node("hydra.utils.get_method", path="os.mkdir")),
    "get_class": ("net", node("hydra.utils.get_class", path="pathlib.Path")),
    "get_object": ("net", node("hydra.utils.get_object", path="os.environ")),
    "instantiate": ("net", node("hydra.utils.instantiate", config=MKDIR, _recursive_=False)),
    "functools.partial": ("net", node("functools.partial", _args_=["os.mkdir"])),
    "Lambda": (
        "datamodule.augment",
        node("pneumo_ad.data.augment.Augment", transforms=[node("albumentations.Lambda")]),
    ),
    "albumentations.load": ("datamodule.augment", node("albumentations.load", filepath_or_buffer="{}/e.py")),
    "albumentations.from_dict": ("datamodule.augment", node("albumentations.from_dict", transform_dict={})),
    "torch.hub": ("net", node("torch.hub.load", repo_or_dir="{}", model="e", source="local")),
    "of another group": ("net", node("lightning.pytorch.loggers.CSVLogger", save_dir="{}/executed")),
    "logger in a net": ("net.logger", node("lightning.pytorch.loggers.CSVLogger", save_dir="{}/executed")),
    "by interpolation": ("aside", MKDIR),
    "name by interpolation": ("net", node("${name}.mkdir", path="{}/executed")),
    "in no group": ("theirs", node("pneumo_ad.nets.VAE")),
    "at the top": ("_target_", "os.mkdir"),
    "no text": ("net", node(["os.mkdir"])),
    "callback": ("callbacks.theirs", MKDIR),
    "plugin": ("trainer.plugins", [MKDIR]),
    "not here": ("net", node("theirs.net.Net")),
}


def placed(value, place):
    """With the place filled in."""
    if isinstance(value, dict):
        return {key: placed(inner, place) for key, inner in value.items()}
    if isinstance(value, list):
        return [placed(inner, place) for inner in value]
    return value.replace("{}", str(place)) if isinstance(value, str) else value


@pytest.mark.parametrize("name", HOSTILE)
def test_a_strangers_folder_runs_nothing(name, folder, tmp_path):
    mark = poisoned(tmp_path)
    key, value = HOSTILE[name]
    changed(folder, key, placed(value, tmp_path))
    if name == "name by interpolation":
        changed(folder, "name", "os")
    if name == "by interpolation":
        changed(folder, "net", "${aside}")
    with pytest.raises(ConfigError, match="would build") as told:
        load_run(folder)
    assert str(folder) in str(told.value)
    assert not mark.exists()
    part = OmegaConf.load(folder / ".hydra" / "config.yaml").get(key.partition(".")[0])
    if OmegaConf.is_dict(part) and "_target_" in part:
        with pytest.raises(ConfigError, match="would build"):
            build(part)  # the one door holds by itself
        assert not mark.exists()


def test_a_refusal_names_target_group_and_what_to_type(folder):
    with pytest.raises(ConfigError, match=r"net would build torch\.load, .* list of net.*trust='torch\.load'"):
        load_run(changed(folder, "net", {"_target_": "torch.load"}))
    with pytest.raises(ConfigError, match=r"net would build mine_too\.Net, .*trust='mine_too'"):
        load_run(changed(folder, "net", {"_target_": "mine_too.Net"}))
    with pytest.raises(ConfigError, match=r"did you mean pneumo_ad\.nets\.VAE\?$"):
        load_run(changed(folder, "net", {"_target_": "pneumo_ad.nets.vae.VAE"}))


@pytest.mark.parametrize(
    "value",
    ["${oc.env:HOME}", "is ${oc.env:HOME}", "${oc.${fit}:HOME}", "${oc.decode:1}", "${hydra:runtime.cwd}", "${now:%Y}",
     "${share:${oc.env:HOME},8}", "${oc.dict.keys:net}",
     "${ oc.env:HOME }", "${oc.env:PNEUMO_AD_DATA,x${oc.env:HOME}}"],
)  # fmt: skip
def test_a_saved_value_takes_nothing_from_elsewhere(value, folder):
    with pytest.raises(ConfigError, match=r"name would take its value from .*trust='"):
        saved_config(changed(folder, "name", value))
    trust(value)
    assert saved_config(folder)


def test_values_of_the_config_itself_and_our_own_words_are_taken(folder):
    for value in ("${fit}", "${datamodule.fit}x", "${share:${image_size},8}", "${oc.env:PNEUMO_AD_DATA}/lung_masks"):
        assert saved_config(changed(folder, "name", value))


def test_groups_go_by_where_a_node_is_built_not_by_where_it_stands(folder):
    changed(folder, "callbacks.theirs", {"_target_": "lightning.pytorch.callbacks.Timer"})
    assert saved_config(folder)
    with pytest.raises(ConfigError, match=r"net would build lightning\.pytorch\.callbacks\.Timer"):
        saved_config(changed(folder, "net", "${callbacks.theirs}"))


def test_nodes_that_lead_to_each_other_end(folder):
    changed(folder, "net.a", {"b": "${net}"})
    changed(folder, "loss.a", "${net.a}")
    assert saved_config(folder)


def test_opening_a_run_builds_nothing_that_writes(here, tmp_path):
    run = start_run("run", [*TINY, "trainer.max_epochs=1"])
    file = Path("run/.hydra/config.yaml")
    config = OmegaConf.load(file)
    config.logger = {"x": {"_target_": "pneumo_ad.loggers.WandbRun", "run_dir": str(tmp_path / "executed")}}
    config.callbacks = {
        "x": {"_target_": "lightning.pytorch.callbacks.ModelCheckpoint", "dirpath": str(tmp_path / "executed")}
    }
    config.trainer.default_root_dir = str(tmp_path / "executed")
    OmegaConf.save(config, file)
    assert load_run("run").radiographs.table.equals(run.radiographs.table)
    assert not (tmp_path / "executed").exists()


# Training on what a stranger began


@pytest.fixture
def begun(folder):
    (folder / ".hydra" / "overrides.yaml").write_text("[net.width=4]\n")
    return folder


@pytest.mark.parametrize(
    "override",
    [
        "hydra.run.dir=/elsewhere",
        "hydra/launcher=joblib",
        "+hydra.callbacks.x._target_=os.mkdir",
        "hydra.job_logging.handlers.x.class=os.mkdir",
        "hydra.searchpath=[pkg://antigravity]",
        "+callbacks@hydra.callbacks=minimal",
        "--multirun",
        "--config-dir=/elsewhere",
    ],
)
def test_no_override_that_a_run_keeps_is_hydras(override, begun):
    OmegaConf.save(OmegaConf.create([override]), begun / ".hydra" / "overrides.yaml")
    with pytest.raises(DataError, match="no override of a run"):
        complete("train", [f"resume={begun}"])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("defaults", ["_self_", {"override hydra/launcher": "joblib"}]),
        ("defaults", [{"/net": "vae"}]),
        ("hydra", {"run": {"dir": "/elsewhere"}}),
        ("hydra", {"job_logging": {"handlers": {"x": {"class": "os.mkdir"}}}}),
        ("hydra", {"searchpath": ["pkg://antigravity"]}),
    ],
)
def test_no_key_of_a_saved_config_is_hydras(key, value, begun):
    with pytest.raises(ConfigError, match=rf"config\.yaml: {key} is no key of a run"):
        complete("train", [f"resume={changed(begun, key, value)}"])


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("net._target_=os.mkdir", r"net would build os\.mkdir"),
        ("+callbacks.x._target_=os.mkdir", r"callbacks\.x would build os\.mkdir"),
        ("name=${oc.env:HOME}", "name would take its value"),
        ("callbacks.best.dirpath=/elsewhere", r"callbacks\.best\.dirpath would write to /elsewhere"),
        ("callbacks.best.dirpath=${run_dir}/../elsewhere", "outside of the run folder"),
        ("callbacks.best.filename=../../elsewhere", "outside of the run folder"),
        ("callbacks.best.dirpath=elsewhere", "outside of the run folder"),
        ("callbacks.termination.file=/elsewhere", "outside of the run folder"),
        ("logger.tensorboard.run_dir='~/elsewhere'", "outside of the run folder"),
        ("logger.tensorboard.run_dir=../../elsewhere", "outside of the run folder"),
        ("+logger.x={_target_: lightning.pytorch.loggers.CSVLogger, save_dir: '.', name: ../elsewhere}", "outside"),
        ("+logger@logger.more=csv", None),
        ("+logger.x={_target_: pneumo_ad.loggers.MLFlowRun, tracking_uri: 'http://host:5000'}", "http://host:5000"),
        ("+logger.x={_target_: pneumo_ad.loggers.MLFlowRun, tracking_uri: 'sqlite:////elsewhere'}", "outside"),
        ("trainer.default_root_dir=/elsewhere", "outside of the run folder"),
        ("trainer.default_root_dir=null", "must name the run folder"),
        ("+trainer.model_registry=/elsewhere", "outside of the run folder"),
        ("trainer.plugins=[{_target_: torch.load}]", r"plugins.* would build torch\.load"),
    ],
)
def test_what_a_resumed_run_writes_lies_below_its_folder(override, words, begun):
    assert f"hydra.run.dir='{begun}'" in complete("train", [f"resume={begun}"])
    OmegaConf.save(compose_config("train", [override]), begun / ".hydra" / "config.yaml")
    if words is None:
        assert f"hydra.run.dir='{begun}'" in complete("train", [f"resume={begun}"])
        return
    with pytest.raises(ConfigError, match=words):
        complete("train", [f"resume={begun}"])


def test_a_trainer_that_says_no_place_is_refused(begun):
    file = begun / ".hydra" / "config.yaml"
    config = OmegaConf.load(file)
    del config.trainer.default_root_dir
    OmegaConf.save(config, file)
    with pytest.raises(ConfigError, match=r"trainer\.default_root_dir must name the run folder"):
        complete("train", [f"resume={begun}"])


def test_what_is_typed_beside_a_run_that_goes_on_is_looked_at_too(begun):
    with pytest.raises(ConfigError, match=r"net would build os\.mkdir"):
        complete("train", [f"resume={begun}", "net._target_=os.mkdir"])
    with pytest.raises(ConfigError, match="outside of the run folder"):
        complete("train", [f"resume={begun}", "trainer.default_root_dir=/elsewhere"])


def test_checkpoints_are_not_written_through_a_link(begun, tmp_path):
    (tmp_path / "home").mkdir()
    (begun / "checkpoints").symlink_to(tmp_path / "home")
    with pytest.raises(ConfigError, match="outside of the run folder"):
        complete("train", [f"resume={begun}"])


def test_places_of_yaml_within_a_strangers_folder_are_left_out_and_said(folder, tmp_path, caplog):
    package = tmp_path / "site" / "theirs"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f"import os\nos.mkdir({str(tmp_path / 'executed')!r})\n")
    sources = [{"schema": "pkg", "path": "theirs"}, {"schema": "file", "path": str(folder / "conf")}]
    OmegaConf.save({"hydra": {"runtime": {"cwd": "/", "config_sources": sources}}}, folder / ".hydra" / "hydra.yaml")
    sys.path.insert(0, str(package.parent))
    try:
        with pytest.raises(ConfigError, match="brighter"):
            load_run(folder, ["score=brighter"])
    finally:
        sys.path.remove(str(package.parent))
    assert "pkg://theirs is left out" in caplog.text
    assert f"trust='file://{folder}/conf'" in caplog.text
    assert not (tmp_path / "executed").exists()
    trust(f"file://{folder}/conf")
    assert saved_search_path(folder) == [f"file://{folder}/conf"]


# Packages of one's own


def test_a_package_is_named_once(mine, folder, config_folder):
    changed(folder, "net", {"_target_": "mine.net.Shallow"})
    with pytest.raises(ConfigError, match="trust='mine'"):
        saved_config(folder)
    assert "mine" not in sys.modules  # asking does not import it
    trust("mine")
    assert (config_folder / "trusted.txt").read_text() == "mine\n"
    assert type(build(saved_config(folder).net)).__module__ == "mine.net"


@pytest.mark.parametrize(
    "target",
    ["torch.load", "load", "os.mkdir", "loads", "UNetAutoencoder", "Module.load_from_checkpoint", "Shallow.__class__",
     "Shallow.__subclasses__", "make.__globals__.get", "make.__globals__", "nn.Sequential"],
)  # fmt: skip
def test_of_a_trusted_package_only_what_it_defines_may_be_built(target, mine):
    trust("mine")
    check(OmegaConf.create({"_target_": "mine.net.make"}))
    with pytest.raises(ConfigError, match="would build"):
        check(OmegaConf.create({"_target_": f"mine.net.{target}"}))


def test_of_a_library_one_thing_is_named_in_full():
    for package in ("torch", "os", "pandas", "pneumo_ad", "builtins", "__main__"):
        with pytest.raises(ConfigError, match=f"{package} is a library"):
            trust(package)
    node = OmegaConf.create({"_target_": "torchvision.models.resnet18"})
    with pytest.raises(ConfigError, match=r"trust='torchvision\.models\.resnet18'"):
        check(node)
    trust("torchvision.models.resnet18")
    check(node)
    with pytest.raises(ConfigError):
        check(OmegaConf.create({"_target_": "torchvision.models.resnet18.__globals__.get"}))
    with pytest.raises(ConfigError):
        trust(" ")
    with pytest.raises(ConfigError, match=r"trust=nowhere: nowhere cannot be imported\. Install it .* PYTHONPATH"):
        trust("nowhere")


def test_a_library_in_the_file_is_still_a_library(config_folder):
    config_folder.mkdir()
    (config_folder / "trusted.txt").write_text("torch\nos\npneumo_ad\n")
    for target in ("torch.load", "os.mkdir", "pneumo_ad.files.write_text"):
        with pytest.raises(ConfigError, match="would build"):
            check(OmegaConf.create({"_target_": target}))


@pytest.mark.parametrize(
    ("needs", "trusted"),
    [
        ("pneumo_ad", True),
        ("Pneumo.AD[tune] >=0.1", True),
        ("pneumo_ad; extra == 'x'", False),
        ("pneumo_ad_more", False),
    ],
)
def test_a_project_that_needs_this_one_is_trusted_when_installed(needs, trusted, tmp_path, monkeypatch):
    site = tmp_path / "lib" / "site-packages"
    about = site / "theirs-1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: theirs\nVersion: 1\nRequires-Dist: {needs}\n")
    (about / "top_level.txt").write_text("theirs_ad\nos\n")
    (site / "theirs_ad.py").write_text("import os\nclass Net:\n    pass\n")
    monkeypatch.syspath_prepend(str(site))
    found = []
    for target in ("theirs_ad.Net", "theirs_ad.os.mkdir", "os.mkdir"):
        try:
            found.append(check(OmegaConf.create({"_target_": target})) is None)
        except ConfigError:
            found.append(False)
    assert found == [trusted, False, False]
    assert is_trusted_place("pkg://theirs_ad.conf") == trusted
    sys.modules.pop("theirs_ad", None)


def test_what_is_typed_here_is_named_and_opens_again(mine, here, config_folder, caplog):
    caplog.set_level("INFO", "pneumo_ad.runs.trust")
    place = Path("yaml/net")
    place.mkdir(parents=True)
    (place / "shallow.yaml").write_text("_target_: mine.net.Shallow\nwidth: 4\n")
    arguments = ["net=shallow", f"+data_home={'${oc.env:HOME}'}", "hydra.run.dir=run", "hydra.searchpath=[file://yaml]"]
    assert start("train", *TINY, "trainer.max_epochs=1", *arguments) == 0
    named = (config_folder / "trusted.txt").read_text().splitlines()
    assert named == ["${oc.env:HOME}", f"file://{Path.cwd()}/yaml", "mine"]
    assert type(load_run("run").module.net).__name__ == "Shallow"
    assert start("train", "resume=run") == 0
    (config_folder / "trusted.txt").unlink()
    with pytest.raises(ConfigError):
        load_run("run")


def test_the_command_line_names_a_package_and_hands_the_rest_on(mine, here, config_folder):
    assert start("store", "trust=mine", "trust=torchvision.models.resnet18") == 0
    assert (config_folder / "trusted.txt").read_text() == "mine\ntorchvision.models.resnet18\n"
    assert start("store", "trust=torch") == 2


def test_typing_names_neither_libraries_nor_what_is_on_the_list(composed, config_folder):
    config = composed.copy()
    name_own(config, ["pkg://hydra_plugins.x"])
    config.net = {"_target_": "torch.load"}
    config.optimizer = {"_target_": "os.mkdir"}
    name_own(config)
    assert not (config_folder / "trusted.txt").exists()
    with pytest.raises(ConfigError):
        build(config.net)


def test_places_typed_for_what_writes_are_resumed_there(begun):
    changed(begun, "logger.tensorboard.run_dir", "/scratch/board")
    with pytest.raises(ConfigError, match=r"/scratch/board.*trust='/scratch/board'"):
        complete("train", [f"resume={begun}"])
    name_own(compose_config("train", ["logger.tensorboard.run_dir=/scratch/board"]), folder=begun)
    assert complete("train", [f"resume={begun}"])


def test_where_nothing_can_be_written_names_hold_for_the_process(mine, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("PNEUMO_AD_CONFIG", str(tmp_path / "file"))
    monkeypatch.setattr("pneumo_ad.runs.trusted._here", set())
    trust("mine")
    check(OmegaConf.create({"_target_": "mine.net.make"}))


def test_a_run_copied_elsewhere_needs_nothing(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    check_saved(saved_config(tmp_path / "copy"), tmp_path / "copy")
