"""Who may import whom: imports point down."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import pneumo_ad

PACKAGE = Path(pneumo_ad.__file__).parent
FILES = sorted(file for file in PACKAGE.rglob("*.py") if "conf" not in file.relative_to(PACKAGE).parts[:1])
# From the lowest floor up; a name stands for a module, or for a package with all in it that has no floor of its own.
FLOORS = [
    {"errors", "paths", "files", "joined", "printable", "saved", "threads", "__init__"},
    {"patches", "nets", "losses", "scores", "metrics", "thresholds", "corruptions", "scoring", "aggregates"}
    | {"shortcuts", "matching", "residuals", "spread", "compilation", "placement"},
    {"checkpoints", "module", "detectors", "data", "lungs", "figures", "sampled_maps", "loggers"}
    | {"auditing", "classifier", "cluster_figures", "report", "export", "prediction.judge"},
    {"callbacks"},
]
HYDRA = {
    "audit",
    "resolvers",
    "compose",
    "jobs",
    "runs",
    "train",
    "train_lungs",
    "classify",
    "evaluate",
    "cluster",
    "evaluation",
    "export_run",
    "prediction",
    "predict",
    "prepare",
    "paper_figures",
    "report_run",
    "device",
    "provenance",
    "trackers",
    "sweeps",
    "compare",
    "leaderboard",
    "processes",
    "search_path",
    "dot_hydra",
    "run_config",
    "trust",
    "tune",
    "origin",
    "cli",
    "start",
}
TOP = HYDRA | {"stores", "download", "summary", "cluster_summary", "__main__"}


def named(parts):
    """`data.store` -> `data`, `cli` -> `cli`; a module with a floor of its own keeps its name."""
    own = ".".join(parts)
    return own if any(own in names for names in FLOORS) else parts[0]


def name_of(file):
    """`pneumo_ad/data/store/store.py` -> `data`, `pneumo_ad/cli.py` -> `cli`."""
    return named(file.relative_to(PACKAGE).with_suffix("").parts)


def floor_of(name):
    return next((floor for floor, names in enumerate(FLOORS) if name in names), len(FLOORS))


def imports_of(file):
    """Modules imported when the file is or may be run; those only for type checkers are left out."""
    tree = ast.parse(file.read_text())
    guarded = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in guarded:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:  # `from .draw import ...`
                here = ("pneumo_ad", *file.relative_to(PACKAGE).parent.parts)
                base = ".".join((*here[: len(here) - node.level + 1], base)).rstrip(".")
            yield from (f"{base}.{alias.name}" if base == "pneumo_ad" else base for alias in node.names)


def ours(file):
    return {named(module.split(".")[1:]) for module in imports_of(file) if module.startswith("pneumo_ad.")}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_no_file_imports_from_a_floor_above(file):
    own = floor_of(name_of(file))
    above = {name for name in ours(file) if name != "__version__" and floor_of(name) > own}
    assert not above, f"{name_of(file)} (floor {own}) imports {above}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_lightning_and_hydra_are_known_where_they_may_be(file):
    roots = {module.split(".")[0] for module in imports_of(file)}
    if floor_of(name_of(file)) <= 1:
        assert not roots & {"lightning", "pytorch_lightning", "hydra", "omegaconf"}
    if name_of(file) not in HYDRA:
        assert not roots & {"hydra", "omegaconf"}


def test_every_file_has_a_floor():
    assert {name_of(file) for file in FILES} <= set().union(*FLOORS) | TOP


def test_imports_are_found_however_they_are_written():
    folder = PACKAGE / "data" / "phantom"
    assert "pneumo_ad.data.phantom.draw" in set(imports_of(folder / "files.py"))
    assert "figures" in ours(PACKAGE / "evaluation" / "pictures.py")
    assert "torch" in set(imports_of(PACKAGE / "nets" / "output.py"))
    assert "pneumo_ad.commands.train" in set(imports_of(PACKAGE / "cli.py"))  # inside a function
    assert "data" not in ours(PACKAGE / "data" / "augment.py")


def test_nets_losses_and_scores_do_not_know_data():
    for file in FILES:
        if name_of(file) in ("nets", "losses", "scores", "corruptions", "patches"):
            assert not ours(file) & {"data", "lungs", "module", "scoring"}, file


def test_the_command_line_imports_nothing_heavy_before_it_must():
    code = "import sys, pneumo_ad.cli; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "pneumo_ad" in loaded
    assert not loaded & {"torch", "lightning", "hydra", "omegaconf", "numpy", "pandas", "matplotlib", "PIL", "sklearn"}


def test_the_parts_of_floor_1_are_usable_without_lightning_and_hydra():
    code = (
        "import sys\n"
        "import pneumo_ad.nets, pneumo_ad.losses, pneumo_ad.scores, pneumo_ad.metrics, pneumo_ad.metrics.thresholds\n"
        "import pneumo_ad.patches, pneumo_ad.corruptions, pneumo_ad.inference, pneumo_ad.scores.aggregates\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"lightning", "hydra", "omegaconf", "albumentations"}
