"""Layers of a net in the order of its forward pass."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from pneumo_ad.nets.unet import UpBlock

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict)
# Functions that count as layers, with the kind that they are reported as.
_FUNCTIONS = {
    "interpolate": "Upsample",
    "max_pool2d": "MaxPool2d",
    "avg_pool2d": "AvgPool2d",
    "adaptive_avg_pool2d": "AdaptiveAvgPool2d",
    "pixel_unshuffle": "PixelUnshuffle",
    "pixel_shuffle": "PixelShuffle",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "relu": "ReLU",
    "leaky_relu": "LeakyReLU",
    "gelu": "GELU",
    "silu": "SiLU",
}
_JOINS = {"cat": "Concatenate", "concat": "Concatenate", "add": "Add", "__add__": "Add", "__iadd__": "Add"}


@dataclass(frozen=True)
class Layer:
    """Layer of a net: a module, function or lone parameter.

    Attributes:
        name: Name of the module, as in `named_modules`, or of the function or parameter.
        kind: Class of the module, or the function's operation: Conv2d, MaxPool2d, Upsample, Concatenate, Parameter, ...
        kernel: Kernel size, for example `3 × 3`; shape of a lone parameter; mode of an upsampling; else empty.
        channels: Channels of the output; its length for a vector.
        height: Height of the output in pixels; 1 for a vector.
        width: Width of the output in pixels; 1 for a vector.
        parameters: Number of its parameters, counted at its first use; later uses count 0.
        inputs: Numbers of the earlier layers whose outputs it takes, ascending.
    """

    name: str
    kind: str
    kernel: str
    channels: int
    height: int
    width: int
    parameters: int = 0
    inputs: tuple[int, ...] = ()

    @property
    def joins(self) -> tuple[int, ...]:
        """Numbers of the layers at the start of skip connections: all inputs of a join but the last."""
        return self.inputs[:-1] if self.kind in _JOINS.values() else ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the output: channels, height and width."""
        return self.channels, self.height, self.width


def trace_layers(net: nn.Module, size: tuple[int, int]) -> list[Layer]:
    """Trace the layers of a net in the order of its forward pass, the input first.

    Torch modules and modules without submodules are layers, recorded by forward hooks; so are functions called between
    them that resize, join or activate. Unused parameters come last, as kind `not used`: the parameters of all layers
    add up to those of the net.

    Args:
        net: Net that takes (B, 1, H, W), with any output; a copy of it is traced, in evaluation mode.
        size: H and W in pixels.

    >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2))
    >>> [(layer.kind, layer.shape) for layer in trace_layers(net, (8, 8))]
    [('Input', (1, 8, 8)), ('Conv2d', (4, 6, 6)), ('MaxPool2d', (4, 3, 3))]
    """
    net = copy.deepcopy(net).cpu().eval()  # without its compiled code
    for block in net.modules():
        if isinstance(block, UpBlock):
            block.fused = False  # separate layers, as in the paper's figure
    x = torch.zeros(1, 1, *size)
    recorder = _Recorder(net, x)
    with torch.no_grad(), recorder.hooked(), recorder:
        net(x)
    return recorder.layers + recorder.unused()


class _Recorder(TorchFunctionMode):
    """Recorder of layers, and of the layer that each tensor between them came from."""

    def __init__(self, net: nn.Module, x: Tensor) -> None:
        super().__init__()
        self.net = net
        self.uncounted: dict[Tensor, str] = {parameter: name for name, parameter in net.named_parameters()}
        self.layers = [Layer("input", "Input", "", *x.shape[1:])]
        self.source = {x: 0}  # keeps tensors alive, which are keys by their id: that of a freed one may be reused
        self.inside = 0  # nesting depth of running layers; calls inside a layer belong to it

    def hooked(self) -> ExitStack:
        """Hook every layer; leaving the returned context removes the hooks."""
        stack = ExitStack()
        for name, module in self.net.named_modules():
            if _is_layer(module):
                stack.callback(module.register_forward_pre_hook(self._enter).remove)
                stack.callback(module.register_forward_hook(partial(self._leave, name or "net")).remove)
        return stack

    def unused(self) -> list[Layer]:
        """Return the parameters that no layer has used, as layers of kind `not used`."""
        return [
            Layer(name, "not used", _times(parameter.shape), 0, 0, 0, parameter.numel())
            for parameter, name in self.uncounted.items()
        ]

    def _enter(self, module: nn.Module, inputs: Any) -> None:
        self.inside += 1

    def _leave(self, name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        self.inside -= 1
        if not self.inside:
            kernel = _kernel(getattr(module, "kernel_size", ""))
            self._note(name, type(module).__name__, kernel, output, list(module.parameters()), self._sources(inputs))

    def _note(
        self,
        name: str,
        kind: str,
        kernel: str,
        output: Any,
        parameters: Sequence[nn.Parameter],
        sources: Sequence[int],
    ) -> None:
        result = next(_tensors(output), None)
        shape = self.layers[-1].shape if result is None or kind == "Parameter" else _shape(result)
        count = sum(one.numel() for one in parameters if self.uncounted.pop(one, ""))
        # An output without a source layer, such as a lone parameter, is attached to the previous layer.
        self.layers.append(Layer(name, kind, kernel, *shape, count, tuple(sources) or (len(self.layers) - 1,)))
        self.source |= dict.fromkeys(_tensors(output), len(self.layers) - 1)

    def _sources(self, given: Any) -> list[int]:
        return sorted({self.source[one] for one in _tensors(given) if one in self.source})

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        output = function(*args, **kwargs)
        if self.inside:
            return output
        name = getattr(function, "__name__", "")
        given = list(_tensors((args, kwargs)))
        new = [one for one in given if isinstance(one, nn.Parameter) and one in self.uncounted]
        sources = self._sources(given)
        if name in _JOINS and len(sources) > 1:
            self._note(name, _JOINS[name], "", output, new, sources)
        elif name in _FUNCTIONS and sources:
            self._note(name, _FUNCTIONS[name], str(kwargs.get("mode", "")), output, new, sources)
        elif new:  # a function on unused weights, or a lone parameter
            kind = name if name.startswith(("conv", "linear")) else "Parameter"
            names = ", ".join(self.uncounted[one] for one in new)
            self._note(names, kind, _times(new[0].shape), output, new, sources)
        elif sources:  # a reshape, a slice, a cast: still the output of the same layer
            self.source |= dict.fromkeys(_tensors(output), sources[-1])
        return output


def _is_layer(module: nn.Module) -> bool:
    ours = any(base.__module__.startswith("torch.nn.modules") for base in type(module).__mro__ if base is not nn.Module)
    return not isinstance(module, _CONTAINERS) and (ours or not any(True for _ in module.children()))


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _tensors(inner)
    elif isinstance(value, (tuple, list)):
        for inner in value:
            yield from _tensors(inner)


def _shape(result: Tensor) -> tuple[int, int, int]:
    """Channels, height and width of (B, C, H, W), tokens (B, N, C) or a vector (B, C)."""
    if result.ndim == 4:
        return result.shape[1], result.shape[2], result.shape[3]
    if result.ndim == 3:
        return result.shape[2], result.shape[1], 1
    return int(result[0].numel()) if result.ndim else 1, 1, 1


def _kernel(size: Any) -> str:
    return _times((size, size) if isinstance(size, int) else size) if size else ""


def _times(sides: Sequence[int]) -> str:
    return " × ".join(map(str, sides))
