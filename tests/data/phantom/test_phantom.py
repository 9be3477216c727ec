"""Properties of the drawn radiographs, their masks, their files, and of opacities laid over a given radiograph."""

import csv
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import binary_erosion, gaussian_filter, label
from scipy.stats import rankdata

from pneumo_ad.data.phantom import FINDINGS, Phantom, add_opacity, draw_phantom, write, write_phantoms

PATCH, STRIDE, SIDE = 32, 20, 256


def auroc(positive, negative):
    ranks = rankdata(np.concatenate([positive, negative]))
    count = len(positive)
    return (ranks[:count].sum() - count * (count + 1) / 2) / (count * len(negative))


def squash(field, method):
    return np.asarray(Image.fromarray(field).resize((SIDE, SIDE), method))


def patches(field):
    windows = np.lib.stride_tricks.sliding_window_view(field, (PATCH, PATCH))
    return windows[::STRIDE, ::STRIDE].reshape(-1, PATCH * PATCH)


@pytest.fixture(scope="module")
def normals():
    return [draw_phantom(1000 + n, pneumonia=False, size=256) for n in range(40)]


@pytest.fixture(scope="module")
def ill():
    return [draw_phantom(2000 + n, pneumonia=True, size=256) for n in range(40)]


def same(one: Phantom, other: Phantom):
    return all(getattr(one, name).tobytes() == getattr(other, name).tobytes() for name in ("image", "lung", "opacity"))


def test_same_seed_same_bytes_whatever_is_drawn_between():
    first = draw_phantom(3, pneumonia=True, size=128)
    np.random.seed(0)  # the global state must not matter
    draw_phantom(4, pneumonia=False, size=96)
    np.random.seed(1)
    assert same(first, draw_phantom(3, pneumonia=True, size=128))


def test_bytes_do_not_depend_on_the_thread():
    seeds = range(6)
    alone = [draw_phantom(seed, pneumonia=True, size=96) for seed in seeds]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda seed: draw_phantom(seed, pneumonia=True, size=96), seeds))
    assert all(same(one, other) for one, other in zip(alone, together, strict=True))


def test_other_seed_other_picture():
    one, other = (draw_phantom(seed, pneumonia=False, size=128) for seed in (5, 6))
    assert one.image.shape != other.image.shape or (one.image != other.image).mean() > 0.5


def test_types_shapes_and_nesting(normals, ill):
    for phantom in normals + ill:
        assert phantom.image.dtype == np.uint8
        assert phantom.lung.dtype == phantom.opacity.dtype == np.bool_
        assert phantom.image.shape == phantom.lung.shape == phantom.opacity.shape
        assert max(phantom.image.shape) == 256
        assert not (phantom.opacity & ~phantom.lung).any()
    assert all(phantom.finding == "normal" and not phantom.opacity.any() for phantom in normals)
    assert all(phantom.finding in FINDINGS and phantom.opacity.any() for phantom in ill)
    assert {phantom.finding for phantom in ill} == set(FINDINGS)


def test_two_lungs_of_a_plausible_size(normals, ill):
    shares = [phantom.lung.mean() for phantom in normals + ill]
    assert min(shares) > 0.1
    assert max(shares) < 0.45
    assert 0.2 < np.mean(shares) < 0.34
    for phantom in normals:
        pieces, count = label(phantom.lung)
        sizes = np.sort(np.bincount(pieces.ravel())[1:])[::-1]
        assert count >= 2
        assert sizes[:2].sum() > 0.99 * sizes.sum()
        assert sizes[1] > 0.4 * sizes[0]


def test_opacities_cover_a_small_to_a_large_share_of_the_lungs(ill):
    shares = [phantom.opacity.sum() / phantom.lung.sum() for phantom in ill]
    assert 0.04 < min(shares) < 0.15
    assert 0.35 < max(shares) < 0.7


def test_seed_is_the_patient_and_the_class_adds_an_opacity_alone():
    gains = []
    for seed in range(12):
        well, sick = (draw_phantom(seed, pneumonia=state, size=192) for state in (False, True))
        assert (well.lung == sick.lung).all()
        change = sick.image.astype(float) - well.image
        gains.append(change[sick.opacity].mean())
        assert gains[-1] > 1
        # Only scattered rays and the sharpening reach past the lung.
        assert abs(change[~sick.lung].mean()) < 2
        assert np.abs(change[~sick.lung]).mean() < 0.2 * gains[-1] + 0.5
    assert np.mean(gains) > 10


def test_lungs_are_darker_than_what_lies_beside_them(normals):
    """The tissue between and below the lungs is denser than the lungs."""
    for phantom in normals:
        rows, columns = np.nonzero(phantom.lung)
        box = (slice(rows.min(), rows.max()), slice(columns.min(), columns.max()))
        image, lung = phantom.image[box].astype(float), phantom.lung[box]
        assert image[lung].mean() < image[~lung].mean()


def test_brightness_alone_finds_opacities_about_as_badly_as_on_real_radiographs(normals, ill):
    healthy, opaque, texture = [], [], {"healthy": [], "opaque": []}
    for phantom in normals + ill:
        image = patches(squash(phantom.image, Image.Resampling.BILINEAR).astype(np.float64))
        lung = patches(squash(phantom.lung, Image.Resampling.NEAREST)).mean(1)
        opacity = patches(squash(phantom.opacity, Image.Resampling.NEAREST)).mean(1)
        clear, dense = (lung > 0.9) & (opacity == 0), opacity > 0.5
        healthy.extend(image[clear].mean(1))
        opaque.extend(image[dense].mean(1))
        texture["healthy"].extend(image[clear].std(1))
        texture["opaque"].extend(image[dense].std(1))
    assert 0.65 <= auroc(opaque, healthy) <= 0.80
    # Grey levels, as on real radiographs: 18 or 19 over healthy lung, 17 over opacities.
    assert 12 < np.median(texture["healthy"]) < 24
    assert 10 < np.median(texture["opaque"]) < 22


@pytest.mark.parametrize("feature", ["aspect", "border", "sharpness", "noise", "corner", "lung share"])
def test_no_class_shortcut(normals, ill, feature):
    """The picture as a whole does not tell the classes apart; 40 against 40 has a deviation of 0.065 by chance."""

    def value(phantom):
        image = phantom.image.astype(np.float64)
        detail = image - gaussian_filter(image, 1.0)
        edge = np.concatenate([image[:4].ravel(), image[-4:].ravel(), image[:, :4].ravel(), image[:, -4:].ravel()])
        return {
            "aspect": lambda: image.shape[1] / image.shape[0],
            "border": edge.mean,
            "sharpness": lambda: detail[~phantom.lung].std(),
            "noise": lambda: np.median(np.abs(detail[~phantom.lung])),
            "corner": lambda: image[:24, :24].mean(),
            "lung share": phantom.lung.mean,
        }[feature]()

    assert 0.3 < auroc([value(p) for p in ill], [value(p) for p in normals]) < 0.7


@pytest.mark.parametrize("size", [64, 97, 512])
def test_any_size_from_64(size):
    phantom = draw_phantom(1, pneumonia=True, size=size)
    assert max(phantom.image.shape) == size
    assert phantom.opacity.any()


@pytest.mark.parametrize(("seed", "size"), [(-1, 320), (0, 63)])
def test_draw_refuses(seed, size):
    with pytest.raises(ValueError, match="must be"):
        draw_phantom(seed, pneumonia=False, size=size)


def test_quick():
    draw_phantom(0, pneumonia=True)
    taken = []
    for seed in range(5):
        start = time.process_time()
        draw_phantom(seed, pneumonia=True)
        taken.append(time.process_time() - start)
    assert min(taken) < 0.25  # about 0.05 s; generous, for machines shared with other work


# -- files ------------------------------------------------------------------------------------------------------------


def listing(folder: Path):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_hold_the_phantoms(tmp_path):
    folder = write_phantoms(tmp_path / "deep" / "set", normal=3, pneumonia=2, size=96, seed=4)
    with (folder / "index.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == ["s4-n0001", "s4-n0002", "s4-n0003", "s4-p0001", "s4-p0002"]
    assert len({row["patient"] for row in rows}) == len({row["seed"] for row in rows}) == 5
    assert not (folder / "opacity" / "s4-n0001.png").exists()
    for row in rows:
        sick = row["label"] == "pneumonia"
        phantom = draw_phantom(int(row["seed"]), pneumonia=sick, size=96)
        assert row["finding"] == phantom.finding
        assert (int(row["height"]), int(row["width"])) == phantom.image.shape
        name = f"{row['image']}.png"
        with Image.open(folder / "images" / name) as image, Image.open(folder / "lung" / name) as lung:
            assert (image.mode, lung.mode) == ("L", "1")
            assert (np.asarray(image) == phantom.image).all()
            assert (np.asarray(lung) == phantom.lung).all()
        if sick:
            with Image.open(folder / "opacity" / name) as opacity:
                assert opacity.mode == "1"
                assert (np.asarray(opacity) == phantom.opacity).all()


def test_same_call_same_files_and_a_larger_set_begins_with_the_smaller(tmp_path):
    small, again, large = (
        listing(write_phantoms(tmp_path / name, normal=count, pneumonia=1, size=64))
        for name, count in (("a", 2), ("b", 2), ("c", 4))
    )
    assert small == again
    pictures = {name: data for name, data in small.items() if name != "index.csv"}
    assert pictures.items() <= large.items()


def test_a_whole_set_is_left_as_it_is(tmp_path, monkeypatch):
    folder = write_phantoms(tmp_path / "set", normal=1, pneumonia=0, size=64)
    before = listing(folder)
    monkeypatch.setattr(write, "draw_phantom", None)  # nothing may be drawn
    assert write_phantoms(folder, normal=5, pneumonia=5, size=64) == folder
    assert listing(folder) == before


def test_a_write_that_fails_leaves_nothing(tmp_path, monkeypatch):
    draw, calls = draw_phantom, []

    def failing(seed, **options):
        calls.append(seed)
        if len(calls) > 2:
            raise RuntimeError("killed")
        return draw(seed, **options)

    monkeypatch.setattr(write, "draw_phantom", failing)
    with pytest.raises(RuntimeError, match="killed"):
        write_phantoms(tmp_path / "set", normal=6, pneumonia=0, size=64)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(write, "draw_phantom", draw)
    assert len(listing(write_phantoms(tmp_path / "set", normal=2, pneumonia=0, size=64))) == 5


def test_what_a_killed_writer_left_is_deleted_by_the_next_one(tmp_path):
    left = tmp_path / ".set.partial" / "new" / "images"
    left.mkdir(parents=True)
    (left / "s0-n0001.png").write_bytes(b"half")
    assert len(listing(write_phantoms(tmp_path / "set", normal=2, pneumonia=0, size=64))) == 5
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_two_writers_at_once(tmp_path):
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda _: write_phantoms(tmp_path / "set", normal=3, pneumonia=1, size=64), range(3)))
    assert set(done) == {tmp_path / "set"}
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert len(listing(tmp_path / "set")) == 4 + 4 + 1 + 1


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(FileExistsError):
        write_phantoms(tmp_path, normal=1, pneumonia=0, size=64)
    assert (tmp_path / "note.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "wrong", [{"normal": -1}, {"pneumonia": -2}, {"normal": 0, "pneumonia": 0}, {"size": 63}, {"seed": -1}]
)
def test_write_refuses(tmp_path, wrong):
    with pytest.raises(ValueError, match=str(next(iter(wrong.values())))):
        write_phantoms(tmp_path / "set", **wrong)
    assert list(tmp_path.iterdir()) == []


# -- an opacity on a given radiograph ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def radiograph(normals):
    return normals[0].image.astype(np.float32) / 255, normals[0].lung


def test_added_opacity_brightens_the_lung_within_its_mask(radiograph):
    image, lung = radiograph
    for seed in range(12):
        dense, mask = add_opacity(image, lung, np.random.default_rng(seed))
        assert dense.dtype == np.float32
        assert dense.min() >= 0
        assert dense.max() <= 1
        assert mask.dtype == np.bool_
        assert mask.any()
        assert not (mask & ~lung).any()
        assert (dense[~lung] == image[~lung]).all()
        assert dense[mask].mean() > image[mask].mean() + 0.01
        again, _ = add_opacity(image, lung, np.random.default_rng(seed))
        assert dense.tobytes() == again.tobytes()


def test_a_stronger_opacity_is_brighter_and_smoother_in_the_same_place(radiograph):
    image, lung = radiograph
    found = [add_opacity(image, lung, np.random.default_rng(2), strength=s) for s in (0.2, 0.5, 0.9)]
    mask = found[0][1]
    assert all((other == mask).all() for _, other in found)
    inner = binary_erosion(mask, iterations=3)  # away from the opacity's own edge
    detail = [(dense - gaussian_filter(dense, 2.0))[inner].std() for dense, _ in found]
    assert all(weak[mask].mean() < strong[mask].mean() for (weak, _), (strong, _) in pairwise(found))
    assert detail[0] > detail[1] > detail[2]


def test_no_lung_no_opacity(radiograph):
    image, lung = radiograph
    dense, mask = add_opacity(image, np.zeros_like(lung), np.random.default_rng(0))
    assert (dense == image).all()
    assert not mask.any()


def test_a_lung_of_one_piece_or_a_few_pixels(radiograph):
    image, _ = radiograph
    for box in ((slice(20, 90), slice(30, 80)), (slice(40, 42), slice(50, 52))):
        lung = np.zeros(image.shape, bool)
        lung[box] = True
        for seed in range(9):
            dense, mask = add_opacity(image, lung, np.random.default_rng(seed))
            assert np.isfinite(dense).all()
            assert not (mask & ~lung).any()


def test_add_opacity_refuses(radiograph):
    image, lung = radiograph
    with pytest.raises(ValueError, match="one shape"):
        add_opacity(image, lung[1:], np.random.default_rng(0))
    with pytest.raises(ValueError, match="strength"):
        add_opacity(image, lung, np.random.default_rng(0), strength=1.5)
