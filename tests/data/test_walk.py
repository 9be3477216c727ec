"""What lies below a folder: every file once, whatever links lead to it."""

import os
import socket
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumo_ad.data.walk import HIDDEN, walk


def plant(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def states(entries):
    return {entry.name: entry.state for entry in entries}


def reasons(entries):
    return {entry.name: entry.reason for entry in entries if entry.reason}


def test_what_is_there_is_found_once_and_named_below_the_folder(tmp_path):
    names = ["a.png", "b/c.png", "b/d/e.png", "Лёгкие 肺.png"]
    entries = walk(plant(tmp_path, *names))
    assert states(entries) == dict.fromkeys(names, "file")
    assert all(entry.path == tmp_path / entry.name for entry in entries)
    assert states(walk(tmp_path, recursive=False)) == {"a.png": "file", "Лёгкие 肺.png": "file"}
    assert states(walk(tmp_path, leave_out=tmp_path / "b")) == {"a.png": "file", "Лёгкие 肺.png": "file"}


@pytest.mark.parametrize(
    "name", [".ipynb_checkpoints", ".Trash", "__macosx", "$RECYCLE.BIN", "@eaDir", *sorted(HIDDEN)]
)
def test_hidden_folders_are_entered_by_nobody_but_told(tmp_path, name):
    plant(tmp_path, "a.png", f"sub/{name}/a.png", f"sub/{name}/deep/b.png", "._a.png")
    (tmp_path / "sub" / name / "up").symlink_to(tmp_path)
    hidden = ["._a.png", *(f"sub/{name}/{file}" for file in ("a.png", "deep/b.png", "up"))]
    assert states(walk(tmp_path)) == {"a.png": "file"} | dict.fromkeys(hidden, "hidden")


def test_a_folder_that_was_named_is_read_though_it_is_hidden(tmp_path):
    plant(tmp_path / ".cache" / "set", "a.png")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "there").symlink_to(tmp_path / ".cache" / "set")
    assert states(walk(tmp_path / ".cache" / "set")) == {"a.png": "file"}
    assert states(walk(tmp_path / "linked")) == {"there/a.png": "file"}


def test_links_are_followed_once_and_what_is_there_comes_first(tmp_path):
    plant(tmp_path / "elsewhere", "x.png", "in/y.png")
    top = plant(tmp_path / "top", "z/a.png", "m.png")
    (top / "a link").symlink_to("z")  # sorts before what it leads to
    (top / "b.png").symlink_to("m.png")
    for name in ("first", "second"):
        (top / name).symlink_to(tmp_path / "elsewhere")
    (top / "z" / "x.png").symlink_to(tmp_path / "elsewhere" / "x.png")
    found = walk(top)
    assert states(found) == {
        "m.png": "file", "z/a.png": "file", "first/x.png": "file", "first/in/y.png": "file", "z/x.png": "again",
        "a link": "again", "b.png": "again", "second": "again",
    }  # fmt: skip
    said = reasons(found)
    assert said["a link"] == "the same folder as z"
    assert said["b.png"] == "the same file as m.png"
    assert said["second"] == "the same folder as first"
    assert len({entry.path.resolve() for entry in found if entry.state == "file"}) == 4


def test_loops_end_and_are_told(tmp_path):
    top = plant(tmp_path / "top", "sub/a.png")
    (top / "sub" / "up").symlink_to("..")
    (top / "sub" / "here").symlink_to(".")
    (top / "above").symlink_to(tmp_path)
    (top / "one").symlink_to("two")
    (top / "two").symlink_to("one")
    for name, other in (("x", "y"), ("y", "x")):  # two folders beside that lead to each other
        plant(tmp_path / name, f"{name}.png")
        (tmp_path / name / "on").symlink_to(tmp_path / other)
    (top / "out").symlink_to(tmp_path / "x")
    found = walk(top)
    assert states(found) == {
        "sub/a.png": "file", "sub/up": "loop", "sub/here": "loop", "above": "loop", "one": "broken", "two": "broken",
        "out/x.png": "file", "out/on/y.png": "file", "out/on/on": "again",
    }  # fmt: skip
    assert "leads nowhere" in reasons(found)["one"]


def test_a_file_of_two_names_is_told_and_one_of_another_disk_is_not_mistaken(tmp_path, monkeypatch):
    plant(tmp_path, "a.png", "b.png", "sub/c.png")
    os.link(tmp_path / "a.png", tmp_path / "sub" / "copy.png")
    found = walk(tmp_path)
    assert states(found)["sub/copy.png"] == "again"
    assert reasons(found)["sub/copy.png"] == "the same file as a.png"
    seen = {}
    walk(tmp_path / "sub", seen=seen)
    assert states(walk(tmp_path, recursive=False, seen=seen)) == {"a.png": "again", "b.png": "file"}
    real = os.stat

    def numberless(path, *arguments, **more):  # a disk that gives every file the number 0
        status = list(real(path, *arguments, **more))
        status[1] = 0
        return os.stat_result(status)

    monkeypatch.setattr("pneumo_ad.data.walk.os.stat", numberless)
    assert {state for name, state in states(walk(tmp_path)).items()} == {"file"}


def test_what_is_no_regular_file_is_never_opened(tmp_path):
    plant(tmp_path, "a.png")
    os.mkfifo(tmp_path / "fifo.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "to fifo.png").symlink_to("fifo.png")
    (tmp_path / "gone.png").symlink_to("nowhere.png")
    with socket.socket(socket.AF_UNIX) as one:
        here = Path.cwd()
        os.chdir(tmp_path)  # the path of a socket must be short
        try:
            one.bind("socket.png")
        finally:
            os.chdir(here)
        found = states(walk(tmp_path))
    special = dict.fromkeys(["fifo.png", "zero.png", "to fifo.png", "socket.png"], "special")
    assert found == {"a.png": "file", "gone.png": "broken"} | special


def test_a_folder_that_cannot_be_listed_is_told(tmp_path, monkeypatch):
    plant(tmp_path, "a.png", "shut/b.png", "open/c.png")
    real = os.scandir

    def scandir(folder):
        if str(folder).endswith("shut"):
            raise PermissionError(13, "Permission denied", str(folder))
        return real(folder)

    monkeypatch.setattr("pneumo_ad.data.walk.os.scandir", scandir)
    found = walk(tmp_path)
    assert states(found) == {"a.png": "file", "open/c.png": "file", "shut": "unlisted"}
    assert reasons(found)["shut"] == "cannot be listed (Permission denied)"


def test_names_are_text_and_lead_back_to_their_file(tmp_path):
    raw = [
        b"line\nfeed.png",
        b"line\\nfeed.png",
        b"line\\\\nfeed.png",
        b"bad\xff.png",
        b"bad\\udcff.png",
        b"\x1b[31m.png",
    ]
    for number, name in enumerate(raw):
        with open(os.path.join(os.fsencode(tmp_path), name), "w") as file:  # noqa: PTH118, PTH123
            file.write(str(number))
    found = walk(tmp_path)
    assert len({entry.name for entry in found}) == len(raw)
    assert {entry.path.read_text() for entry in found} == set("012345")
    assert all(entry.name.isprintable() for entry in found)
    assert "\\x1b[31m.png" in states(found)


@given(
    st.lists(
        st.text("ab\\\n\x1b\udcff n", min_size=1, max_size=5).filter(lambda name: name not in (".", "..")), unique=True
    )
)
def test_names_never_clash(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("names")
    for name in names:
        (folder / name).touch()
    assert len({entry.name for entry in walk(folder)}) == len(names)


def test_the_walk_warns_of_nothing(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        walk(plant(tmp_path, ".hidden/a.png"))
