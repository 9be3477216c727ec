"""Projects of the user's own: written, extended and updated, and never at the cost of an edit."""

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from running import start

import pneumo_ad
from pneumo_ad import __version__
from pneumo_ad.errors import ConfigError, DamagedError
from pneumo_ad.scaffold import Change, add_part, create_project, project, update_project
from pneumo_ad.scaffold.names import LONGEST, check_name, class_name
from pneumo_ad.scaffold.parts import GROUPS
from pneumo_ad.scaffold.record import FILE, read_record
from pneumo_ad.scaffold.render import KINDS

NET = "mine/nets/shallow.py"


def run(*command, folder, status=0, **environment):
    done = subprocess.run(
        [sys.executable, "-m", *map(str, command)],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == status, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def contents(folder):
    return {str(file.relative_to(folder)): file.read_text() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture
def mine(tmp_path):
    create_project(tmp_path / "mine", "radiographs")
    return tmp_path / "mine"


@pytest.fixture(scope="module", params=KINDS)
def full(request, tmp_path_factory):
    """A project of each kind, with a further part of each, of the longest names."""
    folder = tmp_path_factory.mktemp("full") / "p"
    create_project(folder, request.param, "p" * LONGEST)
    for part in GROUPS:
        add_part(folder, part, "q" * LONGEST)
    return folder


# Written


def test_ruff_finds_nothing_in_a_project(full):
    run("ruff", "check", "--no-cache", ".", folder=full)
    run("ruff", "format", "--no-cache", "--check", ".", folder=full)


def test_mypy_finds_nothing_in_a_project(full):
    # mypy does not find an editable installation; skip: not all of torch each time
    here = str(Path(pneumo_ad.__file__).parents[1])
    run("mypy", "--follow-imports=skip", "--cache-dir", os.devnull, folder=full, MYPYPATH=here)


def test_the_tests_of_a_project_pass(full, tmp_path):
    """Its own net trains on its own folder, without an installation and without a search path."""
    options = ["-q", "-p", "no:cacheprovider", "-k", "not study_first"]  # the added study trains as that does
    said = run("pytest", *options, folder=full, PYTHONPYCACHEPREFIX=str(tmp_path))
    assert "passed" in said
    assert "skipped" not in said


def test_every_file_ends_with_a_line_and_holds_no_trace_of_a_template(full):
    for path, text in contents(full).items():
        if path != FILE:
            assert text == "" or text.endswith("\n"), path
            assert not any(word in path + text for word in ("{{", "{%", "PACKAGE", "dot_", ".jinja")), path


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_writes_what_the_record_holds(kind, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert start("new", "my-net", f"kind={kind}") == 0
    assert "cd my-net" in capfd.readouterr().out
    record = read_record(tmp_path / "my-net")
    assert (record.package, record.kind, record.version) == ("my_net", kind, __version__)
    written = contents(tmp_path / "my-net")
    written.pop(FILE)
    assert written == record.files
    assert {".github/workflows/test.yml", ".gitlab-ci.yml", ".pre-commit-config.yaml", "README.md"} <= {*written}
    json.loads(written["notebooks/look.ipynb"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["."], "is the working folder"),
        ([], "expected one folder"),
        (["a", "b"], "got a b"),
        (["full"], "full is no empty folder"),
        (["full/file"], "full/file is no empty folder"),
        (["2nd"], "2nd, whose name the package takes, must be a name that Python can import.*for example nd$"),
        (["x", "name=my-net"], "name=my-net must be a name that Python can import.*for example my_net$"),
        (["x", "name=class"], "name=class must be.*for example class_1$"),
        (["x", "name=Größe"], "name=Größe must be"),
        (["x", f"name={'x' * (LONGEST + 1)}"], f"at most {LONGEST}"),
        (["x", "name=torch"], "name=torch is taken: Python would import .*torch"),
        (["pneumo_ad"], "pneumo_ad, whose name the package takes, is taken"),
        (["x", "name=json"], "name=json is taken, by Python"),
        (["x", "name=tests"], "name=tests is taken"),
        (["x", "kind=films"], "kind=films is not known; expected radiographs or images"),
        (["--update"], f"holds no {FILE}"),
        (["full", "--update"], f"full holds no {FILE}"),
    ],
)
def test_what_cannot_be_written_is_named_and_nothing_is(words, said, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    before = contents(tmp_path)
    assert start("new", *(words or ["kind=images"])) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert re.search(said, line)
    assert contents(tmp_path) == before
    assert {entry.name for entry in tmp_path.iterdir()} == {"full"}


def test_an_empty_folder_is_taken_and_a_failure_leaves_none(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    create_project(tmp_path / "empty", "images")
    assert (tmp_path / "empty" / "pyproject.toml").is_file()
    writes = []

    def write(path, text):
        writes.append(path)
        if len(writes) == 5:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(project, "write_text", write)
    with pytest.raises(OSError, match="No space"):
        create_project(tmp_path / "other", "images")
    assert [entry.name for entry in tmp_path.iterdir()] == ["empty"]


# Added


@pytest.mark.parametrize("part", GROUPS)
def test_a_part_is_added_from_any_folder_of_the_project_and_changes_no_file(part, mine, monkeypatch, capfd):
    monkeypatch.chdir(mine / "tests")
    before = contents(mine)
    assert start("add", part, "wide_net") == 0
    after = contents(mine)
    assert {path: after[path] for path in before} == before
    new = {path for path in after if path not in before}
    assert f"mine/conf/{GROUPS[part]}/wide_net.yaml" in new
    assert f"tests/test_{part}_wide_net.py" in new
    assert part in ("source", "study", "vocabulary") or "WideNet" in "".join(after[path] for path in new)
    assert f"{GROUPS[part]}=wide_net" in capfd.readouterr().out


@pytest.mark.parametrize("part", GROUPS)
def test_the_command_that_is_named_next_works_though_nothing_is_installed(part, mine, monkeypatch, capfd, tmp_path):
    monkeypatch.setenv("PNEUMO_AD_CONFIG", str(tmp_path / "config"))
    assert start("add", part, "wide_net", f"project={mine}") == 0
    (then,) = re.findall("^then: (.*)$", capfd.readouterr().out, flags=re.MULTILINE)
    path, program, *words = shlex.split(then)
    name, _, place = path.partition("=")
    assert (name, program) == ("PYTHONPATH", "pneumo-ad")
    monkeypatch.setattr(sys, "path", [place.partition("$")[0], *sys.path])
    assert start(*(word.replace("DIR", str(tmp_path)) for word in words), "--cfg", "job") == 0
    asked = {"drawing": "WideNet", "net": "WideNet", "loss": "WideNet", "score": "WideNet", "source": "wide_net"}
    assert asked.get(part, "name: ") in capfd.readouterr().out


def test_what_was_named_next_need_not_be_trusted_twice(mine, monkeypatch, capfd, tmp_path):
    monkeypatch.setenv("PNEUMO_AD_CONFIG", str(tmp_path / "config"))
    monkeypatch.syspath_prepend(str(mine))
    for said in ("trusted from now on: mine\n", ""):
        assert start("store", "trust=mine") == 0
        assert capfd.readouterr().out.count("trusted from now on") == (said != "")
    assert start("add", "net", "wide", f"project={mine}") == 0
    assert "then: pneumo-ad train net=wide\n" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("part", "name", "said"),
    [
        ("nte", "x", "did you mean net?"),
        ("net", "unet", "there is net=unet already"),
        ("net", "shallow", "there is net=shallow already"),
        ("source", "folder", "there is data=folder already"),
        ("net", "import", "for example import_1"),
        ("net", "../x", "must be a name"),
        ("net", "taken", "mine/nets/taken.py is there already"),
    ],
)
def test_a_part_that_cannot_be_added_is_named_and_nothing_is_written(part, name, said, mine, monkeypatch, capfd):
    monkeypatch.chdir(mine)
    (mine / "mine" / "nets" / "taken.py").touch()
    before = contents(mine)
    assert start("add", part, name) == 2
    assert said in capfd.readouterr().err
    assert contents(mine) == before


def test_a_study_takes_the_parts_that_are_there(mine):
    for group in ("net", "score"):
        for file in (mine / "mine" / "conf" / group).glob("*.yaml"):
            file.unlink()
    add_part(mine, "net", "wide")
    add_part(mine, "study", "second")
    text = (mine / "mine" / "conf" / "experiment" / "second.yaml").read_text()
    assert "override /net: wide" in text
    assert "override /data: site" in text
    assert "/score" not in text


def test_outside_of_a_project_nothing_is_added(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert start("add", "net", "x") == 2
    assert "pneumo-ad new DIR" in capfd.readouterr().err
    assert start("add", "net", "x", f"project={tmp_path}") == 2
    assert list(tmp_path.iterdir()) == []


def test_names_become_classes():
    assert class_name("wide_net2") == "WideNet2"
    for name in ("a", "a1", "wide_net"):
        check_name(name, name)
    for name in ("", "A", "a_", "_a", "1a", "a-b", "a b", "a\n", "lambda"):
        with pytest.raises(ConfigError):
            check_name(name, name)


# Updated


def earlier(folder, **changes):
    """Let a project be written from earlier templates: path -> function from the present text to the earlier one."""
    record = read_record(folder)
    files = dict(record.files)
    for path, change in changes.items():
        files[path] = change(files.get(path, ""))
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(files[path])
    replace(record, version="0.1.0", files=files).write(folder)


def edit(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def older(text):
    return text.replace("code: int = 4", "code: int = 2")


def test_nothing_changes_where_the_templates_are_the_same(mine):
    edit(mine / NET, "width: int = 16", "width: int = 24")
    before = contents(mine)
    assert update_project(mine) == []
    assert contents(mine) == before


def test_files_without_an_edit_become_what_a_new_project_has(mine):
    fresh = contents(mine)
    earlier(mine, **{NET: older, "README.md": lambda text: "# short\n"})
    assert {*update_project(mine)} == {Change("updated", NET), Change("updated", "README.md")}
    assert contents(mine) == fresh


def test_an_edit_elsewhere_in_the_file_stays(mine):
    earlier(mine, **{NET: older})
    edit(mine / NET, "            nn.Sigmoid(),\n", "            nn.Sigmoid(),  # mine\n")
    edit(mine / "README.md", "# mine", "# My own words")
    before = (mine / "README.md").read_text()
    (mine / NET).chmod(0o755)
    assert update_project(mine) == [Change("merged", NET)]
    text = (mine / NET).read_text()
    assert "code: int = 4" in text
    assert "nn.Sigmoid(),  # mine" in text
    assert (mine / NET).stat().st_mode & 0o777 == 0o755
    assert (mine / "README.md").read_text() == before
    assert update_project(mine) == []


def test_an_edit_of_what_the_templates_changed_is_marked_and_both_are_there(mine, monkeypatch, capfd):
    earlier(mine, **{NET: older})
    edit(mine / NET, "code: int = 2", "code: int = 7")
    monkeypatch.chdir(mine)
    assert start("new", "--update") == 1
    said = capfd.readouterr().out
    assert f"conflict  {NET}" in said
    assert "1 with conflicts to resolve" in said
    text = (mine / NET).read_text()
    yours, _, theirs = text[text.index("<<<<<<< yours") :].partition("=======")
    assert "code: int = 7" in yours
    assert "code: int = 4" in theirs.partition(f">>>>>>> pneumo_ad {__version__}")[0]
    assert read_record(mine).files[NET].count("code: int = 4")


def test_marks_of_a_conflict_are_not_merged_again(mine):
    earlier(mine, **{NET: older})
    edit(mine / NET, "code: int = 2", "code: int = 7")
    update_project(mine)
    earlier_record = replace(read_record(mine), files=read_record(mine).files | {NET: "another\n"})
    earlier_record.write(mine)
    before = contents(mine)
    with pytest.raises(ConfigError, match="resolve it first"):
        update_project(mine)
    assert contents(mine) == before


def test_files_that_come_and_go(mine):
    fresh = contents(mine)
    record = read_record(mine)
    files = record.files | {"old.txt": "old\n", "edited.txt": "old\n", "gone.txt": "old\n"}
    del files["README.md"], files[".gitlab-ci.yml"]
    replace(record, files=files).write(mine)
    (mine / "old.txt").write_text("old\n")
    (mine / "edited.txt").write_text("mine\n")
    (mine / ".gitlab-ci.yml").unlink()
    (mine / "README.md").write_text("# All my own words\n")
    states = {change.path: change.state for change in update_project(mine)}
    assert states == {
        "old.txt": "deleted", "edited.txt": "kept", "gone.txt": "kept", ".gitlab-ci.yml": "new", "README.md": "conflict"
    }  # fmt: skip
    assert not (mine / "old.txt").exists()
    assert (mine / "edited.txt").read_text() == "mine\n"
    assert (mine / ".gitlab-ci.yml").read_text() == fresh[".gitlab-ci.yml"]
    assert "# All my own words" in (mine / "README.md").read_text()


def test_a_file_that_was_deleted_stays_deleted(mine):
    earlier(mine, **{NET: older})
    (mine / NET).unlink()
    assert update_project(mine) == [Change("kept", NET)]
    assert not (mine / NET).exists()


@pytest.mark.parametrize("lines", [[0], [-1], [3, 17], range(0, 40, 7)])
def test_no_line_that_was_added_is_lost(lines, mine):
    earlier(mine, **{NET: older})
    text = (mine / NET).read_text().splitlines(keepends=True)
    for number, line in enumerate(lines):
        text.insert(line, f"# mine {number}\n")
    (mine / NET).write_bytes("".join(text).encode() + b"# \xff no UTF-8\n")
    update_project(mine)
    after = (mine / NET).read_bytes()
    assert all(f"# mine {number}\n".encode() in after for number in range(len(lines)))
    assert b"# \xff no UTF-8\n" in after
    assert b"code: int = 4" in after


def test_an_update_that_was_killed_is_finished_by_the_next(mine, tmp_path, monkeypatch):
    earlier(mine, **{NET: older})
    edit(mine / NET, "            nn.Sigmoid(),\n", "            nn.Sigmoid(),  # mine\n")
    with monkeypatch.context() as patch:
        patch.setattr("pneumo_ad.scaffold.record.Record.write", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            update_project(mine)
    text = (mine / NET).read_text()
    update_project(mine)
    assert (mine / NET).read_text() == text
    assert "<<<" not in text
    assert read_record(mine).version == __version__


def test_a_later_version_a_damaged_record_and_a_missing_git_are_named(mine, monkeypatch):
    record = read_record(mine)
    replace(record, version="999.0").write(mine)
    with pytest.raises(ConfigError, match=r"written by pneumo_ad 999\.0, which is later"):
        update_project(mine)
    for path in ("../out", "/out"):
        replace(record, files={path: "x"}).write(mine)
        with pytest.raises(DamagedError, match="no file of the project"):
            update_project(mine)
    (mine / FILE).write_text('{"version": "0.1.0"')
    with pytest.raises(DamagedError, match=FILE):
        update_project(mine)
    record.write(mine)
    earlier(mine, **{NET: older})
    edit(mine / NET, "nn.Sigmoid(),", "nn.Sigmoid(),  # mine")
    monkeypatch.setattr("shutil.which", lambda name: None)
    before = contents(mine)
    with pytest.raises(ConfigError, match="needs git"):
        update_project(mine)
    assert contents(mine) == before
    assert not Path(mine, "out").exists()
