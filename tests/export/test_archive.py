"""A `.pt2` file of a stranger runs nothing: each part of it that torch would turn into code."""

import io
import json
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch

from pneumo_ad.errors import DataError
from pneumo_ad.export.archive import checked
from pneumo_ad.export.formats import FORMATS, trace_graph

GRAPH, WEIGHTS = "models/model.json", "data/weights/model_weights_config.json"


class Twice(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.full((2,), 2.0))

    def forward(self, x):
        return (self.factor * x.reshape(x.shape[0], 2),)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    file = tmp_path_factory.mktemp("archive") / "model.pt2"
    FORMATS["torch_export"].save(trace_graph(Twice(), {"x": torch.ones(2, 2, 1)}), ["x"], ["y"], file)
    return file


def rewritten(written, place, name, change, compression=zipfile.ZIP_STORED):
    """The archive with a part changed, or added."""
    file = place / "model.pt2"
    with zipfile.ZipFile(written) as source, zipfile.ZipFile(file, "w", compression) as target:
        parts = {one: source.read(one) for one in source.namelist()}
        top = next(iter(parts)).partition("/")[0]
        parts[f"{top}/{name}"] = change(parts.get(f"{top}/{name}", b""))
        for one, content in parts.items():
            target.writestr(one, content)
    return file


def graph_with(**changes):
    """Sets values of the graph wherever they have that key."""

    def change(content):
        return json.dumps(replaced(json.loads(content), changes)).encode()

    return change


def replaced(node, changes):
    if isinstance(node, dict):
        return {key: changes.get(key, replaced(inner, changes)) for key, inner in node.items()}
    return [replaced(inner, changes) for inner in node] if isinstance(node, list) else node


def test_ours_opens_with_its_values(written):
    assert FORMATS["torch_export"].open(written)(np.ones((3, 2, 1), np.float32))[0].tolist() == [[2, 2]] * 3


def test_guards_are_left_out(written, tmp_path):
    mark = tmp_path / "executed"
    code = [f"__import__('os').mkdir({str(mark)!r}) is None"]
    file = rewritten(written, tmp_path, GRAPH, graph_with(guards_code=code))
    assert FORMATS["torch_export"].open(file)(np.ones((3, 2, 1), np.float32))[0].tolist() == [[2, 2]] * 3
    assert not mark.exists()


PYTHON = "__import__('os').mkdir('executed')"
TREE = '[1, {"type": "%s", "context": %s, "children_spec": []}]'


@pytest.mark.parametrize(
    "changes",
    [
        {"target": "torch.os.mkdir"},
        {"target": "torch.load"},
        {"target": "torch.ops.aten.save.default"},
        {"target": "torch.ops.aten.from_file.default"},
        {"target": "torch.ops.aten.__class__.mro"},
        {"target": "torch.ops.load_library"},
        {"target": "torch.ops.higher_order.triton_kernel_wrapper_functional"},
        {"target": "_operator.methodcaller"},
        {"target": "math.__loader__.load_module"},
        {"target": "#theirs:x"},
        {"expr_str": PYTHON},
        {"expr_str": "exec(chr(95))"},
        {"expr_str": "Symbol('s0').__class__"},
        {"expr_str": "[s0 for s0 in s0]"},
        {"name": f"x={PYTHON}"},
        {"name": "x\n    import os"},
        {"parameter_name": f"x; {PYTHON}"},
        {"fqn": f'x"); {PYTHON} #'},
        {"forward_arg_names": [f"x={PYTHON}"]},
        {"in_spec": TREE % ("collections.defaultdict", '"{}"')},
        {"out_spec": TREE % ("builtins.dict", json.dumps(json.dumps([{"__enum__": True, "fqn": "os:mkdir"}])))},
        {"treespec_namedtuple_fields": {"x": {"fields": ["y"]}}},
    ],
    ids=str,
)
def test_a_graph_of_anything_but_tensors_is_refused(changes, written, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"model\.pt2: its graph holds"):
        FORMATS["torch_export"].open(rewritten(written, tmp_path, GRAPH, graph_with(**changes)))
    assert not (tmp_path / "executed").exists()


class Payload:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def pickled(_):
    content = io.BytesIO()
    torch.save(Payload(), content)
    return content.getvalue()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        (WEIGHTS, lambda content: content.replace(b'"use_pickle": false', b'"use\\u005fpickle" : true')),
        (WEIGHTS, lambda content: content.replace(b'"weight_0"', b'"../constants/opaque_obj_0"')),
        ("data/weights/model.pt", pickled),
        ("data/constants/model.pt", pickled),
        ("data/constants/opaque_obj_0", lambda _: pickle.dumps(Payload())),
        ("data/constants/custom_obj_0", pickled),
        ("data/sample_inputs/model.pt", pickled),
        ("data/aotinductor/model/x.so", lambda _: b"x"),
        ("models/other.json", lambda _: b"{}"),
        ("extra/x", lambda _: b"x"),
    ],
)
def test_a_pickle_or_a_part_that_we_do_not_write_is_refused(name, change, written, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"model\.pt2: holds "):
        FORMATS["torch_export"].open(rewritten(written, tmp_path, name, change))
    assert not (tmp_path / "executed").exists()


def test_archives_that_two_readers_may_read_differently_are_refused(written, tmp_path):
    with pytest.raises(DataError, match="compressed"):
        checked(rewritten(written, tmp_path, GRAPH, bytes, zipfile.ZIP_DEFLATED))
    file = rewritten(written, tmp_path, GRAPH, bytes)
    with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(archive.namelist()[0], b"")
    with pytest.raises(DataError, match="same name"):
        checked(file)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"1", b"[" * 100_000, b'{"graph_module": {}}'])
def test_a_damaged_graph_is_told_in_a_line(content, written, tmp_path):
    with pytest.raises(DataError, match=r"model\.pt2: ") as told:
        FORMATS["torch_export"].open(rewritten(written, tmp_path, GRAPH, lambda _: content))
    assert "\n" not in str(told.value)


def test_what_is_opened_is_the_copy_that_was_checked(written):
    names = zipfile.ZipFile(checked(written)).namelist()
    assert sorted(names) == sorted(zipfile.ZipFile(written).namelist())
