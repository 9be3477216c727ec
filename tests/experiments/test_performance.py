"""The benchmark's own rows, on next to nothing: that they run and what is written, never how fast."""

import importlib
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch

import pneumo_ad

FOLDER = Path(__file__).parents[2] / "experiments" / "performance"
MODULES = ("benchmark", "peers", "ratios")


@pytest.fixture
def module(monkeypatch):
    """A module of the benchmark by name, as its scripts see it; forgotten afterwards."""
    monkeypatch.setattr(sys, "path", [str(FOLDER), *sys.path])
    yield importlib.import_module
    for name in MODULES:
        sys.modules.pop(name, None)


def cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """What a quick run without peers printed, and the page it wrote into."""
    page = tmp_path_factory.mktemp("page") / "page.md"
    page.write_text("above\n<!-- windows -->\nold figures\n<!-- end -->\nbetween\n<!-- tiles -->\n<!-- end -->\n"
                    "<!-- training -->\n<!-- end -->\n<!-- batches -->\n<!-- end -->\nbelow\n")  # fmt: skip
    command = [sys.executable, str(FOLDER / "benchmark.py"), "--quick", "--without-peers", "--page", str(page)]
    done = subprocess.run(
        [*command, "--only", "windows,tiles,training,batches"],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout, page.read_text()


def test_every_topic_has_a_table_with_what_measured_it(quick):
    parts = re.split(r"^## (\w+)\n", quick[0], flags=re.M)[1:]
    assert parts[::2] == ["windows", "tiles", "training", "batches"]
    for body in parts[1::2]:
        lines = [line for line in body.splitlines() if line.startswith("|")]
        assert len(lines) > 4
        assert {len(cells(line)) for line in lines} == {6}
        assert re.search(r"^Commit .+thread.+torch \d.+a quick run, whose figures mean nothing", body, flags=re.M)


def test_own_rows_are_measured_and_those_of_peers_say_why_not(quick):
    rows = [cells(line) for line in quick[0].splitlines() if line.startswith("| ") and "target" not in line]
    of_peers = [row for row in rows if re.search("MONAI|Tiler", row[0])]
    assert len(of_peers) == 3 + 9
    for row in rows:
        if row in of_peers:
            assert row[2] == "–"
            assert row[4] == "not measured"
            assert re.search("No module named '(monai|anomalib)", row[5])
        else:
            low, high = re.fullmatch(r"([\d.e+-]+) [×%] – ([\d.e+-]+) [×%]", row[3]).groups()
            assert 0 < float(low) <= float(high)


def test_the_page_takes_tables_between_its_markers_and_keeps_the_rest(quick):
    printed, page = quick
    assert "old figures" not in page
    assert page.startswith("above\n<!-- windows -->\n|")
    assert page.endswith("<!-- end -->\nbelow\n")
    assert "\nbetween\n" in page
    assert [line for line in page.splitlines() if line.startswith("|")] == [
        line for line in printed.splitlines() if line.startswith("|")
    ]


def test_the_projects_page_has_a_place_for_every_topic(module):
    page = (FOLDER / "README.md").read_text()
    topics = module("benchmark").TOPICS
    assert re.findall(r"^<!-- (\w+) -->$", page, flags=re.M) == [name for t in topics for name in (t, "end")]


def test_a_page_without_a_place_is_refused(module, tmp_path):
    (tmp_path / "page.md").write_text("nothing")
    with pytest.raises(SystemExit, match="has no <!-- tiles -->"):
        module("benchmark").insert(tmp_path / "page.md", "tiles", "| |")


def test_unknown_topics_are_refused_with_those_that_are_known(quick):
    command = [sys.executable, str(FOLDER / "benchmark.py"), "--only", "windows,tile"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "unknown: tile; known are windows, dense, tiles" in done.stderr


def test_a_topic_that_fails_is_named_and_the_rest_goes_on(module, monkeypatch, capsys, tmp_path):
    def broken(setting):
        raise SystemExit("pneumo-ad evaluate failed")

    ratios = module("ratios")
    for name, rows in (("memory", broken), ("tiles", lambda setting: [ratios.Row("a / b", (2.0,))])):
        monkeypatch.setitem(sys.modules, name, types.SimpleNamespace(rows=rows))
    page = tmp_path / "page.md"
    page.write_text("<!-- memory -->\nearlier\n<!-- end -->\n<!-- tiles -->\n<!-- end -->\n")
    monkeypatch.setattr(sys, "argv", ["", "--without-peers", "--only", "memory,tiles", "--page", str(page)])
    with pytest.raises(SystemExit, match="failed: memory"):
        module("benchmark").main()
    printed = capsys.readouterr().out
    assert "Failed: pneumo-ad evaluate failed" in printed
    assert "| a / b |" in printed
    assert "earlier" in page.read_text()
    assert "| a / b |" in page.read_text()


@pytest.mark.parametrize(
    ("ratios", "target", "at_most", "said"),
    [
        ((2.0, 3.0, 9.0), 3.0, False, "met"),
        ((2.0, 2.9, 9.0), 3.0, False, "missed"),
        ((0.01, 0.05, 0.9), 0.05, True, "met"),
        ((0.01, 0.06, 0.9), 0.05, True, "missed"),
        ((1.0,), None, False, ""),
        ((), 3.0, False, "not measured"),
    ],
)
def test_the_median_meets_or_misses_the_target(module, ratios, target, at_most, said):
    assert module("ratios").Row("", ratios, target, at_most=at_most).cells()[4] == said


def test_actions_take_turns_and_warm_up_once(module):
    turns = []
    times = module("ratios").alternate(2, torch.device("cpu"), a=lambda: turns.append("a"), b=lambda: turns.append("b"))
    assert turns == ["a", "b"] * 3
    assert {name: len(seconds) for name, seconds in times.items()} == {"a": 2, "b": 2}


def test_quotients_are_of_the_same_repeat(module):
    assert module("ratios").quotients({"a": [1.0, 6.0], "b": [2.0, 3.0]}, "a", "b") == (0.5, 2.0)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An environment without peers: its interpreter, and the pins it was made of."""
    folder = tmp_path_factory.mktemp("peers")
    (folder / "pins.txt").write_text("# none\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(FOLDER), *sys.path])
        interpreter = importlib.import_module("peers").environment(folder / "made", folder / "pins.txt")
    sys.modules.pop("peers")
    return interpreter, folder / "pins.txt"


def test_an_environment_sees_what_the_running_one_has(made):
    code = "import sys, torch, pneumo_ad; print(sys.prefix, torch.__file__, pneumo_ad.__file__)"
    prefix, *files = subprocess.check_output([made[0], "-c", code], text=True).split()
    assert prefix == str(made[0].parents[1])
    assert files == [torch.__file__, pneumo_ad.__file__]


def test_an_environment_is_made_once(made, module):
    recipe = made[0].parents[1] / "recipe.txt"
    before = recipe.stat().st_mtime_ns
    assert module("peers").environment(made[0].parents[1], made[1]) == made[0]
    # From within, where the script goes, nothing is made anew.
    command = [made[0], FOLDER / "benchmark.py", "--peers", made[0].parents[1], "--quick", "--only", "training"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "| " in done.stdout
    assert recipe.stat().st_mtime_ns == before


def test_a_package_that_cannot_be_had_is_named_and_nothing_is_kept(module, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    (tmp_path / "pins.txt").write_text("nosuchpackage==1.0\n")
    peers = module("peers")
    with pytest.raises(peers.PeersError, match="nosuchpackage"):
        peers.environment(tmp_path / "made", tmp_path / "pins.txt")
    assert not (tmp_path / "made" / "recipe.txt").exists()


def test_a_folder_of_something_else_is_left_alone(module, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    peers = module("peers")
    with pytest.raises(peers.PeersError, match="neither empty nor an environment"):
        peers.environment(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
