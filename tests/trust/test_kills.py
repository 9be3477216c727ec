"""Commands killed at any moment: nothing finished is lost, and the next start leaves what an uninterrupted one leaves.

`make trust` does it at length, for all commands. At chosen steps are killed: a training in tests/runs/test_jobs.py, a
prediction in tests/prediction/test_predict.py, builders of a store in tests/data/store/test_store.py.
"""

import importlib.util
from argparse import Namespace
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "experiments" / "trust" / "trust.py"
COMMANDS = ("prepare", "train", "export")


@pytest.fixture
def trust():
    spec = importlib.util.spec_from_file_location("trust", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_killed_commands_lose_nothing_and_leave_nothing(trust, tmp_path, monkeypatch, capsys):
    train = trust.COMMANDS["train"]
    monkeypatch.setitem(trust.COMMANDS, "train", train._replace(arguments=[*train.arguments, "evaluate=null"]))
    given = Namespace(parts=["kills"], commands=COMMANDS, kills=1, pairs=0, epochs=1, seed=0, output=tmp_path)
    trials = trust.Trials(given)
    trials.measure()
    for command in COMMANDS:
        (row,) = trials.done(part="kills", command=command)
        assert {kind: row[kind] for kind in trust.FOUND} == {kind: [] for kind in trust.FOUND}
    monkeypatch.setattr(trust.Trials, "kills", None)  # nothing may be done twice
    again = trust.Trials(given)
    again.measure()
    capsys.readouterr()
    assert again.summary() == 0
    assert "| export | 1 | 0 | 1 | 0 | 0 | 0 | 0 | 0 |" in capsys.readouterr().out


def test_what_is_gone_changed_or_left_is_found(trust, tmp_path):
    for name in ("same.csv", "changed.csv", "gone.csv", ".lock", "run.json"):
        (tmp_path / name).write_text(f"in {tmp_path}")
    before = trust.digests(tmp_path)
    (tmp_path / "gone.csv").rename(tmp_path / "metrics.json.0123abcd.partial")
    (tmp_path / "changed.csv").write_text("half")
    (tmp_path / "run.json").unlink()
    found = trust.compared(trust.digests(tmp_path), before)
    assert found == {"different": ["changed.csv", "gone.csv"], "leftovers": ["metrics.json.0123abcd.partial"]}
