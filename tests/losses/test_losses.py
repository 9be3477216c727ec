from pathlib import Path

import numpy as np
import pneumo_ad.conf
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity

from pneumo_ad.errors import ConfigError
from pneumo_ad.losses import DiceLoss, L1Loss, MSELoss, SSIMLoss, UncertaintyLoss, dice_loss, uncertainty_loss
from pneumo_ad.nets import Output
from pneumo_ad.runs.compose import build, compose_config

CONF = Path(next(iter(pneumo_ad.conf.__path__)))
LOSSES = sorted(file.stem for file in (CONF / "loss").glob("*.yaml"))
FORMS = [*LOSSES, "dice loss.form=linear"]


def loss_of(words):
    choice, *overrides = words.split()
    return build(compose_config("train", [f"loss={choice}", *overrides]).loss)


def answer(y):
    """With a predicted variance of 1, for the losses that read it."""
    return Output(y, log_variance=torch.zeros_like(y))


def pairs(seed=0, batch=3, size=16):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(2, batch, 1, size, size, generator=generator)


@pytest.mark.parametrize("words", FORMS)
@pytest.mark.parametrize(("target", "grey"), [(0.0, 0.0), (1.0, 1.0), (0.0, 1.0), (1.0, 0.0), (0.0, 0.5), (0.5, 0.5)])
def test_every_loss_is_finite_on_flat_patches_with_a_finite_gradient(words, target, grey):
    y = torch.full((2, 1, 16, 16), grey, requires_grad=True)
    loss = loss_of(words)(torch.full((2, 1, 16, 16), target), answer(y))
    loss.backward()
    assert loss.shape == ()
    assert loss.isfinite()
    assert y.grad.isfinite().all()


# The linear form of Dice has its optimum elsewhere; see below.
@pytest.mark.parametrize("words", [words for words in LOSSES if words != "dice_linear"])
def test_identity_costs_nothing_and_anything_else_something(words):
    loss = loss_of(words)
    x, y = pairs()
    assert loss(x, answer(x)).abs() < 1e-5
    assert loss(x, answer(y)) > 0.01
    slightly = loss(x, answer(x + 0.05 * (y - x)))
    assert 0 < slightly < loss(x, answer(y))


@pytest.mark.parametrize("words", FORMS)
def test_a_loss_is_the_mean_over_its_patches(words):
    loss = loss_of(words)
    x, y = pairs()
    alone = torch.stack([loss(x[i : i + 1], answer(y[i : i + 1])) for i in range(len(x))])
    assert torch.allclose(loss(x, answer(y)), alone.mean(), atol=1e-6)


@given(st.integers(0, 2**31), st.sampled_from(["squared", "linear"]), st.floats(0.01, 10))
def test_dice_equals_the_formula(seed, form, smooth):
    x, y = pairs(seed, size=4)
    a, b = x.double().numpy(), y.double().numpy()
    for i in range(len(a)):
        below = (a[i] ** 2).sum() + (b[i] ** 2).sum() if form == "squared" else a[i].sum() + b[i].sum()
        expected = -np.log((2 * (a[i] * b[i]).sum() + smooth) / (below + smooth))
        assert dice_loss(x, y, form, smooth)[i].item() == pytest.approx(expected, abs=1e-5)
    if form == "squared":
        assert (dice_loss(x, y, form, smooth) >= 0).all()


def descend(x, start, form):
    """Free pixels, pushed by the loss alone."""
    pixels = torch.logit(start.clamp(0.01, 0.99)).requires_grad_()
    optimizer = torch.optim.Adam([pixels], lr=0.1)
    for _ in range(1500):
        optimizer.zero_grad()
        DiceLoss(form)(x, Output(pixels.sigmoid())).backward()
        optimizer.step()
    return pixels.sigmoid().detach()


STARTS = {
    "random": torch.rand(1, 1, 6, 6, generator=torch.Generator().manual_seed(1)),
    "black": torch.zeros(1, 1, 6, 6),
    "white": torch.ones(1, 1, 6, 6),
    "grey": torch.full((1, 1, 6, 6), 0.5),
}


@pytest.mark.parametrize("start", STARTS)
def test_squared_dice_ends_at_the_target_from_anywhere(start):
    x = torch.rand(1, 1, 6, 6, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1
    assert (descend(x, STARTS[start], "squared") - x).abs().max() < 0.01


@pytest.mark.parametrize("start", STARTS)
def test_linear_dice_ends_at_black_and_white(start):
    x = torch.rand(1, 1, 6, 6, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1
    y = descend(x, STARTS[start], "linear")
    # A pixel at the turning point between black and white hardly moves.
    assert (torch.minimum(y, 1 - y) < 0.05).float().mean() > 0.9
    assert (y - x).abs().mean() > 0.15
    assert DiceLoss("linear")(x, Output(y)) < DiceLoss("linear")(x, Output(x))  # the copy is not its optimum


def test_l1_and_mse_equal_numpy():
    x, y = pairs()
    assert L1Loss()(x, Output(y)).item() == pytest.approx(np.abs(x.numpy() - y.numpy()).mean(), rel=1e-5)
    assert MSELoss()(x, Output(y)).item() == pytest.approx(((x.numpy() - y.numpy()) ** 2).mean(), rel=1e-5)


def ssim(a, b, sigma):
    """Wang et al. 2004 with a Gaussian window of 3.5 sigma, mirrored at the border."""

    def blur(picture):
        return gaussian_filter(picture, sigma, mode="mirror", truncate=3.5)

    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b, cov = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2, blur(a * b) - mean_a * mean_b
    similar = (2 * mean_a * mean_b + 0.01**2) * (2 * cov + 0.03**2)
    return similar / ((mean_a**2 + mean_b**2 + 0.01**2) * (var_a + var_b + 0.03**2))


@pytest.mark.parametrize("sigma", [1.0, 1.5])
@pytest.mark.parametrize("size", [8, 32])
def test_ssim_equals_the_formula_and_inside_the_border_skimage(sigma, size):
    x, y = pairs(size=size)
    y = 0.7 * x + 0.3 * y
    arrays = list(zip(x[:, 0].double().numpy(), y[:, 0].double().numpy(), strict=True))
    expected = np.mean([ssim(a, b, sigma) for a, b in arrays])
    assert 1 - SSIMLoss(sigma)(x, Output(y)).item() == pytest.approx(expected, abs=1e-4)
    if size > 20:  # skimage mirrors the border in another way
        options = {"gaussian_weights": True, "sigma": sigma, "use_sample_covariance": False, "data_range": 1.0}
        for a, b in arrays:
            theirs = structural_similarity(a, b, full=True, **options)[1]
            assert np.allclose(ssim(a, b, sigma)[8:-8, 8:-8], theirs[8:-8, 8:-8])


def test_ssim_names_the_size_it_needs_and_that_size_works():
    loss = SSIMLoss(sigma=1.5)
    with pytest.raises(ConfigError, match=r"SSIM with sigma=1\.5 needs patches larger than 5 pixels, got 5"):
        loss(torch.zeros(1, 1, 5, 5), Output(torch.zeros(1, 1, 5, 5)))
    assert loss(torch.zeros(1, 1, 6, 6), Output(torch.zeros(1, 1, 6, 6))) == 0


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: DiceLoss("cubic"), "form='cubic' is not known; expected 'squared' or 'linear'"),
        (lambda: DiceLoss(smooth=0), "smooth=0 must be positive"),
        (lambda: SSIMLoss(sigma=0), "sigma=0 must be positive"),
    ],
)
def test_options_that_cannot_work_are_refused(make, words):
    with pytest.raises(ConfigError, match=words):
        make()


def test_the_uncertainty_loss_is_twice_torchs_gaussian_likelihood():
    x, y = pairs()
    log_variance = 3 * torch.randn(x.shape, generator=torch.Generator().manual_seed(2)) - 5
    theirs = torch.nn.GaussianNLLLoss(full=False, eps=1e-12)(y, x, log_variance.exp())
    assert UncertaintyLoss()(x, Output(y, log_variance)).item() == pytest.approx(2 * theirs.item(), rel=1e-5)


@pytest.mark.parametrize("residual", [0.01, 0.1, 0.7])
def test_the_uncertainty_loss_is_least_where_the_variance_is_the_squared_residual(residual):
    log_variance = torch.linspace(-11, 0, 2201)
    loss = uncertainty_loss(torch.tensor(residual), torch.tensor(0.0), log_variance)
    assert log_variance[loss.argmin()].item() == pytest.approx(2 * np.log(residual), abs=0.01)
    means = torch.linspace(0, 1, 101)
    assert means[uncertainty_loss(torch.tensor(residual), means, torch.tensor(-4.0)).argmin()].item() == pytest.approx(
        residual, abs=1e-6
    )


def test_the_uncertainty_loss_names_the_net_it_needs():
    x, y = pairs()
    with pytest.raises(ConfigError, match="a log-variance, as net=uncertainty_autoencoder does; this one does not"):
        UncertaintyLoss()(x, Output(y))
