"""The queue on disk: in order, once, bounded, for its owner alone, and there again after a restart."""

import errno
import os
import stat

import pytest

from pneumo_ad.dicom.queue import InstanceQueue, OtherContentError, QueueFullError


def uids(instances):
    return [one.uid for one in instances]


def test_instances_wait_in_order_and_leave_by_one_way_or_the_other(tmp_path):
    queue = InstanceQueue(tmp_path / "queue", 10)
    for uid in ("1.3", "1.1", "1.2"):
        assert queue.put(uid, [b"one", uid.encode()])
    assert uids(queue.take(2)) == ["1.3", "1.1"]
    assert [one.path.read_bytes() for one in queue.take(9)] == [b"one1.3", b"one1.1", b"one1.2"]
    queue.judged("1.3", send=False)
    queue.judged("1.1", send=True)
    assert (queue.waiting, queue.unsent, len(queue)) == (1, 1, 2)
    assert uids(queue.take_judged()) == ["1.1"]
    queue.sent("1.1")
    assert sorted(file.name for file in tmp_path.rglob("*.dcm")) == ["1.2.dcm"]


def test_files_and_folders_are_for_their_owner_alone_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        InstanceQueue(tmp_path / "queue", 10).put("1.1", [b"x"])
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert modes == {"queue": 0o700, "waiting": 0o700, "sending": 0o700, "1.1.dcm": 0o600}


def test_a_restart_finds_what_was_there_and_deletes_what_was_half_written(tmp_path):
    queue = InstanceQueue(tmp_path, 10)
    for uid in ("1.2", "1.1"):
        queue.put(uid, [uid.encode()])
    queue.judged("1.2", send=True)
    (tmp_path / "waiting" / "1.9.dcm.0123abcd.partial").write_bytes(b"half")
    (tmp_path / "waiting" / "notes.dcm").touch()
    again = InstanceQueue(tmp_path, 10)
    assert uids(again.take(9)) == ["1.1"]
    assert uids(again.take_judged()) == ["1.2"]
    assert again.take(9) == queue.take(9)  # stamps too
    assert not list(tmp_path.rglob("*.partial"))


def test_an_instance_comes_once_and_other_content_under_its_id_is_refused(tmp_path):
    judged = {}
    queue = InstanceQueue(tmp_path, 10, known=judged.get)
    assert queue.put("1.1", [b"content"])
    assert not queue.put("1.1", [b"con", b"tent"])
    for uid, move in (("1.1", lambda: None), ("1.1", lambda: queue.judged("1.1", send=True))):
        move()
        assert not queue.put(uid, [b"content"])
        with pytest.raises(OtherContentError, match=r"1\.1 came again with other content"):
            queue.put(uid, [b"contenu"])
    (one,) = queue.take_judged()
    judged["1.1"] = one.stamp
    queue.sent("1.1")
    assert not queue.put("1.1", [b"content"])
    with pytest.raises(OtherContentError):
        queue.put("1.1", [b"contenu"])
    assert len(queue) == 0


def test_a_full_queue_refuses_until_there_is_room(tmp_path):
    queue = InstanceQueue(tmp_path, 2)
    queue.put("1.1", [b""])
    queue.put("1.2", [b""])
    queue.judged("1.1", send=True)  # waits to be sent, and takes room
    with pytest.raises(QueueFullError, match="1 instances wait to be judged and 1 to be sent, and the queue takes 2"):
        queue.put("1.3", [b""])
    assert not queue.put("1.2", [b""])  # a repeat takes none
    queue.sent("1.1")
    assert queue.put("1.3", [b""])


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    queue = InstanceQueue(tmp_path, 2)

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            queue.put("1.1", [b"x"])
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert queue.put("1.1", [b"x"])
