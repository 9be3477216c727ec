"""The leaderboard: on folders of fake runs with known answers, and on a tiny sweep of real ones."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drawn import write_set
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from running import start
from sklearn.metrics import roc_auc_score

from pneumo_ad.commands.compare import compare
from pneumo_ad.errors import ConfigError, DataError
from pneumo_ad.leaderboard import compare as command
from pneumo_ad.leaderboard.gather import read_sweep
from pneumo_ad.leaderboard.groups import Comparison
from pneumo_ad.leaderboard.paired import same_pixels
from pneumo_ad.leaderboard.plots import Point, metric_by_axis
from pneumo_ad.leaderboard.table import leaderboard, print_comparison
from pneumo_ad.runs.record import update_run_json
from pneumo_ad.runs.sampled_maps import POINTS, SampledMaps, read_maps, write_maps

IN_LUNG, WHOLE = "same_pixels/auroc_in_lung", "same_pixels/auroc"
IMAGES = 12
RECIPE = {"image_size": 64, "patch": 32, "stride": 8, "fit": "squash", "net": {"width": 4, "_target_": "none"}}


def truth_of(images=IMAGES, sick=IMAGES // 2):
    """Two lungs, in the first `sick` radiographs with an opacity whose height differs."""
    truth = np.zeros((images, POINTS, POINTS), dtype=np.uint8)
    truth[:, 20:110, 15:55] = truth[:, 20:110, 75:115] = 1
    for i in range(sick):
        truth[i, 40 : 60 + 4 * i, 20:40] = 2
    return truth


def maps_of(score, truth=None, brightness=None, prefix="i"):
    truth = truth_of() if truth is None else truth
    names = [f"{prefix}{i:02d}" for i in range(len(truth))]
    images = pd.DataFrame({"image": names, "patient": [f"p{i // 2}" for i in range(len(truth))]})
    brightness = np.zeros(truth.shape) if brightness is None else brightness
    return SampledMaps(images, np.asarray(score, dtype=np.float32), np.asarray(brightness, dtype=np.float32), truth)


def noise(seed, shape=(IMAGES, POINTS, POINTS)):
    return np.random.default_rng(seed).normal(0, 1, shape)


def write_run(folder, overrides=(), maps=None, status="finished", reason="", image_scores=None, **changes):
    """A run folder as `train` leaves it, with made-up results."""
    told = dict(override.split("=", 1) for override in overrides)
    config = OmegaConf.create(RECIPE | {"seed": 0})
    for key, value in (told | changes).items():
        OmegaConf.update(config, key, OmegaConf.create(f"v: {value}").v if key != "net" else RECIPE["net"])
    (folder / ".hydra").mkdir(parents=True)
    OmegaConf.save(config, folder / ".hydra" / "config.yaml")
    OmegaConf.save(OmegaConf.create(list(overrides)), folder / ".hydra" / "overrides.yaml")
    update_run_json(folder, status=status, reason=reason, seconds_training=12.5)
    if status != "finished":
        return folder
    maps = maps_of(noise(0)) if maps is None else maps
    write_maps(folder / "maps", maps)
    sick = np.arange(IMAGES) < IMAGES // 2
    scores = (
        sick + np.random.default_rng(len(folder.name)).normal(0, 1, IMAGES) if image_scores is None else image_scores
    )
    images = pd.DataFrame(
        {"image": [f"i{i:02d}" for i in range(IMAGES)], "patient": [f"p{i // 2}" for i in range(IMAGES)]}
    ).assign(label=np.where(sick, "pneumonia", "normal"), score=scores, brightness=sick * 1.0, height=100, width=90)
    images.to_csv(folder / "images.csv", index=False)
    kinds = np.array(["outside", "healthy", "opacity"])
    pd.DataFrame(
        {"image": "i00", "sad": noise(1, 90) ** 2, "lung_share": 1.0, "kind_true": kinds[np.arange(90) % 3]}
    ).to_csv(folder / "patches.csv", index=False)
    metrics = {"image/auroc": roc_auc_score(sick, scores), "patch/macro_f1": 0.4, "brightness/image/auroc": 1.0}
    about = {"subset": "test", "omitted": {"patch/sad_median_opacity": "2 radiographs with such patches"}}
    (folder / "metrics.json").write_text(json.dumps(metrics | {"about": about}))
    return folder


@pytest.fixture
def sweep(tmp_path):
    """Two nets of two seeds: one finds opacities, the other nearly not."""
    for seed in (0, 1):
        for net, gain in (("unet", 1.0), ("autoencoder", 0.3)):
            score = noise(10 * seed + (net == "unet")) + gain * (truth_of() == 2)
            write_run(
                tmp_path / "s" / f"net={net},seed={seed}", [f"net={net}", f"seed={seed}", "stride=8"], maps_of(score)
            )
    return tmp_path / "s"


def printed(found, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    print_comparison(found)
    return capsys.readouterr().out


def test_perfect_random_and_reversed_runs_stand_in_this_order(tmp_path, undrawn):
    kind = truth_of().astype(float)
    for name, score in (("random", noise(0)), ("perfect", kind), ("reversed", -kind)):
        write_run(tmp_path / name, [f"loss={name}"], maps_of(score))
    found = compare(tmp_path, reference="loss=random")
    assert found.sort == IN_LUNG
    assert [group.axes["loss"] for group in found.groups] == ["perfect", "random", "reversed"]
    values = [group.summary[IN_LUNG][0] for group in found.groups]
    assert values == [1, pytest.approx(0.5, abs=0.02), 0]
    best, same, worst = (group.difference for group in found.groups)
    assert same is None
    assert best[0] == pytest.approx(0.5, abs=0.02)
    assert best[1] > 0.4
    assert worst[2] < -0.4


def test_metrics_are_those_of_the_pixels_that_all_cover_whatever_a_run_covers_beyond():
    truth = truth_of()
    narrow, wide = noise(1) + (truth == 2), noise(2) + (truth == 2)
    narrow[:, :, :30] = np.nan
    wide[:, :, :30] = 100.0 * (truth[:, :, :30] == 2)  # perfect where the other does not look
    wide[:, 100:] = np.nan
    found = same_pixels({"narrow": maps_of(narrow), "wide": maps_of(wide)}, "wide")
    seen = ~np.isnan(narrow) & ~np.isnan(wide)
    for name, score in (("narrow", narrow), ("wide", wide)):
        for key, chosen in ((IN_LUNG, seen & (truth > 0)), (WHOLE, seen)):
            expected = roc_auc_score(truth[chosen] == 2, score.astype(np.float32)[chosen])
            assert found.paired[key].value[name] == pytest.approx(expected, abs=1e-9)
    assert found.points == seen.sum()
    assert found.covered == pytest.approx(seen[truth > 0].mean())
    alone = same_pixels({"wide": maps_of(wide)}, "wide")
    assert alone.paired[IN_LUNG].value["wide"] > found.paired[IN_LUNG].value["wide"] + 0.05


def test_radiographs_that_only_some_runs_have_are_left_out():
    truth = truth_of(20, 14)
    full = maps_of(noise(0, truth.shape) + truth, truth)
    part = SampledMaps(
        full.images.iloc[3:].iloc[::-1], full.score[3:][::-1], full.brightness[3:][::-1], truth[3:][::-1]
    )
    found = same_pixels({"full": full, "part": part}, "full")
    assert list(found.images["image"]) == list(full.images["image"][3:])
    assert found.paired[IN_LUNG].value["full"] == found.paired[IN_LUNG].value["part"]
    assert found.paired[IN_LUNG].difference(["full"], ["part"]) == (0, 0, 0)


def test_truth_and_brightness_are_those_of_the_largest_images(tmp_path, undrawn):
    fine = truth_of()
    coarse = fine.copy()
    coarse[:, 60:64] = np.minimum(coarse[:, 60:64], 1)
    write_run(tmp_path / "a", ["image_size=64"], maps_of(noise(0), coarse, noise(3)))
    write_run(tmp_path / "b", ["image_size=256"], maps_of(noise(1), fine, fine))
    write_run(tmp_path / "c", ["image_size=[128,512]", "patch=64"], maps_of(noise(2), coarse, noise(4)))
    found = compare(tmp_path)
    assert found.pixels.finest == "b"
    assert found.baseline(IN_LUNG) == 1
    inside = fine > 0
    expected = roc_auc_score(fine[inside] == 2, noise(0).astype(np.float32)[inside])
    row = found.rows.set_index("run").loc["a"]
    assert row[IN_LUNG] == pytest.approx(expected, abs=1e-9)
    assert row[f"brightness/{IN_LUNG}"] == pytest.approx(0.5, abs=0.05)
    assert row[f"{IN_LUNG}_low"] <= row[IN_LUNG] <= row[f"{IN_LUNG}_high"]


def test_a_difference_to_itself_is_exactly_0_and_that_to_another_has_an_interval_around_it(sweep, undrawn):
    found = compare(sweep, reference="net=autoencoder")
    unet, other = found.groups
    paired = found.paired[IN_LUNG]
    for names in (unet.runs, other.runs, unet.runs[:1]):
        assert paired.difference(names, names) == (0, 0, 0)
    value, low, high = unet.difference
    assert low < value < high
    assert low > 0
    assert value == pytest.approx(unet.summary[IN_LUNG][0] - other.summary[IN_LUNG][0])
    # Pairs share their patients, so that their difference is known better than either.
    assert high - low < sum(end[1] - end[0] for end in (unet.interval, other.interval))


def test_replicates_are_one_group_with_mean_and_spread(sweep, undrawn):
    found = compare(sweep)
    assert found.axes == ["net"]
    assert [len(group.runs) for group in found.groups] == [2, 2]
    for group in found.groups:
        values = found.rows.set_index("run").loc[list(group.runs), IN_LUNG]
        assert group.summary[IN_LUNG] == pytest.approx((values.mean(), values.std(ddof=1)))
    table = pd.read_csv(sweep / "comparison" / "groups.csv")
    assert list(table["net"]) == ["unet", "autoencoder"]
    assert list(table["runs"]) == [2, 2]
    assert f"{IN_LUNG}_sd" in table
    rows = pd.read_csv(sweep / "comparison" / "leaderboard.csv")
    assert len(rows) == 4
    assert set(rows["seed"]) == {0, 1}
    assert rows["seconds_training"].eq(12.5).all()


def test_runs_that_did_not_finish_are_never_dropped(sweep, undrawn, capsys, monkeypatch):
    write_run(sweep / "net=deep,seed=0", ["net=deep", "seed=0"], status="failed", reason="needs sides divisible by 16")
    write_run(sweep / "net=deep,seed=1", ["net=deep", "seed=1"], status="interrupted", reason="exit status 143")
    write_run(sweep / "net=deep,seed=2", ["net=deep", "seed=2"], status="running")  # nobody is at it
    (sweep / "net=deep,seed=3" / ".hydra").mkdir(parents=True)
    found = compare(sweep)
    words = printed(found, capsys, monkeypatch)
    assert "failed net=deep,seed=0: needs sides divisible by 16" in words
    assert "interrupted net=deep,seed=1: exit status 143" in words
    assert "unfinished net=deep,seed=2" in words
    assert "unfinished net=deep,seed=3" in words
    rows = pd.read_csv(sweep / "comparison" / "leaderboard.csv", keep_default_na=False).set_index("run")
    assert len(rows) == 8
    assert rows.loc["net=deep,seed=0", "reason"] == "needs sides divisible by 16"
    assert [group.axes["net"] for group in found.groups] == ["unet", "autoencoder"]


def test_a_sweep_in_which_nothing_finished_says_so(tmp_path, capsys, monkeypatch):
    for seed in (0, 1):
        write_run(tmp_path / f"seed={seed}", [f"seed={seed}"], status="failed", reason="no room")
    found = compare(tmp_path)
    assert found.sort is None
    words = printed(found, capsys, monkeypatch)
    assert "no run of 2 was measured" in words
    assert words.count("no room") == 2


def test_two_sweeps_in_one_folder_do_not_merge(tmp_path, undrawn):
    for name, width in (("old", 4), ("new", 8)):
        for seed in (0, 1):
            write_run(tmp_path / name / f"seed={seed}", [f"seed={seed}"], **{"net.width": width})
    found = compare(tmp_path)
    assert found.axes == ["net.width"]
    assert [group.runs for group in found.groups] == [
        (f"{name}/seed=0", f"{name}/seed=1") for name in [group.runs[0][:3] for group in found.groups]
    ]
    assert {group.axes["net.width"] for group in found.groups} == {"4", "8"}


def test_a_value_asked_for_equals_the_same_value_by_default(tmp_path):
    write_run(tmp_path / "a", ["seed=0"])
    write_run(tmp_path / "b", ["seed=1", "patch=32"])
    write_run(tmp_path / "c", ["seed=0", "patch=16", "net=unet"])
    runs = {run.name: run for run in read_sweep(tmp_path)}
    assert runs["a"].axes == runs["b"].axes == {"patch": "32", "net": "default"}
    assert runs["c"].axes == {"patch": "16", "net": "unet"}


def test_the_same_recipe_twice_counts_once_and_is_named(tmp_path, undrawn):
    write_run(tmp_path / "a", ["seed=0"])
    write_run(tmp_path / "b", ["seed=0"])
    write_run(tmp_path / "c", ["seed=1"])
    found = compare(tmp_path)
    assert [group.runs for group in found.groups] == [("a", "c")]
    assert "b is a once more, seed included: it counts once" in found.notes
    assert len(found.rows) == 3


def test_the_reference_is_that_of_the_recipes_defaults_unless_asked_for(tmp_path, undrawn):
    for patch in (16, 32, 64):
        write_run(tmp_path / f"patch={patch}", [f"patch={patch}"])
    found = compare(tmp_path)
    assert (found.reference.axes, found.reference_is) == ({"patch": "32"}, "the recipe's defaults")
    assert compare(tmp_path, reference="patch=64").reference.axes == {"patch": "64"}
    assert any("figures of patches do not compare" in note for note in found.notes)
    for asked, words in (
        ("patch=33", "no measured group matches; the nearest: patch=32"),
        ("width=3", "width is no swept axis; the axes: patch"),
    ):
        with pytest.raises(ConfigError, match=words):
            compare(tmp_path, reference=asked)


def with_shortcuts(folder, **aurocs):
    """The evaluation of a run, with AUROCs of scores that need no net, and the number of its radiographs."""
    of_images = {f"shortcut/image/{name}": value for name, value in aurocs.items()}
    counts = {"counts/images": IMAGES, "counts/images_normal": IMAGES // 2, "counts/images_pneumonia": IMAGES // 2}
    file = folder / "metrics.json"
    metrics = json.loads(file.read_text()) | of_images | counts | {"counts/patients": IMAGES // 2}
    file.write_text(json.dumps(metrics))


@pytest.fixture
def ranked(tmp_path):
    """Writes runs whose scores order radiographs to a measure, beside what needs no net, and compares them."""
    sick = np.arange(IMAGES) < IMAGES // 2

    def write(signs, brightness, **aurocs):
        for number, sign in enumerate(signs):
            folder = write_run(tmp_path / f"net.code={number}", [f"net.code={number}"], image_scores=sign * sick)
            with_shortcuts(folder, **aurocs)
            images = pd.read_csv(folder / "images.csv").assign(brightness=brightness)
            images.to_csv(folder / "images.csv", index=False)
        return compare(tmp_path, sort="image/auroc")

    return write


@given(
    aurocs=st.dictionaries(st.sampled_from(["sharpness", "contrast", "lung_sharpness"]), st.floats(0, 1), min_size=1),
    brightness=st.floats(0, 1),
)
@settings(max_examples=30)
def test_the_best_without_a_net_is_the_strongest_either_way_round_with_brightness_among_them(aurocs, brightness):
    measured = {f"shortcut/image/{name}": value for name, value in aurocs.items()}
    row = {"run": "a", "brightness/image/auroc": brightness, "shortcut/patch/contrast": 1.0} | measured
    found = Comparison(Path(), Path(), [], {}, pd.DataFrame([row, {"run": "b"}]), finest="a")
    best = found.shortcut("image/auroc")
    strengths = [max(value, 1 - value) for value in (*aurocs.values(), brightness)]
    assert max(best.auroc, 1 - best.auroc) == max(strengths)
    assert best.words.startswith("lower" if best.auroc < 0.5 else "higher")
    assert found.shortcut("patch/macro_f1") is None


def test_the_leaderboard_shows_the_best_without_a_net_and_says_which_runs_beat_it(ranked, undrawn, capsys, monkeypatch):
    found = ranked([-1, -1], np.arange(IMAGES) * 1.0, lung_sharpness=0.0167, sharpness=0.6)
    words, page = printed(found, capsys, monkeypatch), (found.folder / "leaderboard.md").read_text()
    for text in (words, page):
        assert re.search(r"best without a net.* 1\.000 \(lower brightness\)", text)  # the first are the sick
        assert "no run beats lower brightness alone (1.000); all lie below 0.5, worse than chance" in text
        assert "12 radiographs (6 normal, 6 pneumonia) of 6 patients" in text
        assert "image AUROC pneumonia / normal" in text
    assert "reference: net.code=0, the first of the sweep (reference=net.code=1 takes another)" in words
    assert "shortcut" not in words


def test_a_shortcut_that_ranks_backwards_is_told_as_one(ranked, undrawn, capsys, monkeypatch):
    found = ranked([1, -1, 0], np.ones(IMAGES), lung_sharpness=0.0167, sharpness=0.6)
    words = printed(found, capsys, monkeypatch)
    assert "0.983 (lower lung sharpness)" in words
    assert "verdict: 1 of 3 lines beats lower lung sharpness alone (0.983), 1 of them by the whole interval" in words


def test_names_of_columns_are_words_that_are_not_cut(sweep, undrawn, capsys, monkeypatch):
    found = compare(sweep)
    monkeypatch.setenv("COLUMNS", "100")
    print_comparison(found)
    told = capsys.readouterr().out
    assert "…" not in told
    head, _ = leaderboard(found)
    assert not any(re.search("[/_]", name.replace(" / ", "")) for name in head)
    for word in " ".join(head).split():
        assert word in told


def test_sorting_by_any_column_and_unknown_ones_are_refused_with_the_nearest(sweep, undrawn):
    assert compare(sweep, sort="patch/macro_f1").groups[1].difference[0] == 0
    found = compare(sweep, sort="image/auroc")
    values = [group.summary["image/auroc"][0] for group in found.groups]
    assert values == sorted(values, reverse=True)
    assert found.baseline("image/auroc") == 1
    with pytest.raises(ConfigError, match=r"sort=image/auroq is not known; the nearest: image/auroc"):
        compare(sweep, sort="image/auroq")
    with pytest.raises(ConfigError, match="no run has it: 2 radiographs with such patches"):
        compare(sweep, sort="patch/sad_median_opacity")


def test_without_masks_the_image_auroc_decides(tmp_path, undrawn):
    nothing = maps_of(np.zeros((0, POINTS, POINTS)), truth_of(0, 0))
    sick = np.arange(IMAGES) < IMAGES // 2
    for name, score in (("good", sick * 1.0), ("poor", noise(5, IMAGES))):
        write_run(tmp_path / name, [f"loss={name}"], nothing, image_scores=score)
    found = compare(tmp_path, reference="loss=poor")
    assert found.sort == "image/auroc"
    assert found.groups[0].axes == {"loss": "good"}
    assert found.groups[0].difference[0] == pytest.approx(1 - found.groups[1].summary["image/auroc"][0])
    words = "missing: pixels in the lung, AUROC opacity / healthy lung (the same pixels for all): no run was evaluated"
    assert any(note.startswith(words) for note in found.notes)


def test_a_name_that_stands_for_another_radiograph_is_not_compared():
    other = truth_of()[:, :, ::-1].copy()
    other[:, :64] = 0
    found = same_pixels({"a": maps_of(noise(0)), "b": maps_of(noise(1), np.roll(other, 40, axis=1))}, "a")
    assert not found.paired
    assert "is not the {image} of that name in a" in found.omitted[IN_LUNG]


def test_folders_that_hold_no_runs_say_what_they_hold(tmp_path):
    with pytest.raises(DataError, match=f"{tmp_path}: no run below it .*; it holds nothing"):
        compare(tmp_path)
    write_run(tmp_path / "x" / "y" / "z" / "seed=0")
    with pytest.raises(DataError, match=rf"it holds x; sweeps further down: {tmp_path}/x/y"):
        compare(tmp_path)
    with pytest.raises(DataError, match="is a run, not a folder of runs"):
        compare(tmp_path / "x" / "y" / "z" / "seed=0")
    with pytest.raises(DataError, match="no such folder; beside it: x"):
        compare(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="one folder of runs must be given, got none"):
        compare(sort="image/auroc")


def test_figures_are_drawn_for_every_axis_even_without_the_radiographs(tmp_path):
    truth = truth_of()
    for patch in (8, 16, 32):
        for net in ("unet", "autoencoder"):
            for seed in (0, 1):
                told = [f"patch={patch}", f"net={net}", f"seed={seed}"]
                write_run(tmp_path / ",".join(told), told, maps_of(noise(patch + seed) + (truth == 2) / patch, truth))
    found = compare(tmp_path)
    names = {file.name for file in (found.folder / "figures").iterdir()}
    assert names == {"metric_by_patch.png", "metric_by_net.png", "sad_histograms.png", "anomaly_maps.png"}


@pytest.mark.parametrize("values", [["8", "16", "32"], ["unet", "autoencoder"], ["0.1"]])
def test_no_point_lies_outside_a_figure(values):
    points = [Point(at, f"line {i}", "", (0.1 * i, 0.2)) for at in values for i in range(8)]
    figure = metric_by_axis(points, "axis", "metric", 0.5)
    (ax,) = figure.axes
    low, high = ax.get_xlim()
    drawn = [x for line in ax.lines for x in line.get_xdata() if line.get_marker() != "None"]
    assert len(drawn) == 8 * len(values)
    assert low < min(drawn)
    assert max(drawn) < high
    assert len(set(np.round(drawn, 6))) == len(drawn)


TINY = [
    "data.normal=24", "data.pneumonia=20", "data.size=96", "image_size=64", "stride=8", "net.width=4",
    "batch_size=16", "trainer=cpu", "trainer.max_epochs=1", "callbacks=minimal",
    "logger=csv",
]  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A sweep of two patches, and the cache it filled."""
    folder = tmp_path_factory.mktemp("swept")
    where = [f"hydra.sweep.dir={folder / 'sweep'}", "hydra.sweep.subdir=${hydra:job.num}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", sys.argv)
        patch.setenv("PNEUMO_AD_CACHE", str(folder / "cache"))
        assert start("train", "-m", *TINY, "patch=4,8", *where) == 0
    for number in (0, 1):
        update_run_json(folder / "sweep" / str(number), status="finished")
    return folder / "sweep", folder / "cache"


def test_a_sweep_end_to_end_and_other_data_are_evaluated_once(trained, tmp_path, monkeypatch, undrawn):
    sweep, cache = trained
    monkeypatch.setenv("PNEUMO_AD_CACHE", str(cache))
    found = compare(sweep)
    assert [len(group.runs) for group in found.groups] == [1, 1]
    assert found.rows["parameters"].gt(1000).all()
    truth = read_maps(sweep / "0" / "maps").truth
    assert set(np.unique(truth)) == {0, 1, 2}

    evaluated = []
    real = command.evaluate_run
    monkeypatch.setattr(command, "evaluate_run", lambda run, *rest: evaluated.append(run.folder) or real(run, *rest))
    others = write_set(tmp_path / "others", normal=6, pneumonia=8)
    changes = ["data=masks", f"data.root={others}"]
    first = compare(sweep, changes)
    assert sorted(evaluated) == [sweep / "0", sweep / "1"]
    assert first.folder.parent == sweep
    assert first.folder.name.startswith("comparison-data=masks,root=others-")
    assert len(first.pixels.images) == 14
    assert first.sort == IN_LUNG
    assert first.baseline(IN_LUNG) > 0.8  # the disc that the test drew is bright
    second = compare(sweep, changes)
    assert len(evaluated) == 2
    assert second.rows.equals(first.rows)
    with pytest.raises(ConfigError, match="expected train, val, test or all"):
        compare(sweep, changes, subset="half")


def test_maps_of_pad_and_squash_lie_in_the_same_frame(trained, tmp_path, monkeypatch):
    sweep, cache = trained
    monkeypatch.setenv("PNEUMO_AD_CACHE", str(cache))
    others = write_set(tmp_path / "others", normal=1, pneumonia=6, height=64, width=120)
    monkeypatch.setattr(sys, "argv", sys.argv)
    changes = ["data=masks", f"data.root={others}", "image_size=96", "stride=2"]
    for fit in ("squash", "pad"):
        assert start("evaluate", f"run={sweep / '0'}", *changes, f"fit={fit}", f"output={tmp_path / fit}") == 0
    squash, pad = (read_maps(tmp_path / fit / "maps") for fit in ("squash", "pad"))
    assert list(squash.images["image"]) == list(pad.images["image"])
    for kind in (1, 2):
        one, other = squash.truth == kind, pad.truth == kind
        assert (one & other).sum() > 0.85 * (one | other).sum()
    seen = ~np.isnan(squash.brightness) & ~np.isnan(pad.brightness)
    assert seen.mean() > 0.9
    assert np.corrcoef(squash.brightness[seen], pad.brightness[seen])[0, 1] > 0.9
