"""What holds for every command, found as the command line finds them."""

import re
import resource
import subprocess
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf
from running import COMMAND, start

from pneumo_ad import cli, commands
from pneumo_ad.runs.arguments import choices, groups_of
from pneumo_ad.runs.compose import compose_config

FILES = sorted(file for file in Path(commands.__file__).parent.glob("*.py") if file.stem != "__init__")
NAMES = [file.stem.replace("_", "-") for file in FILES]
BY_HYDRA = [name for name, file in zip(NAMES, FILES, strict=True) if "run_hydra," in file.read_text()]
# A key that is nearly one that the command knows.
NEARLY = {
    "store": ("cleer=all", "clear=all"),
    "download": ("outptu=x", "output=x"),
    "audit": ("outptu=x", "output=x"),
    "prepare": ("num_shard=2", "num_shards=2"),
    "doctor": ("trail=false", "trial=false"),
    "new": ("knid=images", "kind=images"),
    "add": ("projcet=x", "project=x"),
}


def test_each_file_is_a_command_and_each_command_a_file():
    assert sorted(cli.command_names()) == NAMES
    assert len(NAMES) > 10


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["train", "--cfg", "job"]])
def test_a_reader_that_has_seen_enough_ends_it_quietly(arguments):
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as command:
        command.stdout.close()  # before anything is written
        said = command.stderr.read().decode()
    assert said == ""
    assert command.returncode == 1


def test_no_two_commands_stand_in_one_place():
    places = [(cli.command_of(name).section, cli.command_of(name).place) for name in NAMES]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("name", NAMES)
def test_the_overview_has_a_line_for_it(name):
    command = cli.command_of(name)
    (line,) = (line for line in cli.overview().splitlines() if line.startswith(f"    {name} "))
    assert command.summary in line
    assert command.example in line


@pytest.mark.parametrize("name", NAMES)
def test_its_usage_fits_on_a_screen_and_lists_its_keys_and_the_choices_of_its_groups(name):
    command = cli.command_of(name)
    text = command.help()
    assert text.startswith(f"pneumo-ad {name} ")
    assert all(f"  {key.name}={key.shows}" in text and key.shows and key.help for key in command.keys)
    assert "{" not in text.replace("{low:1,high:4}", "")
    listed = {group for group in ("data", "score") if f"{{{group}}}" in command.usage}
    for group in listed | (set(groups_of(command.config)) if "{groups}" in command.usage else set()):
        assert ", ".join(choices(group)) in " ".join(text.split())
    assert len(text.splitlines()) <= 45
    assert max(map(len, text.splitlines())) <= (100 if name in BY_HYDRA else 120)


@pytest.mark.parametrize("name", BY_HYDRA)
def test_its_usage_says_of_groups_and_keys_what_hydra_composes(name):
    command = cli.command_of(name)
    config = compose_config(command.config, hydra_too=True)
    chosen = {group: one for group, one in config.hydra.runtime.choices.items() if "/" not in group}
    assert {*groups_of(command.config)} - {"drawing", "logger"} == {*chosen} - {"logger"}
    groups, _, keys = command.help().partition("\nKeys")
    for group, default in chosen.items():
        assert f"  {group}={default or 'CHOICE'} " in groups
    said = dict(re.findall(r" ([\w.]+)=(\S+)", keys))
    assert len(said) >= 6
    assert said.pop("data.root") == "DIR"
    assert {key: OmegaConf.select(config, key, throw_on_missing=True) for key in said} == {
        key: yaml.safe_load(default) for key, default in said.items()
    }


def test_a_group_that_comes_with_a_choice_of_another_is_explained_too():
    assert {"drawing", "net", "experiment"} <= set(groups_of("train"))
    assert "drawing" not in groups_of("train_lungs")
    assert f"  drawing=CHOICE       {', '.join(choices('drawing')[:5])}" in cli.command_of("train").help()


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_key_is_refused_with_the_nearest(name, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    command = cli.command_of(name)
    override, near = NEARLY.get(name, ("trainr=cpu", "trainer=cpu"))
    given = [f"{key.name}=x" for key in command.keys if key.missing]
    assert start(name, *given, override) == 2
    (line,) = (line for line in capfd.readouterr().err.splitlines() if line.startswith("error: "))
    assert line == f"error: {override} is not known; did you mean {near}?"
    assert not list(tmp_path.rglob("*.*"))


@pytest.mark.parametrize("name", [name for name in NAMES if cli.command_of(name).keys])
def test_a_key_that_is_nearly_its_own_is_refused_with_it(name, capfd):
    command = cli.command_of(name)
    given = [f"{key.name}=x" for key in command.keys if key.missing]
    for key in command.keys:
        assert start(name, *given, f"{key.name}{key.name[-1]}=x") == 2
        assert f"is not known; did you mean {key.name}=x?" in capfd.readouterr().err


@pytest.mark.parametrize("name", [name for name in NAMES if name not in BY_HYDRA])
def test_an_option_is_refused_as_no_key(name, capfd):
    assert start(name, "--no-such-option") == 2
    assert "error: --no-such-option is not known; expected KEY=VALUE" in capfd.readouterr().err


def time_of_children():
    """Seconds on a processor, which others that are at work beside do not add to."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("name", ["", *NAMES])
def test_help_comes_in_under_a_second(name):
    seconds = []
    while not seconds or (min(seconds) > 1 and len(seconds) < 3):
        before = time_of_children()
        done = subprocess.run([*COMMAND, *name.split(), "--help"], capture_output=True, text=True)
        seconds.append(time_of_children() - before)
        assert done.returncode == 0, done.stderr
    assert f"pneumo-ad {name}" in done.stdout
    assert min(seconds) < 1


def test_what_must_be_given_is_asked_for(capfd):
    for name in NAMES:
        for key in cli.command_of(name).keys:
            if key.missing:
                others = [f"{one.name}=x" for one in cli.command_of(name).keys if one.missing and one is not key]
                assert start(name, *others, "output=" if key.name == "output" else "checkpoint=best") == 2
                assert f"error: {key.missing}" in capfd.readouterr().err


def test_a_folder_without_a_key_is_taken_for_the_run(tmp_path, capfd):
    assert start("evaluate", tmp_path) == 2
    assert f"error: {tmp_path} is not known; expected KEY=VALUE; did you mean run={tmp_path}?" in capfd.readouterr().err
