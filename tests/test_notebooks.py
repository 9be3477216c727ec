"""Every notebook runs top to bottom in an empty folder, and none is committed with what a run left in it."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
named = pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A cache that all notebooks share, so that phantoms are drawn once."""
    return tmp_path_factory.mktemp("cache")


def test_the_four_are_there_and_in_the_readme():
    assert [file.stem[:2] for file in NOTEBOOKS] == ["01", "02", "03", "04"]
    told = (FOLDER / "README.md").read_text()
    assert all(f"({file.name})" in told for file in NOTEBOOKS)


@named
def test_it_runs_from_top_to_bottom(file, drawn, tmp_path):
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    jupyter_client = pytest.importorskip("jupyter_client")
    os.environ["PNEUMO_AD_CACHE"] = str(drawn)  # the kernel inherits it; the fixture of conftest puts it back
    before = sorted(FOLDER.iterdir())
    notebook = nbformat.read(file, as_version=4)
    for cell in notebook.cells:  # what it takes to learn is for a reader; here it must only run
        cell.source = re.sub(r"(max_epochs|check_val_every_n_epoch)=\d+", lambda key: f"{key[1]}=4", cell.source)
    # The kernel named python3 may be another Python's: this one runs the package under test.
    manager = jupyter_client.AsyncKernelManager(kernel_name="python3")
    manager.kernel_spec.argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    client = nbclient.NotebookClient(notebook, km=manager, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    client.execute(cleanup_kc=True)  # its kernel ends with it, though it was given the manager
    pictures = sum(
        "image/png" in output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])
    )
    assert pictures >= 2
    assert sorted(FOLDER.iterdir()) == before


@named
def test_it_holds_no_output_no_counts_and_nothing_of_a_machine(file):
    notebook = nbformat.read(file, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert cell.cell_type == "markdown" or (cell.outputs, cell.execution_count) == ([], None)
        assert not cell.metadata
        assert "attachments" not in cell
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"
    assert set(notebook.metadata.language_info) == {"name"}
    assert not re.search(r"/(home|root|tmp|Users|work)/|[A-Z]:\\\\", file.read_text())


@named
def test_it_says_first_what_it_needs_and_what_it_takes(file):
    first, second, *_ = nbformat.read(file, as_version=4).cells
    assert first.cell_type == "markdown"
    assert re.match(rf"# {int(file.stem[:2])}\. ", first.source)
    assert all(words in first.source for words in ("*Needs:*", "*Takes:*", "pneumo_ad[notebooks]"))
    assert second.cell_type == "code"


@named
def test_every_picture_stands_between_two_texts(file):
    """What to look for stands before it, what was seen after it."""
    kinds = [cell.cell_type for cell in nbformat.read(file, as_version=4).cells]
    assert kinds[0] == kinds[-1] == "markdown"
    assert not any(kinds[i : i + 3] == ["code"] * 3 for i in range(len(kinds)))


@named
def test_it_imports_at_the_top_and_only_public_names(file):
    cells = [cell.source for cell in nbformat.read(file, as_version=4).cells if cell.cell_type == "code"]
    plain = ["\n".join(line for line in cell.split("\n") if not line.startswith("%")) for cell in cells]
    for number, cell in enumerate(plain):
        for node in ast.walk(ast.parse(cell)):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("pneumo_ad"):
                assert number == 0, cell
                assert not any(alias.name.startswith("_") for alias in node.names)


def test_a_notebook_with_output_would_be_stripped_before_a_commit(tmp_path):
    """The hook does what the test above asks for."""
    assert "nbstripout" in (FOLDER.parent / ".pre-commit-config.yaml").read_text()
    notebook = nbformat.read(NOTEBOOKS[0], as_version=4)
    code = next(cell for cell in notebook.cells if cell.cell_type == "code")
    code.outputs, code.execution_count = [nbformat.v4.new_output("stream", text="seen")], 3
    nbformat.write(notebook, tmp_path / "one.ipynb")
    subprocess.run([sys.executable, "-m", "nbstripout", str(tmp_path / "one.ipynb")], check=True)
    stripped = nbformat.read(tmp_path / "one.ipynb", as_version=4)
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in stripped.cells)
