"""What every figure promises: type that can be read where it is printed, within a page, on opaque white."""

import io
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from pneumo_ad import figures
from pneumo_ad.figures.net_layers import trace_layers
from pneumo_ad.figures.proportions import Proportions
from pneumo_ad.figures.radiographs import BACKGROUND, painted
from pneumo_ad.figures.style import PAGE_HEIGHT, PAGE_WIDTH, fitting
from pneumo_ad.nets import UNetAutoencoder
from pneumo_ad.patches import PatchGrid
from pneumo_ad.patches.placement import Placement

RNG = np.random.default_rng(0)
NAME = "NORMAL2-IM-0389-0001-and-longer-still\npneumonia"


def images(count, height=60, width=50):
    return list(RNG.integers(0, 256, (count, height, width), dtype=np.uint8))


def masks(count, height=60, width=50):
    return [np.pad(np.ones((20, 20), dtype=np.uint8), ((10, height - 30), (10, width - 30))) for _ in range(count)]


GRID = PatchGrid((60, 50), 10, 10)
SCORES = {"normal_lung": RNG.gamma(9, 0.1, 300), "pneumonia": RNG.gamma(4, 0.6, 900)}
DRAWN = {
    "samples": lambda: figures.sample_rows({"normal": (images(1), [NAME]), "pneumonia": (images(4), [NAME] * 4)}),
    "cams": lambda: figures.grad_cam_panel(
        images(6), list(RNG.random((6, 60, 50))), masks(6), [NAME] * 6, [0.2, np.nan, 0, 1, 0.5, 0.9]
    ),
    "patches": lambda: figures.patch_grid(RNG.integers(0, 256, (13, 8, 8), dtype=np.uint8), "some"),
    "fields": lambda: figures.lung_fields(images(5), masks(5), [NAME] * 5),
    "net": lambda: figures.architecture(trace_layers(UNetAutoencoder(width=4, depth=3, convs=3), (32, 32)), "U-net"),
    "panel": lambda: figures.reconstruction_panel(RNG.random((8, 8, 8)), RNG.random((8, 8, 8)), RNG.random(8), "some"),
    "histogram": lambda: figures.score_histogram(SCORES, (1.0, 2.0), words="two\nlines"),
    "frames": lambda: figures.red_frames(
        images(8), RNG.random((8, len(GRID))), GRID, [(0, 0.3), (0.3, 0.6), (0.6, np.inf)], [NAME] * 8, "SAD", masks(8)
    ),
    "table": lambda: figures.printed_table(["kind", "mean", "paper"], [["lung", "1.00", "about 1"]], "Table", "a\nb"),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_can_be_printed(name):
    figure = DRAWN[name]()
    width, height = figure.get_size_inches()
    assert width <= PAGE_WIDTH + 1e-9
    assert height <= PAGE_HEIGHT + 0.5
    words = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    assert words
    assert min(text.get_fontsize() for text in words) >= 7


def test_a_saved_figure_is_opaque_white_at_300_dots_per_inch(tmp_path):
    figures.save(DRAWN["histogram"](), tmp_path / "a.png")
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]
    with Image.open(io.BytesIO((tmp_path / "a.png").read_bytes())) as image:
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        pixels = np.asarray(image.convert("RGBA"))
    assert (pixels[..., 3] == 255).all()
    assert (pixels[0, 0] == 255).all()


def test_bins_hold_every_score_once():
    edges, counts = figures.binned(SCORES | {"opacity": np.zeros(0)})
    assert set(counts) == set(SCORES)
    for name, values in SCORES.items():
        assert counts[name].sum() == len(values)
        expected = [((values >= a) & (values < b)).sum() for a, b in pairwise(edges[:-1])]
        assert counts[name][:-1].tolist() == expected
        assert counts[name][-1] == (values >= edges[-2]).sum()


def test_bins_of_nothing_and_of_equal_scores():
    edges, counts = figures.binned({"pneumonia": np.zeros(0)})
    assert (np.diff(edges) > 0).all()
    assert counts == {}
    edges, counts = figures.binned({"pneumonia": np.full(9, 2.5)})
    assert (np.diff(edges) > 0).all()
    assert counts["pneumonia"].sum() == 9


def test_all_but_the_lung_is_painted_in_one_colour_that_no_grey_level_is():
    image, field = images(1)[0], masks(1)[0]
    picture = painted(image, field)
    outside = np.unique(picture[field == 0], axis=0)
    assert len(outside) == 1
    assert np.ptp(outside[0]) > 0.05
    assert "#" + "".join(f"{round(255 * part):02x}" for part in outside[0]) == BACKGROUND
    assert (picture[field == 1] == image[field == 1][:, None] / 255).all()


def test_red_frames_lie_where_the_windows_of_the_range_are():
    scores = np.zeros((1, len(GRID)))
    scores[0, [3, 17]] = 5
    figure = figures.red_frames(images(1), scores, GRID, [(4, np.inf)], ["one"])
    assert drawn_edges(figure.axes[1]) == edges_of(GRID.positions[[3, 17]], GRID.patch)


def drawn_edges(axis):
    """Unit edges of pixels that a frame is made of: their ends, in corners of pixels."""
    (lines,) = axis.collections
    edges = []
    for (x0, y0), (x1, y1) in np.array(lines.get_segments()) + 0.5:
        steps = int(abs(x1 - x0) + abs(y1 - y0))
        assert steps > 0
        assert 0 in (x1 - x0, y1 - y0)
        way = np.array([x1 - x0, y1 - y0]) / steps
        edges += [(tuple([x0, y0] + i * way), tuple([x0, y0] + (i + 1) * way)) for i in range(steps)]
    assert len(set(edges)) == len(edges), "no edge is drawn twice"
    return set(edges)


def edges_of(positions, side):
    """The same of the outline of windows, found pixel by pixel: edges of one pixel only."""
    pixels = {(y, x) for top, left in positions for y in range(top, top + side) for x in range(left, left + side)}
    counted = Counter()
    for y, x in pixels:
        counted[((x, y), (x + 1, y))] += 1
        counted[((x, y + 1), (x + 1, y + 1))] += 1
        counted[((x, y), (x, y + 1))] += 1
        counted[((x + 1, y), (x + 1, y + 1))] += 1
    return {edge for edge, number in counted.items() if number == 1}


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("stride", [4, 10, 13])
def test_windows_that_touch_have_one_frame(share, stride):
    grid = PatchGrid((60, 50), 10, stride)
    scores = np.random.default_rng(stride).random((1, len(grid)))
    figure = figures.red_frames(images(1), scores, grid, [(1 - share, np.inf)], ["one"])
    assert drawn_edges(figure.axes[1]) == edges_of(grid.positions[scores[0] >= 1 - share], 10)


def test_all_windows_have_the_frame_of_what_they_cover():
    figure = figures.red_frames(images(1), np.ones((1, len(GRID))), GRID, [(0, np.inf)], ["one"])
    assert len(figure.axes[1].collections[0].get_segments()) == 4


def fitted(placement, file):
    return Proportions(Placement(*placement), file[0] / file[1])


SHAPES = {
    "squashed": fitted((0, 0, 60, 50), (1024, 2048)),
    "padded": fitted((10, 0, 40, 50), (800, 1000)),
    "tall": fitted((0, 0, 60, 50), (300, 100)),
    "as it is": fitted((0, 0, 60, 50), (600, 500)),
}


def radiograph_axes(figure):
    return [axis for axis in figure.axes if axis.images and axis.get_label() != "<colorbar>"]


@pytest.mark.parametrize("kind", ["samples", "fields", "maps", "frames", "cams"])
def test_radiographs_keep_the_proportions_of_their_files(kind):
    shapes, names = list(SHAPES.values()), list(SHAPES)
    figure = {
        "samples": lambda: figures.sample_rows({"a": (images(4), names)}, {"a": shapes}),
        "fields": lambda: figures.lung_fields(images(4), masks(4), names, shapes),
        "maps": lambda: figures.anomaly_maps(images(4), list(RNG.random((4, 60, 50))), names, "SAD", masks(4), shapes),
        "frames": lambda: figures.red_frames(
            images(4), RNG.random((4, len(GRID))), GRID, [(0, 0.5), (0.5, 2)], names, "SAD", masks(4), None, shapes
        ),
        "cams": lambda: figures.grad_cam_panel(
            images(4), list(RNG.random((4, 60, 50))), masks(4), names, [1.0] * 4, shapes
        ),
    }[kind]()
    figure.draw_without_rendering()
    found = [box.height / box.width for box in (axis.get_window_extent() for axis in radiograph_axes(figure))]
    per_radiograph = len(found) // 4
    order = np.repeat(range(4), per_radiograph) if kind == "frames" else np.tile(range(4), per_radiograph)
    assert found == pytest.approx([shapes[i].ratio for i in order], rel=1e-3)


def test_padding_is_not_drawn():
    figure = figures.sample_rows({"a": (images(1), ["one"])}, {"a": [SHAPES["padded"]]})
    axis = figure.axes[0]
    assert (axis.get_xlim(), axis.get_ylim()) == ((-0.5, 49.5), (49.5, 9.5))


def test_frames_say_that_the_net_saw_squeezed_radiographs():
    def words(shape):
        figure = figures.red_frames(images(1), np.ones((1, len(GRID))), GRID, [(0, 2)], ["one"], proportions=[shape])
        return " ".join(text.get_text() for text in figure.findobj(Text))

    assert "60 × 50 that the net saw" in words(SHAPES["squashed"])
    assert "net saw" not in words(SHAPES["as it is"])
    assert "net saw" not in words(SHAPES["padded"])


@pytest.mark.parametrize("lift", [0.0, -3.0])
def test_maps_of_a_figure_share_one_scale_and_one_bar_with_its_unit(lift):
    maps = [scale * RNG.random((60, 50)) + lift for scale in (1, 5, 2)]
    maps[1][:9] = np.nan
    figure = figures.anomaly_maps(images(3), maps, list("abc"), "SAD (grey levels)")
    bars = [axis for axis in figure.axes if axis.get_label() == "<colorbar>"]
    assert [bar.get_ylabel() for bar in bars] == ["SAD (grey levels)"]
    limits = {
        axis.images[0].get_clim() for axis in radiograph_axes(figure) if axis.images[0].get_cmap().name == "inferno"
    }
    assert len(limits) == 1
    low, high = limits.pop()
    figure.draw_without_rendering()
    boxes = [axis.get_window_extent() for axis in radiograph_axes(figure)]
    assert [box.x0 for box in boxes[:3]] == pytest.approx([box.x0 for box in boxes[3:]])
    assert low <= min(0.0, lift) + 0.1
    assert 4.5 + lift < high <= 5 + lift


def test_a_legend_covers_no_axes():
    words = "pneumonia: dip 0.011, p = 0.400, one hump not refuted;\n2 components by BIC"
    figure = figures.score_histogram(SCORES, (1.0, 2.0), words=words, radiographs={"normal_lung": 1})
    figure.draw_without_rendering()
    (legend,) = figure.legends
    assert not any(legend.get_window_extent().overlaps(axis.get_tightbbox()) for axis in figure.axes)
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(box.x0, box.y0, width - box.x1, height - box.y1) >= 0, "nothing is cut off"
    words = [text.get_text() for text in legend.get_texts()]
    assert "normal lung: 300 patches of 1 radiograph (n = 1)" in words
    assert "pneumonia radiograph, every window: 900 patches" in words


@pytest.mark.parametrize(("name", "width"), [("short", 1.0), ("NORMAL2-IM-0389-0001-0002-0003", 1.0), ("x" * 60, 0.2)])
def test_names_are_cut_in_their_middle(name, width):
    cut = fitting(name, width)
    assert cut == name or ("…" in cut and len(cut) < len(name))
    assert (cut[0], cut[-1]) == (name[0], name[-1])
