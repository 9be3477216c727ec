import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pneumo_ad.classifier import RadiographCNN, compare_with_area, grad_cam, share_inside


def written_out(net, layer, x):
    """Selvaraju et al. 2017, eqs. 1 and 2, through hooks."""
    kept = {}
    hook = layer.register_forward_hook(lambda module, given, maps: kept.update(maps=maps))
    logit = net(x)
    hook.remove()
    (slope,) = torch.autograd.grad(logit.sum(), kept["maps"])
    importance = slope.mean(dim=(2, 3), keepdim=True)
    cam = torch.relu((importance * kept["maps"]).sum(dim=1, keepdim=True)).detach()
    return torch.nn.functional.interpolate(cam, x.shape[2:], mode="bilinear", align_corners=False)[:, 0].numpy()


def test_grad_cam_equals_the_papers_equations():
    torch.manual_seed(0)
    net, x = RadiographCNN(), torch.rand(5, 1, 64, 48)
    net(x)  # batch statistics
    net.eval()
    found = grad_cam(net, net.norm, x)
    assert found.shape == (5, 64, 48)
    assert found.dtype == np.float32
    assert (found >= 0).all()
    assert found.any(axis=(1, 2)).sum() >= 2  # else there is nothing to compare
    assert np.allclose(found, written_out(net, net.norm, x), rtol=1e-4, atol=1e-7)


def test_radiographs_of_a_batch_do_not_change_each_others_map():
    torch.manual_seed(0)
    net, x = RadiographCNN().eval(), torch.rand(4, 1, 32, 32)
    alone = np.concatenate([grad_cam(net, net.norm, one[None]) for one in x])
    assert np.allclose(grad_cam(net, net.norm, x), alone, rtol=1e-4, atol=1e-7)


def corner_marked(number, seed):
    """Noise; every other image has a bright square in its upper left corner and nothing else to be known by."""
    rng = np.random.default_rng(seed)
    images, marked = rng.normal(0.5, 0.1, (number, 1, 64, 64)).astype(np.float32), np.arange(number) % 2 == 1
    images[marked, :, 4:18, 4:18] += 0.4
    return torch.from_numpy(images), torch.from_numpy(marked)


def test_it_shows_the_only_thing_that_tells_the_classes_apart():
    torch.manual_seed(0)
    net = RadiographCNN((4, 8, 16), 32)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    for step in range(150):
        x, marked = corner_marked(16, step)
        optimizer.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(net(x), marked.float()).backward()
        optimizer.step()
    net.eval()
    x, marked = corner_marked(40, 1000)
    with torch.no_grad():
        assert ((net(x) > 0) == marked).float().mean() > 0.95  # it has learnt it
    corner = np.zeros((20, 64, 64), dtype=np.uint8)
    corner[:, :24, :24] = 1
    shares = share_inside(grad_cam(net, net.norm, x[marked]), corner)
    assert np.isfinite(shares).mean() > 0.9
    assert np.nanmean(shares) > 0.8 > 5 * corner.mean()
    # Before the norm a map is mostly its own level: the same net would seem to look everywhere.
    assert np.nanmean(share_inside(grad_cam(net, net.features, x[marked]), corner)) < 0.3


def fields(seed, number=4, size=16):
    return (np.random.default_rng(seed).random((number, size, size)) < 0.3).astype(np.uint8)


@given(st.integers(0, 50), st.floats(0.1, 1e4))
def test_a_map_that_looks_everywhere_alike_has_the_areas_share(seed, level):
    field = fields(seed)
    assert share_inside(np.full(field.shape, level), field) == pytest.approx(field.mean(axis=(1, 2)))


@given(st.integers(0, 50), st.floats(0.01, 100))
def test_shares_add_up_do_not_know_scale_and_are_whole_where_all_is_inside(seed, scale):
    field = fields(seed)
    cams = np.random.default_rng(seed).random(field.shape)
    inside = share_inside(cams, field)
    assert inside + share_inside(cams, 1 - field) == pytest.approx(np.ones(4))
    assert share_inside(scale * cams, field) == pytest.approx(inside)
    assert share_inside(cams * field, field) == pytest.approx(np.ones(4))
    assert share_inside(cams * (1 - field), field) == pytest.approx(np.zeros(4))


def test_a_map_that_is_0_everywhere_has_no_share():
    cams = np.stack([np.zeros((4, 4)), np.ones((4, 4))])
    assert np.isnan(share_inside(cams, np.ones((2, 4, 4), dtype=np.uint8))).tolist() == [True, False]


def test_the_comparison_with_the_area_is_paired_and_by_patient():
    rng = np.random.default_rng(0)
    areas = rng.uniform(0.1, 0.5, 60)
    alike = compare_with_area(areas, areas, np.arange(60))
    assert alike["difference"] == (0, 0, 0)
    assert alike["ratio"] == (1, 1, 1)
    half = compare_with_area(areas / 2, areas, np.arange(60))
    assert tuple(half["ratio"]) == pytest.approx((0.5, 0.5, 0.5))
    noisy = areas - 0.1 + rng.normal(0, 0.02, 60)
    found = compare_with_area(noisy, areas, np.arange(60))
    assert found["difference"].low < found["difference"].value < found["difference"].high < 0
    assert found["difference"].value == pytest.approx((noisy - areas).mean())
    assert found["share_in_lung"].value == pytest.approx(noisy.mean())
    width = found["difference"].high - found["difference"].low
    assert width < found["share_in_lung"].high - found["share_in_lung"].low  # the same patients on both sides
    few = compare_with_area(np.repeat(noisy, 5), np.repeat(areas, 5), np.repeat(np.arange(60), 5))
    assert few["difference"] == pytest.approx(found["difference"])  # the same radiograph five times tells no more
