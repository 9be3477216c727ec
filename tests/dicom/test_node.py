"""A node: what it acknowledges is on the disk, and whatever a peer sends, it goes on."""

import errno
import os
import shutil
import socket
import ssl
import struct
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from dicoms import dicom_of, write_studies
from drawn import radiograph
from pydicom import dcmread
from servers import free_port

pynetdicom = pytest.importorskip("pynetdicom")
from pynetdicom import AE  # noqa: E402
from pynetdicom.sop_class import ComputedRadiographyImageStorage, Verification  # noqa: E402

from pneumo_ad.dicom import node as nodes  # noqa: E402
from pneumo_ad.dicom.node import Node, Tls  # noqa: E402
from pneumo_ad.dicom.queue import InstanceQueue  # noqa: E402
from pneumo_ad.errors import ConfigError  # noqa: E402


@pytest.fixture
def queue(tmp_path):
    return InstanceQueue(tmp_path / "queue", 100)


@pytest.fixture
def node(queue):
    with Node(queue, "127.0.0.1", 0, "HERE") as one:
        yield one


def associated(node, title="HERE", own="PEER", **options):
    peer = AE(own)
    peer.acse_timeout = peer.dimse_timeout = peer.network_timeout = 20
    peer.add_requested_context(Verification)
    peer.add_requested_context(ComputedRadiographyImageStorage, "1.2.840.10008.1.2.1")
    return peer.associate("127.0.0.1", node.port, ae_title=title, **options)


def answers(node, **options):
    """Whether the node answers a C-ECHO."""
    one = associated(node, **options)
    if not one.is_established:
        return False
    status = one.send_c_echo()
    one.release()
    return status.get("Status") == 0


def store(node, *datasets):
    one = associated(node)
    assert one.is_established
    statuses = [one.send_c_store(dataset) for dataset in datasets]
    one.release()
    return statuses


def drawn(uid, seed=0):
    dataset = dicom_of(radiograph(seed), SOPInstanceUID=uid)
    dataset.file_meta.MediaStorageSOPInstanceUID = uid
    return dataset


def test_what_is_acknowledged_is_on_the_disk_as_it_was_sent(node, queue, tmp_path):
    files = write_studies(tmp_path / "studies", 3)
    assert answers(node)
    assert [one.Status for one in store(node, *map(dcmread, files))] == [0, 0, 0]
    for file, (uid, path, _) in zip(files, queue.take(9), strict=True):
        assert path.name == file.name == f"{uid}.dcm"
        assert dcmread(path) == dcmread(file)
        assert dcmread(path).file_meta.TransferSyntaxUID == dcmread(file).file_meta.TransferSyntaxUID


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_each_refusal_has_its_status_and_says_why(queue, tmp_path, monkeypatch, caplog):
    small = InstanceQueue(tmp_path / "small", 1)
    with Node(small, "127.0.0.1", 0, "HERE") as node:
        statuses = store(node, drawn("1.2.1"), drawn("1.2.1"), drawn("1.2.1", seed=1), drawn("1.2.2"), drawn("1.02.3"))
        assert [one.Status for one in statuses] == [0, 0, 0x0111, 0xA700, 0xC000]
        assert "came again" in statuses[2].ErrorComment
        assert "no UID" in statuses[4].ErrorComment
        assert "1 instances wait to be judged" in caplog.text
        small.judged("1.2.1", send=False)

        def full(_):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            (status,) = store(node, drawn("1.2.4"))
            assert status.Status == 0xA700
            assert "the disk is full" in caplog.text
        assert [one.Status for one in store(node, drawn("1.2.4"))] == [0]


def test_only_known_titles_are_let_in(queue, caplog):
    with Node(queue, "127.0.0.1", 0, "HERE", allow=["PEER", "OTHER"]) as node:
        assert answers(node)
        assert not answers(node, title="ELSEWHERE")
        assert not answers(node, own="STRANGER")
    lines = [record.getMessage() for record in caplog.records if "was rejected" in record.getMessage()]
    assert len(lines) == 2
    assert "which calls ELSEWHERE" in lines[0]
    assert "AE STRANGER" in lines[1]
    assert "expected HERE as called AE title, PEER, OTHER as calling" in lines[1]


def connected(node):
    return socket.create_connection(("127.0.0.1", node.port), timeout=20)


def ended(connection):
    """Whether the other side ends a connection."""
    try:
        while connection.recv(1024):
            pass
    except ConnectionError:
        pass
    return True


def test_a_peer_that_talks_something_else_is_ended(queue, monkeypatch):
    monkeypatch.setattr(nodes, "SILENCE", 1.0)
    with Node(queue, "127.0.0.1", 0, "HERE") as node:
        with connected(node) as one:
            one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert ended(one)
        assert answers(node)


def test_a_pdu_of_gigabytes_is_not_read(node, caplog):
    with connected(node) as one:
        one.sendall(struct.pack(">BBL", 1, 0, 2**32 - 1))
        assert ended(one)
    assert "a PDU of 4294967295 bytes" in caplog.text
    assert answers(node)


def test_an_instance_that_does_not_end_is_ended(node, queue, monkeypatch, caplog):
    monkeypatch.setattr(nodes, "MOST_BYTES", 50_000)
    one = associated(node)
    assert "Status" not in one.send_c_store(dicom_of(radiograph(0, 400, 400), SOPInstanceUID="1.2.0"))
    assert "expected at most" in caplog.text
    assert queue.waiting == 0
    assert answers(node)


def test_a_peer_that_says_nothing_is_given_up_and_a_crowd_does_not_shut_the_door(queue, monkeypatch):
    monkeypatch.setattr(nodes, "SILENCE", 1.0)
    with Node(queue, "127.0.0.1", 0, "HERE") as node, ExitStack() as stack:
        crowd = [stack.enter_context(connected(node)) for _ in range(40)]
        begun = stack.enter_context(connected(node))
        begun.sendall(struct.pack(">BBL", 1, 0, 200))  # a request that does not go on
        assert all(map(ended, [*crowd, begun]))
        assert answers(node)


def test_further_associations_are_refused_while_there_are_many(node):
    many = [associated(node) for _ in range(nodes.ASSOCIATIONS)]
    assert all(one.is_established for one in many)
    assert not answers(node)
    for one in many:
        one.release()
    deadline = time.monotonic() + 20
    while not answers(node):
        assert time.monotonic() < deadline


def test_a_port_that_is_taken_and_an_address_of_another_machine_are_refused_in_a_line(queue):
    with Node(queue, "127.0.0.1", 0, "HERE") as node, socket.create_server(("127.0.0.1", 0)) as other:
        assert node.port
        with pytest.raises(ConfigError, match=r"cannot be listened at .*expected an address of this machine"):
            Node(queue, "127.0.0.1", other.getsockname()[1], "HERE")
    with pytest.raises(ConfigError, match="cannot be listened at"):
        Node(queue, "192.0.2.1", free_port(), "HERE")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-keyout", folder / "key.pem", "-out", folder / "certificate.pem"]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def test_tls_lets_in_who_shows_a_certificate_and_a_silent_peer_holds_up_none(queue, certificate, tmp_path):
    tls = Tls(certificate / "certificate.pem", certificate / "key.pem", certificate / "certificate.pem")
    with Node(queue, "127.0.0.1", 0, "HERE", tls=tls) as node, connected(node):
        context = ssl.create_default_context(cafile=tls.certificate)
        context.check_hostname = False
        assert not answers(node, tls_args=(context, "localhost"))  # shows none
        assert not answers(node)  # talks no TLS
        context.load_cert_chain(tls.certificate, tls.key)
        assert answers(node, tls_args=(context, "localhost"))
    (tmp_path / "no.pem").write_text("secret words")
    for wrong in (tmp_path / "missing.pem", tmp_path / "no.pem"):
        with pytest.raises(ConfigError, match="expected a certificate, its key") as reason:
            Node(queue, "127.0.0.1", 0, "HERE", tls=Tls(tls.certificate, wrong))
        assert "secret" not in str(reason.value)


def test_memory_does_not_grow_with_what_was_received(node, queue):
    """A shorter form: 1,000 studies through all of `listen` took 1,211 MiB at the 100th and 1,249 MiB at the last."""
    page = os.sysconf("SC_PAGE_SIZE")

    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * page / 2**20

    one, sizes = associated(node), []
    for number in range(240):
        dataset = drawn(f"1.2.{number}")
        dataset.PixelData = bytes(2**20)
        dataset.Rows = dataset.Columns = 1024
        assert one.send_c_store(dataset).Status == 0
        for instance in queue.take(9):
            queue.judged(instance.uid, send=False)
        sizes += [resident()] if number % 80 == 79 else []
    one.release()
    assert sizes[-1] - sizes[0] < 40  # of 160 MiB that were received meanwhile
