"""File formats of exported graphs: ONNX and torch.export."""

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
from pneumo_ad.saved import in_a_line

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Graph:
    """Graph opened from a file.

    Attributes:
        run: Function of the input arrays, in order, that returns the output arrays, in order; float32.
        sides: (height, width) of each input.
    """

    run: Callable[..., list[Floats]]
    sides: list[tuple[Any, ...]]

    def __call__(self, *inputs: Floats) -> list[Floats]:
        """See `run`."""
        return self.run(*inputs)


OPSET = 18  # of ONNX: the first with an antialiased Resize


@dataclass(frozen=True)
class Format:
    """File format of graphs.

    Attributes:
        name: Name, as `format=` takes it.
        suffix: Suffix of the files, for example `.onnx`.
        writes: Packages needed to write it, beside torch.
        opens: Packages needed to open it, beside torch.
        save: Function that writes a graph; takes program, names of the inputs, names of the outputs and file.
        open: Function that opens the graph in a file.
    """

    name: str
    suffix: str
    writes: tuple[str, ...]
    opens: tuple[str, ...]
    save: Callable[[ExportedProgram, Sequence[str], Sequence[str], Path], None]
    open: Callable[[Path], Graph]


def format_named(name: str, write: bool = False) -> Format:
    """Return a format by its name, after a check that its packages are installed.

    Args:
        name: Name of the format.
        write: Whether graphs are written and opened again; False: opened only.

    Raises:
        ConfigError: Unknown name or missing packages.
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
    """Trace a module into a graph for batches of any size.

    Args:
        module: Module in evaluation mode.
        inputs: Example of each input by name, batches of two, in the order of the arguments of `forward`.

    Raises:
        UserError: Error of the module itself, raised unchanged.
        ConfigError: Module that torch.export cannot trace; the message says where.
    """
    batch = Dim("batch", min=1, max=4096)
    given = tuple(inputs.values())
    try:
        with torch.no_grad():
            module(*given)  # fills caches of the net, which then are constants of the graph
            return torch.export.export(module, given, dynamic_shapes=tuple({0: batch} for _ in given), strict=False)
    except UserError:
        raise
    except Exception as reason:  # torch.export fails in many ways, each with pages of advice
        net = type(getattr(module, "net", module)).__name__
        raise ConfigError(
            f"{net} cannot be exported in any format: torch.export does not follow it ({in_a_line(reason)}). What it "
            "computes must not depend on the values or the number of its inputs; every net that ships can be exported"
        ) from reason


def _save_onnx(program: ExportedProgram, inputs: Sequence[str], outputs: Sequence[str], file: Path) -> None:
    try:
        with _quiet("onnxscript", "onnx_ir"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about internals of the exporter
            torch.onnx.export(
                program, (), file, input_names=inputs, output_names=outputs, opset_version=OPSET, dynamo=True,
                external_data=False, verbose=False,
            )  # fmt: skip
    except Exception as reason:  # as in `trace_graph`
        if isinstance(cause := reason.__cause__ or reason, OSError):
            raise cause from None
        raise ConfigError(
            f"the ONNX exporter does not support this model ({in_a_line(reason)}); format=torch_export works"
        ) from reason


@contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """Silence log messages of some libraries, which report each node they remove."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _open_onnx(file: Path) -> Graph:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except Exception as reason:  # its errors share no base class
        raise DataError(f"{file}: not a whole ONNX model ({in_a_line(reason)})") from reason
    inputs = session.get_inputs()
    names = [node.name for node in inputs]

    def graph(*inputs: Floats) -> list[Floats]:
        return session.run(None, dict(zip(names, inputs, strict=True)))

    return Graph(graph, [tuple(node.shape[-2:]) for node in inputs])


def _save_torch(program: ExportedProgram, inputs: Sequence[str], outputs: Sequence[str], file: Path) -> None:
    program.example_inputs = None  # the only part of the file that would be pickled
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about weights in channels_last order, which are saved completely nevertheless
        torch.export.save(program, file)


def _open_torch(file: Path) -> Graph:
    archive = checked(file)
    try:
        program = torch.export.load(archive)
        module = program.module()
        taken = set(program.graph_signature.user_inputs)
        inputs = [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder" and node.name in taken]
        sides = [tuple(one.shape[-2:]) for one in inputs]
    except Exception as reason:  # a truncated file can fail in any way
        raise DataError(f"{file}: not a whole torch.export program ({in_a_line(reason)})") from reason

    @torch.no_grad()
    def graph(*inputs: Floats) -> list[Floats]:
        outputs = module(*(torch.from_numpy(np.ascontiguousarray(array)) for array in inputs))
        return [output.numpy() for output in outputs]

    return Graph(graph, sides)


FORMATS = {
    "onnx": Format("onnx", ".onnx", ("onnx", "onnxscript"), ("onnxruntime",), _save_onnx, _open_onnx),
    "torch_export": Format("torch_export", ".pt2", (), (), _save_torch, _open_torch),
}


def other_formats(form: Format) -> str:
    """Return the other formats as options, for example `format=onnx`.

    Args:
        form: Format to leave out.
    """
    return ", ".join(f"format={name}" for name in FORMATS if name != form.name)
