"""What is built is all that is needed: a wheel, in an environment without this checkout, from another folder."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from email import message_from_bytes
from importlib.metadata import packages_distributions
from pathlib import Path

import pandas as pd
import pytest
from drawn import radiograph
from PIL import Image
from running import TINY

ROOT = Path(__file__).parents[1]
SOURCES = ["pyproject.toml", "README.md", "LICENSE", "conf", "pneumo_ad"]
DETECTOR = "pneumo_ad/shipped/detector"  # in a hidden folder of it lies its config
DICOMS = ["RG1_UNCR.dcm", "RG1_J2KR.dcm"]  # a real chest, MONOCHROME1, as it is and as lossless JPEG 2000
# Imported at the top of one file, which is imported where `find_spec` has found them.
# Module -> file that is imported after a look whether it is there, and requirement of an extra.
EXTRAS = {
    "optuna": ("pneumo_ad/runs/optuna_study.py", "optuna"),
    "hydra_plugins": ("pneumo_ad/runs/slurm_launcher.py", "hydra-submitit-launcher"),
    "submitit": ("pneumo_ad/runs/slurm_launcher.py", "hydra-submitit-launcher"),
}
MADE = shutil.ignore_patterns("__pycache__", "*.pyc", "*.egg-info", "build", "dist")


def call(command, folder, environment=None, status=0):
    done = subprocess.run(
        [str(word) for word in command], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == status, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A source archive and, built from it, a wheel; nothing is fetched."""
    source, output = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=MADE)
        else:
            shutil.copy(ROOT / name, source)
    call([sys.executable, "-m", "build", "--no-isolation", "--outdir", output, source], source)
    call([sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", output / "direct", source], source)
    return output


@pytest.fixture(scope="module")
def wheel(built):
    (file,) = built.glob("*.whl")
    with zipfile.ZipFile(file) as opened:
        yield opened


@pytest.fixture(scope="module")
def metadata(wheel):
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return message_from_bytes(wheel.read(name))


@pytest.fixture(scope="module")
def elsewhere(built, tmp_path_factory):
    """The wheel alone in a fresh environment, a folder to work in, and how to call what is in there.

    The packages it needs are those of this environment: a .pth names their folders. As .pth files in those are not
    followed in turn, the editable install of this checkout is not seen.
    """
    folder = tmp_path_factory.mktemp("elsewhere")
    venv.create(folder / "env", with_pip=False, symlinks=True)
    home = {"base": str(folder / "env"), "platbase": str(folder / "env")}
    site = Path(sysconfig.get_path("purelib", vars=home))
    here = [path for path in sys.path if Path(path).name == "site-packages"]
    (site / "borrowed.pth").write_text("\n".join(here))
    (file,) = built.glob("*.whl")
    python = Path(sysconfig.get_path("scripts", vars=home)) / "python"
    install = ["install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--ignore-installed"]
    call([sys.executable, "-m", "pip", "--python", python, *install, file], folder)
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    environment["PNEUMO_AD_CACHE"] = str(folder / "cache")

    def run(*words, status=0):
        return call([python.with_name(words[0]), *words[1:]], folder, environment, status)

    return folder, site, run


@pytest.fixture(scope="module")
def trained(elsewhere):
    folder, _, run = elsewhere
    run("pneumo-ad", "train", *[one for one in TINY if one != "evaluate=false"], "hydra.run.dir=run")
    return folder / "run"


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel):
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    expected = set()
    for top, place in (("pneumo_ad", "pneumo_ad"), ("conf", "pneumo_ad/conf")):
        files = [file for file in (ROOT / top).rglob("*") if file.is_file() and "__pycache__" not in file.parts]
        files = [file for file in files if not (top == "conf" and file.suffix == ".md")]
        expected |= {f"{place}/{file.relative_to(ROOT / top).as_posix()}" for file in files}
    assert held == expected
    assert {"pneumo_ad/py.typed", "pneumo_ad/lungs/weights/lung_unet.safetensors"} <= held
    assert {"pneumo_ad/conf/train.yaml", "pneumo_ad/conf/net/unet.yaml"} <= held
    assert {f"{DETECTOR}/checkpoints/best.safetensors", f"{DETECTOR}/.hydra/config.yaml"} <= held
    assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())


def test_the_source_archive_builds_the_same_wheel(built, wheel):
    (other,) = (built / "direct").glob("*.whl")
    with zipfile.ZipFile(other) as direct:
        assert {one.filename: one.CRC for one in direct.infolist()} == {
            one.filename: one.CRC for one in wheel.infolist()
        }
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {Path(*Path(name).parts[1:]).as_posix() for name in opened.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "conf/train.yaml", "pneumo_ad/cli.py"} <= names


def test_the_wheel_is_light(built):
    (file,) = built.glob("*.whl")
    assert file.stat().st_size < 10e6  # of which the weights of the detector and of the lung segmenter are two thirds


def test_what_an_index_shows_of_it(metadata):
    assert metadata["Name"].replace("-", "_") == "pneumo_ad"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["License-File"] == "LICENSE"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Summary"]
    classifiers = metadata.get_all("Classifier")
    assert len(set(classifiers)) == len(classifiers)
    assert not [one for one in classifiers if one.startswith("License ::")]  # the expression says it
    assert metadata["Description-Content-Type"].startswith("text/markdown")
    text = metadata.get_payload(decode=True).decode()
    assert text.strip() == (ROOT / "README.md").read_text().strip()


def imported(nodes):
    """Tops of the modules that are imported when a file is, not within its functions."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0]
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from imported(node.orelse)
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from imported(ast.iter_child_nodes(node))


def test_imports_are_found_where_they_are_run():
    code = (
        "import a.b\ntry:\n from c.d import e\nexcept ImportError: pass\n"
        "if TYPE_CHECKING:\n import i\ndef f():\n import g\nfrom . import h"
    )
    assert list(imported([ast.parse(code)])) == ["a", "c"]


def test_what_it_imports_is_what_it_requires(wheel, metadata):
    """An extra is imported within a function, or in a file that is imported after a look whether it is there."""
    files = [name for name in wheel.namelist() if name.endswith(".py")]
    modules = {module for name in files for module in imported([ast.parse(wheel.read(name))])}
    needed = modules - set(sys.stdlib_module_names) - {"pneumo_ad"}
    requirements = [one for one in metadata.get_all("Requires-Dist") if "extra ==" not in one]
    required = {plain(re.match(r"[\w.-]+", one)[0]) for one in requirements}
    held_by = packages_distributions()
    assert {"torch", "PIL", "hydra", "sklearn"} <= needed
    missing = {module for module in needed if not {plain(name) for name in held_by.get(module, [])} & required}
    assert missing == set(EXTRAS)
    for module, (file, requirement) in EXTRAS.items():
        assert [name for name in files if module in imported([ast.parse(wheel.read(name))])] == [file]
        assert any(re.match(rf"{requirement}\b.*extra ==", one) for one in metadata.get_all("Requires-Dist"))


def plain(name):
    """`PyYAML`, `pyyaml`: one distribution."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_readme_renders(metadata):
    markdown_it = pytest.importorskip("markdown_it")
    readme = metadata.get_payload(decode=True).decode()
    html = markdown_it.MarkdownIt("commonmark").enable("table").render(readme)
    assert html.count("<table>") == html.count("</table>") >= 1
    assert html.count("<pre>") == readme.count("\n```") / 2 >= 1
    text = "".join(part.split(">", 1)[-1] for part in html.split("<"))
    assert "```" not in text  # a fence that was not closed
    assert "](" not in text  # a link that is none


def test_the_installed_package_is_the_wheels(elsewhere):
    _, site, run = elsewhere
    code = (
        "import json, pneumo_ad, pneumo_ad.conf; print(json.dumps([pneumo_ad.__file__, list(pneumo_ad.conf.__path__)]))"
    )
    package, conf = json.loads(run("python", "-c", code))
    assert Path(package).is_relative_to(site)
    assert all(Path(path).is_relative_to(site) for path in conf)
    import pneumo_ad

    assert run("pneumo-ad", "--version").strip() == pneumo_ad.__version__


def test_the_installed_detector_opens_and_is_taken_without_a_run(elsewhere):
    folder, site, run = elsewhere
    (folder / "one").mkdir()
    Image.fromarray(radiograph(4)).save(folder / "one" / "a.png")
    before = contents(site / DETECTOR)
    run("pneumo-ad", "predict", "input=one", "output=judged")
    table = pd.read_csv(folder / "judged" / "predictions.csv")
    assert list(table["file"]) == ["a.png"]
    assert table["score"].notna().all()
    assert contents(site / DETECTOR) == before


def contents(folder):
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_it_trains_and_evaluates_from_another_folder(trained):
    assert json.loads((trained / "run.json").read_text())["status"] == "finished"
    metrics = json.loads((trained / "metrics.json").read_text())
    assert metrics["counts/images"] == len(pd.read_csv(trained / "images.csv")) > 0
    assert list(trained.glob("figures/*.png"))


def pydicom_file(name):
    data_store = pytest.importorskip("data_store")  # pydicom-data
    return Path(data_store.__file__).parent / "data" / name


@pytest.fixture(scope="module")
def mixed(elsewhere):
    """A folder as it comes: two DICOMs, three other files, a note and a file that was cut off."""
    folder = elsewhere[0] / "as it comes"
    (folder / "ward 2").mkdir(parents=True)
    Image.fromarray(radiograph(1)).save(folder / "a b.jpeg")
    Image.fromarray(radiograph(2, sick=True)).save(folder / "ward 2" / "ä.png")
    Image.fromarray(radiograph(3).astype("uint16") * 200).save(folder / "ward 2" / "deep.png")
    (folder / "notes.txt").write_text("not a radiograph")
    whole = (folder / "a b.jpeg").read_bytes()
    (folder / "cut.jpeg").write_bytes(whole[: len(whole) // 2])
    for name in DICOMS:
        shutil.copy(pydicom_file(name), folder / "ward 2" / name)
    return folder


def test_it_predicts_and_nothing_is_lost(elsewhere, trained, mixed):
    folder, _, run = elsewhere
    rate = 0.4  # few held-out normals are enough for it
    told = [f"run={trained}", f"input={mixed}", "output=found", "report=true", f"false_alarm_rate={rate}"]
    run("pneumo-ad", "predict", *told, status=3)
    found = pd.read_csv(folder / "found" / "predictions.csv").set_index("file")
    failed = pd.read_csv(folder / "found" / "failed.csv").set_index("file")
    files = sorted(file.relative_to(mixed).as_posix() for file in mixed.rglob("*") if file.is_file())
    assert sorted([*found.index, *failed.index]) == files
    assert failed["kind"].to_dict() == {"notes.txt": "ignored", "cut.jpeg": "unreadable"}
    stored, compressed = (found.loc[f"ward 2/{name}", "score"] for name in DICOMS)
    assert compressed == pytest.approx(stored, rel=1e-3)
    scored = found[found["score"].notna()]
    assert len(scored) >= 3
    assert (scored["anomalous"].astype(bool) == (scored["p_value"] <= rate)).all()
    assert scored["anomalous"].notna().all()
    assert found.loc[found["score"].isna(), ["p_value", "anomalous"]].isna().all(axis=None)
    (page,) = (file.read_text() for file in (folder / "found").glob("*.html"))
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert "not a medical device" in page.lower()


@pytest.fixture(scope="module")
def own(elsewhere):
    """A project of one's own, written by the wheel and installed beside it; its folder of radiographs."""
    folder, _, run = elsewhere
    run("pneumo-ad", "new", "mine")
    run("python", "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", "-e", "mine")
    for number in range(24):
        label = "pneumonia" if number % 3 == 0 else "normal"
        (folder / "films" / label).mkdir(parents=True, exist_ok=True)
        drawn = Image.fromarray(radiograph(number, sick=label == "pneumonia"))
        drawn.save(folder / "films" / label / f"p{number}_0.png")
    return folder / "mine"


def test_a_project_of_ones_own_is_swept_from_the_wheel(elsewhere, own):
    """Its own net, loss, score and source, on its own folder, without a search path, to a leaderboard."""
    folder, _, run = elsewhere
    assert "charbonnier, dice" in run("pneumo-ad", "train", "--help")
    tiny = [one for one in TINY if not one.startswith(("data.", "net.", "evaluate="))]
    said = run("pneumo-ad", "train", "experiment=first", "data.root=films", "net.width=4", "net.code=1,4", *tiny)
    assert "2 finished" in said
    (board,) = folder.glob("sweeps/first/*/comparison/leaderboard.csv")
    runs = sorted(file.parent.parent for file in folder.glob("sweeps/first/*/*/.hydra/config.yaml"))
    assert len(runs) == 2
    assert len(pd.read_csv(board)) == 2
    cells = json.loads((own / "notebooks" / "look.ipynb").read_text())["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    run("python", "-c", code.replace('"DIR"', '"films"').replace('"RUN"', repr(str(runs[0]))))
