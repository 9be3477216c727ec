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
PACKAGES = ["pneumo_ad", *(info.name for info in pkgutil.walk_packages(pneumo_ad.__path__, "pneumo_ad.") if info.ispkg)]

# Said once, by the package (`nets`, `losses`, `scores`): a patch `x` and a net's `output`.
CONTRACT = {"x", "output"}
# Called by Lightning, Hydra, albumentations or torch, whose documentation says what they are given.
HOOKS = {
    "apply", "get_params_dependent_on_data", "load_checkpoint", "load_state_dict", "on_exception",
    "on_save_checkpoint", "on_train_batch_end", "on_train_epoch_end", "on_train_start", "on_validation_batch_end",
    "on_validation_end", "on_validation_epoch_end", "on_validation_epoch_start", "on_validation_start",
    "predict_step", "save_checkpoint", "training_step", "validation_step",
}  # fmt: skip
REFERS = re.compile(r"\b[Ss]ee `")  # to where its parameters are described
# "path: Of the file" leaves out the noun, and so does a summary that begins with one of these.
RIDDLE = re.compile(r"^ +\*{0,2}(\w+: (?:Of|Whose|Those|What))\b", re.MULTILINE)
SUMMARY = re.compile(r'^ *r?"""(Of|Whose|Those|What|Who|Where|How|Everybody|Nobody)\b', re.MULTILINE)


def parameters_of(function):
    """Names it takes; those of a function of one thing, which may call it by what it is, are not asked for."""
    taken = function.args
    named = [*taken.posonlyargs, *taken.args, *taken.kwonlyargs, taken.vararg, taken.kwarg]
    names = [one.arg for one in named if one is not None and one.arg not in ("self", "cls")]
    return [name for name in names if not name.startswith("_")] if len(names) > 1 else []


def fields_of(node, lines):
    """What a dataclass or a NamedTuple is made of; a field may be described beside it."""
    made = any("dataclass" in ast.unparse(one) for one in node.decorator_list)
    if not made and not any(ast.unparse(base) == "NamedTuple" for base in node.bases):
        return []
    fields = [one for one in node.body if isinstance(one, ast.AnnAssign) and "  # " not in lines[one.lineno - 1]]
    names = [field.target.id for field in fields if "ClassVar" not in ast.unparse(field)]
    return [name for name in names if not name.startswith("_")]


def described(node, lines):
    """(name, node, names that its docstring must hold) of a function or a class and its public methods."""
    if isinstance(node, ast.FunctionDef):
        yield node.name, node, parameters_of(node)
        return
    methods = [one for one in node.body if isinstance(one, ast.FunctionDef)]
    yield (
        node.name,
        node,
        next((parameters_of(one) for one in methods if one.name == "__init__"), fields_of(node, lines)),
    )
    for method in methods:
        if not method.name.startswith("_"):
            yield f"{node.name}.{method.name}", method, [] if method.name in HOOKS else parameters_of(method)


def faults(source):
    """What the public names of a file leave unsaid."""
    for node in ast.parse(source).body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        for name, one, taken in described(node, source.splitlines()):
            text = ast.get_docstring(one) or ""
            unnamed = [word for word in taken if word not in CONTRACT and not re.search(rf"\b{word}\b", text)]
            if not text:
                yield f"{name}: no docstring"
            elif unnamed and not REFERS.search(text):
                yield f"{name} does not name {', '.join(unnamed)}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_public_names_are_described_and_name_their_parameters(file):
    assert not list(faults(file.read_text()))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_parameters_are_described_by_a_noun(file):
    assert RIDDLE.findall(file.read_text()) == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_summaries_begin_with_a_verb_or_a_noun(file):
    assert SUMMARY.findall(file.read_text()) == []


def test_a_riddle_is_found():
    assert RIDDLE.findall("    Args:\n        path: Of the file.\n        *rows: Whose.\n") == [
        "path: Of",
        "rows: Whose",
    ]
    assert SUMMARY.findall('def f():\n    """What is there."""\n') == ["What"]
    assert not SUMMARY.findall('def f():\n    """Whatever is there."""\n')
    assert not RIDDLE.findall("    Args:\n        path: Offset of the file.\n        rows: Rows of the store.\n")


def test_what_is_left_unsaid_is_found():
    assert list(faults("def f(a, b): pass")) == ["f: no docstring"]
    assert list(faults('def f(a, b):\n    """Adds a to something."""')) == ["f does not name b"]
    assert list(faults('class C:\n    """C."""\n    def __init__(self, a, b): pass\n    def m(self): pass')) == [
        "C does not name a, b",
        "C.m: no docstring",
    ]
    fields = "@dataclass\nclass D:\n    '''With a.'''\n    a: int\n    b: int\n    c: int  # said here"
    assert list(faults(fields)) == ["D does not name b"]
    assert not list(faults('def _f(a, b): pass\ndef g(a):\n    """Of one thing."""'))


@pytest.mark.parametrize("name", PACKAGES)
def test_what_a_package_offers_is_in_all_and_all_is_there(name):
    package = importlib.import_module(name)
    tree = ast.parse(Path(package.__file__).read_text())
    offered = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith("pneumo_ad."))
        for alias in node.names
    }
    listed = getattr(package, "__all__", [])
    assert offered <= set(listed)
    assert len(listed) == len(set(listed))
    assert all(hasattr(package, one) for one in listed)
    assert package.__doc__ or name == "pneumo_ad.conf"


# Rooms whose names are no keys of configs: `data.root` is one, `metrics.kinds` can only be a module.
ROOMS = sorted({info.name for info in pkgutil.iter_modules(pneumo_ad.__path__)} - {"conf", "data", "lungs"})
NAMED = re.compile(rf"`(?:pneumo_ad\.)?((?:{'|'.join(ROOMS)})\.[\w.]+)`")


def leads_somewhere(dotted):
    """Whether `room.module.name` is a module, or what one holds."""
    found = pneumo_ad
    for name in dotted.split("."):
        try:
            found = importlib.import_module(f"{found.__name__}.{name}")
        except (ImportError, AttributeError):
            found = getattr(found, name, None)
        if found is None:
            return False
    return True


def test_every_module_that_comments_name_is_there():
    assert not leads_somewhere("metrics.nothing")
    named = {(one, file) for file in FILES for one in NAMED.findall(file.read_text())}
    assert len(named) > 20
    lost = sorted(f"{file.relative_to(PACKAGE)}: {one}" for one, file in named if not leads_somewhere(one))
    assert not [one for one in lost if not one.endswith((".csv", ".html", ".json", ".md", ".py"))]
