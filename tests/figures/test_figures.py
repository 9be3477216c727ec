"""What every figure promises: type that can be read where it is printed, within a page, on opaque white."""

import io
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from pneumo_ad import figures
from pneumo_ad.figures.net_layers import trace_layers
from pneumo_ad.figures.radiographs import BACKGROUND, painted
from pneumo_ad.figures.style import PAGE_HEIGHT, PAGE_WIDTH, fitting
from pneumo_ad.nets import UNetAutoencoder
from pneumo_ad.patches import PatchGrid

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
    (frames,) = figure.axes[1].collections
    corners = sorted(tuple(path.vertices[0] + 0.5) for path in frames.get_paths())
    assert corners == sorted(tuple(map(float, GRID.positions[window][::-1])) for window in (3, 17))


@pytest.mark.parametrize(("name", "width"), [("short", 1.0), ("NORMAL2-IM-0389-0001-0002-0003", 1.0), ("x" * 60, 0.2)])
def test_names_are_cut_in_their_middle(name, width):
    cut = fitting(name, width)
    assert cut == name or ("…" in cut and len(cut) < len(name))
    assert (cut[0], cut[-1]) == (name[0], name[-1])
