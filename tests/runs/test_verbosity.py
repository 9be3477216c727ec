"""What a command shows, and where: results on stdout, the rest on stderr."""

import logging
import os
import pty
import re
import subprocess
import termios
import warnings
from contextlib import suppress

import pytest
from running import COMMAND, TINY, process, start

from pneumo_ad.runs.verbosity import hush_others, set_log_level, without_verbosity

pytestmark = pytest.mark.usefixtures("here")
SHOWN = [one for one in TINY if not one.startswith(("callbacks.progress", "evaluate"))]


@pytest.fixture(autouse=True)
def verbosity(monkeypatch):
    for name in ("PNEUMO_AD_VERBOSITY", "PNEUMO_AD_TRACEBACK"):
        monkeypatch.setenv(name, "")


def run(*arguments):
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=300)


def test_elsewhere_than_on_a_terminal_there_are_no_bars_and_nothing_of_other_packages():
    ended = run("train", *SHOWN, "hydra.run.dir=run")
    assert ended.returncode == 0, ended.stderr
    assert not re.search("\r|it/s", ended.stdout + ended.stderr)
    assert not re.search("Warning|deprecated|site-packages", ended.stderr), ended.stderr
    assert re.search(r"epoch 2 of 2: val/loss \d", ended.stderr)
    assert re.search("^run: .*run$", ended.stdout, re.MULTILINE)
    assert "epoch" not in ended.stdout
    quiet = run("train", "--quiet", *SHOWN, "seed=1", "hydra.run.dir=quiet")
    assert (quiet.returncode, quiet.stderr) == (0, "")
    assert re.search("^run: .*quiet$", quiet.stdout, re.MULTILINE)


def test_on_a_terminal_of_80_columns_the_epoch_and_the_validation_loss_are_always_seen():
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (24, 80))
    with process([*COMMAND, "train", *SHOWN, "hydra.run.dir=run"], stderr=follower, stdout=subprocess.PIPE) as job:
        os.close(follower)
        seen = b""
        with suppress(OSError):  # once the other end is closed
            while piece := os.read(leader, 4096):
                seen += piece
        job.communicate(timeout=300)
        assert job.returncode == 0
    os.close(leader)
    pieces = re.split(r"[\r\n]+|\x1b\[A", seen.decode())
    states = [piece for piece in pieces if "it/s" in piece and "epoch 2/2" in piece]
    assert states
    assert all("val/loss=" in state and len(state) <= 80 for state in states), states
    assert "Validation" not in seen.decode()


def test_verbosity_is_taken_from_anywhere_on_the_line(monkeypatch):
    assert without_verbosity(["--quiet", "train", "seed=1"]) == ["train", "seed=1"]
    assert os.environ["PNEUMO_AD_VERBOSITY"] == "quiet"
    assert without_verbosity(["train", "seed=1", "-v"]) == ["train", "seed=1"]
    assert os.environ["PNEUMO_AD_VERBOSITY"] == "verbose"


@pytest.mark.parametrize(("verbosity", "shown"), [("", 0), ("verbose", 1)])
def test_notices_of_others_are_shown_on_request(verbosity, shown, monkeypatch):
    monkeypatch.setenv("PNEUMO_AD_VERBOSITY", verbosity)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        hush_others()
        warnings.warn("`isinstance(treespec, LeafSpec)` is deprecated", FutureWarning, stacklevel=1)
        warnings.warn("mind this", UserWarning, stacklevel=1)
    assert len(said) == 1 + shown


def test_log_files_hold_what_the_terminal_does_not(monkeypatch, tmp_path):
    monkeypatch.setenv("PNEUMO_AD_VERBOSITY", "quiet")
    root = logging.getLogger()
    handlers = [logging.StreamHandler(), logging.FileHandler(tmp_path / "log")]
    monkeypatch.setattr(root, "handlers", handlers)
    set_log_level()
    assert [handler.level for handler in handlers] == [logging.WARNING, logging.NOTSET]
    handlers[1].close()


def test_a_refused_command_leaves_no_folder(tmp_path, capsys):
    assert start("train", *TINY, "score=judgement") == 2
    assert "error" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("my own")
    assert start("train", *TINY, "patch=500", "hydra.run.dir=mine") == 2
    assert (tmp_path / "mine" / "notes.txt").read_text() == "my own"
