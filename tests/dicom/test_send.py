"""Sending to a node: each file is stored or named with the reason, and a peer that is gone is told apart."""

import pytest
from dicoms import write_studies
from pydicom import dcmread
from servers import free_port

pynetdicom = pytest.importorskip("pynetdicom")
from pydicom.uid import JPEG2000Lossless  # noqa: E402
from pynetdicom import evt  # noqa: E402

from pneumo_ad.dicom.failures import UnreachableError  # noqa: E402
from pneumo_ad.dicom.node import Node  # noqa: E402
from pneumo_ad.dicom.queue import InstanceQueue  # noqa: E402
from pneumo_ad.dicom.send import Peer  # noqa: E402


@pytest.fixture
def queue(tmp_path):
    return InstanceQueue(tmp_path / "queue", 100)


def test_files_arrive_as_they_are_and_a_refused_one_is_named(tmp_path, queue):
    files = write_studies(tmp_path / "studies", 3)
    (tmp_path / "words.dcm").write_text("no DICOM")
    other = dcmread(files[0])
    other.PixelData = bytes(len(other.PixelData))
    other.save_as(tmp_path / "other.dcm")
    with Node(queue, "127.0.0.1", 0, "PACS") as node:
        peer = Peer("PACS", "127.0.0.1", node.port, "HERE")
        refusals = dict(peer.send([tmp_path / "words.dcm", *files, tmp_path / "other.dcm"]))
        assert list(peer.send([])) == []
    assert [refusals[file] for file in files] == [""] * 3
    assert "words.dcm cannot be sent: it is no whole DICOM file" in refusals[tmp_path / "words.dcm"]
    assert refusals[tmp_path / "other.dcm"] == f"PACS@127.0.0.1:{node.port} refused other.dcm (status 0x0111)"
    for file, (_, path, _) in zip(files, queue.take(9), strict=True):
        assert dcmread(path) == dcmread(file)


@pytest.mark.parametrize(
    ("status", "said"), [(0x0000, ""), (0xB000, ""), (0xA900, "(status 0xa900)"), (0xC123, "(status 0xc123)")]
)
def test_what_a_status_means(tmp_path, status, said):
    (file,) = write_studies(tmp_path, 1)
    node = pynetdicom.AE("PACS")
    node.add_supported_context(dcmread(file).SOPClassUID)
    server = node.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, lambda _: status)])
    try:
        ((_, refusal),) = Peer("PACS", "127.0.0.1", server.server_address[1], "HERE").send([file])
        assert refusal.endswith(said)
        assert bool(refusal) == bool(said)
    finally:
        node.shutdown()


def test_an_object_that_a_peer_does_not_take_is_named_and_the_others_are_stored(tmp_path):
    files = write_studies(tmp_path, 2)
    strange = dcmread(files[1])
    strange.file_meta.TransferSyntaxUID = JPEG2000Lossless
    strange.PixelData = b"\xfe\xff\x00\xe0\x00\x00\x00\x00\xfe\xff\xdd\xe0\x00\x00\x00\x00"
    strange.save_as(files[1])
    node, came = pynetdicom.AE("PACS"), []
    node.add_supported_context(strange.SOPClassUID)
    handlers = [(evt.EVT_C_STORE, lambda event: came.append(event.request.AffectedSOPInstanceUID) or 0)]
    server = node.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        refusals = dict(Peer("PACS", "127.0.0.1", server.server_address[1], "HERE").send(files))
    finally:
        node.shutdown()
    assert refusals[files[0]] == ""
    assert "it takes no such object, or not in this transfer syntax" in refusals[files[1]]
    assert came == [files[0].stem]


def test_a_peer_that_is_gone_busy_or_strict_is_told_apart(tmp_path, queue):
    files = write_studies(tmp_path / "studies", 2)
    with pytest.raises(UnreachableError, match="is not there, or is no DICOM node"):
        list(Peer("PACS", "127.0.0.1", free_port(), "HERE").send(files))
    small = InstanceQueue(tmp_path / "small", 1)
    with Node(small, "127.0.0.1", 0, "PACS", allow=["HERE"]) as node:
        sent = Peer("PACS", "127.0.0.1", node.port, "HERE").send(files)
        assert next(sent) == (files[0], "")
        with pytest.raises(UnreachableError, match=r"out of resources \(status 0xa700\)"):
            next(sent)
        for title, own, words in (("ELSE", "HERE", "called AE title"), ("PACS", "ELSE", "calling AE title")):
            with pytest.raises(UnreachableError, match=f"rejects {own}: {words.lower()} not recognised"):
                list(Peer(title, "127.0.0.1", node.port, own).send(files))
