from pathlib import Path

import numpy as np
import pneumo_ad.conf
import pytest
import torch
from scipy import ndimage

from pneumo_ad.errors import ConfigError
from pneumo_ad.nets import Output
from pneumo_ad.runs.compose import build, compose_config
from pneumo_ad.scores import SAD, Brightness, Contrast, Excess, SADContrast, SADSum, Score, Sharpness, UncertaintyScore

CONF = Path(next(iter(pneumo_ad.conf.__path__)))
JUDGED = {
    "judgement",
    "judgement_in_lung",
    "opacity_chance",
    "opacity_in_lung",
    "expected_kind",
}  # of nets that judge: tests/nets/test_judges.py
SCORES = sorted({file.stem for file in (CONF / "score").glob("*.yaml")} - JUDGED)


def score_of(name):
    return build(compose_config("train", [f"score={name}"]).score)


def answer(y):
    """With a predicted spread of 0.1, for the scores that read it."""
    return Output(y, log_variance=torch.full_like(y, 2 * np.log(0.1)))


def pairs(seed=0, batch=4, size=16):
    return torch.rand(2, batch, 1, size, size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", SCORES)
def test_every_score_has_a_map_a_number_per_patch_and_a_unit(name):
    score = score_of(name)
    x, y = pairs()
    assert isinstance(score, Score)
    assert score.unit
    assert score.residual_map(x, answer(y)).shape == x.shape
    assert score.score(x, answer(y)).shape == (4,)
    assert (score.score(x, answer(y)) >= 0).all()


@pytest.mark.parametrize("name", SCORES)
def test_a_score_is_the_mean_of_its_map_or_where_its_unit_says_so_the_sum(name):
    score = score_of(name)
    x, y = pairs()
    residual = score.residual_map(x, answer(y))
    expected = residual.sum(dim=(1, 2, 3)) if score.unit.endswith("per patch") else residual.mean(dim=(1, 2, 3))
    assert torch.allclose(score.score(x, answer(y)), expected)


@pytest.mark.parametrize("name", SCORES)
def test_every_score_treats_each_patch_by_itself_and_is_finite_on_flat_ones(name):
    score = score_of(name)
    x, y = pairs()
    x[0], y[0], x[1], y[1] = 0, 0, 1, 0
    together = score.score(x, answer(y))
    alone = torch.cat([score.score(x[i : i + 1], answer(y[i : i + 1])) for i in range(4)])
    assert together.isfinite().all()
    assert torch.allclose(together, alone)


@pytest.mark.parametrize("name", SCORES)
def test_every_score_rises_with_the_contrast_of_a_lesion_that_is_not_reconstructed(name):
    x, _ = pairs(batch=1, size=32)
    healthy = 0.2 + 0.2 * x
    scores = []
    for contrast in (0.0, 0.1, 0.2, 0.4):
        sick = healthy.clone()
        sick[..., 8:20, 8:20] += contrast
        scores.append(score_of(name).score(sick, answer(healthy)).item())
    assert scores == sorted(scores)
    assert scores[-1] > scores[0]


@pytest.mark.parametrize("name", [name for name in SCORES if name.startswith("sad")])
def test_identity_scores_nothing(name):
    x, _ = pairs()
    assert (score_of(name).score(x, Output(x)) == 0).all()


def test_sad_is_in_grey_levels_per_pixel_whatever_the_size():
    x, y = pairs()
    expected = np.abs(x.numpy() * 255 - y.numpy() * 255).mean(axis=(1, 2, 3))
    assert np.allclose(SAD().score(x, Output(y)).numpy(), expected, rtol=1e-5)
    for size in (8, 32):
        flat = torch.full((1, 1, size, size), 0.5)
        assert SAD().score(flat, Output(flat + 3 / 255)).item() == pytest.approx(3, rel=1e-4)
    black, white = torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)
    assert SAD().score(black, Output(white)).item() == 255


def test_sad_sum_is_sad_times_pixels():
    x, y = pairs(size=16)
    assert torch.allclose(SADSum().score(x, Output(y)), SAD().score(x, Output(y)) * 16 * 16)


def test_sad_contrast_is_sad_over_the_patches_own_contrast():
    x, y = pairs()
    contrast = x.numpy().reshape(4, -1).std(axis=1) * 255
    expected = SAD().score(x, Output(y)).numpy() / contrast
    assert np.allclose(SADContrast().score(x, Output(y)).numpy(), expected, rtol=1e-5)


def test_sad_contrast_does_not_change_with_exposure():
    x, y = pairs()
    assert torch.allclose(
        SADContrast().score(x, Output(y)), SADContrast().score(0.3 + 0.5 * x, Output(0.3 + 0.5 * y)), rtol=1e-4
    )


def test_sad_contrast_has_a_floor():
    flat = torch.full((1, 1, 8, 8), 0.5)
    off = Output(flat + 6 / 255)
    assert SADContrast(floor=2.0).score(flat, off).item() == pytest.approx(3, rel=1e-4)
    assert SADContrast(floor=4.0).score(flat, off).item() == pytest.approx(1.5, rel=1e-4)
    with pytest.raises(ConfigError, match="floor=0 must be positive"):
        SADContrast(floor=0)


@pytest.mark.parametrize("score", [Brightness(), Contrast(), Sharpness()])
def test_what_needs_no_net_does_not_look_at_the_reconstruction(score):
    x, y = pairs()
    assert torch.equal(score.residual_map(x, Output(y)), score.residual_map(x, Output(x)))
    assert torch.equal(score.score(x, Output(y)), score.score(x, Output(x)))


def test_brightness_is_the_mean_grey_level():
    x, y = pairs()
    assert torch.allclose(Brightness().score(x, Output(y)), x.mean(dim=(1, 2, 3)) * 255)


def test_contrast_is_the_standard_deviation_in_grey_levels():
    x, y = pairs()
    expected = x.numpy().reshape(4, -1).std(axis=1) * 255
    assert np.allclose(Contrast().score(x, Output(y)).numpy(), expected, rtol=1e-5)
    assert torch.allclose(Contrast().score(0.2 + 0.5 * x, Output(y)), 0.5 * Contrast().score(x, Output(y)), rtol=1e-4)


def test_sharpness_is_the_mean_absolute_laplacian_of_scipy():
    x, y = pairs()
    expected = [np.abs(ndimage.laplace(one[0].astype(np.float64), mode="nearest")).mean() * 255 for one in x.numpy()]
    assert np.allclose(Sharpness().score(x, Output(y)).numpy(), expected, rtol=1e-5)


def test_sharpness_falls_with_every_blur_and_does_not_see_brightness():
    x, y = pairs()
    sharpness = Sharpness().score(x, Output(y))
    assert torch.allclose(Sharpness().score(x + 0.3, Output(y)), sharpness, rtol=1e-4)
    for sigma in (0.5, 1.0, 2.0):
        dull = torch.from_numpy(ndimage.gaussian_filter(x.numpy(), (0, 0, sigma, sigma)))
        assert (Sharpness().score(dull, Output(y)) < sharpness).all()
        sharpness = Sharpness().score(dull, Output(y))


def test_uncertainty_is_the_mean_squared_residual_over_the_predicted_variance():
    x, y = pairs()
    log_variance = torch.randn(x.shape, generator=torch.Generator().manual_seed(2)) - 4
    expected = ((x - y).numpy() ** 2 / np.exp(log_variance.numpy())).mean(axis=(1, 2, 3))
    assert np.allclose(UncertaintyScore().score(x, Output(y, log_variance)).numpy(), expected, rtol=1e-5)
    assert (UncertaintyScore().score(x, Output(x, log_variance)) == 0).all()


def test_uncertainty_falls_where_the_net_expected_to_err():
    x, y = pairs()
    log_variance = torch.full_like(x, -4.0)
    log_variance[..., 8:] = -2.0
    residual = UncertaintyScore().residual_map(x, Output(y, log_variance))
    sure = UncertaintyScore().residual_map(x, Output(y, torch.full_like(x, -4.0)))
    assert torch.equal(residual[..., :8], sure[..., :8])
    assert torch.allclose(residual[..., 8:], sure[..., 8:] * np.exp(-2))


def test_uncertainty_names_the_net_it_needs():
    x, y = pairs()
    with pytest.raises(ConfigError, match="a log-variance, as net=uncertainty_autoencoder does; this one does not"):
        UncertaintyScore().score(x, Output(y))
    with pytest.raises(ConfigError, match="score=excess needs a net that predicts a log-variance"):
        Excess().score(x, Output(y))


def test_the_excess_is_the_root_of_the_uncertainty_where_brighter_and_nothing_where_darker():
    x, y = pairs()
    log_variance = torch.randn(x.shape, generator=torch.Generator().manual_seed(2)) - 4
    excess, squared = (score.residual_map(x, Output(y, log_variance)) for score in (Excess(), UncertaintyScore()))
    assert (excess[x <= y] == 0).all()
    assert torch.allclose(excess[x > y].square(), squared[x > y], rtol=1e-4)
