"""What is typed, parted into keys and overrides."""

import itertools
import re
import shlex
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.runs.arguments import (
    CHECKPOINT,
    RUN,
    SUBSET,
    Key,
    as_typed,
    one_of,
    parse,
    path,
    switch,
    whole,
)
from pneumo_ad.runs.check_keys import check_known
from pneumo_ad.runs.grammar import for_hydra, quoted
from pneumo_ad.runs.sweeps import complete

KEYS = (
    RUN,
    Key("output", read=path),
    Key("images", read=whole, default=50),
    Key("report", read=switch, default=False),
    Key("maps", read=one_of("png", "npy", "none"), default="png"),
    SUBSET,
    CHECKPOINT,
)
# With `=`, blanks, brackets, commas, quotes, marks of the shell and of Hydra, letters of other alphabets.
AS_TYPED = [
    "a=b [c], d", "/my data (1)/x=y", "it's", 'say "no"', "a#b", "$HOME", "${x}", "*.png", "%20", "a;b&c|d",
    "Lungs – ä", "肺/лёгкие", "a\\b", "!x", "null", "true", "1e5", "a@b", "{a}", "[b", " blank at both ends ",
]  # fmt: skip


def parsed(override):
    (found,) = OverridesParser.create().parse_overrides([override])
    return found.key_or_group, found.value()


@pytest.mark.parametrize("text", AS_TYPED)
def test_a_key_of_its_own_is_taken_as_typed(text):
    assert parse([f"run=r={text}", f"output={text}"], KEYS).own | {} == {
        "run": Path(f"r={text}"), "output": Path(text), "images": 50, "report": False, "maps": "png", "subset": None,
        "checkpoint": "best",
    }  # fmt: skip


@pytest.mark.parametrize("text", [one for one in AS_TYPED if not one.startswith(("[", "{")) and "," not in one])
def test_an_override_is_taken_as_typed_where_hydra_takes_it_for_text(text):
    key, value = parsed(for_hydra(f"data.root=/{text}"))
    assert (key, value) == ("data.root", f"/{text}".rstrip())


def test_quotes_hold_whatever_is_in_them():
    for length in range(5):
        for letters in itertools.product("a\\\"' $,", repeat=length):
            text = "".join(letters)
            assert parsed(quoted(f"data.root={text}")) == ("data.root", text)


@pytest.mark.parametrize(
    "override", ["stride=4", "logger=[csv,wandb]", "data.labels={0: a}", "a.b='c d'", "~logger", "+x=1"]
)
def test_what_hydra_takes_goes_on_as_it_is(override):
    assert for_hydra(override) == override
    assert parse([override], KEYS).overrides == [override]


@pytest.mark.parametrize("value", ["[a", "{a", "'a", '"a', "(a),b"])
def test_what_may_be_meant_otherwise_is_refused_with_the_quotes_that_work(value):
    with pytest.raises(ConfigError, match=r"^data\.root=.*: cannot be read; as plain text data.root takes ") as told:
        for_hydra(f"data.root={value}")
    (typed,) = shlex.split(str(told.value).partition(" takes ")[2])  # as the shell hands it over
    assert parsed(typed) == ("data.root", value)


def test_a_home_is_a_home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    given = parse(["run=~/runs/1", "output=a~b", "checkpoint=~/best.ckpt"], KEYS)
    assert (given["run"], given["output"]) == (Path("/home/me/runs/1"), Path("a~b"))
    assert given["checkpoint"] == "/home/me/best.ckpt"
    with pytest.raises(ConfigError, match="run=~nobody_at_all/x begins with the home of an unknown user"):
        parse(["run=~nobody_at_all/x"], KEYS)


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("images=0", "images=0 is not known; expected a whole number, at least 1"),
        ("images=-1", "expected a whole number"),
        ("images=²", "expected a whole number"),
        ("report=yes", "report=yes is not known; expected true or false"),
        ("maps=jpg", "maps=jpg is not known; expected png, npy or none"),
        ("subset=half", "subset=half is not known; expected train, val, test or all"),
        ("report", "report is not known; expected KEY=VALUE; did you mean report=...?"),
        ("--fast", "--fast is not known; expected KEY=VALUE"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_expected(argument, words):
    with pytest.raises(ConfigError) as told:
        parse([argument], KEYS)
    assert words in str(told.value)


def test_a_folder_without_a_key_is_the_input_unless_it_is_a_run(tmp_path):
    keys = [Key("run", read=path), Key("input", read=path)]
    for key, name in (("input", "scan.png"), ("run", "model.json")):
        (tmp_path / name).touch()
        with pytest.raises(ConfigError, match=f"did you mean {key}={tmp_path}"):
            parse([str(tmp_path)], keys)


def test_a_folder_without_a_key_may_be_meant_as_the_run(tmp_path):
    with pytest.raises(ConfigError, match=f"did you mean run={tmp_path}?"):
        parse([str(tmp_path)], KEYS)


def test_of_a_key_typed_twice_the_last_counts_and_nothing_is_none():
    given = parse(["run=a", "images=3", "run=b", "images=", "report=TRUE"], KEYS)
    assert (given["run"], given["images"], given["report"]) == (Path("b"), 50, True)


def test_folders_of_results_are_named_by_what_is_measured():
    typed = ["run=r", "subset=val", "stride=4", "output=o", "report=true", "checkpoint=last"]
    assert parse(typed, KEYS).changes == ["stride=4", "subset=val", "checkpoint=last"]
    assert parse(typed[::-1], KEYS).changes == parse(typed, KEYS).changes  # in whatever order it was typed
    assert parse([*typed, "checkpoint=best"], KEYS).changes == ["stride=4", "subset=val"]


def test_a_call_in_python_is_what_would_be_typed():
    typed = as_typed(["stride=4"], {"run": Path("r"), "report": True, "relative": None, "images": 3})
    assert typed == ["stride=4", "run=r", "report=true", "relative=null", "images=3"]


@pytest.mark.parametrize(
    ("override", "near"),
    [
        ("strid=4", "stride=4"),
        ("outptu=x", "output=x"),
        ("dat.size=9", "data.size=9"),
        ("dat.root=x", "data.root=x with data=chest_xray, folder, masks, rsna or splits"),
        ("scor=sad", "score=sad"),
        ("nett=unet", "net=unet"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest(override, near):
    with pytest.raises(ConfigError, match=f"^{override} is not known; did you mean {near}\\?$"):
        check_known([override], KEYS, "train")


def test_keys_of_todays_config_and_of_the_runs_own_are_known(tmp_path):
    check_known(
        ["stride=4", "data=masks", "data.root=x", "+new=1", "hydra.searchpath=[x]", "trainer.x=1"], KEYS, "train"
    )
    run = tmp_path / "run"
    (run / ".hydra").mkdir(parents=True)
    (run / ".hydra" / "config.yaml").write_text("mine: {depth: 3}\n")
    check_known(["mine.depth=4"], KEYS, "train", run)
    check_known(["mine.depth=4"], KEYS, "train", tmp_path)  # a sweep that holds the run
    with pytest.raises(ConfigError, match=r"^mime\.depth=4 is not known; did you mean mine\.depth=4\?$"):
        check_known(["mime.depth=4"], KEYS, "train", run)


def test_of_a_key_that_is_like_none_it_is_said_where_they_are_listed():
    with pytest.raises(ConfigError, match=r"^qqqq=1 is not known; --help lists the keys$"):
        check_known(["qqqq=1"], KEYS, "train")
    with pytest.raises(ConfigError, match=r"^qqqq=1 is not known; expected clear=KEY$"):
        check_known(["qqqq=1"], [Key("clear", shows="KEY")], "")


def test_a_run_is_gone_on_with_whatever_its_folder_is_called(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for typed in (tmp_path / "it's (1), [a]=b", "~/it's (1), [a]=b"):
        with pytest.raises(DataError, match=re.escape(f"resume={tmp_path}/it's (1), [a]=b: not a run folder")):
            complete("train", [f"resume={typed}", "data.root=/x (1)"])


def test_of_a_key_that_is_gone_it_is_said_what_took_its_place():
    with pytest.raises(ConfigError, match=r"^shards is gone: "):
        check_known(["shards=3"], KEYS, "train")


@pytest.mark.parametrize("override", ["+clear=all", "~all", "hydra.x=1"])
def test_who_has_no_config_takes_no_override_of_any_kind(override):
    with pytest.raises(ConfigError, match="is not known"):
        check_known([override], [Key("clear", shows="KEY")], "")


def test_a_name_that_is_too_long_for_a_folder_is_none(tmp_path):
    given = parse([str(tmp_path), f"name={'x' * 300}"], [], takes_names=True)
    assert given.names == [str(tmp_path)]


def test_a_path_may_stand_alone(tmp_path):
    assert as_typed(tmp_path, {}) == [str(tmp_path)]
