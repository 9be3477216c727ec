"""The arithmetic of experiments/scale, and its files."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

FOLDER = Path(__file__).parents[2] / "experiments" / "scale"


@pytest.fixture
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import cost
    import draw

    return cost, draw


def test_machines_share_what_can_be_shared_and_nothing_else(scripts):
    cost, _ = scripts
    rates = json.loads((FOLDER / "rates_cpu.json").read_text())
    one, eight = (cost.costs(rates, 8 * 3600 * 10, machines) for machines in (1, 8))
    assert cost.costs(rates | {"segmented_per_second": 10}, 8 * 3600 * 10, 8)["find the lungs"] == "1.0 h"
    same = {row for row in one if one[row] == eight[row]}
    shared = {
        "decode and fit",
        "find the lungs",
        "the same by `scoring=dense`, with the halo that makes it exact",
        "score 14,641 windows each",
    }
    assert not shared & same
    assert {"disk, in one place", "each run: list, key, open"} <= same
    assert one["disk, in one place"] == f"{8 * 3600 * 10 * 512 * 512 * 2 / 1e9:,.0f} GB"
    slow = cost.costs(rates | {"decoded_per_second": 1e9}, 1_000_000, 1)["decode and fit"]
    assert slow == cost.span(1_000_000 * 1.7e6 / 200e6)  # not faster than files can be read


def test_the_table_is_printed_from_the_kept_rates():
    words = [sys.executable, FOLDER / "cost.py", FOLDER / "rates_cpu.json"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "377,110 radiographs" in done.stdout
    assert "| machines | 1 | 8 | 64 |" in done.stdout


def test_drawn_radiographs_are_as_many_and_as_different_as_asked(scripts, tmp_path, monkeypatch):
    _, draw = scripts
    monkeypatch.setattr(draw, "DRAWN", 5)
    monkeypatch.setattr(draw, "PER_FOLDER", 10)
    csv = draw.draw_many(tmp_path, 24)
    files = sorted(tmp_path.rglob("*.jpg"))
    assert len(files) == 24
    assert len(list(tmp_path.glob("p*"))) == 3
    assert len({np.asarray(Image.open(file)).tobytes() for file in files}) == 24
    assert len(csv.read_text().splitlines()) == 25
