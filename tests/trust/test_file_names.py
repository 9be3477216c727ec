"""Names that no terminal should see and that are no UTF-8, from the folder to every table of a run."""

import csv
import os
import warnings
from dataclasses import replace

import pytest
from drawn import radiograph, table_of
from PIL import Image
from running import start, story

from pneumo_ad.audit.duplicates import copies_across_splits, file_digests, warn_of_copies
from pneumo_ad.data.store import open_store

NAMES = [
    *(b"bad\xff.png", b"line\nerror: forged.png", b"esc\x1b[31m.png"),
    *(b"turned\xe2\x80\xaegnp.png", b"a$b$\\c.png", b"\xfe.png"),
]
SMALL = [
    "data=folder", "lungs=none", "image_size=64", "patch=16", "stride=16", "net.width=4", "trainer=cpu",
    "trainer.max_epochs=1", "per_epoch=64", "callbacks=minimal", "callbacks.progress=null",
    "logger=csv",
]  # fmt: skip


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """A folder of such names, in a folder of such a name."""
    root = tmp_path_factory.mktemp("names") / os.fsdecode(b"w\xfford")
    root.mkdir()
    for seed in range(24):
        raw = NAMES[seed] if seed < len(NAMES) else f"{seed:03d}.png".encode()
        path = os.path.join(os.fsencode(root), raw)  # noqa: PTH118
        with open(path, "wb") as file:  # noqa: PTH123
            Image.fromarray(radiograph(seed)).save(file, "PNG")
    return root


def test_a_run_on_such_names_is_trained_evaluated_and_used(named, cache, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(named.parent)
    (named.parent / "linked").unlink(missing_ok=True)
    (named.parent / "linked").symlink_to(named)
    run = tmp_path / "run"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert start("train", *SMALL, "data.root=linked", f"hydra.run.dir={run}", drawn=True) == 0
        assert start("evaluate", f"run={run}", "subset=all", f"output={tmp_path / 'all'}", drawn=True) == 0
        assert start("audit", "data=folder", "data.root=linked", "image_size=64", f"output={tmp_path / 'audit'}") == 0
        assert (
            start("predict", f"run={run}", f"input={named}", f"output={tmp_path / 'out'}", "false_alarm_rate=0.5") == 0
        )
        assert start("report", f"run={run}", f"output={tmp_path / 'report.html'}") == 0
    said = "".join(capsys.readouterr())
    for sign in ("\x1b[31m", "\u202e", "\udcff"):
        assert sign not in said
    assert not any(line.startswith("error: forged") for line in said.splitlines())
    tables = [*run.glob("*.csv"), *(tmp_path / "all").glob("*.csv"), *(tmp_path / "out").glob("*.csv")]
    assert {"split.csv", "images.csv", "patches.csv", "predictions.csv"} <= {file.name for file in tables}
    for file in tables:
        text = file.read_text(encoding="utf-8")
        assert not {"\x1b", "\u202e"} & set(text), file
        assert not any(line.startswith("error: forged") for line in text.splitlines()), file
    shown = {r"bad\udcff", r"line\nerror: forged", r"esc\x1b[31m", r"turned\u202egnp", r"a$b$\c", r"\udcfe"}
    for file, suffix in (
        (tmp_path / "all" / "images.csv", ""),
        (run / "split.csv", ""),
        (tmp_path / "out" / "predictions.csv", ".png"),
    ):
        with file.open(newline="", encoding="utf-8") as opened:
            names = {row.get("image", row.get("file")) for row in csv.DictReader(opened)}
        assert {name + suffix for name in shown} <= names, file


def test_a_root_of_such_a_name_works(named, cache, tmp_path):
    run = tmp_path / "run"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert start("train", *SMALL, f'data.root="{named}"', f"hydra.run.dir={run}", "evaluate=false") == 0
        assert start("evaluate", f"run={run}", "subset=all", f"output={tmp_path / 'all'}") == 0


def test_an_unreadable_file_of_such_a_name_is_skipped_in_words(cache, tmp_path, capfd):
    root = tmp_path / "set"
    root.mkdir()
    for seed in range(20):
        Image.fromarray(radiograph(seed)).save(root / f"{seed}.png")
    (root / "x\nerror: forged \x1b[31m\udcff.png").write_text("no picture")
    arguments = ["train", *SMALL, f"data.root={root}", f"hydra.run.dir={tmp_path / 'run'}", "evaluate=false"]
    assert start(*arguments) == 2
    said = "".join(capfd.readouterr())
    assert "\x1b[31m" not in said
    assert not any(line.startswith("error: forged") for line in said.splitlines())
    assert r"x\nerror: forged \x1b[31m\udcff.png: cannot be decoded" in said
    assert not (tmp_path / "run").exists()
    assert start(*arguments, "datamodule.on_error=skip", f"hydra.run.dir={tmp_path / 'run 2'}") == 0


def test_exact_copies_in_different_splits_are_named(cache, tmp_path):
    same, other, third = (radiograph(seed) for seed in range(3))
    drawn = {"a": same, "b": same, "c": other, "d": other, "e": third, "f": third, "g": third}
    for name, values in drawn.items():
        Image.fromarray(values).save(tmp_path / f"{name}.png")
    flipped = bytearray((tmp_path / "a.png").read_bytes())
    flipped[-1] ^= 1  # a byte of the last checksum, which no reader looks at
    (tmp_path / "h.png").write_bytes(flipped)
    table = table_of(
        [tmp_path / f"{name}.png" for name in "abcdefgh"],
        split=["train", "test", "train", "train", "val", "train", "undealt", "val"],
    )
    store = open_store(table, (16, 16))
    assert copies_across_splits(file_digests(store), table["split"].tolist()) == [[0, 1], [4, 5]]
    with pytest.warns(
        UserWarning, match=r"2 files lie in more than one split as exact copies, for example a \(train\), b"
    ):
        assert warn_of_copies(store) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert warn_of_copies(replace(store, table=store.table.assign(split="train"))) == 0


def test_training_names_them(cache, tmp_path):
    root = tmp_path / "set"
    root.mkdir()
    for seed in range(12):
        for copy in range(2):
            Image.fromarray(radiograph(seed)).save(root / f"{seed} {copy}.png")
    with pytest.warns(UserWarning, match="lie in more than one split as exact copies"):
        assert start("train", *SMALL, f"data.root={root}", f"hydra.run.dir={tmp_path / 'run'}", "evaluate=false") == 0
    assert story(tmp_path / "run")["copies_across_splits"] > 0
