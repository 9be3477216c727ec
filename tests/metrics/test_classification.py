import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, recall_score, roc_auc_score

from pneumo_ad.errors import DataError
from pneumo_ad.metrics.classification import decision_metrics, resampled_means
from pneumo_ad.metrics.ranking import resamples_of


@st.composite
def decisions(draw):
    truth = np.array([*draw(st.lists(st.booleans(), min_size=2, max_size=30)), True, False])
    return np.array([draw(st.floats(0, 1, width=32)) for _ in truth]), truth


@given(decisions())
def test_every_figure_equals_scikit_learns(case):
    probability, truth = case
    found = decision_metrics(probability, truth, np.arange(len(truth)), resamples=20)
    called = probability >= 0.5
    expected = {
        "accuracy": accuracy_score(truth, called),
        "balanced_accuracy": balanced_accuracy_score(truth, called),
        "sensitivity": recall_score(truth, called),
        "specificity": recall_score(~truth, ~called),
        "auroc": roc_auc_score(truth, probability),
        "always_pneumonia/accuracy": accuracy_score(truth, np.ones_like(truth)),
    }
    assert {name: interval.value for name, interval in found.items()} == pytest.approx(expected)


def test_intervals_equal_those_of_radiographs_drawn_out_patient_by_patient():
    rng = np.random.default_rng(0)
    patients = rng.integers(0, 25, 90)
    truth = rng.random(90) < 0.6
    probability = np.clip(0.3 * truth + rng.random(90) * 0.7, 0, 1)
    found = decision_metrics(probability, truth, patients, resamples=300)
    names, owner = np.unique(patients, return_inverse=True)
    drawn = []
    for counts in resamples_of(len(names), 300):
        sample = np.repeat(np.arange(90), counts[owner].astype(int))
        t, p = truth[sample], probability[sample]
        scores = accuracy_score(t, p >= 0.5), balanced_accuracy_score(t, p >= 0.5), roc_auc_score(t, p), t.mean()
        drawn.append(scores)
    ends = np.quantile(drawn, [0.025, 0.975], axis=0).T
    for name, end in zip(("accuracy", "balanced_accuracy", "auroc", "always_pneumonia/accuracy"), ends, strict=True):
        assert found[name][1:] == pytest.approx(tuple(end), abs=1e-4), name
        assert found[name].low < found[name].value < found[name].high


def test_whoever_always_says_pneumonia_is_no_better_than_the_classes_are_unequal():
    truth = np.arange(40) < 30
    found = decision_metrics(np.ones(40), truth, np.arange(40))
    assert found["accuracy"] == found["always_pneumonia/accuracy"]
    assert found["accuracy"].value == 0.75
    assert found["balanced_accuracy"] == (0.5, 0.5, 0.5)
    assert found["auroc"].value == 0.5


def test_few_patients_with_many_radiographs_widen_the_interval():
    rng = np.random.default_rng(1)
    owner = np.repeat(np.arange(20), 10)
    correct = (rng.random(20) < 0.7)[owner]
    truth = np.arange(200) % 2 == 0
    probability = np.where(correct == truth, 0.9, 0.1)
    by_patient, alone = (decision_metrics(probability, truth, patients) for patients in (owner, np.arange(200)))
    widths = [one["accuracy"].high - one["accuracy"].low for one in (by_patient, alone)]
    assert widths[0] > 2 * widths[1]


@pytest.mark.parametrize(("truth", "name"), [(True, "pneumonia"), (False, "normal")])
def test_one_class_only_is_refused_by_name(truth, name):
    with pytest.raises(DataError, match=f"all 3 images are {name}"):
        decision_metrics(np.full(3, 0.5), np.full(3, truth), np.arange(3))


def test_a_resample_that_draws_none_of_the_values_is_nan():
    weights = np.array([[0, 2], [1, 1]], dtype=np.float32)
    assert resampled_means(np.array([3.0]), np.array([0]), weights) == pytest.approx([np.nan, 3], nan_ok=True)
