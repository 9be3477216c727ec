"""DICOMweb: against Orthanc, and against servers that refuse, time out, break off or lie; each in a line."""

import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

import pytest
from dicoms import PATIENT, dicom_of, write_studies
from drawn import radiograph
from pydicom import dcmread
from servers import free_port, orthanc

pytest.importorskip("dicomweb_client")
from pneumo_ad.dicom import web
from pneumo_ad.dicom.addresses import PASSWORD, TOKEN, USER
from pneumo_ad.dicom.failures import RefusedError, UnreachableError
from pneumo_ad.dicom.web import Query, Server, WebInstance
from pneumo_ad.errors import ConfigError, DataError

STUDY, SERIES, INSTANCE = "1.2.3", "1.2.3.4", "1.2.3.4.5"
SECRET = "s3cr3t-words"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(web, "TIMEOUT", (1.0, 1.0))
    monkeypatch.setattr(web, "ATTEMPTS", 2)
    monkeypatch.setattr(web, "PAUSE", 1)
    for name in (USER, PASSWORD, TOKEN):
        monkeypatch.delenv(name, raising=False)


@contextmanager
def serving(answer):
    """A server whose `answer(handler)` writes what it likes; its URL and the requests that came."""
    came = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            came.append((self.path, dict(self.headers)))
            answer(self)

        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.do_GET()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/web", came
        finally:
            server.shutdown()
            thread.join()


def say(status=200, kind="application/dicom+json", body=b"[]", length=None):
    def answer(handler):
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def part10(uid=INSTANCE, **tags):
    file = BytesIO()
    dataset = dicom_of(radiograph(0), SOPInstanceUID=uid, **tags)
    dataset.file_meta.MediaStorageSOPInstanceUID = uid
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def multipart(*parts, boundary=b"b", end=b"--"):
    body = b"".join(b"\r\n--" + boundary + b"\r\nContent-Type: application/dicom\r\n\r\n" + part for part in parts)
    return body + b"\r\n--" + boundary + end


RELATED = 'multipart/related; type="application/dicom"; boundary=b'


def failed(url, ask):
    with pytest.raises(DataError) as reason:
        ask(Server(url))
    (line,) = str(reason.value).splitlines()
    assert url.rpartition("@")[2] in line
    assert PATIENT[1] not in line
    assert SECRET not in line
    return reason.type, line


def search(server):
    return list(server.search(Query(patient=PATIENT[1])))


def fetch(server):
    return server.fetch(WebInstance(STUDY, SERIES, INSTANCE))


def test_orthanc_is_searched_page_by_page_fetched_from_and_stored_to(tmp_path, monkeypatch):
    monkeypatch.setattr(web, "_PAGE", 3)
    files = write_studies(tmp_path / "studies", 8)
    ct = dicom_of(radiograph(0), Modality="CT", SOPInstanceUID="1.2.9", StudyInstanceUID="1.2.8", PatientID="CT")
    ct.SeriesInstanceUID, ct.file_meta.MediaStorageSOPInstanceUID = "1.2.7", "1.2.9"
    with orthanc(tmp_path) as there:
        server = Server(f"{there.url}dicom-web")
        assert [refusal for _, refusal in server.send(files)] == [""] * 8
        ct.save_as(tmp_path / "ct.dcm", enforce_file_format=True)
        assert list(server.send([tmp_path / "ct.dcm"])) == [(tmp_path / "ct.dcm", "")]
        found = list(server.search(Query(date="20260101-20260131")))
        assert sorted(one.uid for one in found) == sorted(file.stem for file in files)
        for one in found:
            assert server.fetch(one) == dcmread(tmp_path / "studies" / f"{one.uid}.dcm")
        assert [one.uid for one in server.search(Query(date="20260103"))] == [files[2].stem]
        assert len(list(server.search(Query(patient=PATIENT[1])))) == 8
        assert len(list(server.search(Query(study=found[0].study)))) == 1
        for query, words in (
            (Query(study="1.2.8"), "1 studies of study=1.2.8 hold no radiograph, but CT; expected series of modality"),
            (Query(patient="Nemo"), r"holds no study of patient=\(not shown\); expected at least one"),
        ):
            with pytest.raises(DataError, match=words):
                list(server.search(query))
        (tmp_path / "cut.dcm").write_bytes(b"no DICOM")
        ((_, refusal),) = server.send([tmp_path / "cut.dcm"])
        assert "cut.dcm cannot be sent: it is no whole DICOM file" in refusal


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (401, UnreachableError, f"HTTP 401\\); expected credentials in the environment: {USER} and {PASSWORD}, or"),
        (403, UnreachableError, "HTTP 403"),
        (404, RefusedError, r"HTTP 404\); expected the base URL"),
        (500, RefusedError, "HTTP 500"),
        (503, UnreachableError, r"failed 2 times \(HTTP 503\)"),
    ],
)
@pytest.mark.parametrize("ask", [search, fetch])
def test_a_server_that_refuses(status, kind, words, ask):
    with serving(say(status, body=PATIENT[1].encode())) as (url, came):
        raised, line = failed(url, ask)
        assert raised is kind
        assert re.search(words, line)
        assert len(came) == (2 if status >= 500 else 1)


def test_a_server_that_is_busy_is_asked_again(monkeypatch):
    times = []

    def answer(handler):
        times.append(0)
        say(503)(handler) if len(times) < 2 else say(kind=RELATED, body=multipart(part10()))(handler)

    with serving(answer) as (url, _):
        assert fetch(Server(url)).SOPInstanceUID == INSTANCE


def silent(handler):
    threading.Event().wait(3)


@pytest.mark.parametrize("ask", [search, fetch])
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (silent, "timed out 2 times"),
        (say(kind=RELATED, body=multipart(part10())[:500], length=99999), "broke off 2 times"),
    ],
)
def test_a_server_that_is_gone_in_between(ask, answer, words):
    with serving(answer) as (url, _):
        kind, line = failed(url, ask)
        assert kind is UnreachableError
        assert words in line


def test_a_server_that_is_not_there():
    kind, line = failed(f"http://127.0.0.1:{free_port()}/web", search)
    assert kind is UnreachableError
    assert "is not there: nothing listens at that host and port" in line


LIES = {
    "other instance": (RELATED, multipart(part10("1.2.99")), r"sent another \(1\.2\.99\)"),
    "two instances": (RELATED, multipart(part10(), part10()), "is not what DICOMweb says"),
    "none": (RELATED, multipart(), "is not what DICOMweb says"),
    "a page": ("text/html", b"<p>log in</p>", "is not what DICOMweb says"),
    "no DICOM": (RELATED, multipart(b"words" * 99), "is not what DICOMweb says"),
    "another boundary": (RELATED, multipart(part10(), boundary=b"other"), "broke off 2 times"),
    "a part that is cut": (RELATED, multipart(part10())[:3000], "broke off 2 times"),
    "a name as UID": (RELATED, multipart(part10().replace(INSTANCE.encode(), b"Ampersand")), "no valid UID"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_multipart_that_lies(lie):
    kind, body, words = LIES[lie]
    with serving(say(kind=kind, body=body)) as (url, _):
        raised, line = failed(url, fetch)
        assert raised is (UnreachableError if "broke off" in words else RefusedError)
        assert re.search(words, line)
        assert "Ampersand" not in line


@pytest.mark.parametrize("body", ["{", '[{"0020000D": 3}]', "[3]", '[{"0020000D": {"Value": ["../x"]}}]', "[{}]"])
def test_a_search_that_lies(body):
    with serving(say(body=body.encode())) as (url, _):
        _, line = failed(url, search)
        assert "is not what DICOMweb says" in line or "without a valid UID" in line


def test_a_server_that_answers_with_other_patients_or_the_same_page_for_ever():
    study = {"0020000D": {"vr": "UI", "Value": [STUDY]}, "00100020": {"vr": "LO", "Value": ["another"]}}
    with serving(say(body=json.dumps([study]).encode())) as (url, _):
        _, line = failed(url, search)
        assert "answers with studies that were not asked for (patient=(not shown))" in line
        instance = study | {
            "00080018": {"Value": [INSTANCE]},
            "0020000E": {"Value": [SERIES]},
            "00080060": {"Value": ["DX"]},
        }
    with serving(say(body=json.dumps([instance]).encode())) as (url, came):
        assert list(Server(url).search(Query(study=STUDY))) == [WebInstance(STUDY, SERIES, INSTANCE)]
        assert len(came) == 4


def test_credentials_come_from_the_environment_alone(monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text(f"machine 127.0.0.1 login me password {SECRET}\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with serving(say(kind=RELATED, body=multipart(part10()))) as (url, came):
        fetch(Server(url))
        monkeypatch.setenv(TOKEN, SECRET)
        fetch(Server(url))
        monkeypatch.delenv(TOKEN)
        monkeypatch.setenv(USER, "me")
        with pytest.raises(ConfigError, match=f"expected {USER} and {PASSWORD} in the environment"):
            Server(url)
        monkeypatch.setenv(PASSWORD, SECRET)
        fetch(Server(url))
        sent = [headers.get("Authorization", "").split(" ")[0] for _, headers in came]
        assert sent == ["", "Bearer", "Basic"]
    with serving(say(401)) as (url, _):
        failed(url, search)


def test_no_log_holds_a_query_or_an_answer(caplog):
    caplog.set_level("DEBUG")
    body = json.dumps([{"0020000D": {"Value": [STUDY]}, "00100010": {"Value": [{"Alphabetic": PATIENT[0]}]}}]).encode()
    with serving(say(body=body)) as (url, came):
        with pytest.raises(DataError):
            search(Server(url))
        assert PATIENT[1] in came[0][0]
    assert not [word for word in PATIENT if word in caplog.text]


def test_a_store_that_is_refused_is_named(tmp_path):
    (file,) = write_studies(tmp_path, 1)
    body = json.dumps({"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [0xA900]}}]}}).encode()
    with serving(say(202, body=body)) as (url, _):
        assert [refusal.endswith("(status 0xa900)") for _, refusal in Server(url).send([file])] == [True]
    with serving(say(409, body=body)) as (url, _):
        assert ["HTTP 409" in refusal for _, refusal in Server(url).send([file])] == [True]
    with serving(say(503)) as (url, _), pytest.raises(UnreachableError):
        list(Server(url).send([file]))


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("http://pacs.example/dicom-web", True),
        ("https://pacs.example/dicom-web", False),
        ("http://127.0.0.1:8042/dicom-web", False),
    ],
)
def test_credentials_that_go_unencrypted_are_warned_of(monkeypatch, caplog, url, warned):
    Server(url)
    assert not caplog.text  # none are sent
    monkeypatch.setenv(TOKEN, "a-secret")
    Server(url)
    assert ("unencrypted" in caplog.text) == warned
    assert "a-secret" not in caplog.text
