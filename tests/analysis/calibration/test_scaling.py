"""Scaling of logits is logistic regression on them, and is refused where it would mislead."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from analysis.calibration.scaling import Scaling, fit_scaling


def overconfident(count: int = 500) -> tuple[np.ndarray, np.ndarray]:
    """Logits three times too large and shifted by two, with their truth."""
    rng = np.random.default_rng(0)
    honest = rng.normal(-1, 1.5, count)
    return 3 * honest + 2, (rng.random(count) < expit(honest)).astype(np.float32)


def test_temperature_scaling_is_logistic_regression_without_an_intercept():
    logits, truth = overconfident()
    expected = LogisticRegression(C=np.inf, fit_intercept=False).fit(logits[:, None], truth)
    assert fit_scaling(logits, truth, "temperature") == pytest.approx((expected.coef_.item(), 0), rel=1e-4)


def test_platt_scaling_is_logistic_regression_on_platts_smoothed_targets():
    logits, truth = overconfident()
    positives, negatives = truth.sum(), (1 - truth).sum()
    targets = np.where(
        truth, (positives + 1) / (positives + 2), 1 / (negatives + 2)
    )  # Platt (1999), section 2.2
    both = np.tile(logits, 2)[:, None]
    weights = np.concatenate([targets, 1 - targets])
    expected = LogisticRegression(C=np.inf).fit(both, np.repeat([1, 0], len(truth)), weights)
    found = fit_scaling(logits, truth, "platt")
    assert found == pytest.approx((expected.coef_.item(), expected.intercept_.item()), rel=1e-3)


@pytest.mark.parametrize("method", ["temperature", "platt"])
def test_a_label_of_one_class_has_no_scaling(method):
    assert fit_scaling(np.arange(4.0), np.ones(4), method) is None


def test_logits_that_rank_positives_last_have_no_scaling():
    logits, truth = overconfident()
    assert fit_scaling(-logits, truth, "platt") is None
    assert fit_scaling(5 - np.abs(logits), np.zeros(500) + (logits > 20), "temperature") is None


def test_logits_that_separate_the_classes_do_not_become_certain():
    assert fit_scaling(np.array([-2.0, -1.0, 1.0, 2.0]), np.array([0, 0, 1, 1]), "temperature") is None
    slope, _ = fit_scaling(np.array([-2.0, -1.0, 1.0, 2.0]), np.array([0, 0, 1, 1]), "platt")
    assert slope < 5


def test_scaling_by_none_changes_nothing():
    assert fit_scaling(*overconfident(), "none") == Scaling(1.0, 0.0)
