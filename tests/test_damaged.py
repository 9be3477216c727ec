"""Damaged run folders, stores and exports: each file named once, nothing waited for, nothing lost."""

import logging
import os
import shutil

import numpy as np
import pytest
from mutants import REFUSED, copy, files_of, kinds_of, mutate
from running import TINY, start, times

from pneumo_ad.checkpoints import read_checkpoint, weights_digest
from pneumo_ad.dot_hydra import read_overrides
from pneumo_ad.errors import UserError
from pneumo_ad.evaluation.earlier import earlier_scores
from pneumo_ad.evaluation.scoring import scoring_of
from pneumo_ad.evaluation.subset import chosen_rows
from pneumo_ad.jobs import read_story
from pneumo_ad.leaderboard.groups import check_evaluation
from pneumo_ad.prediction.opening import open_judge
from pneumo_ad.prediction.run_judge import RunJudge
from pneumo_ad.runs import load_run

MUTANTS = int(os.environ.get("PNEUMO_AD_MUTANTS", "60"))  # drawn beside those of every file; 300 take some minutes
PLAIN = [option for option in TINY if not option.startswith("evaluate=")]
FEW = ["trainer.max_epochs=1", "lungs=none", "matched=false"]


@pytest.fixture(scope="module")
def made(shared):
    """A run that was evaluated, in `sweep/run`, and its exports."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PNEUMO_AD_CACHE", str(shared / "cache"))
        patch.chdir(shared)
        assert start("train", *PLAIN, *FEW, f"hydra.run.dir={shared / 'sweep' / 'run'}") == 0
        assert start("export", "run=sweep/run", "format=torch_export", f"output={shared / 'torch_export'}") == 0
    return shared


@pytest.fixture
def run(made, here, tmp_path):
    return copy(made / "sweep" / "run", tmp_path / "run")


def open_run(folder):
    """Everything that commands read of a run folder, but what they would train."""
    read_story(folder)
    read_overrides(folder)
    run = load_run(folder)
    RunJudge(run)
    earlier_scores(folder, run, scoring_of(run), chosen_rows(run)[0])
    check_evaluation(folder)
    for name in ("best", "last"):
        read_checkpoint(folder / "checkpoints" / f"{name}.ckpt")


def told(action, caplog):
    """What an error for the user says; else what was warned of. Any other error fails the test."""
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        try:
            action()
        except UserError as reason:
            return str(reason)
    return "\n".join(record.getMessage() for record in caplog.records)


def every(folder):
    return [(file, kind) for file in files_of(folder) for kind in REFUSED]


def drawn(folder, seed):
    """Damage of every kind to files drawn by chance, the generator of each beside it."""
    files = files_of(folder)
    for number in range(MUTANTS):
        random = np.random.default_rng([seed, number])
        file = files[int(random.integers(len(files)))]
        kinds = kinds_of(file)
        yield file, kinds[int(random.integers(len(kinds)))], random


UNREAD = ("subgroups.csv", "example.py")


def test_what_is_no_file_of_this_project_is_named_in_every_place(made, here, tmp_path, caplog):
    source = made / "sweep" / "run"
    open_run(source)
    for number, (file, kind) in enumerate(every(source)):
        if file.name in UNREAD:
            continue
        folder = copy(source, tmp_path / f"{number}")
        mutate(folder / file, kind, np.random.default_rng(number))
        before = times(folder)
        said = told(lambda folder=folder: open_run(folder), caplog)
        assert said.count(str(folder / file)) == 1, (file, kind, said)
        if file.suffix != ".npz":
            assert times(folder) == before, (file, kind)
        shutil.rmtree(folder)


def test_mutants_of_a_run_are_named_or_read(made, here, tmp_path, caplog):
    source = made / "sweep" / "run"
    weights = weights_digest(load_run(source).module.net)
    for number, (file, kind, random) in enumerate(drawn(source, seed=12)):
        folder = copy(source, tmp_path / f"{number}")
        mutate(folder / file, kind, random)
        said = told(lambda folder=folder: open_run(folder), caplog)
        if said:
            assert str(folder / file) in said or str(folder) in said, (number, file, kind, said)
            assert len(said) < 1200, (number, file, kind)
        elif file.suffix == ".ckpt":
            assert weights_digest(load_run(folder).module.net) == weights, (number, kind)
        shutil.rmtree(folder)


def test_mutants_of_an_export_are_named_or_read(made, here, tmp_path, caplog):
    source = made / "torch_export"
    for number, (file, kind, random) in enumerate(
        [*((file, kind, np.random.default_rng(0)) for file, kind in every(source)), *drawn(source, seed=13)]
    ):
        folder = copy(source, tmp_path / f"{number}")
        mutate(folder / file, kind, random)
        said = told(lambda folder=folder: open_judge(folder), caplog)
        if said or kind in REFUSED or file.name != "model.json":
            assert said.count(str(folder / file)) == 1, (number, file, kind, said)
        shutil.rmtree(folder)
