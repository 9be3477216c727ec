import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pneumo_ad.errors import ConfigError
from pneumo_ad.patches import PatchGrid, PatchIndex, gather, largest_patch_inside, starts


@st.composite
def grids(draw):
    height, width = draw(st.integers(1, 24)), draw(st.integers(1, 24))
    patch = draw(st.integers(1, min(height, width)))
    stride = draw(st.integers(1, min(height, width)))
    return PatchGrid((height, width), patch, stride, draw(st.sampled_from(["inside", "full"])))


def windows_by_hand(image, grid):
    return [image[t : t + grid.patch, le : le + grid.patch] for t in grid.tops for le in grid.lefts]


@pytest.mark.parametrize(
    ("size", "patch", "stride", "cover", "shape"),
    [
        ((256, 256), 32, 20, "inside", (12, 12)),
        ((424, 440), 32, 20, "inside", (20, 21)),
        ((256, 256), 32, 20, "full", (13, 13)),
        ((256, 256), 32, 1, "inside", (225, 225)),
        ((32, 64), 32, 32, "inside", (1, 2)),
        ((5, 5), 5, 5, "full", (1, 1)),
    ],
)
def test_windows_are_counted_as_the_paper_counts_them(size, patch, stride, cover, shape):
    grid = PatchGrid(size, patch, stride, cover)
    assert grid.shape == shape
    assert len(grid) == len(grid.positions) == shape[0] * shape[1]


@given(grids())
def test_windows_keep_to_the_stride_and_stay_inside(grid):
    for offsets, side in ((grid.tops, grid.image_size[0]), (grid.lefts, grid.image_size[1])):
        steps = np.diff(offsets)
        kept = steps if grid.cover == "inside" else steps[:-1]
        assert (kept == grid.stride).all()
        assert ((steps > 0) & (steps <= grid.stride)).all()
        assert offsets[0] == 0
        assert offsets[-1] + grid.patch <= side
        assert offsets[-1] + grid.patch + grid.stride > side  # no window was forgotten


@given(grids())
def test_cover_full_leaves_no_border(grid):
    full = PatchGrid(grid.image_size, grid.patch, grid.stride, "full")
    inside = PatchGrid(grid.image_size, grid.patch, grid.stride, "inside")
    assert (full.tops[-1] + full.patch, full.lefts[-1] + full.patch) == full.image_size
    assert full.uncovered <= inside.uncovered
    if grid.stride <= grid.patch:
        assert full.covered.all()
        assert full.uncovered == 0


@given(grids(), st.integers(1, 40))
def test_a_thinned_grid_is_the_least_thinned_that_is_small_enough_and_a_part_of_it(grid, most):
    coarser = [
        PatchGrid(grid.image_size, grid.patch, every * grid.stride, grid.cover)
        for every in range(1, min(grid.image_size) // grid.stride + 1)
    ]
    fitting = [one for one in coarser if len(one) <= most]
    if not fitting:
        with pytest.raises(
            ConfigError, match=f"kept_windows={most} of the {len(grid)} windows .* are {len(coarser[-1])},"
        ):
            grid.thinned(most)
        return
    thinned = grid.thinned(most)
    assert thinned == fitting[0]
    assert np.array_equal(grid.positions[grid.numbers_of(thinned)], thinned.positions)
    assert grid.thinned(None) == grid
    assert np.array_equal(grid.numbers_of(grid), np.arange(len(grid)))


@given(grids())
def test_coverage_equals_painting_window_by_window(grid):
    count = np.zeros(grid.image_size, dtype=int)
    for top, left in grid.positions:
        count[top : top + grid.patch, left : left + grid.patch] += 1
    assert np.array_equal(grid.windows_per_pixel, count)
    assert grid.uncovered == (count == 0).sum()


@given(grids(), st.integers(1, 3))
def test_extract_equals_slicing(grid, batch):
    images = torch.rand(batch, 1, *grid.image_size)
    windows = grid.extract(images)
    assert windows.shape == (batch, len(grid), 1, grid.patch, grid.patch)
    for image, found in zip(images, windows, strict=True):
        assert torch.equal(found[:, 0], torch.stack(windows_by_hand(image[0], grid)))


@given(grids())
def test_stitch_undoes_extract_and_leaves_nan_where_nothing_lies(grid):
    images = torch.rand(2, 1, *grid.image_size, dtype=torch.float64)
    stitched = grid.stitch(grid.extract(images))
    covered = torch.from_numpy(grid.covered)
    assert torch.allclose(stitched[..., covered], images[..., covered])
    assert stitched[..., ~covered].isnan().all()


@given(grids())
def test_stitch_is_the_mean_of_what_overlaps(grid):
    windows = torch.rand(1, len(grid), 1, grid.patch, grid.patch, dtype=torch.float64)
    total, count = np.zeros(grid.image_size), np.zeros(grid.image_size)
    for (top, left), window in zip(grid.positions, windows[0, :, 0].numpy(), strict=True):
        total[top : top + grid.patch, left : left + grid.patch] += window
        count[top : top + grid.patch, left : left + grid.patch] += 1
    with np.errstate(invalid="ignore"):
        expected = total / count
    assert np.allclose(grid.stitch(windows)[0, 0].numpy(), expected, equal_nan=True)


@given(grids())
def test_paint_stitches_constant_windows(grid):
    values = torch.rand(2, len(grid), dtype=torch.float64)
    constant = values[:, :, None, None, None] * torch.ones(1, 1, 1, grid.patch, grid.patch, dtype=torch.float64)
    assert torch.allclose(grid.paint(values), grid.stitch(constant), equal_nan=True)


@pytest.mark.parametrize("stride", [1, 5, 20])
def test_painting_in_float32_is_as_exact_as_float32_is(stride):
    grid = PatchGrid((96, 80), 32, stride, "full")
    values = 255 * torch.rand(1, len(grid), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    total, count = np.zeros(grid.image_size), np.zeros(grid.image_size)
    for (top, left), value in zip(grid.positions, values[0].tolist(), strict=True):
        total[top : top + 32, left : left + 32] += value
        count[top : top + 32, left : left + 32] += 1
    painted = grid.paint(values.float())
    assert painted.dtype == torch.float32
    np.testing.assert_allclose(painted[0, 0].numpy(), total / count, rtol=2e-6)


def test_what_is_kept_of_a_grid_in_inference_serves_training_too():
    grid = PatchGrid((12, 10), 4, 2)
    with torch.inference_mode():
        expected = grid.paint(torch.ones(1, len(grid)))
    values = torch.ones(1, len(grid), requires_grad=True)
    grid.paint(values).sum().backward()
    assert torch.equal(grid.paint(values), expected)
    assert values.grad.sum().item() == pytest.approx(12 * 10)


@given(grids(), st.integers(0, 2**32 - 1))
def test_window_sums_equal_brute_force(grid, seed):
    masks = np.random.default_rng(seed).integers(0, 256, (2, *grid.image_size), dtype=np.uint8)
    expected = [[int(window.sum()) for window in windows_by_hand(mask, grid)] for mask in masks]
    sums = grid.window_sums(masks)
    assert sums.shape == (2, *grid.shape)
    assert sums.reshape(2, -1).tolist() == expected


def test_window_shares_are_shares():
    grid = PatchGrid((8, 8), 4, 4)
    masks = np.zeros((1, 8, 8), dtype=bool)
    masks[0, :4, :4] = True
    masks[0, 4:6, :4] = True
    assert grid.window_shares(masks).tolist() == [[1.0, 0.0, 0.5, 0.0]]


def test_means_of_windows_do_not_see_what_no_window_covers():
    grid = PatchGrid((10, 11), patch=4, stride=3)
    maps = torch.rand(2, 10, 11)
    holes = torch.where(torch.from_numpy(grid.covered), maps, torch.nan)
    assert holes.isnan().any()
    expected = np.stack([[m[t : t + 4, c : c + 4].mean() for t, c in grid.positions] for m in maps.double().numpy()])
    assert np.allclose(grid.window_means(maps), expected, atol=1e-6)
    assert torch.equal(grid.window_means(holes), grid.window_means(maps))


def test_window_sums_are_exact_where_the_sum_of_an_image_is_beyond_32_bits():
    side = 4200
    image = np.full((1, side, side), 255, dtype=np.uint8)
    assert int(image.sum(dtype=np.int64)) > 2**32
    assert PatchGrid((side, side), 1000, 3200).window_sums(image).tolist() == [[[255 * 1000**2] * 2] * 2]


@given(grids(), st.integers(0, 2**32 - 1), st.floats(0, 1), st.integers(0, 5))
def test_index_numbers_windows_as_argwhere_does(grid, seed, share, first_image):
    chosen = np.random.default_rng(seed).random((3, *grid.shape)) < share
    index = PatchIndex.where(grid, chosen, first_image)
    image, row, column = np.nonzero(chosen)
    expected = np.stack([image + first_image, grid.tops[row], grid.lefts[column]], axis=1)
    assert len(index) == len(expected)
    assert np.array_equal(index.locate(np.arange(len(index))), expected)


@given(grids(), st.integers(0, 2**32 - 1))
def test_joined_indices_equal_the_index_of_all(grid, seed):
    rng = np.random.default_rng(seed)
    chosen = rng.random((4, *grid.shape)) < 0.5
    joined = PatchIndex.join([PatchIndex.where(grid, chosen[:1]), PatchIndex.where(grid, chosen[1:], 1)])
    whole = PatchIndex.where(grid, chosen)
    numbers = rng.permutation(len(whole))
    assert len(joined) == len(whole)
    assert np.array_equal(joined.locate(numbers), whole.locate(numbers))


@given(grids(), st.integers(0, 4))
def test_every_lists_each_window_of_each_image(grid, images):
    index = PatchIndex.every(grid, images)
    expected = [[image, *position] for image in range(images) for position in grid.positions.tolist()]
    assert index.locate(np.arange(len(index))).tolist() == expected
    assert len(index) == len(expected)


@pytest.mark.parametrize("numbers", [[-1], [8], [0, 99]])
def test_a_window_that_does_not_exist_is_an_index_error(numbers):
    index = PatchIndex.every(PatchGrid((4, 4), 2, 2), 2)
    with pytest.raises(IndexError):
        index.locate(np.array(numbers))


def test_every_window_of_half_a_million_images_is_held_in_a_few_numbers():
    grid = PatchGrid((512, 512), 32, 1)
    index = PatchIndex.every(grid, 500_000)
    held = sum(value.nbytes for value in vars(index).values() if isinstance(value, np.ndarray))
    assert len(index) == 500_000 * 481 * 481
    assert held < 100
    assert index.locate(np.array([len(index) - 1])).tolist() == [[499_999, 480, 480]]


def test_windows_side_by_side_are_held_as_one_run():
    grid = PatchGrid((256, 256), 32, 1)
    index = PatchIndex.where(grid, np.tile(np.arange(225) % 90 < 60, (20, 225, 1)))
    held = sum(value.nbytes for value in vars(index).values() if isinstance(value, np.ndarray))
    assert len(index) == 20 * 225 * 165
    assert held <= 16 * 20 * 225 * 3  # one int64 per window would be 27 times as much


@settings(max_examples=50)
@given(grids(), st.integers(0, 2**32 - 1))
def test_gather_equals_slicing(grid, seed):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (3, *grid.image_size), dtype=np.uint8)
    p = grid.patch
    top, left = rng.integers(0, images.shape[1] - p + 1, 7), rng.integers(0, images.shape[2] - p + 1, 7)
    where = np.stack([rng.integers(0, 3, 7), top, left], axis=1)
    patches = gather(images, where, p)
    assert patches.shape == (7, 1, p, p)
    for patch, (image, t, le) in zip(patches, where, strict=True):
        assert np.array_equal(patch[0], images[image, t : t + p, le : le + p])
    before = images.copy()
    patches += 1  # a copy: the radiographs must not change
    assert np.array_equal(images, before)


def test_gather_reads_memory_mapped_files(tmp_path):
    np.save(tmp_path / "images.npy", np.arange(2 * 6 * 6, dtype=np.uint8).reshape(2, 6, 6))
    images = np.load(tmp_path / "images.npy", mmap_mode="r")
    assert gather(images, np.array([[1, 2, 3]]), 2)[0, 0].tolist() == images[1, 2:4, 3:5].tolist()


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_largest_patch_inside_equals_brute_force(height, width, seed, stride):
    mask = np.random.default_rng(seed).random((height, width)) < 0.9
    stride = min(stride, height, width)

    def fits(side):
        tops, lefts = range(0, height - side + 1, stride), range(0, width - side + 1, stride)
        return any(mask[t : t + side, le : le + side].all() for t in tops for le in lefts)

    expected = max((side for side in range(1, min(height, width) + 1) if fits(side)), default=0)
    assert largest_patch_inside(mask[None], stride) == expected
    assert largest_patch_inside(np.stack([np.zeros_like(mask), mask]), stride) == expected


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((256, 32, 0), "stride=0 must lie between 1 and the image side, 256 pixels"),
        ((256, 32, -3), "stride=-3 must lie between 1 and the image side, 256 pixels"),
        ((256, 32, 257), "stride=257 must lie between 1 and the image side, 256 pixels"),
        ((256, 300, 20), "a patch of 300 pixels does not fit a side of 256 pixels; the largest that works is 256"),
        ((256, 0, 20), "a patch of 0 pixels does not fit a side of 256"),
        ((256, 32, 20, "all"), "cover='all' is not known; expected 'inside' or 'full'"),
    ],
)
def test_what_cannot_work_is_refused_by_name(arguments, words):
    with pytest.raises(ConfigError) as refused:
        starts(*arguments)
    assert words in str(refused.value)
    with pytest.raises(ConfigError):
        PatchGrid((arguments[0], arguments[0]), *arguments[1:])


def test_the_shorter_side_decides_what_fits():
    with pytest.raises(ConfigError, match="the largest that works is 24"):
        PatchGrid((24, 64), 32, 8)
    with pytest.raises(ConfigError, match="24 pixels"):
        PatchGrid((64, 24), 8, 32)


def test_grids_are_values():
    assert PatchGrid([8, 8], 4, 2) == PatchGrid((8, 8), 4, 2)
    assert len({PatchGrid((8, 8), 4, 2), PatchGrid((8, 8), 4, 2), PatchGrid((8, 8), 4, 4)}) == 2


@pytest.mark.parametrize(("side", "halo"), [(20, 0), (20, 3), (20, 11), (8, 7)])
def test_a_halo_is_what_lies_around_and_mirrors_at_the_border(side, halo):
    images = np.random.default_rng(0).integers(0, 256, (3, side, side), dtype=np.uint8)
    grid = PatchGrid((side, side), patch=4, stride=1)
    where = np.array([(image, top, left) for image in range(3) for top, left in grid.positions])
    wide = np.pad(images, ((0, 0), (halo, halo), (halo, halo)), mode="reflect")
    expected = np.stack([wide[i, t : t + 4 + 2 * halo, u : u + 4 + 2 * halo] for i, t, u in where])[:, None]
    np.testing.assert_array_equal(gather(images, where, 4, halo), expected)
