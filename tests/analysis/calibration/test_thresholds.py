"""Thresholds worked by hand."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, recall_score

from analysis.calibration.thresholds import best_f1, reaching

TRUTH = np.array([1, 0, 1, 1, 0, 0, 0])
PROBS = np.array([0.9, 0.8, 0.7, 0.3, 0.2, 0.1, 0.05])


def test_the_best_f1_of_a_small_example():
    # Called from above: F1 is 2/4, 2/5, 4/6, 6/7 (at 0.3), 6/8, 6/9, 6/10.
    assert best_f1(PROBS, TRUTH) == 0.3


@pytest.mark.parametrize(
    ("wanted", "threshold"), [(0.3, 0.9), (1 / 3, 0.9), (0.5, 0.7), (0.67, 0.3), (1, 0.3)]
)
def test_the_highest_threshold_that_reaches_a_sensitivity(wanted, threshold):
    assert reaching(wanted, PROBS, TRUTH) == threshold


def test_no_other_threshold_has_a_higher_f1_and_none_above_reaches_the_sensitivity():
    rng = np.random.default_rng(0)
    truth = rng.random(300) < 0.1
    probs = 0.02 * rng.random(300) + 0.01 * truth
    chosen = f1_score(truth, probs >= best_f1(probs, truth))
    assert chosen == max(f1_score(truth, probs >= threshold) for threshold in probs)
    threshold = reaching(0.9, probs, truth)
    assert recall_score(truth, probs >= threshold) >= 0.9
    assert recall_score(truth, probs >= probs[probs > threshold * 1.001].min()) < 0.9


def test_a_threshold_has_four_digits_and_never_loses_the_slice_that_defines_it():
    assert best_f1(np.array([0.00123456, 0.001]), np.array([1, 0])) == 0.001234
    assert best_f1(np.array([1.0, 0.5]), np.array([1, 0])) == 0.9999
    assert best_f1(np.array([0.0, 0.0]), np.array([1, 0])) == 0.0
