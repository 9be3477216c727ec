"""Validation of `.pt2` files: plain weights and a plain graph, safe for `torch.export.load`.

torch itself unpickles every member that the file declares as a pickle, runs guards as Python code, evaluates sizes as
Python and resolves functions by any name. Here each member is checked, and only a copy of them is opened.
"""

from __future__ import annotations

import ast
import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pneumo_ad.errors import DamagedError, DataError
from pneumo_ad.saved import GIB, in_a_line, open_zip, opened

# Members by their name below the top folder of the archive. Weights and constants are raw numbers.
_RAW = re.compile(r"data/(weights/weight|constants/tensor)_\d+")
_CONFIGS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
_GRAPH = "models/model.json"
_EMPTY = "data/sample_inputs/model.pt"
_NOTES = {
    "archive_format",
    "archive_version",
    "byteorder",
    ".data/version",
    ".data/serialization_id",
    ".format_version",
}

_NAME = re.compile(r"[\w.+:-]*")  # of values, weights, inputs, devices and versions: torch writes them as Python
_OPERATOR = re.compile(
    r"torch\.ops\.aten\.(?!save\b|from_file\b)(?:_?[a-z]\w*|__(?:and|or|xor|lshift|rshift)__)\.[A-Za-z]\w*"
    r"|torch\.ops\.higher_order\.(?:wrap_with_autocast|wrap_with_set_grad_enabled|cond)"
    r"|_operator\.(?:add|sub|mul|floordiv|truediv|mod|neg|pow|eq|ne|lt|le|gt|ge|and_|or_|not_|getitem)"
    r"|math\.(?:ceil|floor|trunc|sqrt)"
)
_SIZE_PARTS = (
    ast.Expression, ast.Call, ast.Name, ast.Load, ast.Constant, ast.keyword, ast.BinOp, ast.UnaryOp, ast.Compare,
    ast.operator, ast.unaryop, ast.cmpop,
)  # fmt: skip
_SIZE_WORDS = re.compile(
    r"[suz][uf]?\d+|Symbol|Integer|Rational|Add|Mul|Pow|Max|Min|Mod|PythonMod|FloorDiv|CleanDiv|CeilDiv|IntTrueDiv|Eq|Ne|"
    r"Lt|Le|Gt|Ge|And|Or|Not|StrictLessThan|StrictGreaterThan|LessThan|GreaterThan|Equality|Unequality|true|false"
)


def checked(file: Path) -> io.BytesIO:
    """Return a copy of a `.pt2` file for `torch.export.load` that holds only numbers and torch operators.

    Guards, which only require equal batch sizes of the inputs, and notes on the origin of the graph are left out.

    Args:
        file: `.pt2` file written by `pneumo-ad export format=torch_export`.

    Raises:
        DataError: Missing archive, or an archive with any other content; the message names it.
    """
    try:
        with opened(file, 64 * GIB) as held, open_zip(held) as archive:
            infos = archive.infolist()
            members = {info.filename: archive.read(info) for info in infos}
    except DamagedError as reason:
        raise DamagedError(f"{file}: not a whole torch.export program ({reason})") from reason
    try:
        tops = {name.partition("/")[0] for name in members}
        if len(members) != len(infos) or len(tops) != 1:
            raise DataError(f"{file}: not a torch.export program as it is written (parts of the same name)")
        parts = {name.partition("/")[2]: content for name, content in members.items()}
        copied = {name: _copied(name, content, file) for name, content in parts.items()}
    except DataError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as reason:
        raise DataError(f"{file}: not a whole torch.export program ({in_a_line(reason)})") from reason
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_STORED) as archive:
        for name, content in copied.items():
            archive.writestr(f"{min(tops)}/{name}", content)
    whole.seek(0)
    return whole


def _copied(name: str, content: bytes, file: Path) -> bytes:
    """Check a member of the archive and return its content.

    Raises:
        DataError: Member or content that is not allowed.
    """
    if name in _NOTES or _RAW.fullmatch(name) or (name == _EMPTY and not content):
        return content
    if name in _CONFIGS:
        config = json.loads(content)
        for entry in config["config"].values():
            raw = f"{name.rpartition('/')[0]}/{entry['path_name']}"
            if entry["use_pickle"] is not False or not _RAW.fullmatch(raw):
                raise DataError(f"{file}: holds a pickle ({raw}), which could run anything; it is not opened")
        return json.dumps(config).encode()
    if name == _GRAPH:
        graph = json.loads(content)
        for strange in _strange(graph):
            raise DataError(
                f"{file}: its graph holds {strange[:200]!r}, which is no operator of torch; it is not opened"
            )
        graph["guards_code"] = []
        return json.dumps(graph).encode()
    if name.startswith("data/"):
        raise DataError(f"{file}: holds a pickle ({name}), which could run anything; it is not opened")
    raise DataError(f"{file}: holds {name[:200]!r}, which is no part of a torch.export program as it is written here")


def _strange(node: Any, key: str = "") -> Iterator[str]:
    """Yield strings of a graph that are not plain names or operators; delete the metadata of its nodes in place."""
    if isinstance(node, dict):
        if isinstance(node.get("metadata"), dict):
            node["metadata"] = {}
        for name, inner in node.items():
            if name in ("as_custom_obj", "custom_obj", "treespec_namedtuple_fields") and inner:
                yield name
            elif name != "guards_code":
                yield from () if _NAME.fullmatch(name) else (name,)
                yield from _strange(inner, name)
    elif isinstance(node, list):
        for inner in node:
            yield from _strange(inner, key)
    elif isinstance(node, str):
        if key in ("target", "as_operator"):
            fine = bool(_OPERATOR.fullmatch(node))
        elif key == "expr_str":
            fine = _is_size(node)
        elif key in ("in_spec", "out_spec"):
            fine = _is_plain_tree(json.loads(node))
        else:  # torch quotes string arguments of operators in the Python code that it writes
            fine = key == "as_string" or bool(_NAME.fullmatch(node))
        if not fine:
            yield node


def _is_size(text: str) -> bool:
    """Check that a size is arithmetic on symbols and numbers.

    >>> _is_size("Mul(Integer(49), Symbol('s40', positive=True))"), _is_size("exec('x')"), _is_size("s0.x")
    (True, False, False)
    """
    for node in ast.walk(ast.parse(text, mode="eval")):
        if not isinstance(node, _SIZE_PARTS):
            return False
        if isinstance(node, ast.Name) and not _SIZE_WORDS.fullmatch(node.id):
            return False
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and not re.fullmatch(r"\w+", node.value):
            return False
    return True


def _is_plain_tree(tree: Any) -> bool:
    """Check that inputs or outputs are lists, tuples and dicts of tensors: torch resolves other types by name."""
    if isinstance(tree, list):
        return all(_is_plain_tree(one) for one in tree)
    if isinstance(tree, int):
        return True  # version number of the tree protocol
    names = tree["context"] is None or json.loads(tree["context"])
    plain = names is None or names is True or all(isinstance(name, str) and _NAME.fullmatch(name) for name in names)
    kinds = (None, "builtins.tuple", "builtins.list", "builtins.dict")
    return tree["type"] in kinds and plain and _is_plain_tree(tree["children_spec"])
