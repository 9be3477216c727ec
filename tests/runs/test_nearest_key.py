"""A key that does not exist is refused in one line, with the nearest that does."""

import logging
import re
import shlex
from functools import cache, partial

import pytest
import torch
from omegaconf import OmegaConf
from running import TINY, start

from pneumo_ad import evaluate, start_run
from pneumo_ad.classifier import RadiographClassifier, RadiographCNN
from pneumo_ad.corruptions import DrawnOpacity
from pneumo_ad.errors import ConfigError
from pneumo_ad.losses import MSELoss
from pneumo_ad.lungs import LungSegmenter
from pneumo_ad.lungs.training import LungSegmentation
from pneumo_ad.modules import OpacityDetector, PatchAutoencoder
from pneumo_ad.nets import KindUNet, UNetAutoencoder
from pneumo_ad.runs.compose import build, compose_config
from pneumo_ad.runs.known_keys import flat
from pneumo_ad.runs.nearest_key import SYNONYMS, nearest
from pneumo_ad.runs.sweeps import complete

OF_LUNGS = {"segmenter.image_size", "datamodule.batch_size"}  # of train-lungs
OWN_KEYS = {"run", "output"}  # of commands, in no config
CHOICES = {"data.root": "data=folder", "optimizer.weight_decay": "optimizer=adamw"}  # that have the key


@cache
def keys_of(name, *overrides):
    return dict(flat(OmegaConf.to_container(compose_config(name, overrides, hydra_too=True))))


def refusal(name, *overrides):
    with pytest.raises(ConfigError) as told:
        compose_config(name, overrides)
    (line,) = str(told.value).splitlines()
    return line


def followed(line):
    """Overrides that a refusal suggests, with the first of the choices it names."""
    suggested, choices = re.search(r"did you mean (.*?)(?: with (.*))?\?$", line).groups(default="")
    return [*re.split(r", | or ", choices)[:1], *shlex.split(suggested)] if choices else shlex.split(suggested)


@pytest.mark.parametrize("key", sorted({*SYNONYMS} - OWN_KEYS - OF_LUNGS))
def test_a_synonym_leads_to_a_key_that_train_has_and_takes(key):
    choices = compose_config("train", hydra_too=True).hydra.runtime.choices
    known = {*choices, *keys_of("train", *filter(None, [CHOICES.get(key)]))}
    assert key in known
    value = choices.get(key, "1")
    word = next(one for one in SYNONYMS[key].split() if nearest(one, known) == key)
    overrides = followed(refusal("train", f"{word}={value}"))
    assert overrides[-1] in (f"{key}={value}", f"+{key}={value}")
    assert compose_config("train", overrides)


@pytest.mark.parametrize("name", ["train", "classify", "train_lungs", "prepare", "audit"])
def test_a_synonym_leads_to_nothing_that_a_command_lacks(name):
    known = keys_of(name)
    for word in {word for words in SYNONYMS.values() for word in words.split()} - {*known}:
        assert nearest(word, known) in ("", *known)
        meant = [key for key, words in SYNONYMS.items() if word in words.split() and key in known]
        assert not meant or nearest(word, known) == meant[0]


@pytest.mark.parametrize("name", ["train", "prepare"])
def test_a_misspelt_key_finds_the_key(name):
    known = keys_of(name)
    named = {word for words in SYNONYMS.values() for word in words.split()}
    for key in (one for one in known if "." not in one and one != "hydra"):
        middle = len(key) // 2
        wrong = {key + key[-1], key[:middle] + key[middle] + key[middle:]}
        if len(key) > 3:
            wrong |= {key[:-1], key[: middle - 1] + key[middle] + key[middle - 1] + key[middle + 1 :]}
        wrong = {one for one in wrong - {*known} if one.replace("_", "") not in named}  # run__dir is told run
        assert {nearest(one, known) for one in wrong} <= {key}


@pytest.mark.parametrize(
    ("name", "typed", "words"),
    [
        ("train", "net.widht=8", "did you mean net.width=8?"),
        ("train", "width=8", "did you mean net.width=8?"),
        ("train", "lr=0.1", "did you mean optimizer.lr=0.1?"),
        ("train", "trainer.lr=0.1", "did you mean optimizer.lr=0.1?"),
        ("train", "root='/my data (1)'", "did you mean 'data.root='"),
        ("train", "dat.root=/x", "did you mean data.root=/x with data=chest_xray, folder, masks, rsna or splits?"),
        ("train", "net.latent=8", "did you mean net.latent=8 with net=bottleneck_autoencoder or vae?"),
        ("train", "drawing=lines", "did you mean drawing=lines with module=drawing_detector?"),
        ("train", "optimizer.weight_decay=1", "did you mean +optimizer.weight_decay=1?"),
        ("train", "optimizer.beta=[0,1]", "did you mean '+optimizer.betas=[0,1]'?"),
        ("train", "trainer.max_step=3", "did you mean trainer.max_steps=3?"),
        ("train", "net@x=unet", "did you mean net=unet?"),
        ("train", "+net=unet", "did you mean net=unet?"),
        ("train", "+seed=3", "did you mean seed=3?"),
        ("train", "+epochs=3", "did you mean trainer.max_epochs=3?"),
        ("train", "~logge", "did you mean ~logger?"),
        ("train", "hydra.rn.dir=x", "did you mean hydra.run.dir=x?"),
        ("train", "hydra/launchr=joblib", "did you mean hydra/launcher=joblib?"),
        ("train", "net.qqqq=1", "is not known; net has width, depth, convs, skips, norm"),
        ("train", "overlay=x", "is not known; --help lists the keys"),
        ("train", "optimizer=sgd", "is not known; there are adam, adamw"),
        ("classify", "net=vae", "net is no group here, but has widths, hidden, cells, dropout"),
        ("train_lungs", "image_size=128", "did you mean segmenter.image_size=128?"),
        ("prepare", "batch=3", "is not known; --help lists the keys"),
        ("audit", "resolution=128", "did you mean image_size=128?"),
    ],
)
def test_a_key_that_does_not_exist_is_named_with_the_nearest(name, typed, words):
    line = refusal(name, typed)
    assert line.startswith(typed)
    assert words in line
    assert "append" not in line


def test_each_command_says_it_the_same(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    for command in (["train"], ["train", "-m"], ["classify"], ["train-lungs"], ["evaluate"], ["tune", "name=x"]):
        assert start(*command, "epochs=1,2") == 2
        (line,) = (one for one in capfd.readouterr().err.splitlines() if "epochs" in one)
        assert line == "error: epochs=1,2 is not known; did you mean trainer.max_epochs=1,2?"
    for call in (lambda: start_run("run", ["epochs=1"]), lambda: evaluate(epochs=1)):
        with pytest.raises(ConfigError, match=r"^epochs=1 is not known; did you mean trainer\.max_epochs=1\?$"):
            call()
    assert not list(tmp_path.rglob("run.json"))


def test_every_argument_of_the_trainer_is_a_key():
    assert complete("train", ["trainer.max_steps=3", "trainer.max_epochs=2"])[:2] == [
        "++trainer.max_steps=3",
        "trainer.max_epochs=2",
    ]
    config = compose_config("train", ["trainer=ddp", "trainer.max_steps=3", "trainer.sync_batchnorm=true"])
    assert (config.trainer.max_steps, config.trainer.sync_batchnorm) == (3, True)
    assert "no part" not in refusal("prepare", "trainer.max_steps=3")  # which has no trainer


def test_a_run_of_a_sweep_is_named_as_typed(capfd):
    names = [one for one in complete("train", ["-m", "trainer.max_steps=1,2"]) if "max_steps" in one]
    assert names == ["++trainer.max_steps=1,2"]
    from pneumo_ad.runs.resolvers import run_name

    assert run_name("++trainer.max_steps=1,seed=0") == "trainer.max_steps=1,seed=0"
    assert run_name("+trainer.max_steps=1") == "+trainer.max_steps=1"  # as sweeps of before have it


def test_what_is_added_and_read_by_nothing_is_told(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    compose_config("train", ["+note=mine", "+run_id=5", "+data.extra=1"])
    assert [one.message for one in caplog.records] == [
        "+note=mine: nothing in the config refers to note",
        "+run_id=5: nothing in the config refers to run_id; did you mean run_dir=5?",
    ]
    caplog.clear()
    (tmp_path / "score").mkdir()
    (tmp_path / "score" / "own.yaml").write_text("_target_: pneumo_ad.scores.SADContrast\nfloor: ${epochs}\n")
    where = f"file://{tmp_path}"
    assert compose_config("train", ["score=own", "+epochs=3"], [where]).score.floor == 3
    assert complete("train", ["score=own", "+epochs=3", f"hydra.searchpath=[{where}]"])
    assert compose_config("train", ["+folder=x", "name='${folder}'"]).name == "x"
    assert not caplog.records


def test_an_argument_that_a_target_lacks_is_told_with_the_nearest():
    with pytest.raises(ConfigError, match=r"unexpected keyword argument 'widht'; did you mean width\?$"):
        build(compose_config("train", ["+net.widht=8"]).net)


@pytest.mark.parametrize(
    "typed", ["net._target_=my_package.nets.Net", "hydra.searchpath=[pkg://my_package.conf]"], ids=["target", "place"]
)
def test_a_package_that_is_not_there_is_named(typed, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert start("train", *TINY, typed) == 2
    (line,) = (one for one in capfd.readouterr().err.splitlines() if one.startswith("error: "))
    assert "no module my_package is there: install it" in line
    assert "PYTHONPATH=$PWD pneumo-ad train" in line


def test_a_place_of_yaml_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match="no such folder"):
        complete("train", [f"hydra.searchpath=[file://{tmp_path / 'nowhere'}]"])
    assert complete("train", [f"hydra.searchpath=[file://{tmp_path}]"])


X = torch.rand(2, 1, 8, 8)
BATCHES = {
    "a tensor (2, 1, 8, 8) float32": X,
    "a list of 2": [X, X],
    "a tuple of 1": (X,),
    '"image": a tensor (2, 1, 8, 8) float32': {"image": X},
    '"patch": a tensor (1, 8, 8) float32': {"patch": X[0]},
    '"patch": a tensor (2, 3, 8, 8) float32': {"patch": X.repeat(1, 3, 1, 1)},
    '"patch": a tensor (2, 1, 8, 8) int64': {"patch": X.long()},
}


@pytest.mark.parametrize("came", BATCHES)
def test_a_batch_of_another_form_is_refused_with_what_it_is(came):
    optimizer = partial(torch.optim.Adam, lr=1e-3)
    module = PatchAutoencoder(UNetAutoencoder(4), MSELoss(), optimizer)
    needs = 'a batch is a dict with "patch": tensor (N, 1, h, w), float in [0, 1] or uint8'
    for step in (module.training_step, module.validation_step):
        with pytest.raises(ConfigError, match=f"^{re.escape(f'{needs}; got {came}')}$"):
            step(BATCHES[came], 0)
    detector = OpacityDetector(KindUNet(width=4, depth=2), DrawnOpacity(), optimizer, warm_start=False)
    with pytest.raises(ConfigError, match=r'and "lung": tensor \(N, 1, h, w\) of 0 and 1; got'):
        detector.training_step({"patch": X}, 0)
    segmentation = LungSegmentation(LungSegmenter(4, 1, 8), optimizer, 1)
    classifier = RadiographClassifier(RadiographCNN((4, 8), 32, 4), optimizer)
    beside = {'"lung": tensor (N, 1, h, w) of 0 and 1': segmentation, '"pneumonia": tensor (N,) of bool': classifier}
    for words, other in beside.items():
        for step in (other.training_step, other.validation_step):
            with pytest.raises(ConfigError, match=f"^{re.escape(f'{needs} and {words}; got {came}')}$"):
                step(BATCHES[came], 0)


@pytest.mark.parametrize("wrong", [torch.zeros(2), torch.zeros(3, dtype=torch.bool), [True, False]], ids=str)
def test_labels_of_another_form_are_refused(wrong):
    classifier = RadiographClassifier(RadiographCNN((4, 8), 32, 4), torch.optim.Adam)
    with pytest.raises(
        ConfigError, match=r'"pneumonia": tensor \(N,\) of bool; got "patch": a tensor .*, "pneumonia": a '
    ):
        classifier.training_step({"patch": X, "pneumonia": wrong}, 0)


def test_a_lung_field_of_another_size_is_refused():
    segmentation = LungSegmentation(LungSegmenter(4, 1, 8), torch.optim.Adam, 1)
    with pytest.raises(ConfigError, match=r'"lung": a tensor \(2, 1, 4, 4\) float32$'):
        segmentation.training_step({"patch": X, "lung": X[..., ::2, ::2]}, 0)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("hydra.launcher.partition=gpu", "hydra.launcher.partition=gpu needs hydra/launcher=submitit_slurm"),
        (
            "hydra.launcher.partion=gpu",
            "hydra.launcher.partion=gpu needs hydra/launcher=submitit_slurm, where it is hydra.launcher.partition=gpu",
        ),
        ("hydra.launcher.n_jobs=2", "hydra.launcher.n_jobs=2 needs hydra/launcher=joblib"),
    ],
)
def test_a_key_of_another_launcher_names_that_launcher(override, said):
    assert refusal("train", override) == said
    launcher = said.partition("needs ")[2].partition(",")[0]
    spelt = said.rpartition("where it is ")[2] if "where it is" in said else override
    assert compose_config("train", [launcher, spelt], hydra_too=True)


def test_a_misspelt_key_of_the_chosen_launcher_leads_to_its_spelling():
    told = refusal("train", "hydra/launcher=submitit_slurm", "hydra.launcher.partion=gpu")
    assert told.endswith("did you mean hydra.launcher.partition=gpu?")


def test_a_part_of_the_name_of_a_choice_leads_to_it():
    assert "did you mean hydra/launcher=submitit_slurm?" in refusal("train", "hydra/launcher=slurm")
