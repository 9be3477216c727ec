"""The command line in this process, on runs that take a second."""

import hashlib
import json
import subprocess
import sys
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
import torch
from hydra.core.global_hydra import GlobalHydra

from pneumo_ad import cli

# 65 training patches, of which each epoch draws 64: four batches.
TINY = [
    "data.normal=24", "data.pneumonia=20", "data.size=96", "image_size=64", "patch=8", "stride=8", "net.width=4",
    "batch_size=16", "per_epoch=64", "datamodule.val_images=1", "trainer=cpu", "trainer.max_epochs=2",
    "callbacks=minimal", "callbacks.progress=null", "logger=csv", "evaluate=false",
]  # fmt: skip
COMMAND = [sys.executable, "-c", "from pneumo_ad.cli import main; main()"]


@contextmanager
def undrawn():
    """Figures of evaluations and comparisons cost most of their time: only tests that look at them have them drawn."""
    with pytest.MonkeyPatch.context() as patch:
        for draw in ("evaluation.evaluate.draw_evaluation", "leaderboard.compare.draw_comparison"):
            patch.setattr(f"pneumo_ad.{draw}", lambda *_: None)
        yield


def start(*arguments, drawn=False):
    """The exit status of a command; `drawn`: see `undrawn`."""
    GlobalHydra.instance().clear()
    sys.argv = ["pneumo-ad"]
    with nullcontext() if drawn else undrawn():
        try:
            cli.main([str(argument) for argument in arguments])
        except SystemExit as end:
            return end.code or 0
    return 0


@contextmanager
def process(command, **options):
    """Another process, which is not left behind whatever becomes of the test."""
    with subprocess.Popen(command, **options) as started:
        try:
            yield started
        finally:
            started.kill()


def story(folder):
    return json.loads((Path(folder) / "run.json").read_text())


def weights(folder):
    """A digest of the weights of each checkpoint of a run."""
    digests = {}
    for file in sorted(Path(folder).glob("checkpoints/*.ckpt")):
        state = torch.load(file, weights_only=True)["state_dict"]
        digests[file.name] = hashlib.sha256(b"".join(state[key].numpy().tobytes() for key in sorted(state))).hexdigest()
    return digests


def times(folder):
    """When each file of a folder was last written; the lock and the log aside."""
    return {
        str(file.relative_to(folder)): file.stat().st_mtime_ns
        for file in Path(folder).rglob("*")
        if file.is_file() and file.suffix not in ("", ".log")
    }
