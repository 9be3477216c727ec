"""A run trained for more epochs than it was begun with."""

import json

import pytest
from running import TINY, start, story, weights

from pneumo_ad.files import write_json

pytestmark = pytest.mark.usefixtures("here")
NOISY = [*TINY, "corruption=coarse_noise", "evaluate=test"]


def test_it_equals_the_training_that_was_that_long_from_the_start(tmp_path):
    short, long = (tmp_path / name for name in ("short", "long"))
    assert start("train", *NOISY, "trainer.max_epochs=3", f"hydra.run.dir={long}") == 0
    assert start("train", *NOISY, "trainer.max_epochs=1", f"hydra.run.dir={short}") == 0
    first = (short / "metrics.json").read_text()
    assert start("train", f"resume={short}", "trainer.max_epochs=3") == 0
    assert weights(short)["last.ckpt"] == weights(long)["last.ckpt"]
    assert story(short)["epochs"] == 3
    assert (short / "earlier" / "1_epochs" / "metrics.json").read_text() == first
    assert json.loads((short / "earlier" / "1_epochs" / "run.json").read_text())["epochs"] == 1
    assert json.loads((short / "metrics.json").read_text()) != json.loads(first)
    # Once more is nothing new, and fewer epochs, or another change beside, are another run.
    assert start("train", f"resume={short}", "trainer.max_epochs=3") == 0
    assert start("train", f"resume={short}", "trainer.max_epochs=2") == 2
    assert start("train", f"resume={short}", "trainer.max_epochs=4", "optimizer.lr=0.1") == 2


def test_a_learning_rate_that_follows_a_schedule_is_refused(tmp_path, capsys):
    folder = tmp_path / "run"
    drawings = [one for one in TINY if not one.startswith("net.width")]
    small = ["experiment=detector", "data=phantom", "lungs=segmenter", "net.width=4", "trainer.max_epochs=1"]
    small += ["module.warm_start=null", "module.unseen=null", "batch_size=2", "per_epoch=4"]
    assert start("train", *drawings, *small, f"hydra.run.dir={folder}") == 0
    before = story(folder)
    capsys.readouterr()
    assert start("train", f"resume={folder}", "trainer.max_epochs=2") == 2
    assert "follows a schedule that ends with epoch 1" in capsys.readouterr().err
    assert story(folder) == before


def test_what_was_kept_first_stays(tmp_path):
    folder = tmp_path / "run"
    assert start("train", *TINY, "trainer.max_epochs=1", f"hydra.run.dir={folder}") == 0
    write_json(folder / "metrics.json", {"patch/macro_f1": 0.5})
    for epochs in (2, 3):
        assert start("train", f"resume={folder}", f"trainer.max_epochs={epochs}") == 0
    kept = [json.loads((folder / "earlier" / f"{n}_epochs" / "run.json").read_text())["epochs"] for n in (1, 2)]
    assert kept == [1, 2]
