"""Figures that compare runs, from arrays: no file, run or config is read here."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pneumo_ad.figures import COLOURS, NAMES
from pneumo_ad.figures.style import STYLE, page
from pneumo_ad.labels import IN_OPACITY, RADIOGRAPH, Vocabulary

_LINES = ("#1b6ca8", "#d95f02", "#1b9e77", "#7570b3", "#a6761d", "#e7298a", "#666666", "#000000")
_MARKERS = "osD^vPX*"
LINES = len(_LINES)  # largest number of lines that can be distinguished in a panel
_COLUMNS = 3  # panels in a row, at most
_RATIO = 4  # ratio of the largest to the smallest value from which an axis has a log2 scale


@dataclass(frozen=True)
class Point:
    """One group in a figure of a metric against an axis.

    Attributes:
        at: Value on the axis.
        line: Label of its line: the swept value that all points of the line share, or empty.
        panel: Title of its panel: the swept values that all points of the panel share, or empty.
        values: Metric, one value per seed.
        interval: 95 % interval of the mean, or None.
    """

    at: str
    line: str
    panel: str
    values: tuple[float, ...]
    interval: tuple[float, float] | None = None


def metric_by_axis(
    points: Sequence[Point],
    axis: str,
    metric: str,
    brightness: float = np.nan,
    note: str = "",
    terms: Vocabulary = RADIOGRAPH,
    shortcut: tuple[float, str] | None = None,
) -> Figure:
    """Plot a metric against a swept axis: a small ring per seed, a marker for their mean, a bar for its interval.

    Args:
        points: Groups, in the order of the categories.
        axis: Name of the swept key in words; drawn to scale if every value is a number.
        metric: Name of the metric in words, a template of `Vocabulary.fill`.
        brightness: Metric of brightness alone, drawn as a dashed line; NaN draws none.
        note: Text below the title.
        terms: Words of the runs.
        shortcut: Metric of the strongest score that needs no net, and its name, a template; None draws none.
    """
    metric = terms.fill(metric)
    places = axis_places([point.at for point in points])
    panels = list(dict.fromkeys(point.panel for point in points))
    lines = list(dict.fromkeys(point.line for point in points))
    span = max(places.values()) - min(places.values()) or 1.0
    gap = _least_gap(places) or 1.0
    to_scale = _numbers(places) is not None
    apart = min(0.05 * span if to_scale else gap, 0.5 * gap / len(lines))  # shift of lines, so that bars do not overlap
    margin = 0.1 * span + apart * len(lines) / 2
    with mpl.rc_context(STYLE):
        columns = min(_COLUMNS, len(panels))
        rows = -(-len(panels) // columns)
        legend = len(lines) > 1
        figure = page(max(4.6, 3.3 * columns) + 2.2 * legend, 3.3 * rows + 0.4)
        axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for panel, ax in zip(panels, axes.flat, strict=False):
            for number, line in enumerate(lines):
                line_points = [point for point in points if (point.panel, point.line) == (panel, line)]
                line_points.sort(key=lambda point: places[point.at])
                shift = (number - (len(lines) - 1) / 2) * apart
                _draw_line(ax, line_points, [places[point.at] + shift for point in line_points], number, line, to_scale)
            if not np.isnan(brightness):
                ax.axhline(brightness, color="0.35", linestyle="--", linewidth=1, label="brightness alone")
            if shortcut:
                name = terms.fill(f"best without a net:\n{shortcut[1]}")
                ax.axhline(shortcut[0], color="0.35", linestyle=":", linewidth=1.4, label=name)
            angle, end = (30, "right") if sum(map(len, places)) > 28 else (0, "center")
            ax.set_xticks(list(places.values()), list(places), rotation=angle, ha=end)
            ax.set_xlim(min(places.values()) - margin, max(places.values()) + margin)
            ax.grid(axis="y", color="0.92", linewidth=0.8)
            ax.set_axisbelow(True)
            ax.set_title(panel, fontsize=8)
            ax.tick_params(labelbottom=True, labelleft=True)
            ax.set_xlabel(axis)
        for ax in axes.flat[len(panels) :]:
            ax.set_visible(False)
        for ax in axes[:, 0]:
            ax.set_ylabel("\n".join(textwrap.wrap(metric.split(" (")[0], 48)))
        named = {name: handle for handle, name in zip(*axes[0, 0].get_legend_handles_labels(), strict=True) if name}
        if named:
            figure.legend(
                named.values(), named, loc="outside right center" if legend else "outside lower center", fontsize=8
            )
        words = [f"{metric} against {axis}", terms.fill(_marks(points))]
        figure.suptitle("\n".join(filter(None, [*words, note])), fontsize=9)
    return figure


def _marks(points: Sequence[Point]) -> str:
    """Explain rings and bars, as far as there are any, in a template."""
    bare = sum(point.interval is None for point in points)
    words = ["small rings: seeds"] if any(len(point.values) > 1 for point in points) else ["one seed each"]
    words += ["bar: 95 % interval over {patients}"] if bare < len(points) else []
    words += (
        [f"no interval for {bare} of {len(points)} groups" if bare < len(points) else "no interval"] if bare else []
    )
    return "; ".join(words)


def axis_places(values: Sequence[str]) -> dict[str, float]:
    """Compute positions on an axis: to scale if all values are numbers (log2 over a wide range), else equally spaced.

    >>> axis_places(["8", "32", "16"])
    {'8': 3.0, '16': 4.0, '32': 5.0}
    >>> axis_places(["unet", "autoencoder"])
    {'unet': 0.0, 'autoencoder': 1.0}
    """
    numbers = _numbers(values)
    if numbers is None:
        return {value: float(i) for i, value in enumerate(dict.fromkeys(values))}
    wide = min(numbers.values()) > 0 and max(numbers.values()) >= _RATIO * min(numbers.values())
    placed = {value: float(np.log2(number)) if wide else number for value, number in numbers.items()}
    return dict(sorted(placed.items(), key=lambda item: item[1]))


def _numbers(values: Iterable[str]) -> dict[str, float] | None:
    """Convert values to numbers; None if one is not a number."""
    try:
        return {value: float(value) for value in values}
    except ValueError:
        return None


def _least_gap(places: Mapping[str, float]) -> float:
    ordered = sorted(places.values())
    return min((b - a for a, b in pairwise(ordered)), default=0.0)


def _draw_line(ax: Axes, own: Sequence[Point], x: Sequence[float], number: int, line: str, scale: bool) -> None:
    colour, marker = _LINES[number % LINES], _MARKERS[number % len(_MARKERS)]
    means = [float(np.mean(point.values)) for point in own]
    # No line between categories, which have no values in between.
    ax.plot(x, means, color=colour, linewidth=1.2 if scale else 0, marker=marker, markersize=6, label=line, zorder=3)
    for at, point in zip(x, own, strict=True):
        if len(seeds := point.values) > 1:
            ax.scatter([at] * len(seeds), seeds, s=18, facecolors="none", edgecolors=colour, linewidths=0.8, zorder=2)
        if point.interval is not None:
            ax.vlines(at, *point.interval, color=colour, linewidth=1.2, alpha=0.7, zorder=1)


def score_histograms(
    groups: Mapping[str, Mapping[str, npt.NDArray[np.floating]]],
    unit: str,
    note: str = "",
    terms: Vocabulary = RADIOGRAPH,
) -> Figure:
    """Draw histograms of SAD, a panel per group and an outline per kind of patch, on a common scale.

    Args:
        groups: Group -> kind of patch (`COLOURS`) -> (n,) float scores, n for each kind.
        unit: Label of the score's axis, with its unit.
        note: Text below the title.
        terms: Words of the runs.
    """
    everything = [values for kinds in groups.values() for values in kinds.values() if len(values)]
    top = max((float(np.quantile(values, 0.995)) for values in everything), default=1.0) or 1.0
    bins = np.linspace(0, top, 61)
    columns = min(_COLUMNS, len(groups))
    rows = -(-len(groups) // columns)
    with mpl.rc_context(STYLE):
        figure = page(max(3.1 * columns, 5.0), 1.9 * rows + 1.3)
        axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for (name, kinds), ax in zip(groups.items(), axes.flat, strict=False):
            for kind, values in kinds.items():
                if len(values):
                    share = 100 * np.histogram(np.minimum(values, top), bins=bins)[0] / len(values)
                    colour = COLOURS.get(kind, "0.5")
                    ax.stairs(share, bins, fill=True, alpha=0.2, color=colour)
                    ax.stairs(share, bins, color=colour, linewidth=1.2, label=terms.fill(NAMES.get(kind, kind)))
                    ax.axvline(min(float(np.median(values)), top), color=colour, linestyle=":", linewidth=1)
            ax.set_title(name, fontsize=8)
            ax.set_xlim(0, top)
            ax.tick_params(labelbottom=True, labelleft=True)
        for ax in axes.flat[len(groups) :]:
            ax.set_visible(False)
        for column in range(columns):
            axes[(len(groups) - 1 - column) // columns, column].set_xlabel(unit)
        figure.supylabel("share of the kind's patches (%)", fontsize=9)
        named = {n: h for ax in axes.flat for h, n in zip(*ax.get_legend_handles_labels(), strict=True)}
        figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=3, fontsize=8)
        title = "SAD of patches, one scale for all (the last bar holds all above; dotted: medians)"
        figure.suptitle(f"{title}\n{note}" if note else title, fontsize=9)
    return figure


def map_rows(
    radiographs: Sequence[npt.NDArray[np.uint8] | None],
    truth: Sequence[npt.NDArray[np.uint8]],
    maps: Mapping[str, Sequence[npt.NDArray[np.floating]]],
    names: Sequence[str],
    shapes: Sequence[tuple[float, float]],
    note: str = "",
    terms: Vocabulary = RADIOGRAPH,
) -> Figure:
    """Draw anomaly maps: a column per radiograph, which is at the top, and a row per run; opacities outlined.

    Args:
        radiographs: (H, W) uint8 each, without padding; None if the pixels are not available.
        truth: (128, 128) uint8 each: 0 outside the lung, 1 healthy lung, 2 opacity.
        maps: Title of the row -> (128, 128) float maps, NaN where no window lies. Rows may have different units: a
            pixel is drawn by the share of the row's lung pixels that lie lower, on one scale for all rows.
        names: Names of the radiographs.
        shapes: Height and width of the radiographs, to draw each in its aspect ratio.
        note: Text below the title.
        terms: Words of the runs.
    """
    rows = 1 + len(maps)
    tallest = max(height / width for height, width in shapes)
    cell = 1.7
    shares = [_lung_shares(run_maps, truth) for run_maps in maps.values()]
    with mpl.rc_context(STYLE):
        figure = page(cell * len(names) + 2.9, cell * tallest * rows + 0.9)
        axes = figure.subplots(rows, len(names), squeeze=False)
        for column, (height, width) in enumerate(shapes):
            extent = (0.0, width, height, 0.0)
            if radiographs[column] is not None:
                axes[0, column].imshow(radiographs[column], cmap="gray", vmin=0, vmax=255, extent=extent)
            else:
                axes[0, column].imshow(truth[column] > 0, cmap="gray", vmin=0, vmax=3, extent=extent)
            axes[0, column].set_title(names[column], fontsize=7)
            for row, run_shares in enumerate(shares, start=1):
                axes[row, column].imshow(run_shares[column], cmap="inferno", vmin=0, vmax=100, extent=extent)
            for row in range(rows):
                ax = axes[row, column]
                ax.set_anchor("N")
                if (truth[column] == IN_OPACITY).any():
                    colour = COLOURS["opacity"] if not row else "#00d5ff"
                    y, x = ((np.arange(128) + 0.5) / 128 * side for side in (height, width))
                    ax.contour(x, y, truth[column] == IN_OPACITY, levels=[0.5], colors=[colour], linewidths=0.8)
                ax.set(xticks=[], yticks=[], facecolor="0.8")  # grey where no window lies
                ax.spines[:].set_visible(False)
        for row, name in enumerate([terms.image, *maps]):
            axes[row, 0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=7.5)
        bar = figure.colorbar(axes[1, 0].images[0], ax=axes[1:].ravel().tolist(), shrink=0.5, aspect=30, panchor=False)
        bar.set_label(f"share of the row's {terms.region} pixels that lie lower (%)", fontsize=7.5)
        bar.ax.tick_params(labelsize=7)
        title = f"Anomaly maps of the same {terms.images}, {terms.anomaly} outlined; grey: no window"
        figure.suptitle(f"{title}\n{note}" if note else title, fontsize=9)
    return figure


def _lung_shares(
    maps: Sequence[npt.NDArray[np.floating]], truth: Sequence[npt.NDArray[np.uint8]]
) -> list[npt.NDArray[np.float64]]:
    """Share in percent of all lung pixels of the maps that lie lower than each pixel; NaN where the map is."""
    known = [~np.isnan(one) for one in maps]
    lungs = [one[there & (kind > 0)] for one, there, kind in zip(maps, known, truth, strict=True)]
    rising = np.sort(np.concatenate(lungs))
    lower = (100 * np.searchsorted(rising, one) / max(len(rising), 1) for one in maps)
    return [np.where(there, share, np.nan) for there, share in zip(known, lower, strict=True)]
