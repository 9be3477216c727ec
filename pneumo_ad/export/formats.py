"""The two forms in which a graph is kept, each written and opened by its own library."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from pneumo_ad.errors import ConfigError, DataError, UserError
from pneumo_ad.export.archive import checked

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Graph:
    """An opened graph.

    Attributes:
        run: Arrays in the order of the inputs -> arrays in the order of the outputs.
        sides: Last two dimensions of each input: height and width.
    """

    run: Callable[..., list[Floats]]
    sides: list[tuple[Any, ...]]

    def __call__(self, *inputs: Floats) -> list[Floats]:
        """See `run`."""
        return self.run(*inputs)


OPSET = 18  # of ONNX: the first with an antialiased Resize


@dataclass(frozen=True)
class Format:
    """How graphs are kept.

    Attributes:
        name: Name, as `format=` takes it.
        suffix: Suffix of its files, for example `.onnx`.
        writes: Packages that write it, beside torch.
        opens: Packages that open it, beside torch.
        save: Writes a graph; takes program, names of the inputs, names of the outputs and file.
        open: Opens the graph in a file.
    """

    name: str
    suffix: str
    writes: tuple[str, ...]
    opens: tuple[str, ...]
    save: Callable[[ExportedProgram, Sequence[str], Sequence[str], Path], None]
    open: Callable[[Path], Graph]


def format_named(name: str, write: bool = False) -> Format:
    """A format, ready to be used.

    Args:
        name: Name of the format.
        write: Whether graphs are written, and opened again, or opened only.

    Raises:
        ConfigError: An unknown name, or packages that are missing.
    """
    if name not in FORMATS:
        raise ConfigError(f"format={name} is not known; expected {' or '.join(FORMATS)}")
    form = FORMATS[name]
    missing = [package for package in (*(form.writes if write else ()), *form.opens) if find_spec(package) is None]
    if missing and write:
        raise ConfigError(
            f"format={name} needs {', '.join(missing)}: "
            'pip install "pneumo_ad[export]"; format=torch_export does without'
        )
    if missing:
        raise ConfigError(f"opening a model of format={name} needs: pip install {' '.join(missing)}")
    return form


def trace_graph(module: nn.Module, inputs: Mapping[str, Tensor]) -> ExportedProgram:
    """A module as a graph for batches of any size.

    Args:
        module: In evaluation mode.
        inputs: An example of each input by name, two in the batch, in the order in which `forward` takes them.

    Raises:
        UserError: As the module raised it: parts that do not go together.
        ConfigError: torch.export cannot trace it; says where.
    """
    batch = Dim("batch", min=1, max=4096)
    given = tuple(inputs.values())
    try:
        with torch.no_grad():
            module(*given)  # what a net computes once and keeps is then a constant of the graph
            return torch.export.export(module, given, dynamic_shapes=tuple({0: batch} for _ in given), strict=False)
    except UserError:
        raise
    except Exception as reason:  # torch.export fails in many ways, each with pages of advice
        net = type(getattr(module, "net", module)).__name__
        words = next((line.strip() for line in f"{reason}".splitlines() if line.strip()), type(reason).__name__)
        raise ConfigError(
            f"{net} cannot be exported in any format: torch.export does not follow it ({words}). What it computes must "
            "not depend on the values or the number of its inputs; every net that ships can be exported"
        ) from reason


def _save_onnx(program: ExportedProgram, inputs: Sequence[str], outputs: Sequence[str], file: Path) -> None:
    try:
        with _quiet("onnxscript", "onnx_ir"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter's own inner workings
            torch.onnx.export(
                program, (), file, input_names=inputs, output_names=outputs, opset_version=OPSET, dynamo=True,
                external_data=False, verbose=False,
            )  # fmt: skip
    except Exception as reason:  # as in `trace_graph`
        words = next((line.strip() for line in f"{reason}".splitlines() if line.strip()), type(reason).__name__)
        raise ConfigError(f"ONNX has no words for this model ({words}); format=torch_export works") from reason


@contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """Without what some libraries tell of each node they take away."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [one.level for one in loggers]
    for one in loggers:
        one.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for one, level in zip(loggers, levels, strict=True):
            one.setLevel(level)


def _open_onnx(file: Path) -> Graph:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except Exception as reason:  # its own errors share no base
        raise DataError(f"{file}: not a whole ONNX model ({str(reason).splitlines()[0]})") from reason
    inputs = session.get_inputs()
    names = [one.name for one in inputs]

    def graph(*inputs: Floats) -> list[Floats]:
        return session.run(None, dict(zip(names, inputs, strict=True)))

    return Graph(graph, [tuple(one.shape[-2:]) for one in inputs])


def _save_torch(program: ExportedProgram, inputs: Sequence[str], outputs: Sequence[str], file: Path) -> None:
    program.example_inputs = None  # the one part of the file that would be pickled
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of weights in channels_last order, which are saved whole all the same
        torch.export.save(program, file)


def _open_torch(file: Path) -> Graph:
    archive = checked(file)
    try:
        program = torch.export.load(archive)
        module = program.module()
        taken = set(program.graph_signature.user_inputs)
        inputs = [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder" and node.name in taken]
        sides = [tuple(one.shape[-2:]) for one in inputs]
    except Exception as reason:  # half a file can fail in any way
        words = f"{reason}".partition("\n")[0] or type(reason).__name__
        raise DataError(f"{file}: not a whole torch.export program ({words})") from reason

    @torch.no_grad()
    def graph(*inputs: Floats) -> list[Floats]:
        found = module(*(torch.from_numpy(np.ascontiguousarray(one)) for one in inputs))
        return [one.numpy() for one in found]

    return Graph(graph, sides)


FORMATS = {
    "onnx": Format("onnx", ".onnx", ("onnx", "onnxscript"), ("onnxruntime",), _save_onnx, _open_onnx),
    "torch_export": Format("torch_export", ".pt2", (), (), _save_torch, _open_torch),
}


def other_formats(form: Format) -> str:
    """The formats beside one, as they are asked for.

    Args:
        form: The one.
    """
    return ", ".join(f"format={name}" for name in FORMATS if name != form.name)
