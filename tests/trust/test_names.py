"""Names that a table reader takes for missing values, truths or numbers are names in every command."""

import ast
import csv
import json
import re
from pathlib import Path

import pandas as pd
import pytest
from drawn import write_set
from running import TINY, start

import pneumo_ad

# Eight normal and eight sick ones in test; a reader that guesses makes 007 and 7 one, and others none at all.
NAMES = [
    "NA",
    "nan",
    "null",
    "None",
    "1e5",
    "007",
    "1.0",
    "True",
    "-nan",
    "NaN",
    "7",
    "<NA>",
    "0x10",
    "inf",
    "00",
    "-1",
]
DATA = [one for one in TINY if not one.startswith("data.")]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Trained, evaluated and reported on radiographs of such names, each of a patient of such a name."""
    place = tmp_path_factory.mktemp("names")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("PNEUMO_AD_CACHE", str(place / "cache"))
        root = write_set(place / "set", normal=20, pneumonia=12)
        with (root / "index.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        sick = [row["image"] for row in rows if row["label"] == "pneumonia"]
        called = dict(zip([*(row["image"] for row in rows[:8]), *sick[:8]], NAMES, strict=True))
        for file in root.rglob("*.png"):
            file.rename(file.with_name(called.get(file.stem, file.stem) + ".png"))
        table = pd.DataFrame(rows).assign(split=["test" if row["image"] in called else "train" for row in rows])
        held = [row["image"] for row in rows[8:12]] + sick[8:10]
        table.loc[table["image"].isin(held), "split"] = "val"
        table["image"] = table["image"].map(lambda name: called.get(name, name))
        table.assign(patient=table["image"]).to_csv(root / "index.csv", index=False)
        options = [*DATA[:-1], "data=masks", f"data.root={root}", f"hydra.run.dir={place / 'sweep' / 'run'}"]
        assert start("train", *options) == 0
    return place / "sweep" / "run"


@pytest.fixture
def beside(run, monkeypatch):
    monkeypatch.chdir(run.parent.parent)
    monkeypatch.setenv("PNEUMO_AD_CACHE", str(run.parent.parent / "cache"))
    return run


WANTED = set(NAMES)


def column(file, name="image"):
    with Path(file).open(newline="") as opened:
        return [row[name] for row in csv.DictReader(opened)]


def test_the_csvs_of_an_evaluation_hold_the_names(run):
    for name in ("image", "patient"):
        assert set(column(run / "images.csv", name)) == WANTED
        assert set(column(run / "split.csv", name)) > WANTED
    assert set(column(run / "patches.csv")) == set(column(run / "maps" / "images.csv")) == WANTED
    assert json.loads((run / "metrics.json").read_text())["counts/patients"] == 16


def test_evaluate_leaves_out_patients_that_training_saw_and_none_besides(beside):
    index = pd.read_csv("set/index.csv", dtype=str, keep_default_na=False)
    seen = index[index["split"] != "test"]["image"].tolist()
    index["patient"] = index["patient"].replace(seen[0], "07")  # 007 and 7 are others
    index.to_csv("others.csv", index=False)
    assert (
        start("evaluate", f"run={beside}", "data=masks", "data.root=set", "data.index=others.csv", "output=other") == 0
    )
    assert set(column("other/images.csv")) == WANTED | {seen[0]}


def test_report_and_figures_show_them(beside):
    assert start("report", f"run={beside}", "images=16") == 0
    page = re.search(r'id="content">(.*?)</script>', (beside / "report.html").read_text(), re.S)
    assert page is not None
    assert {one["name"] for one in json.loads(page[1])["radiographs"]} == WANTED
    assert start("figures", f"run={beside}", "output=paper", drawn=True) == 0
    assert set(column("paper/fig10_red_frames.csv")) <= WANTED


def test_compare_draws_them(beside):
    assert start("compare", str(beside.parent), drawn=True) == 0
    assert json.loads((beside / "metrics.json").read_text())["image/auroc"] == pytest.approx(
        float(column(beside.parent / "comparison" / "leaderboard.csv", "image/auroc")[0]), abs=1e-5
    )
    assert list((beside.parent / "comparison" / "figures").glob("*maps*"))


def test_cluster_classify_and_audit_take_them(beside):
    assert start("cluster", f"run={beside}", "output=clusters") == 0
    assert set(column("clusters/clusters.csv")) == WANTED
    assert start("audit", "data=masks", "data.root=set", "image_size=64", "output=audited") == 0
    assert json.loads(Path("audited/audit.json").read_text())["counts"]["patients"] == 32


def test_predict_names_them(beside):
    assert start("predict", f"run={beside}", "input=set/images", "output=found") == 0
    assert {Path(file).stem for file in column("found/predictions.csv", "file")} > WANTED


def test_no_reader_of_the_package_guesses():
    for file in Path(pneumo_ad.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pd.read_csv":
                told = {word.arg: ast.unparse(word.value) for word in node.keywords}
                assert told.get("keep_default_na") == "False", f"{file}:{node.lineno}"
                named = told.get("dtype", "")
                assert named == "str" or "'image': str" in named or file.name in ("printing.py", "saved.py"), (
                    f"{file}:{node.lineno}"
                )
