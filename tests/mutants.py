"""Damaged copies of a folder's files: kinds that any file can have, and kinds of its own format. Seeded."""

import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import yaml

ODD = (
    *(
        None,
        [],
        {},
        "",
        "x",
        "../x",
        True,
        -1,
        0,
        3,
        1e308,
        float("nan"),
        float("inf"),
        10**9,
        10**30,
        [1, "a"],
        {"a": 1},
    ),
    *(
        "${nowhere}",
        "${seed}${seed}",
        "${loop}",
        "???",
        "${oc.env:NOBODY}",
        "${" * 300 + "}" * 300,
        "\x1b[31mred",
        "a\nb",
    ),
)
ANY = ("empty", "text", "binary", "latin", "list", "null", "deep", "folder", "pipe", "nowhere", "truncated", "flipped")
REFUSED = ANY[:10]  # whatever the format: no file of this project is so


def copy(source, target):
    """A copy whose files are links to the first one's, until they are replaced."""
    shutil.copytree(source, target, copy_function=os.link)
    return Path(target)


def files_of(folder):
    """Those that commands read, by name below the folder."""
    own = (".yaml", ".json", ".csv", ".npy", ".npz", ".ckpt", ".onnx", ".pt2")
    found = (file.relative_to(folder) for file in sorted(folder.rglob("*")) if file.suffix in own)
    return [file for file in found if not {"figures", "csv"} & set(file.parts[:-1])]


def mutate(file, kind, random):
    """Put damage of a kind in the place of a file.

    Args:
        file: Which is replaced; what it is linked to stays.
        kind: Of `ANY`, or of `kinds_of`.
        random: `numpy.random.Generator`.
    """
    content = file.read_bytes()
    file.unlink()
    if kind == "folder":
        file.mkdir()
    elif kind == "pipe":
        os.mkfifo(file)
    elif kind == "nowhere":
        file.symlink_to(file.with_name("nobody"))
    else:
        file.write_bytes(_damaged(content, file.suffix, kind, random))


def kinds_of(file):
    """Kinds of damage that a file can have."""
    return ANY + {
        ".yaml": ("key", "value", "value", "value", "alias", "tag", "twice", "growing", "half"),
        ".json": ("key", "value", "value", "value", "twice", "half", "huge number"),
        ".csv": ("column", "wide", "cells"),
        ".npy": ("objects", "bomb", "shape", "dtype"),
        ".npz": ("objects", "bomb", "names", "dtype", "flipped"),
        ".ckpt": ("state", "flipped", "flipped", "packed"),
    }.get(Path(file).suffix, ())


def _damaged(content, suffix, kind, random):
    simple = {
        "empty": b"",
        "text": b"a text that is something else\n",
        "binary": random.bytes(3000),
        "latin": b"\xff\xfe\xe4" + content,
        "list": b"[1, 2]\n",
        "null": b"null\n",
        "deep": b"[" * 100_000 + b"]" * 100_000,
        "alias": b"a: &a [x, x, x, x]\n"
        + b"".join(b"%c: &%c [*%c, *%c, *%c, *%c]\n" % (n + 1, n + 1, n, n, n, n) for n in range(97, 121)),
        "tag": b"seed: !!python/object/apply:os.system ['true']\n" + content,
        "twice": (b'{"status": 1, "status": 2, ' + content[1:]) if suffix == ".json" else content + content,
        "growing": content
        + b"".join(b"z%d: ${z%d}${z%d}\n" % (n, n + 1, n + 1) for n in range(60))
        + b"z60: 0123456789\n",
        "half": content[: len(content) // 2],
        "huge number": b'{"format_version": ' + b"9" * 6000 + b"}",
        "column": content.replace(b",", b",no_", 1).replace(b"image", b"picture", 1),
        "wide": content + b"," * 5_000_000,
        "cells": content.replace(b"0", b"zero").replace(b"s0-n", b""),
    }
    if kind in simple:
        return simple[kind]
    if kind == "truncated":
        return content[: int(random.integers(1, len(content)))]
    if kind == "flipped":
        place = int(random.integers(len(content)))
        return content[:place] + bytes([content[place] ^ (1 << int(random.integers(8)))]) + content[place + 1 :]
    if kind in ("key", "value"):
        plain = json.loads(content) if suffix == ".json" else yaml.safe_load(content)
        _change(plain, kind, random)
        return json.dumps(plain).encode() if suffix == ".json" else yaml.safe_dump(plain, sort_keys=False).encode()
    return _arrays(content, suffix, kind, random)


def _change(plain, kind, random):
    """One key, however deep, taken out or given another value."""
    node, key = {"": plain}, ""
    while isinstance(node[key], dict | list) and len(node[key]) and (node[key] is plain or random.random() < 0.75):
        node = node[key]
        key = list(node)[int(random.integers(len(node)))] if isinstance(node, dict) else int(random.integers(len(node)))
    if kind == "key":
        del node[key]
    else:
        node[key] = ODD[int(random.integers(len(ODD)))]


def _arrays(content, suffix, kind, random):
    import io

    if suffix == ".ckpt":
        return _checkpoint(content, kind, random)
    out, objects = io.BytesIO(), np.array([{"a": 1}], dtype=object)
    if suffix == ".npy":
        array = np.load(io.BytesIO(content))
        if kind == "bomb":
            np.lib.format.write_array_header_1_0(out, {"descr": "<f4", "fortran_order": False, "shape": (10**12,)})
        else:
            changed = {"objects": objects, "shape": array[..., :-1], "dtype": array.astype(np.float64)}[kind]
            np.save(out, changed, allow_pickle=True)
        return out.getvalue()
    with np.load(io.BytesIO(content)) as held:
        arrays = dict(held)
    name = sorted(arrays)[int(random.integers(len(arrays)))]
    if kind == "bomb":
        head = io.BytesIO()
        np.lib.format.write_array_header_1_0(head, {"descr": "<f4", "fortran_order": False, "shape": (10**12,)})
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{name}.npy", head.getvalue() + bytes(50_000_000))
        return out.getvalue()
    arrays |= {"objects": {name: objects}, "names": {"other": arrays.pop(name)}, "dtype": {name: np.array(["a"])}}[kind]
    np.savez(out, **arrays)
    return out.getvalue()


def _checkpoint(content, kind, random):
    import io

    import torch

    out = io.BytesIO()
    if kind == "packed":
        with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
            for name in archive.namelist():
                packed.writestr(name, archive.read(name))
        return out.getvalue()
    held = torch.load(io.BytesIO(content), weights_only=True)
    state = held["state_dict"]
    name = list(state)[int(random.integers(len(state)))]
    held["state_dict"] = [
        list(state.items()), None, "weights", {}, {1: 2}, torch.zeros(3),
        state | {name: state[name].flatten()[:1]}, state | {name: "x"}, state | {name: state[name].to(torch.int8)},
        state | {name: state[name].to("meta")}, state | {"more": torch.zeros(1)},
        {key: value for key, value in state.items() if key != name}, state | {name: state[name].to_sparse()},
    ][int(random.integers(13))]  # fmt: skip
    torch.save(held, out)
    return out.getvalue()
