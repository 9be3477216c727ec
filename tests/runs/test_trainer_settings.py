"""Settings of the trainer that would fail, or leave no best checkpoint, once all is trained: said before."""

import logging

import pytest

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
    ],
)
def test_a_setting_that_cannot_work_is_refused_with_what_does(override, instead):
    with pytest.raises(ConfigError, match=rf"^{override.lstrip('+').split('=')[0]}.*{instead}"):
        check_trainer(compose_config("train", ["trainer=cpu", override]).trainer)


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
    with pytest.raises(DataError, match="none: did the training finish"):
        find_checkpoint(tmp_path)
    (folder / "last.ckpt").touch()
    assert find_checkpoint(tmp_path) == folder / "last.ckpt"
    assert "no best checkpoint" in caplog.text
    with pytest.raises(DataError, match="no checkpoint 'third'; there are: last"):
        find_checkpoint(tmp_path, "third")
    (folder / "best.ckpt").touch()
    caplog.clear()
    assert find_checkpoint(tmp_path) == folder / "best.ckpt"
    assert not caplog.text
