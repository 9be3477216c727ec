"""`pneumo-ad listen`: what is sent is judged once, whatever is killed, and sent on; no patient is named."""

import csv
import errno
import json
import os
import shutil
import signal
import stat
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from dicoms import PATIENT, dicom_of, write_studies
from drawn import radiograph
from pydicom import dcmread
from running import COMMAND, process, start
from servers import free_port, orthanc

pytest.importorskip("pynetdicom")
from pneumo_ad.dicom.failures import UnreachableError
from pneumo_ad.dicom.node import Node
from pneumo_ad.dicom.queue import InstanceQueue
from pneumo_ad.dicom.send import Peer
from pneumo_ad.prediction import arrivals, sending
from pneumo_ad.prediction.arrivals import Judging
from pneumo_ad.prediction.listen import listen
from pneumo_ad.prediction.opening import open_predictor
from pneumo_ad.runs.shipped import SHIPPED

STORESCU = shutil.which("storescu", path="/usr/bin:/usr/local/bin")  # not pynetdicom's of the same name
LIMIT = 120  # seconds


def until(true, *arguments):
    deadline = time.monotonic() + LIMIT
    while not (found := true(*arguments)):
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)
    return found


def rows(output, name="predictions"):
    file = Path(output) / f"{name}.csv"
    if not file.is_file():
        return []
    with file.open(newline="", encoding="utf-8") as opened:
        return [row["file"] for row in csv.DictReader(opened)]


def everything(*places):
    """All bytes of some files and of all files below some folders, names included; DICOM objects aside."""
    files = [file for place in places for file in ([place] if place.is_file() else place.rglob("*"))]
    plain = [file for file in files if file.is_file() and file.suffix != ".dcm"]
    return b"\n".join(file.read_bytes() for file in plain) + repr(files).encode()


@contextmanager
def listening(output, log, *arguments):
    """`pneumo-ad listen` in a process of its own, and the port it listens at."""
    port = free_port()
    command = [*COMMAND, "listen", f"port={port}", f"output={output}", "maps=none", "overlays=false", *arguments]
    with log.open("ab") as file, process(command, stdout=file, stderr=file) as run:
        until(lambda: f":{port};" in log.read_text() or run.poll() is not None)
        assert run.poll() is None, log.read_text()
        yield run, port


def storescu(folder, port):
    """The command that sends all files of a folder."""
    if STORESCU is None:
        pytest.skip("DCMTK's storescu is not installed")
    return [STORESCU, "-aec", "PNEUMO_AD", "+sd", "127.0.0.1", str(port), str(folder)]


def test_three_kills_lose_nothing_and_judge_nothing_twice(tmp_path):
    files = write_studies(tmp_path / "studies", 24, damaged=range(3, 24, 10))
    output, log = tmp_path / "out", tmp_path / "log"
    bad = {file.name for file in files[3::10]}
    with orthanc(tmp_path) as there:
        send = [f"send_to=ORTHANC@127.0.0.1:{there.port}", "forward=true"]
        for judged in (1, 7, 13):
            with listening(output, log, *send) as (run, port), process(storescu(tmp_path / "studies", port)):
                until(lambda least: len(rows(output)) >= least, judged)
                run.kill()
                run.wait(LIMIT)
        with listening(output, log, *send) as (run, port):
            assert subprocess.run(storescu(tmp_path / "studies", port), timeout=LIMIT).returncode == 0
            until(lambda: len(rows(output) + rows(output, "failed")) == len(files))
            until(lambda: not list((output / "queue").rglob("*.dcm")))
            run.send_signal(signal.SIGTERM)
            assert run.wait(LIMIT) == 0
        held = [json.loads(there(f"instances/{one}"))["MainDicomTags"] for one in json.loads(there("instances"))]
    assert sorted(rows(output)) == sorted({file.name for file in files} - bad)
    assert sorted(rows(output, "failed")) == sorted(bad)
    uids = [one["SOPInstanceUID"] for one in held]
    made = list((output / "dicom").glob("*.dcm/*.dcm"))
    assert sorted(uids) == sorted([*(file.stem for file in files), *(dcmread(one).SOPInstanceUID for one in made)])
    story = json.loads((output / "predict.json").read_text())
    assert (story["state"], story["counts"]["files"], story["waiting"], story["unsent"]) == ("finished", 24, 0, 0)
    found = everything(output, log)
    assert not [word for word in PATIENT if word.encode() in found]
    modes = {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in [output, *output.rglob("*")]}
    assert modes == {0}


@pytest.fixture(scope="module")
def judge():
    with pytest.MonkeyPatch.context() as patch:
        opened = open_predictor(SHIPPED)
        patch.setattr(arrivals, "open_predictor", lambda *_: opened)
        yield


@contextmanager
def running(output, caplog, stop=None, **options):
    """`listen` in a thread, and a peer that sends to it."""
    caplog.set_level("INFO")
    stop, port, ended = stop or threading.Event(), free_port(), []
    judging = Judging(SHIPPED, output, maps="none", overlays=False, dicom=bool(options.get("send_to")))
    thread = threading.Thread(target=lambda: ended.append(listen(judging, port, stop=stop, **options)))
    thread.start()
    try:
        until(lambda: f":{port};" in caplog.text or not thread.is_alive())
        yield Peer("PNEUMO_AD", "127.0.0.1", port, "TEST")
    finally:
        stop.set()
        thread.join()
    assert ended


@pytest.mark.usefixtures("judge")
def test_instances_that_are_no_radiographs_are_named_and_none_ends_it(tmp_path, caplog):
    """A study without a frontal radiograph, and a name in a place where none belongs."""
    (good,) = write_studies(tmp_path / "good", 1)
    bad = {
        "1.2.1": {"Modality": "CT"},
        "1.2.2": {"Rows": None},
        "1.2.3": {"PhotometricInterpretation": "RGB"},
        "1.2.4": {"NumberOfFrames": 3},
        "1.2.5": {"ViewPosition": "LL"},
    }
    files = []
    for uid, tags in bad.items():
        dataset = dicom_of(radiograph(0), SOPInstanceUID=uid, PatientName=PATIENT[0], PatientID=PATIENT[1])
        for name, value in tags.items():
            delattr(dataset, name) if value is None else setattr(dataset, name, value)
        dataset.file_meta.MediaStorageSOPInstanceUID = uid
        files.append(tmp_path / f"{uid}.dcm")
        dataset.save_as(files[-1], enforce_file_format=True)
    output = tmp_path / "out"
    with running(output, caplog) as peer:
        assert [refusal for _, refusal in peer.send([*files, good])] == [""] * 6
        until(lambda: len(rows(output) + rows(output, "failed")) == 6)
    assert rows(output, "failed") == [f"{uid}.dcm" for uid in ("1.2.1", "1.2.2", "1.2.3", "1.2.4")]
    words = (output / "failed.csv").read_text()
    assert "1.2.1.dcm: modality CT is no radiograph; expected CR, DX or RG" in words
    assert str(tmp_path) not in words
    assert "view LL is not frontal" in (output / "predictions.csv").read_text()
    assert not [word for word in PATIENT if word.encode() in everything(output) + caplog.text.encode()]


@pytest.mark.usefixtures("judge")
def test_a_peer_that_comes_later_gets_all_and_one_that_refuses_is_named(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(sending, "_FIRST", 0.1)
    files, port, output = write_studies(tmp_path / "studies", 2), free_port(), tmp_path / "out"
    with running(output, caplog, send_to=f"PACS@127.0.0.1:{port}", forward=True) as peer:
        list(peer.send(files))
        until(lambda: f"PACS@127.0.0.1:{port} is not there" in caplog.text)
        with Node(InstanceQueue(tmp_path / "other", 99), "127.0.0.1", port, "ELSE"):
            until(
                lambda: (
                    "rejects PNEUMO_AD: called ae title not recognised"
                    in caplog.text.lower().replace("pneumo_ad: called", "PNEUMO_AD: called")
                )
            )
        full = InstanceQueue(tmp_path / "full", 1)
        with Node(full, "127.0.0.1", port, "PACS"):
            until(lambda: "is out of resources (status 0xa700); it is sent again" in caplog.text)
        there = InstanceQueue(tmp_path / "there", 99)
        with Node(there, "127.0.0.1", port, "PACS"):
            until(lambda: there.waiting == 8)
            until(lambda: not list((output / "queue").rglob("*.dcm")))
    assert not [word for word in PATIENT if word.encode() in everything(output) + caplog.text.encode()]


@pytest.mark.usefixtures("judge")
def test_a_full_disk_is_told_and_waited_for(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(arrivals, "_AGAIN", 0.1)
    output, keep = tmp_path / "out", arrivals.OutputFolder.keep
    full = threading.Event()

    def kept(self, outcomes):
        if full.is_set():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "parts")
        keep(self, outcomes)

    full.set()
    monkeypatch.setattr(arrivals.OutputFolder, "keep", kept)
    (file,) = write_studies(tmp_path / "studies", 1)
    with running(output, caplog) as peer:
        list(peer.send([file]))
        until(lambda: "the disk is full" in caplog.text)
        assert rows(output) == []
        full.clear()
        until(lambda: rows(output) == [file.name])


@pytest.mark.usefixtures("judge")
def test_what_is_left_at_the_end_stays_in_the_queue_and_is_judged_by_the_next(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(arrivals, "_TOGETHER", 1)
    files, output, stop = write_studies(tmp_path / "studies", 6), tmp_path / "out", threading.Event()
    written = arrivals.OutputFolder.keep
    with monkeypatch.context() as patch:
        patch.setattr(arrivals.OutputFolder, "keep", lambda self, some: (written(self, some), stop.set()))
        with running(output, caplog, stop) as peer, suppress(UnreachableError):  # it is ended meanwhile
            list(peer.send(files))
    story, waiting = json.loads((output / "predict.json").read_text()), len(list((output / "queue").rglob("*.dcm")))
    assert (story["state"], story["waiting"]) == ("unfinished" if waiting else "finished", waiting)
    assert len(rows(output)) < 6
    with running(output, caplog) as peer:
        list(peer.send(files))
        until(lambda: len(rows(output)) == 6)
    assert json.loads((output / "predict.json").read_text())["state"] == "finished"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["port=x"], "port=x is not known; expected a port, 1 to 65535"),
        (["aet=" + "A" * 17], "expected an AE title: 1 to 16 characters"),
        (["allow=A,"], "expected an AE title"),
        (["send_to=PACS"], "send_to=PACS is not known; expected a DICOM node as AE@HOST:PORT"),
        (["forward=true"], "forward=true needs send_to="),
        (["tls_key=k"], "TLS needs tls_certificate=FILE and tls_key=FILE"),
        (["send_to=dicomweb:https://me:pw-4711@pacs/web"], "send_to=dicomweb:... holds credentials or a query"),
    ],
)
def test_keys_that_make_no_sense_are_refused_in_a_line(arguments, words, tmp_path, capsys):
    given = ["port=9", f"output={tmp_path / 'out'}", *arguments]
    assert start("listen", *given) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert words in line
    assert "pw-4711" not in line
    assert not (tmp_path / "out").exists()
