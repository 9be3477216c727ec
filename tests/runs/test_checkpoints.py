"""Checkpoints are whole or not there, and those of this net."""

import pytest
import torch
from running import TINY, start, story, times

from pneumo_ad.errors import DataError
from pneumo_ad.runs.checkpoints import WholeCheckpoints, read_checkpoint

CONTENT = {"state_dict": {"weight": torch.arange(10000.0)}, "epoch": 3}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "checkpoints" / "last.ckpt"
    WholeCheckpoints().save_checkpoint(CONTENT, path)
    return path


def names(folder):
    return [file.name for file in folder.iterdir()]


def test_what_is_saved_is_read_and_nothing_else_is_left(file):
    read = WholeCheckpoints().load_checkpoint(file)
    assert read["epoch"] == 3
    assert torch.equal(read["state_dict"]["weight"], CONTENT["state_dict"]["weight"])
    assert names(file.parent) == ["last.ckpt"]


@pytest.mark.parametrize("reason", [OSError("No space left on device"), KeyboardInterrupt()])
def test_writing_that_fails_in_the_middle_leaves_what_was_there(file, monkeypatch, reason):
    def half(content, path):
        path.write_bytes(whole[: len(whole) // 2])
        raise reason

    whole = file.read_bytes()
    monkeypatch.setattr(torch, "save", half)
    for place in (file, file.with_name("best.ckpt")):
        with pytest.raises(type(reason)):
            WholeCheckpoints().save_checkpoint(CONTENT, place)
    assert file.read_bytes() == whole
    assert names(file.parent) == ["last.ckpt"]


@pytest.mark.parametrize("share", [0, 0.0002, 0.01, 0.5, 0.99])
def test_a_truncated_checkpoint_is_named(file, share):
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DataError, match=r"last\.ckpt: not a whole checkpoint \("):
        read_checkpoint(file)


@pytest.mark.parametrize("content", [[1, 2], {"weights": 1}, 7, torch.nn.Linear(1, 1)])
def test_what_is_no_checkpoint_is_named(tmp_path, content):
    file = tmp_path / "other.ckpt"
    torch.save(content, file)
    with pytest.raises(DataError, match=r"other\.ckpt: not a whole checkpoint \("):
        read_checkpoint(file)
    file.write_text("a text")
    with pytest.raises(DataError, match=r"other\.ckpt: not a whole checkpoint \("):
        read_checkpoint(file)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PNEUMO_AD_CACHE", str(folder / "cache"))
        assert start("train", *TINY, "trainer.max_epochs=1", f"hydra.run.dir={folder / 'unet'}") == 0
    return folder


@pytest.fixture
def unet(trained, monkeypatch, tmp_path):
    monkeypatch.setenv("PNEUMO_AD_CACHE", str(trained / "cache"))
    monkeypatch.chdir(tmp_path)
    return (trained / "unet" / "checkpoints" / "last.ckpt").read_bytes()


def put(content):
    """A run folder in which a checkpoint lies already."""
    from pathlib import Path

    file = Path("run/checkpoints/last.ckpt")
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    return file


@pytest.mark.parametrize("other", [["net=autoencoder"], ["net.width=6"], ["net.depth=1"], ["net=vae", "net.width=4"]])
def test_going_on_from_the_weights_of_another_net_names_both(unet, other, capfd):
    file = put(unet)
    before = times(file.parent)
    assert start("train", *TINY, *other, "hydra.run.dir=run") == 2
    said = capfd.readouterr().err
    assert "the checkpoint holds the weights of another net: UNetAutoencoder with " in said
    assert ", the config describes " in said
    assert "Traceback" not in said
    assert times(file.parent) == before
    assert story("run")["status"] == "failed"


def test_going_on_from_half_a_checkpoint_is_refused_and_nothing_written(unet, capfd):
    file = put(unet[:2000])
    before = times(file.parent)
    assert start("train", *TINY, "hydra.run.dir=run") == 2
    said = capfd.readouterr().err
    assert f"error: {file.absolute()}: not a whole checkpoint (" in said
    assert "Traceback" not in said
    assert times(file.parent) == before
