"""What the README and the pages under docs/ tell a reader to type is typed here, on small settings.

A fenced block is bash, python, yaml or, without a name, something to look at. Python and yaml after a line that ends in
a file's name (`mine/net.py`:) are written to that file, other Python is run. Of bash, each line is run as it stands but
for the tables below: what words mean here (WORDS), what is cut down (SMALL, SHORTER) and what cannot be run (UNRUN,
each with its reason, and how far it is checked all the same). A line that is in none of them and fails, fails the test.
The blocks of a section (`## ...`) are one story, told in one folder.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zlib
from pathlib import Path
from typing import NamedTuple

import pydicom
import pytest
from drawn import radiograph, write_kaggle, write_set
from PIL import Image
from running import start

ROOT = Path(__file__).parents[1]
DOCS = [file for file in sorted((ROOT / "docs").rglob("*.md")) if file.parent.name != "api"]  # written by docs/conf.py
PAGES = [
    "README.md", "CONTRIBUTING.md", "conf/README.md", "experiments/sweeps.md", "notebooks/README.md",
    *(file.relative_to(ROOT).as_posix() for file in DOCS),
]  # fmt: skip
STUDIES = [file.relative_to(ROOT).as_posix() for file in sorted((ROOT / "experiments").glob("*/README.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"`([\w/]+\.(?:py|yaml))`:\s*$")

# Words that stand for something of the reader's own.
WORDS = {"RUN": "small_run", "DIR": "kaggle", "NORMALS": "normals", "SHARED": "shared"}

# Appended to a command, so that it takes seconds: one step of one epoch on few, small drawn radiographs.
PHANTOMS = ["data.normal=24", "data.pneumonia=20", "data.size=96"]
BRIEF = [
    "trainer.max_epochs=1", "trainer.check_val_every_n_epoch=1", "trainer.limit_train_batches=2",
    "trainer.limit_val_batches=1",
]  # fmt: skip
COARSE = ["image_size=96", "patch=16", "stride=16"]  # where a line names no patch of its own
SMALL = {
    "train": ["trainer=cpu", *BRIEF, "evaluate=null", "callbacks=minimal", "callbacks.progress=null"],
    "train-lungs": [
        "trainer=cpu", "trainer.precision=32-true", *BRIEF, "segmenter.width=2", "segmenter.image_size=64",
        "measure_size=64", "datamodule.num_workers=0",
    ],
    "classify": ["trainer=cpu", *BRIEF, "image_size=64", "net.widths=[2,4,8]", "net.hidden=16"],
    "audit": ["image_size=64"],
    "evaluate": ["trainer=cpu"],
    "prepare": COARSE[:1],
    "figures": ["trainer=cpu", "only=1,9"],
}  # fmt: skip
# Replaced in a line: fewer values, fewer trials.
SHORTER = {
    "patch=16,48 seed=0,1,2": "patch=16,48 seed=0",
    "patch=16,32,48 net=unet,autoencoder": "patch=16,48 net=unet",
    "experiment=ablate_loss": "experiment=ablate_loss loss=dice,l1",
    "corruption=none,coarse_noise seed=0,1": "corruption=none seed=0",
    "corruption=none,coarse_noise": "corruption=none",
    "'shard=range(0,4)' hydra/launcher=joblib": "'shard=range(0,4)'",  # test_prepare.py launches processes
    "'shard=0,1' hydra/launcher=joblib": "'shard=0,1'",
    # tests/runs/test_slurm.py launches jobs
    "num_shards=64 'shard=range(0,64)' hydra/launcher=submitit_slurm hydra.launcher.partition=cpu "
    "hydra.launcher.account=GROUP hydra.launcher.cpus_per_task=4 hydra.launcher.mem_gb=8 "
    "hydra.launcher.timeout_min=120 hydra.launcher.max_num_timeout=3": "num_shards=2 'shard=range(0,2)'",
}


class Unrun(NamedTuple):
    """Why a line cannot be run here, and what is run instead (nothing: only the reason stands)."""

    reason: str
    instead: str = ""


# The longest beginning that fits counts.
UNRUN = {
    "make": Unrun("sets up .venv from a package index, or runs these tests", "make -n"),
    "source .venv/bin/activate": Unrun("no .venv here"),
    ".venv/bin/pre-commit install": Unrun("writes into .git"),
    "pneumo-ad train experiment=first": Unrun("of a project, whose tests are run by tests/scaffold/test_scaffold.py"),
    "pytest": Unrun("of a project, whose tests are run by tests/scaffold/test_scaffold.py"),
    "cd mine": Unrun("the commands after it are run in no folder"),
    "pip install": Unrun("needs a package index; that the extra exists is checked"),
    "tensorboard --logdir": Unrun(
        "a server that does not end; tests/callbacks/test_tensorboard.py starts one", "tensorboard --help"
    ),
    "pneumo-ad train trainer=gpu": Unrun("needs a GPU", "--cfg job"),
    "pneumo-ad train experiment=ablate_loss hydra/launcher": Unrun(
        "launchers are started by tests/runs/test_sweeps.py and tests/runs/test_slurm.py", "--cfg job"
    ),
    **dict.fromkeys(
        ("sinfo", "squeue", "sacct", "scancel", "tail"), Unrun("of a cluster, which tests/runs/test_slurm.py starts")
    ),
    "pneumo-ad train trainer=ddp": Unrun("several processes are started by tests/runs/test_ddp.py", "--cfg job"),
    "pneumo-ad tune": Unrun("a search is run by tests/commands/test_tune.py", "--cfg job"),
    "pneumo-ad cluster": Unrun(
        "trains for a minute whatever the data; tests/commands/test_cluster.py runs it", "--help"
    ),
    "pneumo-ad predict input=dicomweb:": Unrun(
        "needs a server; tests/dicom/test_predict_dicomweb.py has one", "--help"
    ),
    "pneumo-ad predict input=DIR output=dicomweb:": Unrun(
        "needs a server; tests/dicom/test_predict_dicomweb.py has one", "--help"
    ),
    "pneumo-ad listen": Unrun("does not end; tests/commands/test_listen.py starts it", "--help"),
    "pneumo-ad download": Unrun("needs the network and a Kaggle account", "--help"),
}


class Section(NamedTuple):
    page: str
    title: str
    text: str

    @property
    def lines(self):
        return [line for kind, block, _ in blocks(self.text) if kind == "bash" for line in commands(block)]


def sections():
    for page in PAGES:
        parts = re.split(r"^## (.*)$", (ROOT / page).read_text(), flags=re.MULTILINE)
        for title, text in zip(["", *parts[1::2]], parts[::2], strict=True):
            if "```" in text:
                yield Section(page, title, text)


def blocks(text):
    """(language, content, name of the file it is for or None) of each fenced block."""
    for match in BLOCK.finditer(text):
        name = NAMED.search(text[: match.start()].rstrip("\n"))
        yield match[1], match[2], name and name[1]


def commands(block):
    """Lines without their comments; a line that ends in a backslash goes on."""
    joined = re.sub(r"\\\n\s*", "", block)
    lines = (re.sub(r"(^|\s)#.*$", "", line).strip() for line in joined.splitlines())
    return [line for line in lines if line]


def write_rsna(folder, normal=12, pneumonia=12):
    """The layout of `data=rsna`: DICOM, boxes and the set's own words."""
    images = folder / "stage_2_train_images"
    images.mkdir(parents=True)
    boxes, classes = ["patientId,x,y,width,height,Target"], ["patientId,class"]
    for number in range(normal + pneumonia):
        sick = number >= normal
        pixels = radiograph(number, sick=sick)
        file = pydicom.Dataset()
        file.file_meta = pydicom.dataset.FileMetaDataset()
        file.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        file.SOPClassUID, file.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", f"1.2.3.{number}"
        file.Modality, file.ViewPosition, file.PatientID = "CR", "PA", f"p{number:02d}"
        file.SamplesPerPixel, file.PhotometricInterpretation, file.PixelRepresentation = 1, "MONOCHROME2", 0
        file.BitsAllocated, file.BitsStored, file.HighBit = 8, 8, 7
        file.Rows, file.Columns = pixels.shape
        file.PixelData = pixels.tobytes()
        file.save_as(images / f"p{number:02d}.dcm", enforce_file_format=True)
        boxes.append(f"p{number:02d},8,30,20,30,1" if sick else f"p{number:02d},,,,,0")
        classes.append(f"p{number:02d},{'Lung Opacity' if sick else 'Normal'}")
    (folder / "stage_2_train_labels.csv").write_text("\n".join(boxes))
    (folder / "stage_2_detailed_class_info.csv").write_text("\n".join(classes))


def unrun(line):
    fitting = [beginning for beginning in UNRUN if line.startswith(beginning)]
    return max(fitting, key=len, default=None)


def in_words(text):
    """A text with what its words mean here."""
    for word, meant in WORDS.items():
        text = re.sub(rf"\b{word}\b", meant, text)
    return text


def expanded(word):
    """A word as a shell reads it: variables, and `${NAME:+WORD}`, which is WORD where NAME is set."""
    word = re.sub(r"\$\{(\w+):\+([^}]*)\}", lambda match: match[2] if os.environ.get(match[1]) else "", word)
    return os.path.expandvars(word)


def small(line):
    """The words of a command line as it is run."""
    for long, short in SHORTER.items():
        line = line.replace(long, short)
    line = in_words(line)
    words = [expanded(word) for word in shlex.split(line)]
    if words[0] != "pneumo-ad":
        return words
    given = {word.split("=", 1)[0] for word in words}
    added = list(SMALL.get(words[1], []))
    if words[1] == "train" and not any(word.startswith(("data=", "data.root=")) for word in words):
        added = [*PHANTOMS, *added]
    if words[1] == "train":
        added = [*(["net.width=4"] if "patch" in line else COARSE), *added]
    name = next((word.split("=")[1] for word in words if word.startswith("experiment=ablate")), None)
    if name:  # not named after what was added
        added.append(f"hydra.sweep.dir=sweeps/{name}/default")
    elif words[1] == "train" and "-m" not in words:  # the default's second of the day is that of the line before
        added.append(f"hydra.run.dir=runs/{zlib.crc32(line.encode()):x}")
    return [*words[:2], *(one for one in added if one.split("=", 1)[0] not in given), *words[2:]]


SECTIONS = list(sections())


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """What a reader has: a run and a folder of radiographs, and the layout that $PNEUMO_AD_DATA names."""
    folder = tmp_path_factory.mktemp("reader")
    write_kaggle(folder / "kaggle", normal=20, pneumonia=20)
    data = folder / "data"
    shutil.copytree(folder / "kaggle", data / "chest_xray_1024")
    (folder / "normals").mkdir()
    for seed in range(200, 220):
        Image.fromarray(radiograph(seed)).save(folder / "normals" / f"{seed}.png")
    write_set(data / "opacity_masks", normal=8, pneumonia=8)
    write_set(data / "lung_masks" / "montgomery_shenzhen", normal=20, pneumonia=0)
    write_rsna(data / "rsna")
    children = write_set(folder / "children", normal=0, pneumonia=4)
    shutil.copytree(children / "images", data / "chest_xray_224" / "train" / "PNEUMONIA")
    shutil.copytree(children / "lung", data / "lung_masks" / "chest_xray_viral")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PNEUMO_AD_CACHE", str(folder / "cache"))
        tiny = [*PHANTOMS, *COARSE, "net.width=4", "trainer=cpu", *BRIEF, "callbacks=minimal", "logger=csv"]
        assert start("train", *tiny, "hydra.run.dir=small_run") == 0
    return folder


@pytest.fixture
def reader(drawn, tmp_path, monkeypatch):
    """Sits in a folder that holds the run and the radiographs."""
    for name in ("small_run", "kaggle", "normals"):
        shutil.copytree(drawn / name, tmp_path / name)
    files = sorted(path.relative_to(tmp_path / "kaggle") for path in (tmp_path / "kaggle").rglob("*.*"))
    lines = [f"{path.as_posix()},{'ok' if 'NORMAL' in path.parts else 'tb'}\n" for path in files]
    (tmp_path / "labels.csv").write_text("image,label\n" + "".join(lines))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PNEUMO_AD_CACHE", str(drawn / "cache"))
    monkeypatch.setenv("PNEUMO_AD_DATA", str(drawn / "data"))
    monkeypatch.setenv("PWD", str(tmp_path))
    monkeypatch.setattr(sys, "argv", sys.argv)
    yield monkeypatch
    for name in [name for name in sys.modules if name.split(".")[0] == "mine"]:
        del sys.modules[name]


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: f"{section.page}: {section.title}")
def test_what_a_section_says_works(section, reader):
    for kind, block, name in blocks(section.text):
        assert kind in ("bash", "python", "yaml", ""), f"a block of {kind!r} is neither run nor looked at"
        if name:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(block)
        elif kind == "python":
            exec(compile(in_words(block), f"{section.page}: {section.title}", "exec"), {})
        elif kind == "bash":
            for line in commands(block):
                run_line(line, reader)
        else:
            assert not kind, "a yaml without the name of its file"


def run_line(line, reader):
    why = unrun(line)
    words = small(line)
    if why is not None:
        check_unrun(UNRUN[why], words, line)
    elif words[0] == "export":
        for setting in words[1:]:
            name, _, value = setting.partition("=")
            reader.setenv(name, value)
            if name == "PYTHONPATH":
                for folder in reversed(value.split(os.pathsep)):
                    assert Path(folder).is_absolute(), f"{line}: another working folder would have another {folder}"
                    reader.syspath_prepend(folder)
    elif words[0] == "pneumo-ad":
        assert start(*words[1:]) == 0, f"{line}\nrun as: {shlex.join(words)}"
    else:
        pytest.fail(f"{line}\nis neither run nor listed in UNRUN")


def check_unrun(one, words, line):
    if one.instead == "make -n":
        done = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}: {done.stderr}"
    elif one.instead == "--cfg job":
        _, command, *done = (word for word in shlex.split(line) if not word.startswith("hydra"))
        command = "train" if command == "tune" else command  # a search takes what a training takes
        assert start(command, *done, "--cfg", "job") == 0, line
    elif one.instead == "--help":
        assert start(*words[1:2], "--help") == 0, line
    elif one.instead == "tensorboard --help":
        command = [sys.executable, "-m", "tensorboard.main", "--help"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        options = {word.split("=")[0] for word in words if word.startswith("--")}
        assert options <= set(re.findall(r"--\w+", done.stdout)), line
    elif one.instead:
        pytest.fail(f"{line}: nothing is known of how {one.instead!r} is run instead")
    if words[:2] == ["pip", "install"]:
        assert extras_of(line) <= extras(), line


def extras():
    return set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])


def extras_of(text):
    return {name for named in re.findall(r"(?:pneumo_ad|\"\.)\[([\w,]+)\]", text) for name in named.split(",")}


def test_every_exception_is_still_needed():
    """A table that outlives its line would hide the next one."""
    lines = [line for section in SECTIONS for line in section.lines]
    assert {unrun(line) for line in lines} - {None} == set(UNRUN)
    assert all(any(long in line for line in lines) for long in SHORTER)
    assert all(any(re.search(rf"\b{word}\b", line) for line in lines) for word in WORDS)
    assert all(
        any(line.startswith(f"pneumo-ad {command} ") for line in lines if not unrun(line))
        or any(line == f"pneumo-ad {command}" for line in lines)
        for command in SMALL
    )
    assert all(one.reason for one in UNRUN.values())


def test_a_line_that_is_neither_run_nor_listed_fails(reader):
    with pytest.raises(pytest.fail.Exception, match="neither run nor listed"):
        run_line("curl example.org", reader)
    with pytest.raises(AssertionError, match="net=resnet"):
        run_line("pneumo-ad train net=resnet", reader)


def test_what_is_run_instead_can_fail():
    with pytest.raises(pytest.fail.Exception, match="nothing is known of how 'true' is run instead"):
        check_unrun(Unrun("a reason", "true"), ["ls"], "ls")
    for instead, line in (
        ("make -n", "make no-such-target"),
        ("--cfg job", "pneumo-ad train net=no_such_net"),
        ("--help", "pneumo-ad no-such-command"),
        ("tensorboard --help", "tensorboard --no_such_option runs"),
        ("", "pip install pneumo_ad[no_such_extra]"),
    ):
        with pytest.raises(AssertionError, match=re.escape(line)):
            check_unrun(Unrun("a reason", instead), shlex.split(line), line)


def test_words_are_expanded_as_a_shell_does(monkeypatch):
    for before in ("", "there:here"):
        monkeypatch.setenv("PYTHONPATH", before)
        line = "$PWD/mine${PYTHONPATH:+:$PYTHONPATH}"
        told = subprocess.run(["sh", "-c", f'printf %s "{line}"'], capture_output=True, text=True, check=True).stdout
        assert expanded(line) == told.replace(str(Path.cwd()), os.environ["PWD"])


def test_comments_and_continued_lines():
    assert commands("# a\nb c  # d\ne \\\n  f\n'g#h'\n") == ["b c", "e f", "'g#h'"]


@pytest.mark.parametrize("page", [*PAGES, *STUDIES, "SECURITY.md", "experiments/README.md"])
def test_links_and_pictures_are_there(page):
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)
    for link in re.findall(r"(?:\]\(|src=\")([^)\s\"]+)", text):
        place, _, anchor = link.partition("#")
        if place.startswith("http"):
            continue
        target = (ROOT / page).parent / place if place else ROOT / page
        assert target.exists(), link
        if anchor:
            titles = re.findall(r"^#+ (.*)$", target.read_text(), flags=re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}, link


def test_the_table_of_commands_is_that_of_the_command_line(capfd):
    from pneumo_ad.cli import overview

    table = re.findall(r"^\| \w* ?\| `([\w-]+)` \|", (ROOT / "docs" / "commands.md").read_text(), flags=re.MULTILINE)
    listed = re.findall(r"^    ([a-z-]+) ", overview(), flags=re.MULTILINE)
    assert len(table) >= 10
    assert table == listed
    start("no such command")
    known = capfd.readouterr().err.split("Commands: ")[1].strip().split(", ")
    assert sorted(known) == sorted(table)


def test_every_choice_is_in_the_table_of_options():
    text = (ROOT / "conf" / "README.md").read_text()
    for file in sorted((ROOT / "conf").glob("*/*.yaml")):
        row = next(line for line in text.splitlines() if re.match(rf"\| .*`{file.parent.name}`.* \|", line))
        named = file.stem if not file.stem.startswith("ablate_") else "ablate_*"
        assert f"`{named}`" in row, f"{file.parent.name}={file.stem} is not in conf/README.md"


def test_extras_named_in_the_pages_exist():
    named = {name for page in PAGES for name in extras_of((ROOT / page).read_text())}
    assert named
    assert named <= extras()


def test_one_version_everywhere():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert re.search(rf"^version: {re.escape(version)}$", (ROOT / "CITATION.cff").read_text(), flags=re.MULTILINE)
    assert re.search(rf"^## {re.escape(version)}\b", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
