"""Every public name says what it is, and names what it takes."""

import ast
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import pneumo_ad

PACKAGE = Path(pneumo_ad.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
PACKAGES = sorted(
    {"pneumo_ad"} | {info.name for info in pkgutil.walk_packages(pneumo_ad.__path__, "pneumo_ad.") if info.ispkg}
)

# What these take is said once, by the class, the package or the library whose hook they are: a patch `x`, a net's
# `output`, a `batch`, the Lightning `trainer` and its module.
SAID_ELSEWHERE = {
    "self",
    "cls",
    "x",
    "output",
    "batch",
    "batch_idx",
    "batch_index",
    "trainer",
    "pl_module",
    "args",
    "kwargs",
}


def parameters_of(function):
    taken = function.args
    named = [*taken.posonlyargs, *taken.args, *taken.kwonlyargs, taken.vararg, taken.kwarg]
    return [one.arg for one in named if one is not None and not one.arg.startswith("_")]


def fields_of(node):
    """What a dataclass or a NamedTuple is made of."""
    made = any("dataclass" in ast.unparse(one) for one in node.decorator_list)
    if not made and not any(ast.unparse(base) == "NamedTuple" for base in node.bases):
        return []
    names = [
        one.target.id for one in node.body if isinstance(one, ast.AnnAssign) and "ClassVar" not in ast.unparse(one)
    ]
    return [name for name in names if not name.startswith("_")]


def described(node, text, said=""):
    """(name, docstring, names that it must hold) of a node and, for a class, of its public methods."""
    if isinstance(node, ast.ClassDef):
        own = ast.get_docstring(node) or ""
        methods = [one for one in node.body if isinstance(one, ast.FunctionDef)]
        taken = next((parameters_of(one) for one in methods if one.name == "__init__"), fields_of(node))
        yield node.name, own, taken
        for method in methods:
            if not method.name.startswith("_"):
                yield f"{node.name}.{method.name}", ast.get_docstring(method) or "", parameters_of(method)
    else:
        yield node.name, ast.get_docstring(node) or "", parameters_of(node)


def public(tree):
    wanted = (ast.FunctionDef, ast.ClassDef)
    return [node for node in tree.body if isinstance(node, wanted) and not node.name.startswith("_")]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_public_names_are_described_and_name_their_parameters(file):
    missing = []
    for node in public(ast.parse(file.read_text())):
        for name, text, taken in described(node, text=""):
            if not text:
                missing.append(f"{name}: no docstring")
            unnamed = [one for one in taken if one not in SAID_ELSEWHERE and not re.search(rf"\b{one}\b", text)]
            if unnamed:
                missing.append(f"{name} does not name {', '.join(unnamed)}")
    assert not missing, "\n".join(missing)
