"""`pneumo-ad predict` from a DICOMweb server and to one: each instance once, no patient and no password anywhere."""

import csv
import json
import os
import re
import signal
import stat

import pytest
from dicoms import PATIENT, write_studies
from drawn import radiograph
from PIL import Image
from pydicom import dcmread
from running import start
from servers import free_port, orthanc

pytest.importorskip("dicomweb_client")
from pneumo_ad.dicom import web
from pneumo_ad.dicom.addresses import PASSWORD, USER
from pneumo_ad.dicom.failures import RefusedError, UnreachableError
from pneumo_ad.dicom.web import Server
from pneumo_ad.prediction import arrivals, predict
from pneumo_ad.prediction.opening import open_predictor
from pneumo_ad.runs.jobs import INTERRUPTED
from pneumo_ad.runs.shipped import SHIPPED

SECRET = "s3cr3t-words"
FEW = ["maps=none", "overlays=false"]


@pytest.fixture(scope="module")
def pacs(tmp_path_factory):
    """An Orthanc with eight studies, the third of them damaged; its DICOMweb address, and their files."""
    folder = tmp_path_factory.mktemp("pacs")
    files = write_studies(folder / "studies", 8, damaged=[2])
    with orthanc(folder) as there:
        for file in files:
            there("instances", file.read_bytes())
        yield there, f"dicomweb:{there.url}dicom-web", files


@pytest.fixture(scope="module", autouse=True)
def judge():
    with pytest.MonkeyPatch.context() as patch:
        opened = open_predictor(SHIPPED)
        for module in (arrivals, predict):
            patch.setattr(module, "open_predictor", lambda *_: opened)
        yield


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(USER, "me")
    monkeypatch.setenv(PASSWORD, SECRET)
    monkeypatch.setattr(web, "PAUSE", 1)


def rows(output, name="predictions"):
    with (output / f"{name}.csv").open(newline="", encoding="utf-8") as opened:
        return [row["file"] for row in csv.DictReader(opened)]


def check_private(folder, said):
    """No patient and no password in what was written or said, but for the patient in DICOM objects."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    found = b"\n".join(file.read_bytes() for file in files if file.suffix != ".dcm") + repr(files).encode()
    words = found.decode(errors="replace") + said
    assert not [word for word in (*PATIENT, SECRET) if word in words]


def test_each_instance_is_judged_once_and_the_damaged_one_named(pacs, tmp_path, caplog, capfd, monkeypatch):
    caplog.set_level("DEBUG")
    _, address, files = pacs
    arguments = [f"input={address}", f"patient={PATIENT[1]}", "date=20260101-20260131", "output=out", *FEW]
    assert start("predict", *arguments) == 3
    output = tmp_path / "out"
    assert rows(output) == sorted(file.name for file in files if file != files[2])
    assert rows(output, "failed") == [files[2].name]
    assert "is truncated" in (output / "failed.csv").read_text()
    asked = json.loads((output / "predict.json").read_text())["asked"]
    assert (asked["input"], asked["query"]) == (address, "patient=(not shown) date=20260101-20260131")
    assert not list(output.rglob("*.dcm"))
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in [output, *output.rglob("*")]} == {0}
    said = "".join(capfd.readouterr()) + caplog.text

    def fetched(*_):
        raise AssertionError("fetched again")

    monkeypatch.setattr(Server, "fetch", fetched)
    assert start("predict", *arguments) == 3
    check_private(tmp_path, said + "".join(capfd.readouterr()))


def test_a_server_that_is_gone_meanwhile_ends_it_and_the_same_command_goes_on(pacs, tmp_path, monkeypatch, capfd):
    _, address, _ = pacs
    fetch, came = Server.fetch, []

    def gone(self, reference):
        came.append(reference)
        if len(came) > 3:
            raise UnreachableError("the server is gone")
        return fetch(self, reference)

    arguments = [f"input={address}", "date=20260101-", "output=out", *FEW]
    with monkeypatch.context() as patch:
        patch.setattr(Server, "fetch", gone)
        assert start("predict", *arguments) == 2
        assert "error: the server is gone" in capfd.readouterr().err
    assert json.loads((tmp_path / "out" / "predict.json").read_text())["state"] == "unfinished"
    assert start("predict", *arguments) == 3
    assert len(rows(tmp_path / "out")) == 7


def test_an_instance_that_the_server_refuses_is_named_and_asked_for_again(pacs, tmp_path, monkeypatch):
    _, address, files = pacs
    fetch = Server.fetch

    def refused(self, reference):
        if reference.uid == files[0].stem:
            raise RefusedError("instance refused (HTTP 500)")
        return fetch(self, reference)

    arguments = [f"input={address}", "date=20260101-", "output=out", *FEW]
    with monkeypatch.context() as patch:
        patch.setattr(Server, "fetch", refused)
        assert start("predict", *arguments) == 3
    assert rows(tmp_path / "out", "failed") == sorted([files[0].name, files[2].name])
    assert "instance refused (HTTP 500)" in (tmp_path / "out" / "failed.csv").read_text()
    start("predict", *arguments)
    assert rows(tmp_path / "out", "failed") == [files[2].name]


def test_a_signal_ends_it_and_the_same_command_goes_on(pacs, tmp_path, monkeypatch):
    _, address, _ = pacs
    arguments, keep = [f"input={address}", "date=20260101-", "output=out", *FEW], arrivals.OutputFolder.keep

    def kept(self, some):
        keep(self, some)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(arrivals, "_TOGETHER", 1)
    with monkeypatch.context() as patch:
        patch.setattr(arrivals.OutputFolder, "keep", kept)
        assert start("predict", *arguments) == INTERRUPTED
    assert len(rows(tmp_path / "out")) == 1
    start("predict", *arguments)
    assert len(rows(tmp_path / "out")) == 7


def test_objects_are_stored_on_a_server_and_sent_to_a_node(pacs, tmp_path, capfd):
    there, address, files = pacs
    uid = dcmread(files[0]).StudyInstanceUID
    for _ in range(2):  # again: the same three, and none of them is judged
        assert start("predict", f"input={address}", f"study={uid}", f"output={address}", *FEW) == 0
        studies = {one["MainDicomTags"]["StudyInstanceUID"]: one for one in json.loads(there("studies?expand"))}
        assert len(json.loads(there(f"studies/{studies[uid]['ID']}/instances"))) == 4
        assert rows(tmp_path / "predicted") == [files[0].name]
    folder = tmp_path / "in"
    write_studies(folder, 1, side=128)
    with orthanc(tmp_path) as empty:
        node = f"send_to=ORTHANC@127.0.0.1:{empty.port}"
        assert start("predict", f"input={folder}", "output=out", node, *FEW) == 0
        assert json.loads(empty("statistics"))["CountInstances"] == 3
        assert start("predict", f"input={folder}", "output=out", node, *FEW) == 0  # again: the same three
        assert json.loads(empty("statistics"))["CountInstances"] == 3
    capfd.readouterr()
    assert start("predict", f"input={folder}", "output=out", f"send_to=PACS@127.0.0.1:{free_port()}", *FEW) == 2
    assert "is not there, or is no DICOM node" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["input=dicomweb:http://me:pw@pacs/web"], f"holds credentials or a query, .*{USER} and {PASSWORD}, or"),
        (["input=dicomweb:http://pacs/web?token=pw"], "holds credentials or a query"),
        (["input=dicomweb:ftp://pacs"], r"expected a DICOMweb server as dicomweb:https://HOST\[:PORT\]/PATH"),
        (["input=dicomweb:http://pacs/web"], r"needs patient=ID, study=UID or date=YYYYMMDD"),
        (["input=dicomweb:http://pacs/web", "date=2026-01-01"], "expected a day as YYYYMMDD"),
        (["input=dicomweb:http://pacs/web", "study=x"], "expected a Study Instance UID"),
        (["input=dicomweb:http://pacs/web", "patient=ZQ-4711-X*"], "is no Patient ID"),
        (["input=dicomweb:http://pacs/web", "patient=x", "report=true"], "report=true draws files again"),
        (["input=.", "patient=ZQ-4711-X"], "need input=dicomweb:URL"),
        (["input=.", "output=dicomweb:http://pacs/web", "send_to=A@b:1"], "two places to send to"),
        (["input=.", "output=out", "send_to=dicomweb:http://me@pacs"], "send_to=dicomweb:... holds credentials"),
    ],
)
def test_keys_that_make_no_sense_are_refused_in_a_line(arguments, words, tmp_path, capfd):
    given = arguments if any(one.startswith("output=") for one in arguments) else [*arguments, "output=out"]
    assert start("predict", *given) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert re.search(words, line)
    assert "me:pw" not in line
    assert "=pw" not in line
    assert PATIENT[1] not in line
    assert not list(tmp_path.iterdir())


def test_half_of_the_credentials_is_refused(monkeypatch, capfd):
    monkeypatch.delenv(PASSWORD)
    assert start("predict", "input=dicomweb:http://127.0.0.1:9/web", "study=1.2", "output=out") == 2
    assert f"error: expected {USER} and {PASSWORD} in the environment" in capfd.readouterr().err


def test_without_the_packages_a_line_says_how_to_install_them(monkeypatch, capfd, tmp_path):
    from pneumo_ad.dicom import extra

    Image.fromarray(radiograph(0)).save(tmp_path / "a.png")
    monkeypatch.setattr(extra, "find_spec", lambda _: None)
    for command, *arguments in (
        ("predict", "input=dicomweb:http://127.0.0.1:9/web", "study=1.2"),
        ("predict", "input=a.png", "send_to=A@b:1"),
        ("listen", "port=9"),
    ):
        assert start(command, *arguments, "output=out") == 2
        (line,) = capfd.readouterr().err.splitlines()
        assert 'pip install "pneumo_ad[dicom]"' in line
