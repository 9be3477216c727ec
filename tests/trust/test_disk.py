"""A full disk, places that cannot be written to, users without a home: a line says what to do, and nothing is lost."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from running import COMMAND, TINY, start, story, weights

from pneumo_ad import files
from pneumo_ad.errors import ConfigError
from pneumo_ad.files import cache_dir, config_dir, writable_cache
from pneumo_ad.runs.record import status

pytestmark = pytest.mark.usefixtures("here")
MEASURED = [*TINY, "trainer.max_epochs=1", "evaluate=test"]
_NOBODY = 54321  # a user id without a name


@pytest.fixture
def run(shared):
    folder = shared / "run"
    if not folder.is_dir():
        assert start("train", *MEASURED, f"hydra.run.dir={folder}") == 0
    return folder


@pytest.fixture
def full(monkeypatch):
    """Makes the system report a full disk whenever a file of this name is opened for writing."""

    def when(name):
        opens, writes, tables = Path.open, torch.save, pd.DataFrame.to_csv

        def open_(self, mode="r", *arguments, **options):
            if self.name.startswith(name) and "r" not in mode:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return opens(self, mode, *arguments, **options)

        def save(content, file, *arguments, **options):
            if Path(file).name.startswith(name):
                Path(file).write_bytes(b"half")
                raise RuntimeError("[enforce fail at inline_container.cc:603] . unexpected pos 64 vs 0")
            return writes(content, file, *arguments, **options)

        def to_csv(self, file=None, *arguments, **options):
            if file is not None and Path(file).name.startswith(name):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return tables(self, file, *arguments, **options)

        monkeypatch.setattr(Path, "open", open_)
        monkeypatch.setattr(pd.DataFrame, "to_csv", to_csv)
        monkeypatch.setattr(torch, "save", save)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 100, 0))

    yield when
    monkeypatch.undo()


def error_of(capsys):
    (line,) = [one for one in capsys.readouterr().err.splitlines() if one.startswith("error: ")]
    return line


@pytest.mark.parametrize("name", ["last.ckpt", "best.ckpt", "metrics.json", "patches.csv", "split.csv"])
def test_a_training_on_a_full_disk_goes_on_once_there_is_room(name, full, run, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "mine"
    with monkeypatch.context() as patch:
        full(name)
        assert start("train", *MEASURED, f"hydra.run.dir={folder}") == 2
        assert f"{name}: the disk is full" in error_of(capsys)
        patch.undo()
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PNEUMO_AD_CACHE", str(run.parent / "cache"))
    if folder.exists():
        assert status(folder).word == "failed"
        assert "the disk is full" in status(folder).reason
    assert not list(tmp_path.rglob("*.partial"))
    assert start("train", *MEASURED, f"hydra.run.dir={folder}") == 0
    assert story(folder)["status"] == "finished"
    assert weights(folder) == weights(run)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("report.html", ["report"]),
        ("patches.csv", ["evaluate", "subset=val"]),
        ("metrics.json", ["evaluate", "subset=val"]),
        ("index.csv", ["figures", "only=table1"]),
        ("model.json", ["export", "format=torch_export"]),
    ],
)
def test_what_is_half_written_on_a_full_disk_is_not_there(name, command, full, run, tmp_path, capsys):
    output = tmp_path / "out"
    file = output / "report.html" if command == ["report"] else output
    full(name)
    assert start(*command, f"run={run}", f"output={file}") == 2
    assert "the disk is full" in error_of(capsys)
    assert not [one for one in tmp_path.rglob("*") if one.suffix == ".partial" or one.name == name]


def test_a_home_that_nobody_knows_needs_a_cache_by_name(monkeypatch):
    def unknown(*_):
        raise RuntimeError("could not determine the home directory")

    for name in ("user_cache_path", "user_config_path"):
        monkeypatch.setattr(files, name, unknown)
    monkeypatch.delenv("PNEUMO_AD_CACHE")
    monkeypatch.delenv("PNEUMO_AD_CONFIG")
    with pytest.raises(ConfigError, match="PNEUMO_AD_CACHE=DIR"):
        cache_dir()
    monkeypatch.setenv("PNEUMO_AD_CACHE", "/somewhere")
    assert config_dir() == Path("/somewhere/config")


@pytest.mark.parametrize("place", ["/proc/none", "/dev/null"])
def test_an_impossible_cache_is_named(place, monkeypatch, capsys):
    monkeypatch.setenv("PNEUMO_AD_CACHE", place)
    with pytest.raises(ConfigError, match="cannot be written to"):
        writable_cache()
    assert start("train", *TINY, "hydra.run.dir=run") == 2
    assert f"cache folder {place} cannot be written to" in error_of(capsys)
    assert not Path("run").exists()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("cache", "cache folder {place} cannot be written to (Permission denied)"),
        ("run", "{place}/run: Permission denied"),
        ("working", "runs: Permission denied"),
        ("resumed", "Permission denied"),
    ],
)
def test_another_user_is_told_which_place_cannot_be_written_to(place, said, run, tmp_path):
    """As an unprivileged user, without a name and without a home: permissions stop nobody who is root."""
    closed, own = tmp_path / "closed", tmp_path / "own"
    for folder in (closed, own):
        folder.mkdir()
    os.chown(own, _NOBODY, _NOBODY)
    for parent in (tmp_path, *tmp_path.parents[:3], run, *run.parents[:2]):
        parent.chmod(parent.stat().st_mode | 0o055)
    if not os.access(sys.executable, os.X_OK) or shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed")
    as_nobody = ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", *COMMAND, "train"]
    options = {
        "cache": [*TINY, "hydra.run.dir=run"],
        "run": [*TINY, f"hydra.run.dir={closed}/run"],
        "working": [*TINY],
        "resumed": [f"resume={run}", "trainer.max_epochs=2"],
    }[place]
    environment = {key: value for key, value in os.environ.items() if key not in ("HOME", "USER", "PNEUMO_AD_CONFIG")}
    environment |= {"PNEUMO_AD_CACHE": str(closed if place == "cache" else own / "cache"), "MPLCONFIGDIR": str(own)}
    where = {"cwd": closed if place == "working" else own, "env": environment}
    ended = subprocess.run([*as_nobody, *options], **where, capture_output=True, text=True, timeout=300)
    if "No module named" in ended.stderr:
        pytest.skip("the environment itself cannot be read by another user")
    assert ended.returncode == 2, ended.stderr
    assert "Traceback" not in ended.stderr
    assert said.format(place=closed) in ended.stderr
