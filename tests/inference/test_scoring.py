import numpy as np
import pytest
import torch

from pneumo_ad.inference import score_radiographs, score_whole_radiographs
from pneumo_ad.inference.forward import forward
from pneumo_ad.nets import Output, UNetAutoencoder
from pneumo_ad.patches import PatchGrid
from pneumo_ad.scores import SAD, Brightness, SADContrast, SADSum

SCORES = {"sad": SAD(), "sum": SADSum(), "contrast": SADContrast(), "brightness": Brightness()}
GRIDS = [
    PatchGrid((40, 32), 8, 5),
    PatchGrid((40, 32), 8, 5, "full"),
    PatchGrid((40, 32), 16, 16),
    PatchGrid((40, 32), 8, 12),
    PatchGrid((40, 32), 32, 1),
]


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return UNetAutoencoder(width=4).eval()


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (7, 40, 32), dtype=np.uint8)


@torch.no_grad()
def naive(net, score, image, grid):
    """Window by window: scores, and maps as sums over counts."""
    values, total, count = [], np.zeros(grid.image_size), np.zeros(grid.image_size)
    for top, left in grid.positions:
        place = (slice(top, top + grid.patch), slice(left, left + grid.patch))
        x = torch.from_numpy(image[place].astype(np.float32) / 255)[None, None]
        output = net(x)
        values.append(score.score(x, output).item())
        total[place] += score.residual_map(x, output)[0, 0].numpy()
        count[place] += 1
    with np.errstate(invalid="ignore"):
        return np.array(values), total / count


def run(net, images, rows, grid, **options):
    parts = list(score_radiographs(net, SCORES, images, np.asarray(rows), grid, **options))
    scores = {name: np.concatenate([part.scores[name] for part in parts]) for name in SCORES}
    maps = {name: np.concatenate([part.maps[name] for part in parts]) for name in SCORES if parts[0].maps}
    return np.concatenate([part.rows for part in parts]), scores, maps


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_scores_and_residual_maps_equal_going_window_by_window(net, images, grid):
    rows, scores, maps = run(net, images, [5, 0, 3], grid, batch_size=7, map_of="residual")
    assert rows.tolist() == [5, 0, 3]
    for name, score in SCORES.items():
        for i, row in enumerate(rows):
            values, expected = naive(net, score, images[row], grid)
            assert np.allclose(scores[name][i], values, rtol=1e-3, atol=1e-4), name
            assert np.allclose(maps[name][i], expected, rtol=1e-3, atol=1e-3, equal_nan=True), name


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_maps_of_scores_equal_painting(net, images, grid):
    _, scores, maps = run(net, images, range(7), grid, map_of="score")
    for name in SCORES:
        painted = grid.paint(torch.from_numpy(scores[name]))[:, 0].numpy()
        assert maps[name].dtype == np.float32
        assert np.allclose(maps[name], painted, equal_nan=True)
        assert (np.isnan(maps[name]) == ~grid.covered).all()


@pytest.mark.parametrize("batch_size", [1, 10, 256, 100_000])
def test_the_size_of_batches_changes_nothing(net, images, batch_size):
    grid = GRIDS[0]
    _, expected, expected_maps = run(net, images, range(7), grid, map_of="residual")
    _, scores, maps = run(net, images, range(7), grid, batch_size=batch_size, map_of="residual")
    for name in SCORES:
        assert np.allclose(scores[name], expected[name], rtol=1e-4, atol=1e-4)
        assert np.allclose(maps[name], expected_maps[name], rtol=1e-4, atol=1e-3, equal_nan=True)


def test_groups_keep_the_order_of_rows(net, images, monkeypatch):
    expected = run(net, images, [6, 1, 1, 4, 0], GRIDS[0])
    monkeypatch.setattr("pneumo_ad.inference.radiographs.GROUP", 2)
    found = run(net, images, [6, 1, 1, 4, 0], GRIDS[0])
    assert found[0].tolist() == [6, 1, 1, 4, 0]
    assert all(np.allclose(found[1][name], expected[1][name]) for name in SCORES)


def test_maps_are_made_only_when_asked_for(net, images):
    part = next(iter(score_radiographs(net, SCORES, images, np.arange(2), GRIDS[0])))
    assert part.maps == {}
    assert part.scores["sad"].shape == (2, len(GRIDS[0]))
    assert part.scores["sad"].dtype == np.float32


def test_no_gradient_and_no_change_of_the_net(net, images):
    class Watcher(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def forward(self, x):
            assert not torch.is_grad_enabled()
            assert x.is_contiguous(memory_format=torch.channels_last)
            assert x.dtype == torch.float32
            assert x.max() <= 1
            return Output(x * self.weight)

    watcher = Watcher().train()
    part = next(iter(score_radiographs(watcher, SCORES, images, np.arange(3), GRIDS[0])))
    assert watcher.training
    assert np.abs(part.scores["sad"]).max() < 1e-4


def test_bfloat16_is_near_float32(net, images):
    _, exact, _ = run(net, images, range(3), GRIDS[0])
    _, rough, _ = run(net, images, range(3), GRIDS[0], precision=torch.bfloat16)
    assert np.abs(rough["sad"] - exact["sad"]).max() < 2
    assert (rough["sad"] != exact["sad"]).any()


def test_no_rows_give_nothing(net, images):
    assert list(score_radiographs(net, SCORES, images, np.array([], dtype=int), GRIDS[0])) == []


def test_memory_mapped_images_are_read(net, images, tmp_path):
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    assert np.allclose(run(net, mapped, range(7), GRIDS[0])[1]["sad"], run(net, images, range(7), GRIDS[0])[1]["sad"])


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_a_net_that_sees_whole_radiographs_tells_nothing_where_no_window_lies(images, grid):
    class Nothing(torch.nn.Module):
        def forward(self, x):
            return Output(x)

    parts = list(score_whole_radiographs(Nothing(), Brightness(), images, np.arange(7), grid, batch_size=2))
    maps = np.concatenate([part.maps["score"] for part in parts])
    assert np.array_equal(np.isnan(maps), np.broadcast_to(~grid.covered, maps.shape))
    np.testing.assert_allclose(maps[:, grid.covered], images[:, grid.covered], rtol=1e-6)
    expected = grid.extract(torch.from_numpy(images)[:, None].double()).mean(dim=(2, 3, 4))
    scores = np.concatenate([part.scores["score"] for part in parts])
    np.testing.assert_allclose(scores, expected, rtol=1e-6)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_scores_are_of_float32_and_not_of_tf32(precision):
    """On CUDA convolutions round float32 to TF32, unless told; a parity with the CPU would fail by that."""
    seen = []

    class Net(torch.nn.Module):
        def forward(self, x):
            seen.append(torch.backends.cudnn.allow_tf32)
            if len(seen) == 2:
                raise RuntimeError
            return Output(x)

    before = torch.backends.cudnn.allow_tf32
    forward(Net(), torch.zeros(1, 1, 8, 8), precision)
    assert torch.backends.cudnn.allow_tf32 is before is True
    net = Net()
    with pytest.raises(RuntimeError):
        forward(net, torch.zeros(1, 1, 8, 8), precision)
    assert torch.backends.cudnn.allow_tf32 is True
    assert seen == [False, False]
