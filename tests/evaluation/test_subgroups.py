import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from pneumo_ad.evaluation.subgroups import ALL_NORMAL, METRICS, SAME, subgroup_table, subgroups
from pneumo_ad.labels import HEALTHY, MIXED, OPACITY, UNKNOWN
from pneumo_ad.metrics.catalogue import GroundTruth, MeasuredScore, headline

NORMALS, SICK, OTHERS = 24, 36, 4
IMAGES = NORMALS + SICK + OTHERS
KEYS = {f"{key}{end}" for key in METRICS for end in ("", "_low", "_high")}


@pytest.fixture
def scored():
    """Radiographs of 10 windows and 30 known pixels, scores somewhat above chance; two radiographs per patient."""
    rng = np.random.default_rng(0)
    sick = (np.arange(IMAGES) >= NORMALS) & (np.arange(IMAGES) < NORMALS + SICK)
    kind = np.full((IMAGES, 10), HEALTHY, dtype=np.int8)
    kind[:, 8:] = MIXED
    kind[sick, :3] = OPACITY
    pixels = {i: rng.integers(0, 3 if sick[i] else 2, 30).astype(np.int8) for i in range(IMAGES)}
    evidence = GroundTruth(
        np.arange(IMAGES) // 2, np.arange(IMAGES) < NORMALS, sick, kind, np.ones((IMAGES, 10)), pixels
    )
    window = (rng.normal(0, 1, kind.shape) + (kind == OPACITY) + 9 * (kind == MIXED)).astype(np.float32)
    pixel = {
        i: (rng.normal(0, 1, 30) + (truth == 2) - 9 * (truth == 0)).astype(np.float32) for i, truth in pixels.items()
    }
    return evidence, MeasuredScore(window, None, pixel, rng.normal(0, 1, IMAGES) + sick)


def findings():
    """As the file names of the Kaggle set tell: nothing of normals."""
    sick = np.where(np.arange(SICK) % 3 == 0, "virus", "bacteria")
    return pd.Series(["", *[""] * (NORMALS - 1), *sick, *[""] * OTHERS])


def views():
    return pd.Series(np.where(np.arange(IMAGES) % 4 == 0, "AP", "PA"))


def expected(members, evidence, measured):
    """scikit-learn on lists gathered one by one."""
    images, patches, pixels = ([], []), ([], []), ([], [])
    for i in np.flatnonzero(members):
        if evidence.normal[i] or evidence.pneumonia[i]:
            images[0].append(measured.image[i])
            images[1].append(bool(evidence.pneumonia[i]))
        for j in range(evidence.kind.shape[1]):
            if evidence.kind[i, j] in (OPACITY, HEALTHY):
                patches[0].append(measured.window[i, j])
                patches[1].append(evidence.kind[i, j] == OPACITY)
        for truth, value in zip(evidence.pixel_truth.get(i, []), measured.pixel.get(i, []), strict=True):
            if truth != 0:
                pixels[0].append(value)
                pixels[1].append(truth == 2)
    return [roc_auc_score(truth, score) for score, truth in (images, pixels, patches)]


def by_value(rows):
    return {row.value: row for row in rows}


def test_a_column_that_tells_of_pneumonia_alone_is_measured_against_all_normals(scored):
    column = findings()
    rows, skipped = subgroups(pd.DataFrame({"finding": column}), *scored)
    assert skipped == {}
    assert [row.value for row in rows] == ["bacteria", "virus", "not given"]
    for row in rows[:2]:
        members = (column == row.value).to_numpy()
        assert (row.column, row.against) == ("finding", ALL_NORMAL)
        assert (row.images, row.normal, row.pneumonia) == (members.sum(), 0, members.sum())
        assert set(row.metrics) == KEYS
        found = [row.metrics[key] for key in METRICS]
        assert found == pytest.approx(expected(members | scored[0].normal, *scored), abs=1e-6)
        for key in METRICS:
            assert row.metrics[f"{key}_low"] < row.metrics[key] < row.metrics[f"{key}_high"]
    assert (rows[2].images, rows[2].normal, rows[2].pneumonia) == (NORMALS + OTHERS, NORMALS, 0)
    assert rows[2].metrics == {}
    assert rows[2].omitted["image/auroc"] == "0 {images} with the label {abnormal}; at least 5 are needed"


def test_views_are_measured_within_the_view(scored):
    column = views()
    rows, _ = subgroups(pd.DataFrame({"view": column}), *scored)
    assert [(row.value, row.against) for row in rows] == [("PA", SAME), ("AP", SAME)]
    for row in rows:
        members = (column == row.value).to_numpy()
        assert row.normal == (members & scored[0].normal).sum() > 0
        assert [row.metrics[key] for key in METRICS] == pytest.approx(expected(members, *scored), abs=1e-6)


def test_a_confounded_view_without_normals_is_left_out_and_not_compared_with_another(scored):
    column = views()
    column[(column == "AP") & scored[0].normal] = "PA"
    lateral = np.flatnonzero(scored[0].pneumonia)[:6]
    column[lateral] = "lateral"
    found = by_value(subgroups(pd.DataFrame({"view": column}), *scored)[0])
    assert found["lateral"].omitted["image/auroc"] == "0 {images} with the label normal; at least 5 are needed"
    assert "patch/auroc_opacity_vs_healthy" in found["lateral"].metrics  # of its own windows
    assert set(found["PA"].metrics) == KEYS


def test_the_only_subgroup_that_differs_is_found(scored):
    """The score finds bacteria and is blind for viruses."""
    evidence, measured = scored
    column = findings()
    rng = np.random.default_rng(1)
    measured.image = (rng.normal(0, 1, IMAGES) + 20 * (column == "bacteria")).to_numpy()
    found = by_value(subgroups(pd.DataFrame({"finding": column}), evidence, measured)[0])
    assert found["bacteria"].metrics["image/auroc"] == 1
    assert 0.2 < found["virus"].metrics["image/auroc"] < 0.8


def test_a_subgroup_of_all_that_is_known_has_the_figures_of_the_headline(scored):
    evidence, measured = scored
    evidence.kind[-OTHERS:] = UNKNOWN
    for i in range(IMAGES - OTHERS, IMAGES):
        del evidence.pixel_truth[i]
    column = ["a"] * (IMAGES - OTHERS) + ["b"] * OTHERS
    rows, _ = subgroups(pd.DataFrame({"site": column}), evidence, measured)
    whole, _ = headline(evidence, measured)
    for key in METRICS[1:]:
        for end in ("", "_low", "_high"):
            assert rows[0].metrics[f"{key}{end}"] == pytest.approx(whole[f"{key}{end}"], abs=1e-9)


def test_a_radiograph_without_an_image_score_is_left_out(scored):
    evidence, measured = scored
    column = views()
    measured.image[[0, NORMALS]] = np.nan  # a normal and a sick one, both AP
    found = by_value(subgroups(pd.DataFrame({"view": column}), evidence, measured)[0])
    members = (column == "AP").to_numpy()
    seen = members & ~np.isnan(measured.image) & (evidence.normal | evidence.pneumonia)
    assert found["AP"].images == members.sum()
    assert found["AP"].metrics["image/auroc"] == pytest.approx(
        roc_auc_score(evidence.pneumonia[seen], measured.image[seen])
    )


def test_fewer_than_five_radiographs_are_named(scored):
    evidence, measured = scored
    column = views()
    column[column == "AP"] = "PA"
    column[:4] = "AP"
    column[NORMALS : NORMALS + 8] = "AP"
    found = by_value(subgroups(pd.DataFrame({"view": column}), evidence, measured)[0])
    assert found["AP"].omitted == {"image/auroc": "4 {images} with the label normal; at least 5 are needed"}
    assert set(found["AP"].metrics) == {key for key in KEYS if not key.startswith("image")}


def test_without_masks_only_the_image_level_is_left(scored):
    evidence, measured = scored
    evidence.kind[:] = UNKNOWN
    evidence.pixel_truth.clear()
    rows, _ = subgroups(
        pd.DataFrame({"view": views()}), evidence, MeasuredScore(measured.window, None, {}, measured.image)
    )
    for row in rows:
        assert set(row.omitted) == set(METRICS[1:])
        assert all("0 {images} with {anomaly}" in reason for reason in row.omitted.values())
        assert "image/auroc" in row.metrics


def test_the_commonest_values_have_rows_and_the_rest_is_counted(scored, monkeypatch):
    monkeypatch.setattr("pneumo_ad.evaluation.subgroups.MOST_VALUES", 3)
    sizes = {"f": 20, "e": 14, "d": 9, "c": 8, "b": 7, "a": 6}
    assert sum(sizes.values()) == IMAGES
    column = np.random.default_rng(0).permutation(np.repeat(list(sizes), list(sizes.values())))
    rows, _ = subgroups(pd.DataFrame({"site": column}), *scored)
    assert [(row.value, row.images) for row in rows] == [("f", 20), ("e", 14), ("d", 9), ("others (3 values)", 21)]


def test_values_of_too_few_radiographs_are_put_together(scored):
    column = pd.Series(["common"] * (IMAGES - 9) + ["x"] * 4 + ["y"] * 3 + ["z"] * 2)
    rows, _ = subgroups(pd.DataFrame({"site": column}), *scored)
    assert [(row.value, row.images) for row in rows] == [("common", IMAGES - 9), ("others (3 values)", 9)]
    rows, _ = subgroups(pd.DataFrame({"site": column.replace({"y": "x", "z": "x"})}), *scored)
    assert [row.value for row in rows] == ["common", "x"]
    rows, _ = subgroups(pd.DataFrame({"site": column.replace({"y": "common", "z": "common"})}), *scored)
    assert [row.value for row in rows] == ["common", "x"]  # alone: it keeps its name
    assert rows[1].metrics == {}


def test_columns_that_divide_nothing_are_named(scored):
    columns = pd.DataFrame(
        {
            "file": [f"{i}.png" for i in range(IMAGES)],
            "patient_name": [f"p{i // 2}" for i in range(IMAGES)],
            "blank": [""] * IMAGES,
            "missing": [None] * IMAGES,
            "country": ["FR"] * IMAGES,
            "view": views(),
        }
    )
    rows, skipped = subgroups(columns, *scored)
    assert {row.column for row in rows} == {"view"}
    assert skipped == {
        "file": f"no value is that of 5 {{images}} ({IMAGES} values in {IMAGES} {{images}})",
        "patient_name": f"no value is that of 5 {{images}} ({IMAGES // 2} values in {IMAGES} {{images}})",
        "blank": "no value is that of 5 {images} (0 values in 0 {images})",
        "missing": "no value is that of 5 {images} (0 values in 0 {images})",
        "country": "'FR' is the value of all {images}",
    }


def test_the_order_of_radiographs_does_not_matter(scored):
    evidence, measured = scored
    columns = pd.DataFrame({"finding": findings(), "view": views()})
    order = np.random.default_rng(3).permutation(IMAGES)
    turned = GroundTruth(
        evidence.patient[order],
        evidence.normal[order],
        evidence.pneumonia[order],
        evidence.kind[order],
        evidence.lung_share[order],
        {place: evidence.pixel_truth[i] for place, i in enumerate(order)},
    )
    other = MeasuredScore(
        measured.window[order], None, {place: measured.pixel[i] for place, i in enumerate(order)}, measured.image[order]
    )
    rows, _ = subgroups(columns, evidence, measured)
    again, _ = subgroups(columns.iloc[order].reset_index(drop=True), turned, other)
    pd.testing.assert_frame_equal(subgroup_table(rows), subgroup_table(again))


def test_the_table_has_a_line_per_subgroup_and_holes_where_metrics_are_left_out(scored):
    table = subgroup_table(subgroups(pd.DataFrame({"finding": findings()}), *scored)[0])
    start = ["column", "value", "images", "normal", "pneumonia", "against"]
    assert table.columns.tolist()[:6] == start
    assert set(table.columns) == {*start, *KEYS, "omitted"}
    assert table.loc[2, list(KEYS)].isna().all()
    assert "image/auroc: 0 {images} with the label {abnormal}" in table.loc[2, "omitted"]
    assert (table.loc[:1, "omitted"] == "").all()
    assert subgroup_table([]).empty
