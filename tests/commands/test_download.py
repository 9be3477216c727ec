"""Against a server on this machine that speaks as Kaggle's does; the rest is kagglehub's own code."""

import errno
import io
import json
import shlex
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from dicoms import write_rsna
from drawn import write_kaggle
from running import start

from pneumo_ad.commands.download import download, next_command
from pneumo_ad.data import sources
from pneumo_ad.data.sources.kaggle import OFFERS, find_root
from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.runs.compose import compose_config

kagglehub = pytest.importorskip("kagglehub", reason="kagglehub is not installed: downloads are not tested")


def zipped(folder, *tops):
    """An archive with the folder's content below each of the tops, as the Kaggle set has it twice, and with litter."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("chest_xray/__MACOSX/train/NORMAL/._x.jpeg", b"litter")
        archive.writestr("chest_xray/__MACOSX/train/PNEUMONIA/._x.jpeg", b"litter")
        for top in tops:
            for file in sorted(Path(folder).rglob("*.*")):
                archive.write(file, f"{top}{file.relative_to(folder).as_posix()}")
    return content.getvalue()


class Kaggle(BaseHTTPRequestHandler):
    def do_POST(self):
        server = self.server
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        call = self.path.rsplit("/", 1)[-1]
        server.calls.append((call, self.headers.get("Authorization", "")))
        if server.status != 200:
            return self.answer(server.status, b'{"code": %d, "message": "no"}' % server.status, "application/json")
        if call == "GetDataset":
            about = {"ref": "x/y", "currentVersionNumber": 2}
            return self.answer(200, json.dumps(about).encode(), "application/json")
        return self.answer(200, server.archive, "application/zip", server.promised)

    def answer(self, status, content, kind, promised=0):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content) + promised))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *words):
        pass


@pytest.fixture
def kaggle(tmp_path, monkeypatch):
    from kagglesdk import kaggle_env

    server = ThreadingHTTPServer(("localhost", 0), Kaggle)
    server.status, server.archive, server.promised, server.calls = 200, b"", 0, []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "localhost")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "home"))
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "LOCALHOST")
    address = f"http://localhost:{server.server_port}"
    monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.LOCAL, address)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def known(monkeypatch):
    monkeypatch.setenv("KAGGLE_USERNAME", "me")
    monkeypatch.setenv("KAGGLE_KEY", "secret")


def refusal(*arguments):
    with pytest.raises(DataError) as refused:
        download(arguments)
    assert "secret" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("output", [True, False])
def test_the_set_lands_where_it_was_asked_for_and_the_printed_command_reads_it(tmp_path, kaggle, capsys, output):
    source = write_kaggle(tmp_path / "made", levels=("train", "test"))
    kaggle.archive = zipped(source, "chest_xray/", "chest_xray/chest_xray/")
    where = tmp_path / "my data, here"
    assert start("download", "chest_xray", *([f"output={where}"] if output else [])) == 0
    printed = capsys.readouterr().out
    command = shlex.split(printed[printed.index("pneumo-ad train") :])
    assert command[:4] == ["pneumo-ad", "train", "experiment=paper", "data=chest_xray"]
    root = Path(compose_config("train", command[3:]).data.root)
    assert root.is_relative_to(where if output else tmp_path / "cache")
    assert root.name == "chest_xray"
    assert not (root / "chest_xray" / "chest_xray").exists()
    assert len(sources.chest_xray(root)) == 20
    assert start("download", "chest_xray", *([f"output={where}"] if output else [])) == 0  # there already
    assert [call for call, _ in kaggle.calls].count("DownloadDataset") == 1


def test_a_competition_is_fetched_with_credentials(tmp_path, kaggle, known):
    kaggle.archive = zipped(write_rsna(tmp_path / "made"), "")
    root = download(["rsna", f"output={tmp_path / 'here'}"])
    assert len(sources.rsna(root)) == 10
    assert kaggle.calls[0][1].startswith("Basic ")


def test_an_empty_output_is_the_cache(tmp_path, kaggle, monkeypatch):
    kaggle.archive = zipped(write_kaggle(tmp_path / "made", levels=("train",)), "chest_xray/")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert download(["chest_xray", "output="]).is_relative_to(tmp_path / "cache")
    assert list((tmp_path / "here").iterdir()) == []


def test_a_set_without_one_of_the_files_that_its_source_reads_is_refused(tmp_path):
    root = write_rsna(tmp_path / "made")
    assert find_root(tmp_path, OFFERS["rsna"]) == root
    (root / "stage_2_detailed_class_info.csv").unlink()
    with pytest.raises(DataError, match=r"and stage_2_detailed_class_info\.csv in it or below"):
        find_root(tmp_path, OFFERS["rsna"])


def test_without_credentials(kaggle):
    words = refusal("rsna")
    assert "Kaggle asks who you are" in words
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "~/.kaggle/kaggle.json", OFFERS["rsna"].page):
        assert name in words


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("rsna", 401, "make sure you are authenticated"),
        ("rsna", 403, "have accepted the competition rules"),
        ("chest_xray", 403, "403 Client Error"),
        ("chest_xray", 404, "Resource not found"),
        ("chest_xray", 500, "no (500)"),
    ],
)
def test_what_kaggle_answers_is_told(kaggle, known, name, status, words):
    kaggle.status = status
    told = refusal(name)
    assert words in told
    assert f"or download {OFFERS[name].page} in a browser" in told


def test_no_network(kaggle, monkeypatch):
    from kagglesdk import kaggle_env

    # A port that nothing listens to.
    monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.LOCAL, "http://localhost:9")
    words = refusal("chest_xray")
    assert "Connection refused" in words
    assert OFFERS["chest_xray"].page in words


def test_a_download_that_breaks_off_leaves_nothing_that_looks_whole(tmp_path, kaggle):
    whole = zipped(write_kaggle(tmp_path / "made", levels=("train",)), "chest_xray/")
    kaggle.archive, kaggle.promised = whole[:-1000], 1000
    refusal("chest_xray")
    kaggle.archive, kaggle.promised = whole, 0
    assert len(sources.chest_xray(download(["chest_xray"]))) == 10


def test_what_is_no_archive_is_refused(kaggle):
    kaggle.archive = b"<html>sign in</html>"
    assert "kagglehub: Unsupported archive type." in refusal("chest_xray")


def test_a_folder_with_something_else_in_it(tmp_path, kaggle):
    (tmp_path / "mine").write_text("mine")
    assert "holds something that is no finished download" in refusal("chest_xray", f"output={tmp_path}")
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_full_disk(tmp_path, kaggle, monkeypatch):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "cache" / "x"))

    monkeypatch.setattr(kagglehub, "dataset_download", full)
    assert f"No space left on device: '{tmp_path / 'cache' / 'x'}'" in refusal("chest_xray")


def test_without_kagglehub(monkeypatch):
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(ConfigError, match=r'pip install "pneumo_ad\[download\]"'):
        download(["chest_xray"])


@pytest.mark.parametrize("arguments", [["mnist"], ["rsna", "chest_xray"], ["output=x"]])
def test_unknown_sets_are_refused(arguments):
    with pytest.raises(ConfigError, match="expected one of chest_xray, rsna and optionally output=DIR"):
        download(arguments)


def test_an_unknown_key_is_refused():
    with pytest.raises(ConfigError, match="folder=x is not known; expected output=DIR"):
        download(["rsna", "folder=x"])


def test_another_set_than_expected(tmp_path):
    (tmp_path / "cats").mkdir()
    with pytest.raises(DataError, match="expected train/NORMAL and train/PNEUMONIA in it or below, found cats"):
        find_root(tmp_path, OFFERS["chest_xray"])


@pytest.mark.parametrize("name", ["plain", "with space", "a=b,c", "q'uo\"te", "{x}$[y]", "Röntgen"])
def test_any_folder_survives_the_shell_and_hydra(name):
    root = Path("/data") / name
    command = shlex.split(next_command("rsna", root))
    assert compose_config("train", command[3:]).data.root == str(root)
