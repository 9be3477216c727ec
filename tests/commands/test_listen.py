"""`pneumo-ad listen`: what is sent is judged once, whatever is killed, and no name of a patient is left behind."""

import csv
import json
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from dicoms import PATIENT, write_studies
from running import COMMAND, process
from servers import free_port

pytest.importorskip("pynetdicom")
STORESCU = shutil.which("storescu", path="/usr/bin:/usr/local/bin")  # not pynetdicom's of the same name
TINY = ["maps=none", "overlays=false"]
LIMIT = 120  # seconds


def until(true, *arguments):
    deadline = time.monotonic() + LIMIT
    while not (found := true(*arguments)):
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)
    return found


@contextmanager
def listening(output, log, *arguments):
    """`pneumo-ad listen` in a process of its own, and the port it listens at."""
    port = free_port()
    command = [*COMMAND, "listen", f"port={port}", f"output={output}", *TINY, *arguments]
    with log.open("ab") as file, process(command, stdout=file, stderr=file) as run:
        until(lambda: f":{port};" in log.read_text() or run.poll() is not None)
        assert run.poll() is None, log.read_text()
        yield run, port


def storescu(folder, port, title="PNEUMO_AD"):
    """The command that sends all files of a folder."""
    if STORESCU is None:
        pytest.skip("DCMTK's storescu is not installed")
    return [STORESCU, "-aec", title, "+sd", "127.0.0.1", str(port), str(folder)]


def rows(output, name="predictions"):
    file = Path(output) / f"{name}.csv"
    if not file.is_file():
        return []
    with file.open(newline="", encoding="utf-8") as opened:
        return [row["file"] for row in csv.DictReader(opened)]


def everything(*places):
    """All bytes of some files and of all files below some folders, names included."""
    files = [file for place in places for file in ([place] if place.is_file() else place.rglob("*"))]
    return b"\n".join(file.read_bytes() if file.is_file() else b"" for file in files) + repr(files).encode()


def test_three_kills_lose_nothing_and_judge_nothing_twice(tmp_path):
    files = write_studies(tmp_path / "studies", 40, damaged=range(3, 40, 10))
    output, log = tmp_path / "out", tmp_path / "log"
    bad = {file.name for file in files[3::10]}
    for judged in (1, 12, 24):
        with listening(output, log) as (run, port):
            with process(
                [STORESCU or "false", "-aec", "PNEUMO_AD", "+sd", "127.0.0.1", str(port), tmp_path / "studies"]
            ):
                until(lambda: len(rows(output)) >= judged)
                run.kill()
                run.wait(LIMIT)
    with listening(output, log) as (run, port):
        assert subprocess.run(storescu(tmp_path / "studies", port), capture_output=True, timeout=LIMIT).returncode == 0
        until(lambda: len(rows(output) + rows(output, "failed")) == len(files))
        run.send_signal(signal.SIGTERM)
        assert run.wait(LIMIT) == 0
    assert sorted(rows(output)) == sorted({file.name for file in files} - bad)
    assert sorted(rows(output, "failed")) == sorted(bad)
    assert not list((output / "queue").rglob("*.dcm"))
    story = json.loads((output / "predict.json").read_text())
    assert (story["counts"]["files"], story["waiting"]) == (40, 0)
    found = everything(output, log)
    assert not [word for word in PATIENT if word.encode() in found]
