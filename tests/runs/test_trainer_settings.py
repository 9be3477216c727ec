"""Settings of the trainer that would fail, or leave no best checkpoint, once all is trained: said before."""

import logging
from pathlib import Path

import pytest
from running import TINY, start

from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.runs.compose import compose_config
from pneumo_ad.runs.run import find_checkpoint
from pneumo_ad.runs.training import check_trainer


@pytest.mark.parametrize(
    ("override", "instead"),
    [
        ("+trainer.fast_dev_run=true", "trainer.limit_train_batches=2"),
        ("+trainer.overfit_batches=2", "trainer.limit_train_batches=2"),
        ("trainer.precision=16-true", "bf16-mixed"),
        ("trainer.devices=0", "at least 1"),
        ("trainer.max_epochs=0", "at least 1"),
        ("trainer.max_epochs=-2", "at least 1"),
        ("trainer.limit_train_batches=0", "more than 0"),
        ("trainer.gradient_clip_val=-1", "more than 0"),
        ("+trainer.accumulate_grad_batches=0", "at least 1"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_with_what_does(override, instead):
    with pytest.raises(ConfigError, match=rf"^{override.lstrip('+').split('=')[0]}.*{instead}"):
        check_trainer(compose_config("train", ["trainer=cpu", override]).trainer)


@pytest.mark.parametrize(
    "override",
    ["trainer.max_epochs=-1", "+trainer.max_steps=-1", "trainer.devices=-1", "trainer.gradient_clip_val=0.5"],
)
def test_no_limit_is_none(override):
    check_trainer(compose_config("train", ["trainer=cpu", override]).trainer)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("override", ["+trainer.val_check_interval=99", "optimizer.lr=-1", "trainer.precision=foo"])
def test_what_lightning_or_an_optimizer_refuses_is_a_line_without_a_traceback(override, capsys):
    assert start("train", *TINY, override, "hydra.run.dir=run") == 2
    (line,) = [one for one in capsys.readouterr().err.splitlines() if one.startswith("error: ")]
    assert "rainer" in line
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ([], False),
        (["trainer.max_epochs=4", "trainer.check_val_every_n_epoch=4"], False),
        (["trainer.max_epochs=-1", "trainer.check_val_every_n_epoch=4"], False),
        (["trainer.max_epochs=3", "trainer.check_val_every_n_epoch=4"], True),
        (["trainer.limit_val_batches=0"], True),
        (["trainer.limit_val_batches=0.0"], True),
    ],
)
def test_a_training_without_validation_is_warned_of(overrides, said, caplog):
    with caplog.at_level(logging.WARNING):
        check_trainer(compose_config("train", ["trainer=cpu", *overrides]).trainer)
    assert ("no validation will run" in caplog.text) == said


def test_the_last_checkpoint_stands_in_for_a_best_that_was_never_written(tmp_path, caplog):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for name in ("best", "last"):
        with pytest.raises(DataError, match=f"holds no checkpoint: .* pneumo-ad train resume={tmp_path} goes on"):
            find_checkpoint(tmp_path, name)
    (folder / "last.ckpt").touch()
    assert find_checkpoint(tmp_path) == folder / "last.ckpt"
    assert "no best checkpoint" in caplog.text
    with pytest.raises(DataError, match="no checkpoint 'third'; there are: last"):
        find_checkpoint(tmp_path, "third")
    (folder / "best.ckpt").touch()
    caplog.clear()
    assert find_checkpoint(tmp_path) == folder / "best.ckpt"
    assert not caplog.text
