"""Who may import whom: each folder of the package has a floor, and imports point down."""

import ast
import subprocess
import sys
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

import pneumo_ad

PACKAGE = Path(pneumo_ad.__file__).parent
# From the lowest up: folders, and files at the root. On one floor one may import another, never in a circle.
FLOORS = [
    ["__init__", "errors", "files", "labels", "saved"],
    ["corruptions", "drawings", "nets", "patches"],
    ["data", "figures", "loggers", "losses", "metrics", "scores"],
    ["audit", "clustering", "dicom", "inference", "lungs", "modules", "report"],
    ["callbacks", "classifier", "export", "runs"],
    ["evaluation", "leaderboard", "prediction", "scaffold"],
    ["commands"],
    ["cli", "__main__"],
]
HYDRA = {"runs", "commands", "cli"}
LIGHTNING = {"callbacks", "classifier", "commands", "loggers", "modules", "runs"}
LIGHTNING_FILES = {"data/datamodule.py", "data/whole_datamodule.py", "lungs/training.py"}
NO_DATA = {"corruptions", "drawings", "losses", "nets", "patches", "scores"}
FILES_AT_THE_ROOT = 7  # and no more

FILES = sorted(file for file in PACKAGE.rglob("*.py") if file.relative_to(PACKAGE).parts[0] != "conf")
NAMES = [file.relative_to(PACKAGE).as_posix() for file in FILES]


def module_of(file):
    parts = ("pneumo_ad", *file.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(file): file for file in FILES}


def room_of(module):
    """`pneumo_ad.data.store.build` -> `data`, `pneumo_ad.cli` -> `cli`."""
    return module.split(".")[1] if "." in module else "__init__"


def floor_of(room):
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


@cache
def imports_of(file):
    """Modules imported when the file is or may be run; those only for type checkers are left out."""
    tree = ast.parse(file.read_text())
    guarded = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if node in guarded:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:  # `from .draw import ...`
                here = ("pneumo_ad", *file.relative_to(PACKAGE).parent.parts)
                base = ".".join((*here[: len(here) - node.level + 1], base)).rstrip(".")
            full = {alias.name: f"{base}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else base for name in full.values()}
    return found


def ours(file):
    """Modules of this package that a file imports."""
    return {module for module in imports_of(file) if module in MODULES and module != module_of(file)}


def rooms(file):
    """Folders, or files at the root, that a file imports from, but its own; `__version__` is everybody's."""
    return {room_of(module) for module in ours(file)} - {room_of(module_of(file)), "__init__"}


def circle(graph):
    """The nodes of a graph that remain when those that lead nowhere are taken away; empty where it has no circle."""
    left = dict(graph)
    while leaves := [node for node, to in left.items() if not to & left.keys()]:
        for node in leaves:
            del left[node]
    return set(left)


def test_every_folder_has_one_floor():
    named = [room for floor in FLOORS for room in floor]
    assert sorted(named) == sorted({room_of(module) for module in MODULES})


def test_the_root_holds_few_files():
    assert len([file for file in FILES if file.parent == PACKAGE]) <= FILES_AT_THE_ROOT


@pytest.mark.parametrize("name", NAMES)
def test_no_file_imports_from_a_floor_above(name):
    own = room_of(module_of(PACKAGE / name))
    above = {room for room in rooms(PACKAGE / name) if floor_of(room) > floor_of(own)}
    assert not above, f"{own} (floor {floor_of(own)}) imports {above}"


def test_neither_files_nor_folders_import_in_a_circle():
    assert not circle({module: ours(file) for module, file in MODULES.items()})
    graph = {room: set() for floor in FLOORS for room in floor}
    for module, file in MODULES.items():
        graph[room_of(module)] |= rooms(file)
    assert not circle(graph)


def test_a_circle_is_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}, "e": set()}) == {"a", "b", "c", "d"}


def knowing(*libraries):
    """Files that import one of some libraries."""
    return {
        name
        for name, file in zip(NAMES, FILES, strict=True)
        if {module.split(".")[0] for module in imports_of(file)} & {*libraries}
    }


def test_hydra_is_known_where_runs_are_begun_and_opened_alone():
    elsewhere = {name for name in knowing("hydra", "omegaconf") if room_of(module_of(PACKAGE / name)) not in HYDRA}
    assert not elsewhere


def test_lightning_is_known_where_there_is_training_alone():
    elsewhere = {
        name
        for name in knowing("lightning", "pytorch_lightning")
        if room_of(module_of(PACKAGE / name)) not in LIGHTNING
    }
    assert elsewhere == LIGHTNING_FILES


@pytest.mark.parametrize("name", [name for name in NAMES if name.split("/")[0] in NO_DATA])
def test_patches_nets_losses_scores_and_corruptions_know_no_data(name):
    assert not rooms(PACKAGE / name) & {"data", "lungs"}


def test_nothing_imports_experiments():
    assert not knowing("experiments")


def test_imports_are_found_however_they_are_written():
    folder = PACKAGE / "data" / "phantom"
    assert "pneumo_ad.data.phantom.draw" in ours(folder / "write.py")
    assert "figures" in rooms(PACKAGE / "evaluation" / "pictures.py")
    assert "torch" in imports_of(PACKAGE / "nets" / "output.py")
    assert "pneumo_ad.runs.training" in ours(PACKAGE / "commands" / "train.py")  # inside a function
    assert "pneumo_ad.data.samplers" not in ours(PACKAGE / "data" / "augment.py")


def loaded_by(*modules):
    """Names of packages that are there once modules are imported in a process of their own."""
    code = f"import sys, {', '.join(modules)}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize(
    "module",
    [
        "pneumo_ad.cli",
        *(module for module in MODULES if room_of(module) == "commands"),
        *(
            f"pneumo_ad.{room}"
            for room in ("audit", "evaluation", "export", "leaderboard", "prediction", "runs", "scaffold")
        ),
    ],
)
def test_nothing_heavy_is_imported_before_it_must(module):
    heavy = {"torch", "lightning", "hydra", "omegaconf", "numpy", "pandas", "matplotlib", "PIL", "sklearn"}
    loaded = loaded_by(module)
    assert "pneumo_ad" in loaded
    assert not loaded & heavy


def test_the_parts_are_usable_without_lightning_and_hydra():
    parts = ("corruptions", "inference", "losses", "metrics", "metrics.thresholds", "nets", "patches", "scores")
    loaded = loaded_by(*(f"pneumo_ad.{part}" for part in (*parts, "scores.aggregates")))
    assert not loaded & {"lightning", "hydra", "omegaconf", "albumentations"}


DOORS = ["", ".audit", ".evaluation", ".export", ".leaderboard", ".prediction", ".runs", ".scaffold"]


@pytest.mark.parametrize("room", DOORS)
def test_doors_open(room):
    door = import_module(f"pneumo_ad{room}")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        door.nothing  # noqa: B018
    for name in set(door.__all__) - {"__version__"}:
        found = getattr(door, name)
        assert found.__name__ == name
        assert found.__module__.startswith(door.__name__)
        assert getattr(import_module(found.__module__), name) is found


@pytest.mark.parametrize("room", DOORS)
def test_type_checkers_see_what_the_doors_give(room):
    """The names that are imported for them alone are those of `__all__`, from where they are."""
    door = import_module(f"pneumo_ad{room}")
    (guarded,) = (node for node in ast.parse(Path(door.__file__).read_text()).body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in guarded.body for alias in node.names}
    assert set(seen) == set(door.__all__) - {"__version__"}
    assert all(getattr(door, name).__module__ == module for name, module in seen.items())


def test_the_doors_that_others_are_promised():
    assert {"start_run", "load_run", "evaluate", "predict", "compare"} <= set(pneumo_ad.__all__)
    from pneumo_ad.commands.train import start_run

    assert pneumo_ad.start_run is start_run
    assert {"check_table", "split_by_patient", "read_radiograph", "PatchDataModule", "Radiographs"} <= set(
        pneumo_ad.data.__all__
    )
