import numpy as np
import pytest

from pneumo_ad.labels import HEALTHY, KINDS, OPACITY, OUTSIDE
from pneumo_ad.metrics import macro_f1, true_kinds


@pytest.mark.parametrize(
    ("lung", "opacity", "kind"),
    [
        (1.0, 0.0, "healthy"),
        (0.91, 0.0, "healthy"),
        (0.90, 0.0, "mixed"),  # more than 90 %
        (1.0, 0.001, "mixed"),  # healthy lung has no opacity at all
        (1.0, 0.5, "mixed"),  # more than half
        (1.0, 0.51, "opacity"),
        (0.6, 0.51, "opacity"),
        (0.0, 0.8, "opacity"),  # opaque lung that the lung mask leaves out
        (0.5, 0.0, "mixed"),
        (0.05, 0.0, "mixed"),  # less than 5 %
        (0.049, 0.0, "outside"),
        (0.0, 0.0, "outside"),
    ],
)
def test_kinds_follow_the_table(lung, opacity, kind):
    found = true_kinds(np.array([[lung]]), np.array([[opacity]]))
    assert found.shape == (1, 1)
    assert KINDS[found[0, 0]] == kind


def f1_by_hand(true, predicted, kind):
    hits = ((true == kind) & (predicted == kind)).sum()
    wrong = ((true == kind) != (predicted == kind)).sum()
    return 2 * hits / (2 * hits + wrong) if hits or wrong else 0.0


def test_macro_f1_equals_its_definition():
    rng = np.random.default_rng(0)
    for _ in range(50):
        true, predicted = rng.integers(0, 3, 40), rng.integers(0, 3, 40)
        expected = np.mean([f1_by_hand(true, predicted, kind) for kind in (HEALTHY, OPACITY, OUTSIDE)])
        assert macro_f1(true, predicted) == pytest.approx(expected)


def test_macro_f1_leaves_out_what_is_none_of_the_three():
    true = np.array([0, 1, 2, 3, 4, 5])
    assert macro_f1(true, np.array([0, 1, 2, 0, 0, 0])) == 1
    assert macro_f1(true, np.array([1, 2, 0, 0, 1, 2])) == 0


def test_a_kind_that_is_never_predicted_counts_nothing():
    true = np.array([0, 0, 1, 1, 2, 2])
    assert macro_f1(true, np.array([0, 0, 0, 0, 2, 2])) == pytest.approx((2 / 3 + 0 + 1) / 3)
