import numpy as np
import pytest

from pneumo_ad.labels import HEALTHY, MIXED, OPACITY, OUTSIDE, PADDING, UNKNOWN
from pneumo_ad.metrics.catalogue import GroundTruth, MeasuredScore, counts, headline, sad_medians

RANKS = (
    "patch/auroc_opacity_vs_healthy",
    "patch/auroc_outside_vs_healthy",
    "patch/auroc_pneumonia_vs_normal",
    "patch/auroc_pneumonia_vs_normal_in_lung",
    "pixel/auroc",
    "pixel/auroc_in_lung",
    "image/auroc",
)
OTHERS = ("patch/macro_f1", "pixel/average_precision", "image/average_precision")
EVERY = {*RANKS, *OTHERS, *(f"{key}_{end}" for key in RANKS for end in ("low", "high"))}


def evidence(normal=8, pneumonia=8, other=0, masks=True):
    """Radiographs of 12 windows: 4 healthy (or opacity, in pneumonia), 4 outside, 2 mixed, 2 of padding."""
    images = normal + pneumonia + other
    sick = (np.arange(images) >= normal) & (np.arange(images) < normal + pneumonia)
    kind = np.tile([HEALTHY] * 4 + [OUTSIDE] * 4 + [MIXED] * 2 + [PADDING] * 2, (images, 1)).astype(np.int8)
    kind[sick, :2] = OPACITY
    lung_share = np.tile([1.0] * 4 + [0.0] * 4 + [0.6] * 2 + [0.0] * 2, (images, 1))
    pixels = {i: np.array([0] * 6 + [1] * 3 + [2 if sick[i] else 1] * 3, dtype=np.int8) for i in range(images)}
    return GroundTruth(
        patient=np.array([f"p{i}" for i in range(images)]),
        normal=np.arange(images) < normal,
        pneumonia=sick,
        kind=kind if masks else np.full_like(kind, UNKNOWN),
        lung_share=lung_share,
        pixel_truth=pixels if masks else {},
    )


def mean(values, inside):
    return np.array([row[own].mean() if own.any() else np.nan for row, own in zip(values, inside, strict=True)])


def measured(evidence, quality=1.0, seed=0):
    """Scores that follow the truth as far as `quality`, noise for the rest."""
    rng = np.random.default_rng(seed)
    order = np.array([0, 1, 2, 0.5, 0, 0])[evidence.kind]  # healthy < opacity < outside
    sick = evidence.pneumonia[:, None] * 5.0  # and whatever comes from pneumonia above all
    window = quality * (order + sick) + (1 - quality) * rng.normal(0, 1, order.shape)
    pixel = {
        row: (quality * (truth == 2) + (1 - quality) * rng.normal(0, 1, truth.shape)).astype(np.float32)
        for row, truth in evidence.pixel_truth.items()
    }
    kind = np.where(evidence.kind <= OUTSIDE, evidence.kind, OPACITY).astype(np.int8)
    window = window.astype(np.float32)
    kind = kind if quality else rng.integers(0, 3, kind.shape)
    return MeasuredScore(window, kind, pixel, mean(window, evidence.in_lung))


def measured_with(window, known):
    return MeasuredScore(window, None, measured(known).pixel, mean(window, known.in_lung))


def test_every_key_is_there_when_the_data_allow():
    known = evidence()
    metrics, omitted = headline(known, measured(known))
    assert set(metrics) == EVERY
    assert omitted == {}


def test_a_perfect_score_gives_1():
    known = evidence()
    metrics, _ = headline(known, measured(known))
    perfect = {key for key in EVERY if key != "patch/auroc_outside_vs_healthy" and "outside" not in key}
    assert {key: metrics[key] for key in perfect} == pytest.approx(dict.fromkeys(perfect, 1.0))


def test_outside_and_opacity_are_measured_against_healthy_lung_alone():
    known = evidence()
    score = np.array([1, 2, 3, 9, 9, 9])[known.kind].astype(np.float32)  # mixed and padding far above
    metrics, _ = headline(known, measured_with(score, known))
    assert metrics["patch/auroc_opacity_vs_healthy"] == 1
    assert metrics["patch/auroc_outside_vs_healthy"] == 1


def test_a_random_score_gives_about_one_half_and_its_interval_holds_it():
    known = evidence(60, 60)
    metrics, _ = headline(known, measured(known, quality=0.0))
    for key in RANKS:
        assert metrics[key] == pytest.approx(0.5, abs=0.12), key
        assert metrics[f"{key}_low"] <= metrics[key] <= metrics[f"{key}_high"]
    assert metrics["patch/macro_f1"] == pytest.approx(0.3, abs=0.1)
    assert metrics["pixel/average_precision"] == pytest.approx(180 / 1440, abs=0.05)  # the share of opacity


def test_a_turned_score_gives_0():
    known = evidence()
    good = measured(known)
    turned = MeasuredScore(-good.window, None, {row: -values for row, values in good.pixel.items()}, -good.image)
    metrics, _ = headline(known, turned)
    assert metrics["image/auroc"] == metrics["pixel/auroc"] == metrics["patch/auroc_opacity_vs_healthy"] == 0


def test_padding_is_no_patch_of_its_radiograph():
    known = evidence()
    score = np.where(known.kind == PADDING, 100 * known.normal[:, None], known.pneumonia[:, None]).astype(np.float32)
    metrics, _ = headline(known, measured_with(score, known))
    assert metrics["patch/auroc_pneumonia_vs_normal"] == 1


@pytest.mark.parametrize(
    ("planted", "gone", "reason"),
    [
        ({"normal": 4}, {"image/auroc", "image/average_precision", "patch/auroc_pneumonia_vs_normal"},
         "4 {images} with"),
        ({"pneumonia": 4},
         {"image/auroc", "patch/auroc_opacity_vs_healthy", "pixel/auroc", "pixel/auroc_in_lung", "patch/macro_f1"},
         "4 {images} with"),
        ({"masks": False},
         {"patch/auroc_opacity_vs_healthy", "patch/auroc_outside_vs_healthy", "pixel/auroc", "pixel/auroc_in_lung",
          "pixel/average_precision", "patch/macro_f1"},
         "0 {images} with"),
        ({"normal": 0},
         {"image/auroc", "image/average_precision", "patch/auroc_pneumonia_vs_normal",
          "patch/auroc_pneumonia_vs_normal_in_lung"},
         "0 {images} with"),
    ],
)  # fmt: skip
def test_what_the_data_do_not_allow_is_left_out_and_named(planted, gone, reason):
    known = evidence(**planted)
    metrics, omitted = headline(known, measured(known))
    assert gone <= set(omitted)
    assert set(metrics).isdisjoint(omitted)
    assert not any(key.removesuffix("_low").removesuffix("_high") in omitted for key in metrics)
    assert set(metrics) | {key for key in EVERY if key.removesuffix("_low").removesuffix("_high") in omitted} == EVERY
    assert all(reason in omitted[key] and "at least 5 are needed" in omitted[key] for key in gone)


def test_five_radiographs_are_enough():
    known = evidence(5, 5)
    assert headline(known, measured(known))[1] == {}


def test_without_masks_the_metrics_by_origin_remain():
    known = evidence(masks=False)
    metrics, _ = headline(known, measured_with(np.zeros((16, 12), np.float32), known))
    assert {"image/auroc", "patch/auroc_pneumonia_vs_normal"} <= set(metrics)


def test_without_thresholds_macro_f1_says_why():
    known = evidence()
    metrics, omitted = headline(known, measured_with(measured(known).window, known))
    assert "patch/macro_f1" not in metrics
    assert "no thresholds" in omitted["patch/macro_f1"]


def test_a_radiograph_without_a_lung_has_no_image_score_and_is_counted():
    known = evidence(8, 8)
    known.lung_share[0] = 0
    metrics, _ = headline(known, measured(known))
    assert metrics["image/auroc"] == 1
    assert counts(known)["counts/images_without_lung"] == 1
    few = evidence(5, 8)
    few.lung_share[0] = 0
    assert "4 {images} with the label normal and a {field}" in headline(few, measured(few))[1]["image/auroc"]


def test_medians_are_those_of_their_windows():
    known = evidence()
    sad = np.arange(known.kind.size, dtype=float).reshape(known.kind.shape)
    metrics, omitted = sad_medians(sad, known)
    assert omitted == {}
    for name, kind in (("healthy", HEALTHY), ("opacity", OPACITY), ("outside", OUTSIDE)):
        assert metrics[f"patch/sad_median_{name}"] == np.median(sad[known.kind == kind])
    assert metrics["patch/sad_median_normal_lung"] == np.median(sad[:8, :4])
    assert metrics["patch/sad_median_pneumonia"] == np.median(sad[8:, :10])  # padding left out
    metrics, omitted = sad_medians(sad[:12], evidence(8, 4))
    assert "4 {images} with such patches" in omitted["patch/sad_median_pneumonia"]


def test_counts_add_up():
    found = counts(evidence(normal=6, pneumonia=3, other=2))
    assert found["counts/images"] == 11
    assert (found["counts/images_normal"], found["counts/images_pneumonia"], found["counts/images_other"]) == (6, 3, 2)
    kinds = ("healthy", "opacity", "outside", "mixed", "padding", "unknown")
    assert sum(found[f"counts/patches_{name}"] for name in kinds) == found["counts/patches"] == 11 * 12
    assert found["counts/patches_mixed"] == 22
    assert found["counts/patients"] == 11
