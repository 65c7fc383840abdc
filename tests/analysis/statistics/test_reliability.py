"""Reliability curves are scikit-learn's, and their error is the bins' mean distance from the diagonal."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from analysis.statistics.reliability import reliability_curve


def test_reliability_is_scikit_learns_with_its_expected_error():
    rng = np.random.default_rng(0)
    probs = rng.beta(1, 9, 700)
    truth = (rng.random(700) < probs).astype(float)
    found = reliability_curve(probs, truth)
    observed, predicted = calibration_curve(truth, probs, n_bins=10, strategy="quantile")
    np.testing.assert_allclose(found.observed, observed)
    np.testing.assert_allclose(found.predicted, predicted)
    assert found.slices.sum() == 700
    assert found.error == pytest.approx(np.mean(np.abs(observed - predicted)), rel=1e-6)  # all bins hold 70
