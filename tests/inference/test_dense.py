import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from pneumo_ad.errors import ConfigError
from pneumo_ad.inference import score_densely, score_radiographs
from pneumo_ad.inference.receptive_field import receptive_field
from pneumo_ad.nets import VAE, Output, UncertaintyAutoencoder, UNetAutoencoder
from pneumo_ad.patches import PatchGrid
from pneumo_ad.scores import SAD, Brightness, Contrast, SADContrast, SADSum, Score, Sharpness, UncertaintyScore

SCORES = {
    "sad": SAD(), "sum": SADSum(), "sad_contrast": SADContrast(), "brightness": Brightness(), "contrast": Contrast(),
    "sharpness": Sharpness(),
}  # fmt: skip
GRIDS = [
    PatchGrid((40, 33), 8, 5),
    PatchGrid((40, 33), 8, 5, "full"),
    PatchGrid((40, 33), 16, 4),
    PatchGrid((40, 33), 4, 12, "full"),
    PatchGrid((40, 33), 32, 1),
]


def net_of(depth=2, **options):
    torch.manual_seed(depth)
    return UNetAutoencoder(width=4, depth=depth, **options).eval()


NET = net_of()


@pytest.fixture(scope="module")
def images():
    pictures = np.random.default_rng(0).integers(0, 256, (7, 40, 33), dtype=np.uint8)
    pictures[1], pictures[2, :20] = 0, 255  # flat ones, where deviations are 0
    return pictures


def scored(way, net, images, grid, rows=None, scores=SCORES, **options):
    rows = np.arange(len(images)) if rows is None else rows
    parts = list(way(net, scores, images, rows, grid, **options))
    assert np.concatenate([part.rows for part in parts]).tolist() == list(rows)
    found = {name: np.concatenate([part.scores[name] for part in parts]) for name in scores}
    return found, {name: np.concatenate([part.maps[name] for part in parts]) for name in scores if parts[0].maps}


def assert_same(one, other, scores=SCORES):
    for found, expected in zip(one, other, strict=True):
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            unit = 1 if scores[name].unit != "grey levels per patch" else 1000  # a sum, not a mean
            assert found[name].dtype == np.float32
            assert (np.isnan(found[name]) == np.isnan(values)).all(), name
            assert np.nanmax(np.abs(found[name] - values), initial=0) <= 1e-4 * unit + 1e-6 * np.nanmax(values), name


@pytest.mark.parametrize("map_of", ["score", "residual"])
@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_with_a_halo_as_wide_as_the_net_sees_dense_is_windows(images, grid, map_of):
    halo = receptive_field(NET, grid.patch).halo(grid.patch)
    exact = scored(score_radiographs, NET, images, grid, map_of=map_of, halo=halo)
    assert_same(scored(score_densely, NET, images, grid, map_of=map_of, halo=halo), exact)


@settings(max_examples=25)
@given(
    height=st.integers(20, 44), width=st.integers(20, 44), patch=st.sampled_from([4, 8, 12, 16, 20]),
    stride=st.integers(1, 20), cover=st.sampled_from(["inside", "full"]), more=st.integers(0, 2),
    depth=st.sampled_from([1, 2]),
)  # fmt: skip
def test_on_any_grid(height, width, patch, stride, cover, more, depth):
    grid, net = PatchGrid((height, width), patch, stride, cover), net_of(depth)
    halo = receptive_field(net, patch).halo(patch) + more * 2
    pictures = np.random.default_rng(height).integers(0, 256, (2, height, width), dtype=np.uint8)
    sad = {"sad": SAD()}
    exact = scored(score_radiographs, net, pictures, grid, scores=sad, halo=halo, map_of="residual")
    assert_same(scored(score_densely, net, pictures, grid, scores=sad, halo=halo, map_of="residual"), exact)


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_a_smaller_halo_is_refused_with_what_works(images, grid):
    for halo in (0, 2, 10):
        with pytest.raises(ConfigError, match=f"with halo={halo} .* what works: halo=12, .* or scoring=windows"):
            scored(score_densely, NET, images, grid, halo=halo)


def test_a_halo_that_the_radiographs_cannot_mirror_is_not_named():
    small = np.zeros((1, 12, 40), dtype=np.uint8)
    with pytest.raises(ConfigError, match=r"UNetAutoencoder sees 11 pixels .* what works: scoring=windows$"):
        scored(score_densely, NET, small, PatchGrid((12, 40), 8, 5))


def test_what_is_refused_would_not_be_exact(images, monkeypatch):
    monkeypatch.setattr(
        "pneumo_ad.inference.dense.check_dense", lambda net, patch, halo, _: receptive_field(net, patch + 2 * halo)
    )
    exact, _ = scored(score_radiographs, NET, images, GRIDS[2], halo=10)
    dense, _ = scored(score_densely, NET, images, GRIDS[2], halo=10)
    assert np.abs(dense["sad"] - exact["sad"]).max() > 1e-4


class Padded(torch.nn.Module):
    """Takes pictures of every size: those of no multiple of 4 are padded with ones for the pooling."""

    def forward(self, x):
        height, width = x.shape[-2:]
        pooled = F.max_pool2d(F.pad(x, (0, -width % 4, 0, -height % 4), value=1.0), 4)
        return Output(F.interpolate(pooled, scale_factor=4.0)[..., :height, :width])


class Shifted(torch.nn.Module):
    """Sees three pixels to one side only."""

    def forward(self, x):
        return Output(F.pad(x, (0, 3))[..., 3:])


@settings(max_examples=60)
@given(
    net=st.sampled_from([Padded(), Shifted(), net_of(1)]), patch=st.integers(4, 13), halo=st.integers(0, 9),
    stride=st.integers(1, 9), cover=st.sampled_from(["inside", "full"]),
)  # fmt: skip
def test_with_any_net_and_halo_dense_is_windows_or_refused(net, patch, halo, stride, cover):
    pictures, sad = np.random.default_rng(patch).integers(0, 256, (2, 37, 30), dtype=np.uint8), {"sad": SAD()}
    grid = PatchGrid((37, 30), patch, stride, cover)
    try:
        dense = scored(score_densely, net, pictures, grid, scores=sad, halo=halo)
    except ConfigError:
        return
    assert_same(dense, scored(score_radiographs, net, pictures, grid, scores=sad, halo=halo), sad)


@pytest.mark.parametrize("halo", [12, 14])
@pytest.mark.parametrize("batch_size", [1, 3, 40, 100_000])
def test_blocks_and_batches_change_nothing(images, batch_size, halo):
    grid = GRIDS[0]
    whole = scored(score_densely, NET, images, grid, map_of="residual", halo=halo)
    assert_same(scored(score_densely, NET, images, grid, batch_size=batch_size, map_of="residual", halo=halo), whole)


def test_the_net_never_sees_more_pixels_at_once_than_blocks_allow():
    seen = []

    class Watcher(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net_of(1)

        def forward(self, x):
            assert not torch.is_grad_enabled()
            seen.append(x.numel())
            return self.net(x)

    pictures = np.random.default_rng(0).integers(0, 256, (1, 200, 300), dtype=np.uint8)
    watcher, grid = Watcher(), PatchGrid((200, 300), 16, 16)
    list(score_densely(watcher, {"sad": SAD()}, pictures, np.array([0]), grid, 1, halo=6))
    reach = receptive_field(watcher, 16)
    seen.clear()
    list(score_densely(watcher, {"sad": SAD()}, pictures, np.array([0]), grid, batch_size=16, halo=6))
    assert len(seen) > 10
    assert max(seen) <= (64 + reach.step) ** 2


def test_several_small_radiographs_go_through_at_once_and_groups_keep_their_order(images, monkeypatch):
    rows = [6, 1, 1, 4, 0]
    expected = scored(score_densely, NET, images, GRIDS[2], rows, halo=12)
    monkeypatch.setattr("pneumo_ad.inference.radiographs.GROUP", 2)
    assert_same(scored(score_densely, NET, images, GRIDS[2], rows, halo=12), expected)
    assert scored(score_densely, NET, images, GRIDS[2], rows, halo=12)[1] == {}
    assert list(score_densely(NET, SCORES, images, np.array([], dtype=int), GRIDS[2], halo=12)) == []


def test_the_predicted_variance_is_used(images):
    torch.manual_seed(0)
    net, grid, score = UncertaintyAutoencoder(width=4, depth=1).eval(), PatchGrid((40, 33), 8, 3), UncertaintyScore()
    halo = receptive_field(net, 8).halo(8)
    exact = scored(score_radiographs, net, images, grid, scores={"score": score}, halo=halo)[0]["score"]
    dense = scored(score_densely, net, images, grid, scores={"score": score}, halo=halo)[0]["score"]
    assert np.allclose(dense, exact, rtol=1e-4, atol=1e-4)


def test_a_score_of_somebody_else_needs_nothing_but_its_map(images):
    class Squared(Score):
        unit = "squared"

        def residual_map(self, x, output):
            return (x - output.reconstruction).square()

    halo = receptive_field(NET, 8).halo(8)
    own = {"score": Squared()}
    exact = scored(score_radiographs, NET, images, GRIDS[1], scores=own, halo=halo, map_of="residual")
    assert_same(scored(score_densely, NET, images, GRIDS[1], scores=own, halo=halo, map_of="residual"), exact, own)


def test_windows_see_their_halo_and_are_scored_without_it(images):
    class Around(torch.nn.Module):
        def forward(self, x):
            assert x.shape[-2:] == (14, 14)
            return Output(x.roll((3, 3), dims=(2, 3)))  # what lies three pixels up and left

    grid = PatchGrid((40, 33), 8, 5)
    score = scored(score_radiographs, Around(), images, grid, scores={"sad": SAD()}, halo=3)[0]["sad"]
    wide = np.pad(images, ((0, 0), (3, 3), (3, 3)), mode="reflect").astype(float)
    difference = np.abs(wide[:, 3:-3, 3:-3] - wide[:, :-6, :-6])
    assert np.allclose(score, grid.window_means(torch.from_numpy(difference)), atol=1e-3)


@pytest.mark.parametrize("way", [score_densely, score_radiographs])
def test_a_halo_that_cannot_be_is_refused(images, way):
    with pytest.raises(ConfigError, match=r"halo=33 cannot be mirrored.* 40 x 33 pixels; .* halo=32"):
        scored(way, NET, images, GRIDS[0], halo=33)
    with pytest.raises(ConfigError, match="halo=-1 must be 0 or more"):
        scored(way, NET, images, GRIDS[0], halo=-1)


def test_a_net_of_one_size_is_refused(images):
    with pytest.raises(ConfigError, match=r"VAE takes pictures of 8 x 8 pixels.*scoring=windows"):
        scored(score_densely, VAE(8, width=2, depth=2).eval(), images, GRIDS[0])
