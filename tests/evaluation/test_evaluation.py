"""Evidence, decisions, shortcuts and matched figures of an examination."""

import dataclasses
from io import StringIO
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from drawn import lung_mask, opacity_mask, write_set
from PIL import Image
from rich.console import Console
from sklearn.metrics import f1_score, roc_auc_score

from pneumo_ad.data import Radiographs, sources
from pneumo_ad.evaluation.decisions import false_alarms, oracles
from pneumo_ad.evaluation.examination import examine
from pneumo_ad.evaluation.ground_truth import gather_ground_truth
from pneumo_ad.evaluation.matched import measure_matched
from pneumo_ad.evaluation.matching import match
from pneumo_ad.evaluation.measures import in_strata, measure_evaluation
from pneumo_ad.evaluation.samples import draw_lung_fields
from pneumo_ad.evaluation.summary import print_as_published, verdict
from pneumo_ad.evaluation.tables import images
from pneumo_ad.inference.scorer import Scoring
from pneumo_ad.labels import UNKNOWN
from pneumo_ad.lungs import FileFields, WholeImage
from pneumo_ad.metrics.catalogue import LEVELS, counts
from pneumo_ad.metrics.conformal import conformal_threshold
from pneumo_ad.metrics.shortcut_maps import PIXEL_SHORTCUTS
from pneumo_ad.metrics.shortcuts import lung_shortcuts, strongest_shortcut
from pneumo_ad.nets import KindUNet, UNetAutoencoder
from pneumo_ad.scores import SAD, Brightness, OpacityChance
from pneumo_ad.scores.aggregates import Highest, Mean


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("radiographs") / "set", 16, 16)


def data_of(folder, **options):
    chosen = {"image_size": 64, "patch": 8, "stride": 4, "lungs": FileFields()} | options
    return Radiographs(sources.masks(folder, split="test"), **chosen)


def scoring(score=None, aggregate=None, map_of="score"):
    torch.manual_seed(0)
    net = UNetAutoencoder(4).eval()
    return Scoring(net, score or Brightness(), map_of, 64, torch.float32, aggregate or Mean())


def calibration(result, name="score"):
    normals = result.evidence.normal
    lung = normals[:, None] & (result.evidence.lung_share == 1)
    return {
        f"{name}_normal_lung": result.window[name][lung],
        f"{name}_normal_images": result.image[name][normals],
    }


@pytest.fixture(scope="module")
def examined(folder, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PNEUMO_AD_CACHE", str(tmp_path_factory.mktemp("cache")))
        data = data_of(folder)
        return data, examine(scoring(), data, np.arange(len(data.store)))


def test_truth_of_pixels_is_that_of_the_masks(examined):
    data, result = examined
    for row, truth in result.evidence.pixel_truth.items():
        known = truth >= 0
        expected = np.where(data.store.opacity[row] == 1, 2, data.store.lung[row])
        assert np.array_equal(truth[known], expected[known])
        assert np.array_equal(known, data.grid.covered)


def test_where_the_lungs_are_not_looked_for_the_whole_radiograph_still_counts(folder):
    table = sources.masks(folder, split="test").assign(lung="")
    data = Radiographs(table, image_size=64, patch=16, stride=8, lungs=WholeImage())
    result = examine(scoring(), data, np.arange(len(data.store)))
    assert (result.evidence.kind == UNKNOWN).all()
    findings = measure_evaluation(data, result, calibration(result) | calibration(result, "brightness"), {}, 0.1)
    assert "pixel/auroc" in findings.metrics
    assert "0 {images}" in findings.omitted["pixel/auroc_in_lung"]


@pytest.mark.parametrize("map_of", ["score", "residual"])
@pytest.mark.parametrize("relative", [None, 0.2])
def test_but_for_windows_all_is_the_same_where_some_are_kept(folder, map_of, relative):
    data = data_of(folder, stride=2)
    rows = np.arange(0, 32, 4)
    every = dataclasses.replace(scoring(SAD(), map_of=map_of), relative=relative)
    full = examine(every, data, rows)
    kept = examine(dataclasses.replace(every, kept_windows=120), data, rows)
    assert (len(full.grid), kept.grid.stride, len(kept.grid)) == (29 * 29, 6, 100)
    numbers = data.grid.numbers_of(kept.grid)
    for name in full.window:
        np.testing.assert_array_equal(kept.window[name], full.window[name][:, numbers])
        np.testing.assert_array_equal(kept.image[name], full.image[name])
    for name, maps in full.pixel.items():
        assert all(np.array_equal(kept.pixel[name][place], found, equal_nan=True) for place, found in maps.items())
    np.testing.assert_array_equal(kept.evidence.kind, full.evidence.kind[:, numbers])
    np.testing.assert_array_equal(kept.evidence.lung_share, full.evidence.lung_share[:, numbers])
    assert all(
        np.array_equal(kept.evidence.pixel_truth[place], truth) for place, truth in full.evidence.pixel_truth.items()
    )


def test_maps_are_kept_of_a_bounded_number_of_radiographs_of_each_label(folder, monkeypatch, caplog):
    data, rows, kept = data_of(folder, patch=16, stride=16), np.arange(32), []
    full = examine(scoring(), data, rows)
    assert len(full.pixel["score"]) == 32
    assert not [one for one in caplog.records if one.levelname == "WARNING"]
    for most in (20, 7):
        monkeypatch.setattr("pneumo_ad.evaluation.ground_truth._MOST_PIXELS", most * 64 * 64)
        caplog.clear()
        result = examine(scoring(), data, rows)
        for name, maps in result.pixel.items():
            assert maps.keys() == result.evidence.pixel_truth.keys()
            assert all(np.array_equal(found, full.pixel[name][i], equal_nan=True) for i, found in maps.items())
        found = counts(result.evidence)
        assert (found["counts/images_with_truth"], found["counts/images_in_pixel_metrics"]) == (32, len(maps))
        assert f"use {len(maps)} of the 32 images" in caplog.text
        assert np.array_equal(result.evidence.kind, full.evidence.kind)
        kept.append(set(maps))
    assert kept[1] < kept[0]
    assert [len(places) for places in kept] == [16, 4]
    assert [int(full.evidence.normal[list(places)].sum()) for places in kept] == [8, 2]


def test_a_lung_that_no_kept_window_shows_is_a_lung(folder):
    data = data_of(folder, stride=1)
    data.lung_fields = np.zeros((32, 64, 64), dtype=np.uint8)
    data.lung_fields[:, 10:18, 10:18] = 1  # the window at (10, 10); of those kept the nearest show at most a quarter
    rows = np.concatenate([data.rows(None, label)[:6] for label in ("normal", "pneumonia")])
    full = examine(scoring(), data, rows)
    kept = examine(dataclasses.replace(scoring(), kept_windows=16), data, rows)
    assert kept.grid.stride == 15
    assert not kept.evidence.in_lung.any()
    assert kept.evidence.has_lung.all()
    np.testing.assert_array_equal(kept.image["score"], full.image["score"])
    assert np.isfinite(kept.image["score"]).all()
    found = [
        measure_evaluation(data, one, calibration(full) | calibration(full, "brightness"), {}, 0.1).metrics
        for one in (full, kept)
    ]
    assert found[0]["counts/images_without_lung"] == found[1]["counts/images_without_lung"] == 0
    assert found[0]["image/auroc"] == found[1]["image/auroc"]


def test_every_auroc_has_its_shortcuts_and_they_are_those_of_their_scores(examined):
    data, result = examined
    findings = measure_evaluation(data, result, calibration(result) | calibration(result, "brightness"), {}, 0.1)
    for key, level in LEVELS.items():
        if key not in findings.metrics or key == "image/auroc_matched":
            continue
        names = {name for name in findings.metrics if name.startswith(f"shortcut/{level}/")}
        assert names, key
        if level.startswith("patch"):  # the score of this run is brightness itself
            assert findings.metrics[f"shortcut/{level}/brightness"] == pytest.approx(findings.metrics[key]), key
    kind = result.evidence.kind
    told = (kind == 0) | (kind == 1)
    expected = roc_auc_score(kind[told] == 1, result.window["contrast"][told])
    assert findings.metrics["shortcut/patch/contrast"] == pytest.approx(expected)
    assert findings.omitted["shortcut/image/aspect_ratio"] == "the same for every {image}"
    assert findings.metrics["modality/dip_p"] <= 1
    assert 0.2 < findings.metrics["pixel/pro_in_lung"] <= 1  # the opacities are bright; by chance 0.15


def test_the_yardstick_of_pixels_is_the_same_for_every_model_of_the_same_radiographs(folder):
    found = []
    for patch, stride, map_of, score in (
        (8, 4, "score", SAD()),
        (16, 16, "score", SAD()),
        (32, 8, "residual", Brightness()),
    ):
        data = data_of(folder, patch=patch, stride=stride)
        result = examine(scoring(score, map_of=map_of), data, np.arange(32))
        findings = measure_evaluation(data, result, calibration(result) | calibration(result, "brightness"), {}, 0.1)
        found.append({key: value for key, value in findings.metrics.items() if key.startswith("shortcut/pixel")})
    assert found[0] == found[1] == found[2]
    names = {key.rpartition("/")[2] for key in found[0] if not key.endswith(("_low", "_high"))}
    assert names == set(PIXEL_SHORTCUTS)
    grey = np.concatenate([np.asarray(data.store.images[row])[data.lung_fields[row] == 1] for row in result.rows])
    opaque = np.concatenate([np.asarray(data.store.opacity[row])[data.lung_fields[row] == 1] for row in result.rows])
    assert found[0]["shortcut/pixel_in_lung/brightness"] == pytest.approx(roc_auc_score(opaque == 1, grey))


@pytest.mark.parametrize("both", range(6))  # strata that hold both classes
def test_a_median_over_fewer_than_three_strata_is_left_out(both):
    sharpness = np.arange(100.0)
    sick = (np.arange(100) % 2 == 0) & (np.arange(100) < 20 * both)
    evidence = SimpleNamespace(normal=~sick, pneumonia=sick, has_lung=np.ones(100, dtype=bool))
    scores = np.random.default_rng(0).random(100)
    result = SimpleNamespace(evidence=evidence, image={"score": scores, "brightness": scores})
    metrics, omitted = in_strata(result, sharpness)
    assert metrics["counts/strata"] == both
    for key in ("image/auroc_in_strata", "brightness/image/auroc_in_strata"):
        assert (key in metrics) == (both >= 3) != (key in omitted)


def test_the_verdict_says_in_words_which_of_the_two_ranks_better():
    near = {"image/auroc": 0.8, "image/auroc_low": 0.7, "shortcut/image/brightness": 0.25}
    assert "hardly better than lower brightness alone (0.750)" in verdict(near)
    assert "no evidence" in verdict(near | {"image/auroc": 0.74})
    assert verdict(near | {"image/auroc_low": 0.76}).endswith("better than lower brightness alone (0.750)")


def test_the_radiograph_s_shortcut_is_told_from_the_patch_s_own():
    metrics = {"shortcut/patch_origin/sharpness": 0.4, "shortcut/image/sharpness": 0.05}
    assert strongest_shortcut(metrics, "patch/auroc_pneumonia_vs_normal").words == "the {image}'s lower sharpness"
    metrics["shortcut/patch_origin/sharpness"] = 0.01
    assert strongest_shortcut(metrics, "patch/auroc_pneumonia_vs_normal").words == "lower sharpness"
    assert strongest_shortcut(metrics, "image/auroc").words == "lower sharpness"


def test_false_alarms_are_those_above_the_conformal_threshold(examined):
    _, result = examined
    held_out = calibration(result)
    metrics, omitted = false_alarms(result, held_out, 0.25)
    normals, sick = result.evidence.normal, result.evidence.pneumonia
    threshold = conformal_threshold(held_out["score_normal_images"], 0.25)
    assert metrics["false_alarms/image"] == (result.image["score"][normals] > threshold).mean()
    assert metrics["image/sensitivity"] == (result.image["score"][sick] > threshold).mean()
    assert metrics["false_alarms/patch"] <= 0.25
    assert omitted == {}


def test_too_few_normals_for_the_rate_are_named_with_the_least_number(examined):
    _, result = examined
    metrics, omitted = false_alarms(result, calibration(result), 0.01)
    assert "needs at least 99" in omitted["false_alarms/image"]
    assert omitted["image/sensitivity"] == omitted["false_alarms/image"]
    assert "image/sensitivity" not in metrics


def test_an_oracle_is_never_worse_than_a_threshold_from_normals(examined):
    _, result = examined
    metrics, _ = false_alarms(result, calibration(result), 0.25)
    best, _ = oracles(result)
    assert best["oracle/image_balanced_accuracy"] >= metrics["image/balanced_accuracy"]
    assert 0 < best["oracle/macro_f1"] <= 1


def test_what_published_tables_print_is_an_oracle_beside_calling_everything_anomalous(examined):
    _, result = examined
    best, _ = oracles(result)
    scores, sick = result.image["score"], result.evidence.pneumonia
    assert (sick | result.evidence.normal).all()
    tried = [f1_score(sick, scores > cut) for cut in [scores.min() - 1, *scores]]
    assert best["oracle/image_f1"] == pytest.approx(max(tried))
    assert f1_score(sick, scores > best["oracle/image_f1_threshold"]) == pytest.approx(max(tried))
    assert best["oracle/image_f1_of_all"] == pytest.approx(tried[0])
    printed = StringIO()
    print_as_published(Console(file=printed, width=200), best | {"oracle/dice": 0.5, "oracle/dice_of_all": 0.25})
    words = f"best image F1 {max(tried):.3f} (all called anomalous: {tried[0]:.3f}), pixel Dice 0.500 (all called"
    assert words in printed.getvalue()
    print_as_published(Console(file=(silent := StringIO())), {"image/auroc": 0.5})
    assert silent.getvalue() == ""


def test_one_class_only_is_left_out_by_name(folder):
    table = sources.masks(folder, split="test")
    data = Radiographs(table[table["label"] == "pneumonia"], image_size=64, patch=16, stride=8, lungs=FileFields())
    result = examine(scoring(), data, np.arange(len(data.store)))
    both = {
        f"{name}_{part}": np.arange(100.0)
        for name in ("score", "brightness")
        for part in ("normal_lung", "normal_images")
    }
    findings = measure_evaluation(data, result, both, {}, 0.05)
    for key in ("image/auroc", "false_alarms/image", "image/sensitivity", "oracle/image_balanced_accuracy"):
        assert key in findings.omitted
        assert key not in findings.metrics
    assert "patch/auroc_opacity_vs_healthy" in findings.metrics
    _, omitted = measure_matched(scoring(), data, np.arange(len(data.store)))
    assert "0 normal" in omitted["image/auroc_matched"]


def test_pixels_may_make_the_score_of_a_radiograph(folder):
    data = data_of(folder)
    result = examine(scoring(aggregate=Highest("pixels"), map_of="residual"), data, np.arange(4))
    for place in range(4):
        inside = (data.lung_fields[place] == 1) & data.grid.covered
        assert result.image["score"][place] == pytest.approx(data.images[place][inside].max(), abs=0.5)


def test_matching_takes_away_what_exposure_and_sharpness_gave_away(tmp_path):
    from PIL import Image, ImageFilter

    root = write_set(tmp_path / "set", 16, 16)
    for file in (root / "images").glob("p*.png"):  # the sick ones duller and brighter, and no opacity
        with Image.open(root / "images" / f"n{int(file.stem[1:]) - 16:03d}.png") as well:
            dull = well.transpose(Image.Transpose.FLIP_LEFT_RIGHT).filter(ImageFilter.GaussianBlur(1))
            dull.point(lambda grey: min(255, grey * 1.2 + 20)).save(file)
    data = data_of(root, fit="pad")
    result = examine(scoring(), data, np.arange(len(data.store)))
    findings = measure_evaluation(data, result, calibration(result) | calibration(result, "brightness"), {}, 0.1)
    assert findings.metrics["image/auroc"] == 1  # brightness
    rows = np.arange(len(data.store))
    metrics, _ = measure_matched(scoring(), data, rows)
    assert metrics["counts/images_matched"] + metrics["counts/images_unmatched"] == 32
    assert abs(metrics["image/auroc_matched"] - 0.5) < 0.3
    assert findings.metrics["shortcut/image/lung_brightness"] == 1
    assert abs(metrics["shortcut/image_matched/lung_brightness"] - 0.5) < 0.3
    assert measure_matched(scoring(), data, rows)[0] == metrics  # from what was kept beside the store


@pytest.mark.parametrize("relative", [None, 0.5])
def test_a_net_of_whole_radiographs_is_shown_matched_ones_with_the_chest_where_it_was(folder, monkeypatch, relative):
    torch.manual_seed(0)
    judging = Scoring(KindUNet(4, 2).eval(), OpacityChance(), "residual", 64, torch.float32, Mean(), relative)
    data, shown = data_of(folder, view="image"), []
    whole = Scoring.__call__
    monkeypatch.setattr(Scoring, "__call__", lambda *given: shown.append(given[5]) or whole(*given))
    rows = np.arange(2, 30)
    metrics, _ = measure_matched(judging, data, rows)
    assert 5 * 2 <= metrics["counts/images_matched"] <= 28
    assert 0 <= metrics["image/auroc_matched"] <= 1
    expected = match(data.store.images, data.lung_fields, rows, fill=False)
    np.testing.assert_array_equal(shown[0], expected.images[expected.reached])
    assert measure_matched(judging, data, rows)[0] == metrics  # from what was kept beside the store


def test_boxes_are_truth_too(tmp_path):
    root = write_set(tmp_path / "set", 8, 8)
    for file in (root / "opacity").iterdir():
        file.unlink()
    rows = []
    mask = opacity_mask(96, 80)
    down, right = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    for number in range(8, 16):
        rows.append((f"p{number:03d}", right[0], down[0], np.ptp(right) + 1, np.ptp(down) + 1))
    pd.DataFrame(rows, columns=["image", "x", "y", "width", "height"]).to_csv(tmp_path / "boxes.csv", index=False)
    table = sources.masks(root, split="test", boxes=tmp_path / "boxes.csv")
    data = Radiographs(table, image_size=64, patch=16, stride=8, lungs=FileFields())
    result = examine(scoring(SAD()), data, np.arange(len(data.store)))
    evidence = gather_ground_truth(data, np.arange(len(data.store)))
    assert all((evidence.pixel_truth[row] == 2).any() == bool(evidence.pneumonia[row]) for row in range(16))
    findings = measure_evaluation(data, result, calibration(result) | calibration(result, "brightness"), {}, 0.2)
    assert findings.metrics["brightness/pixel/auroc_in_lung"] > 0.6
    assert lung_mask(96, 80).any()


@pytest.mark.parametrize("map_of", ["score", "residual"])
def test_pixels_of_sad_may_make_the_score_of_a_radiograph(folder, map_of):
    data = data_of(folder)
    result = examine(scoring(SAD(), Mean("pixels"), map_of), data, np.arange(3))
    assert np.isfinite(result.image["score"]).all()
    assert np.array_equal(result.image["score"], result.image["sad"])


def test_padding_is_no_part_of_a_radiographs_own_scale(tmp_path):
    from PIL import Image

    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(0)
    texture = rng.integers(60, 160, (64, 64), dtype=np.uint8)
    for name, width in (("square", 64), ("narrow", 32)):
        Image.fromarray(np.tile(texture[:, :32], (1, 2))[:, :width]).save(tmp_path / "images" / f"{name}.png")
    table = sources.masks(tmp_path, split="test")
    data = Radiographs(table, image_size=64, patch=16, stride=16, fit="pad", lungs=WholeImage())
    relative = dataclasses.replace(scoring(SAD()), relative=0.2)
    result = examine(relative, data, np.arange(2))
    narrow, square = result.image["score"]
    assert narrow == pytest.approx(square, rel=0.1)


def test_windows_with_padding_are_no_lung_for_anybody(tmp_path):
    from PIL import Image

    from pneumo_ad.inference.lung_shares import lung_shares

    (tmp_path / "images").mkdir()
    Image.fromarray(np.full((64, 40), 90, np.uint8)).save(tmp_path / "images" / "a.png")
    data = Radiographs(
        sources.masks(tmp_path, split="test"), image_size=64, patch=16, stride=8, fit="pad", lungs=WholeImage()
    )
    shares = lung_shares(data, np.array([0]))
    whole = data.grid.window_shares(data.store.content(np.array([0]))) == 1
    assert np.array_equal(shares == 1, whole)
    assert set(np.unique(shares)) == {0, 1}


def test_the_lungs_are_a_share_of_the_radiograph_and_not_of_its_padding(tmp_path):
    root = write_set(tmp_path / "set", 2, 2, height=64, width=96)
    for file in (root / "lung").iterdir():
        Image.new("1", (96, 64), 1).save(file)
    data = data_of(root, fit="pad")
    rows = np.arange(4)
    told = {
        "images.csv": images(data, examine(scoring(), data, rows), None, ())["lung_area"],
        "fig05": draw_lung_fields(data, rows).numbers["lung_area"],
        "shortcuts": lung_shortcuts(data.store.images, data.lung_fields, data.store.table)["lung_area"],
    }
    for name, area in told.items():
        assert area.tolist() == [1.0] * 4, name


def test_radiographs_that_were_seen_tell_nothing_of_false_alarms(examined):
    data, result = examined
    both = calibration(result) | calibration(result, "brightness")
    findings = measure_evaluation(data, result, both, {}, 0.1, seen_before=True)
    assert not [key for key in findings.metrics if key.startswith("false_alarms/")]
    assert "saw these {images}" in findings.omitted["image/sensitivity"]
    blind = measure_evaluation(data, result, {}, {}, 0.1)
    assert "not at hand" in blind.omitted["false_alarms/image"]
    blind.explain_missing_kinds({"score": "validation burnt"})
    assert blind.omitted["patch/macro_f1"] == "no thresholds: validation burnt"
