import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from pneumo_ad.clustering import METHODS, fit_clusters, plain_features, train_embedding
from pneumo_ad.errors import DataError


def planted(seed=0, each=120, side=16):
    """Faint noise, bright clouds, edges: three kinds of difference image as they are hoped for."""
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.linspace(-1, 1, side), torch.linspace(-1, 1, side), indexing="ij")

    def noise(sigma):
        return sigma * torch.randn(each, 1, side, side, generator=generator)

    cloud = 20 * torch.exp(-2 * (x**2 + y**2)) * (1 + 0.2 * torch.rand(each, 1, 1, 1, generator=generator))
    edges = 80 * (x > 0.2 * torch.rand(each, 1, 1, 1, generator=generator)).float() - 40
    kinds = [noise(1.5), cloud + noise(1.5), edges + noise(4)]
    return torch.cat(kinds), np.repeat(np.arange(3), each)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("described", ["plain", "embedding"])
def test_planted_kinds_are_found_in_unseen_difference_images(method, described):
    (fitted, _), (unseen, true) = planted(0), planted(1)
    describe = plain_features if described == "plain" else train_embedding(fitted, steps=150)
    sad = fitted.abs().mean(dim=(1, 2, 3)).numpy()
    found = fit_clusters(describe(fitted).numpy(), sad, method)(describe(unseen).numpy())
    assert adjusted_rand_score(true, found) > 0.9
    assert np.mean(found == true) > 0.95  # the planted kinds rise in SAD, and so do the clusters' numbers


@pytest.mark.parametrize("method", METHODS)
def test_clusters_do_not_depend_on_units_or_order(method):
    rng = np.random.default_rng(0)
    features = np.concatenate([rng.normal(centre, 1, (80, 2)) for centre in ((0, 0), (12, 0), (0, 12))])
    one = fit_clusters(features, features[:, 0], method)(features)
    units, order = np.array([1000.0, 0.01]), rng.permutation(len(features))
    other = fit_clusters((features * units + 5)[order], features[order, 0], method)(features * units + 5)
    assert (one == other).all()


@pytest.mark.parametrize("method", METHODS)
def test_a_feature_that_never_varies_is_no_harm(method):
    features = np.column_stack([np.repeat([0.0, 10.0, 20.0], 50) + np.linspace(0, 1, 150), np.zeros(150)])
    assert (fit_clusters(features, features[:, 0], method)(features) == np.repeat(range(3), 50)).all()


def test_too_few_windows_are_refused():
    with pytest.raises(DataError, match=r"at least 100 windows.*there are 99"):
        fit_clusters(np.random.default_rng(0).normal(size=(99, 2)), np.ones(99), "kmeans")


@pytest.mark.parametrize("method", METHODS)
def test_windows_that_are_all_equal_are_refused(method):
    with pytest.raises(DataError, match="200 windows hold 2"):
        fit_clusters(np.repeat([[0.0], [1.0]], 100, axis=0), np.ones(200), method)
