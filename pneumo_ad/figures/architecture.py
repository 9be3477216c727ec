"""Diagram of a net from its layers (the paper's Fig. 6).

No library draws it: for a U-net, visualtorch omits the upsampling, which is a function and not a module, and prints
neither channels nor sizes; torchview shows all layers but needs the Graphviz program; torchinfo prints a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, Rectangle

from pneumo_ad.figures.net_layers import Layer
from pneumo_ad.figures.style import PAGE_WIDTH, SMALL, STYLE, page

# Operation of a layer by words in its kind; the first match counts.
_DOES = (
    ("Input", ("Input",)),
    ("join", ("Concatenate", "Add")),
    ("up", ("Upsample", "ConvTranspose", "PixelShuffle")),
    ("pool", ("Pool", "PixelUnshuffle")),
    ("conv", ("Conv", "conv")),
    ("dense", ("Linear", "linear")),
    ("parameter", ("Parameter",)),
)
_COLOURS = {
    "conv": "black",
    "pool": "#d62728",
    "up": "#2ca02c",
    "dense": "#7570b3",
    "parameter": "#e6850e",
    "other": "#8c564b",
    "join": "0.55",
}
_FILL, _COPIED = "#9ecae1", "white"
_MOST = 24  # largest number of boxes; beyond it, neighbours of equal shape are merged
_ABOVE, _BELOW = 0.17, 0.2  # inches for the text above and below a box


@dataclass
class _Box:
    """Output of one or several layers as a box of the diagram."""

    layer: Layer
    does: str
    words: list[str]  # layers that produced it, for the legend
    numbers: set[int]  # numbers of the layers that it represents
    fed_by: int = 0  # number of the layer that the arrow comes from
    joins: list[int] = field(default_factory=list)
    copied: int = 0  # channels from a skip connection
    level: int = 0
    times: int = 1
    x: float = 0.0
    y: float = 0.0
    width: float = 0.0
    height: float = 0.0


def architecture(layers: Sequence[Layer], title: str) -> Figure:
    """Draw Fig. 6: the output of each layer as a box, its height by the picture size, its width by the channels.

    Boxes run from left to right in the order of the layers, and smaller pictures lie lower: a U-net descends and
    ascends, a net of constant size is a chain. Activations and norms are named in the legend, with the layer before
    them.

    Args:
        layers: Layers of the net, from `trace_layers`.
        title: Title above the diagram.
    """
    boxes = _boxes([layer for layer in layers if layer.kind != "not used"])
    if len(boxes) > _MOST:
        boxes = _merged(boxes)
    depth = _place(boxes)
    with mpl.rc_context(STYLE):
        made = _legend(boxes)
        figure = page(PAGE_WIDTH, depth + 0.45 + 0.17 * len(made))
        axis = figure.subplots()
        axis.set(xlim=(0, PAGE_WIDTH - 0.1), ylim=(-depth, 0.05), aspect="equal")
        axis.set_axis_off()
        for before, box, after in zip([None, *boxes[:-1]], boxes, [*boxes[1:], None], strict=True):
            _draw_box(axis, box, before, after)
            if before is not None:
                _arrow(axis, _holding(boxes, box.fed_by), box, before)
            for source in box.joins:
                _skip(axis, _holding(boxes, source), box, boxes)
        figure.legend(handles=made, loc="outside lower left", fontsize=SMALL)
        figure.suptitle(title)
    return figure


def _holding(boxes: Sequence[_Box], number: int) -> _Box:
    """Return the box that represents a layer."""
    return next(box for box in boxes if number in box.numbers)


def _does(layer: Layer) -> str:
    return next((what for what, words in _DOES if any(word in layer.kind for word in words)), "other")


def _boxes(layers: Sequence[Layer]) -> list[_Box]:
    """Make a box per layer that returns a new picture; other layers are named in the box before them."""
    boxes: list[_Box] = []
    for number, layer in enumerate(layers):
        does = _does(layer)
        last = boxes[-1] if boxes else None
        follows = last is not None and max(layer.inputs, default=0) in last.numbers
        if last is not None and follows and does == "join" and last.layer.shape[1:] == layer.shape[1:]:
            last.copied = layer.channels - last.layer.channels
            last.joins += layer.joins
            last.layer, last.numbers = layer, last.numbers | {number}
        elif last is not None and follows and does == "other" and last.layer.shape == layer.shape:
            last.words.append(layer.kind)
            last.numbers.add(number)
        else:
            words = [" ".join(filter(None, (layer.kind, layer.kernel)))]
            boxes.append(_Box(layer, does, words, {number}, max(layer.inputs, default=0), list(layer.joins)))
    return boxes


def _merged(boxes: Sequence[_Box]) -> list[_Box]:
    """Merge neighbours of equal output shape into one box."""
    merged = []
    for _, group in groupby(boxes, key=lambda box: box.layer.shape):
        first, *rest = group
        numbers = set().union(first.numbers, *(box.numbers for box in rest))
        joins = [source for box in (first, *rest) for source in box.joins if source not in numbers]
        merged.append(replace(first, numbers=numbers, joins=joins, times=1 + len(rest)))
    return merged


def _place(boxes: Sequence[_Box]) -> float:
    """Set position and size of every box in inches; return the height of the drawing in inches."""
    sizes = sorted({box.layer.height for box in boxes}, reverse=True)
    step = min(0.66, (PAGE_WIDTH - 0.5) / len(boxes))
    widest = max(box.layer.channels for box in boxes)
    tallest = sizes[0]
    top, depth = {}, 0.0
    for size in sizes:
        top[size] = depth
        depth += _ABOVE + _tall(size, tallest) + _BELOW
    begin = (PAGE_WIDTH - step * len(boxes)) / 2
    for number, box in enumerate(boxes):
        size = box.layer.height
        box.level = sizes.index(size)
        box.height = _tall(size, tallest)
        share = np.log2(1 + box.layer.channels) / np.log2(1 + widest)
        box.width = 0.07 + max(step * 0.62 - 0.07, 0.02) * float(share)
        box.x = begin + step * (number + 0.5)
        box.y = -(top[size] + _ABOVE + box.height / 2)
    return depth


def _tall(size: int, tallest: int) -> float:
    return 0.22 + 0.68 * (size / tallest) ** 0.75


def _draw_box(axis: Axes, box: _Box, before: _Box | None, after: _Box | None) -> None:
    left, bottom = box.x - box.width / 2, box.y - box.height / 2
    axis.add_patch(Rectangle((left, bottom), box.width, box.height, facecolor=_FILL, edgecolor="black", linewidth=0.6))
    if box.copied > 0:
        brought = Rectangle((left, bottom), box.width * box.copied / box.layer.channels, box.height)
        brought.set(facecolor=_COPIED, edgecolor="black", linewidth=0.6)
        axis.add_patch(brought)
    if before is None or before.level != box.level or before.layer.channels != box.layer.channels:
        channels = str(box.layer.channels)
        axis.text(box.x, box.y + box.height / 2 + 0.03, channels, ha="center", va="bottom", fontsize=SMALL)
    if box.times > 1:
        axis.text(box.x, box.y, f"×{box.times}", ha="center", va="center", fontsize=SMALL)
    if before is None or before.level != box.level:
        height, width = box.layer.shape[1:]
        words = "vector" if (height, width) == (1, 1) else f"{height}×{width}"
        x, side = box.x, "center"
        if before is not None and box.level < before.level:  # an arrow arrives from the lower left
            x, side = box.x - box.width / 2 + 0.05, "left"
        elif after is not None and after.level > box.level:  # an arrow leaves to the lower right
            x, side = box.x + box.width / 2 - 0.02, "right"
        axis.text(x, box.y - box.height / 2 - 0.03, words, ha=side, va="top", fontsize=SMALL, color="0.35")


def _arrow(axis: Axes, before: _Box, box: _Box, neighbour: _Box) -> None:
    """Draw an arrow from a box to the next layer: level, down or up at the lower corner, or curved over other boxes."""
    if before is not neighbour:
        top = (before.x, before.y + before.height / 2) if before.level == box.level else (before.x, before.y)
        _line(axis, top, (box.x, box.y + box.height / 2), _COLOURS[box.does], bow=0.15)
        return
    begin, end = before.y, box.y
    if box.level > before.level:
        begin = before.y - before.height / 2 + 0.05
    elif box.level < before.level:
        end = box.y - box.height / 2 + 0.05
    _line(axis, (before.x + before.width / 2, begin), (box.x - box.width / 2, end), _COLOURS[box.does])


def _skip(axis: Axes, source: _Box, box: _Box, boxes: Sequence[_Box]) -> None:
    """Draw a skip connection: straight if no box of the same level lies between, else curved above."""
    between = [other for other in boxes if source.x < other.x < box.x]
    if source.level == box.level and not any(other.level == box.level for other in between):
        y = box.y + box.height * 0.2
        _line(axis, (source.x + source.width / 2, y), (box.x - box.width / 2, y), _COLOURS["join"], dashed=True)
    else:
        begin, end = (source.x, source.y + source.height / 2), (box.x, box.y + box.height / 2)
        _line(axis, begin, end, _COLOURS["join"], dashed=True, bow=min(0.3, 0.25 / max(box.x - source.x, 0.1)))


def _line(
    axis: Axes,
    begin: tuple[float, float],
    end: tuple[float, float],
    colour: str,
    dashed: bool = False,
    bow: float = 0.0,
) -> None:
    arrow = FancyArrowPatch(
        begin,
        end,
        arrowstyle="-|>",
        mutation_scale=6,
        shrinkA=0.5,
        shrinkB=0.5,
        color=colour,
        linewidth=1.0,
        linestyle=(0, (4, 2)) if dashed else "-",
        connectionstyle=f"arc3,rad={-bow}",
    )
    axis.add_patch(arrow)


def _legend(boxes: Sequence[_Box]) -> list[Line2D]:
    """Make a legend line per kind of arrow with the layers that it represents, in the order of the net."""
    made = []
    for does in dict.fromkeys(box.does for box in boxes[1:]):
        said = dict.fromkeys(", ".join(dict.fromkeys(box.words)) for box in boxes[1:] if box.does == does)
        shown = "; ".join([*list(said)[:4], *(["..."] if len(said) > 4 else [])])
        made.append(Line2D([], [], color=_COLOURS[does], linewidth=1.4, label=shown))
    if any(box.joins for box in boxes):
        copied = any(box.copied for box in boxes)
        words = "skip connection: " + ("what it brings stands in white beside what it joins" if copied else "added")
        made.append(Line2D([], [], color=_COLOURS["join"], linewidth=1.4, linestyle=(0, (3, 1)), label=words))
    reading = "above a box: channels; below: height × width in pixels"
    if any(box.times > 1 for box in boxes):
        reading += "; ×2: so many layers of one shape"
    return [*made, Line2D([], [], linestyle="", label=reading)]
