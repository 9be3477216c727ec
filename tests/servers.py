"""Servers that tests start on free ports of the loopback, and end."""

import json
import shutil
import socket
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from running import process

ORTHANC = shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin:/usr/bin")
_DICOMWEB = sorted(Path("/usr/share/orthanc/plugins").glob("libOrthancDicomWeb.so"))


@dataclass(frozen=True)
class Orthanc:
    """A running server: `url` of its REST API, `url`dicom-web of DICOMweb, and the port and title of its DICOM node."""

    url: str
    port: int
    title: str

    def __call__(self, path, body=None, method=None):
        """The bytes that the REST API answers; `body` is posted."""
        request = urllib.request.Request(f"{self.url}{path}", body, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()


def free_port():
    """A port of the loopback that was free a moment ago."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextmanager
def orthanc(folder, **settings):
    """An empty Orthanc, without passwords; `settings` are further keys of its configuration."""
    if ORTHANC is None:
        pytest.skip("Orthanc is not installed")
    folder = Path(folder) / "orthanc"
    folder.mkdir()
    http, dicom, title = free_port(), free_port(), "ORTHANC"
    config = {
        "HttpPort": http, "DicomPort": dicom, "DicomAet": title, "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"), "RemoteAccessAllowed": False, "AuthenticationEnabled": False,
        "Plugins": [str(plugin) for plugin in _DICOMWEB],
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(config | settings))
    server = Orthanc(f"http://127.0.0.1:{http}/", dicom, title)
    with (folder / "log").open("wb") as log, process([ORTHANC, folder / "orthanc.json"], stdout=log, stderr=log) as run:
        deadline = time.monotonic() + 60
        while True:
            try:
                server("system")
                break
            except OSError:
                assert run.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.05)
        yield server
