"""Figures of a comparison: one scale, ticks on every panel, words for keys, and legends that cover nothing."""

import numpy as np
import pytest

from pneumo_ad.leaderboard.plots import Point, map_rows, metric_by_axis, score_histograms
from pneumo_ad.metrics.catalogue import HEADLINE, metric_words
from pneumo_ad.metrics.shortcuts import LEVELS

RNG = np.random.default_rng(0)
SHAPES = [(100.0, 200.0), (300.0, 150.0), (128.0, 128.0)]
POINTS = [
    Point(at, f"net {net}", f"loss {loss}", (0.5 + 0.1 * i, 0.6), (0.4, 0.7))
    for at in ("4", "8")
    for i, net in enumerate(("unet", "autoencoder"))
    for loss in ("l1", "mse", "ssim", "dice")
]


def by_axis():
    return metric_by_axis(
        POINTS, "net width", metric_words("pixel/auroc_in_lung"), 0.55, shortcut=(0.8, "lower sharpness")
    )


def histograms():
    kinds = {"healthy": RNG.gamma(4, 1, 200), "opacity": RNG.gamma(5, 1, 90), "outside": RNG.gamma(9, 1, 300)}
    return score_histograms({f"net {i}": kinds for i in range(5)}, "SAD (grey levels per pixel)")


def truth():
    masks = np.zeros((3, 128, 128), dtype=np.uint8)
    masks[:, 30:100, 20:110] = 1
    masks[:2, 50:60, 30:60] = 2
    return masks


def maps(scales=(1, 1000, -3)):
    base = RNG.random((3, 128, 128))
    base[:, :, 120:] = np.nan
    rows = {f"net {i}": list(scale * base if scale > 0 else -1 / (base + 1)) for i, scale in enumerate(scales)}
    return map_rows([None] * 3, list(truth()), rows, list("abc"), SHAPES), rows


@pytest.mark.parametrize("draw", [by_axis, histograms, lambda: maps()[0]])
def test_legends_and_bars_cover_no_axes(draw):
    figure = draw()
    figure.draw_without_rendering()
    axes = [axis for axis in figure.axes if axis.get_visible()]
    for legend in figure.legends:
        assert not any(legend.get_window_extent().overlaps(axis.get_tightbbox()) for axis in axes)
    assert not any(axis.get_legend() for axis in axes)
    boxes = [axis.get_window_extent() for axis in axes]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    words, size = figure.get_tightbbox(), figure.get_size_inches()  # inches
    assert min(words.x0, words.y0) >= -0.02
    assert words.x1 <= size[0] + 0.02
    assert words.y1 <= size[1] + 0.02


@pytest.mark.parametrize("draw", [by_axis, histograms])
def test_every_panel_has_ticks(draw):
    figure = draw()
    figure.draw_without_rendering()
    panels = [axis for axis in figure.axes if axis.get_visible()]
    assert len(panels) == (4 if draw is by_axis else 5)
    for axis in panels:
        for side in (axis.xaxis, axis.yaxis):
            assert [label for label in side.get_ticklabels() if label.get_visible() and label.get_text()]


def test_the_legend_names_every_line_though_a_panel_may_lack_it():
    points = [Point("4", "net a", "loss l1", (0.5,)), Point("4", "net b", "loss mse", (0.6,))]
    (legend,) = metric_by_axis(points, "net width", "AUROC", 0.5).legends
    assert [text.get_text() for text in legend.get_texts()] == ["net a", "net b", "brightness alone"]


def test_the_best_without_a_net_is_a_line_of_its_own():
    figure = by_axis()
    for axis in figure.axes:
        if axis.get_visible():
            (line,) = (line for line in axis.lines if "lower sharpness" in str(line.get_label()))
            assert set(line.get_ydata()) == {0.8}
    assert any("lower sharpness" in text.get_text() for legend in figure.legends for text in legend.get_texts())


def test_a_group_without_interval_is_told():
    def title(*intervals):
        points = [Point(str(i), "", "", (0.5,), interval) for i, interval in enumerate(intervals)]
        return metric_by_axis(points, "width", "AUROC").get_suptitle()

    assert "one seed each; bar: 95 % interval over patients" in title((0.4, 0.6), (0.4, 0.6))
    assert "no interval for 1 of 2 groups" in title((0.4, 0.6), None)
    assert "bar" not in title(None, None)
    assert "no interval" in title(None, None)


def test_all_maps_share_one_scale_and_one_bar_with_a_unit():
    figure, rows = maps()
    bars = [axis for axis in figure.axes if axis.get_label() == "<colorbar>"]
    assert [bar.get_ylabel() for bar in bars] == ["share of the row's lung pixels that lie lower (%)"]
    shown = [axis.images[0] for axis in figure.axes if axis.images and axis.images[0].get_cmap().name == "inferno"]
    assert len(shown) == 9
    assert {image.get_clim() for image in shown} == {(0, 100)}
    lungs = truth() > 0
    for number, values in enumerate(rows.values()):
        stack = np.stack(values)
        of_lungs = stack[lungs & ~np.isnan(stack)]
        drawn = np.stack([np.ma.filled(shown[3 * number + column].get_array(), np.nan) for column in range(3)])
        for place in ((0, 5, 5), (1, 55, 40), (2, 99, 100)):
            assert drawn[place] == pytest.approx(100 * (of_lungs < stack[place]).mean())
        assert (np.isnan(drawn) == np.isnan(stack)).all()


def test_radiographs_of_a_comparison_keep_their_proportions():
    figure, _ = maps()
    figure.draw_without_rendering()
    drawn = [axis for axis in figure.axes if axis.images]
    for axis in drawn:
        box = axis.get_window_extent()
        left, right, bottom, top = axis.images[0].get_extent()
        assert box.height / box.width == pytest.approx(abs(bottom - top) / abs(right - left), rel=1e-3)
    ratios = {round(abs(e[2] - e[3]) / abs(e[1] - e[0]), 3) for e in (axis.images[0].get_extent() for axis in drawn)}
    assert ratios == {0.5, 2.0, 1.0}


@pytest.mark.parametrize("key", [*HEADLINE, *LEVELS, "same_pixels/auroc", "same_pixels/auroc_in_lung", "seconds_fit"])
def test_every_metric_has_words_of_its_own(key):
    words = metric_words(key)
    assert words == words.strip()
    assert not set("_/") & set(words.replace(" / ", ""))
    others = {metric_words(other) for other in {*HEADLINE, *LEVELS} - {key}}
    assert words not in others
