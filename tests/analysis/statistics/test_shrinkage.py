"""Shrinkage of scores, beside worked values of normal and of two-point truths."""

import numpy as np
import pytest

from analysis.statistics.shrinkage import posterior

ERROR = 0.1


def test_scores_that_scatter_as_their_errors_do_are_shrunk_to_their_mean():
    rng = np.random.default_rng(1)
    left = [posterior(rng.normal(0.5, ERROR, 50), np.full(50, ERROR**2)).means.max() - 0.5 for _ in range(20)]
    assert np.mean(left) < 0.2 * 2.25 * ERROR  # the expected largest of 50 normal values is 2.25


def test_normal_truths_have_their_normal_posterior():
    rng = np.random.default_rng(1)
    truths = rng.normal(0.5, 2 * ERROR, 1000)
    scores = truths + rng.normal(0, ERROR, 1000)
    found = posterior(scores, np.full(1000, ERROR**2))
    # Of the variance of the scores, 5 errors squared, 4 are that of the truths.
    inner = np.abs(scores - 0.5) < 4 * ERROR
    assert found.means[inner] == pytest.approx(0.5 + 0.8 * (scores[inner] - 0.5), abs=0.2 * ERROR)
    assert np.median(found.variances) == pytest.approx(0.8 * ERROR**2, rel=0.05)


def test_one_score_far_ahead_of_equals_is_kept():
    scores = np.append(np.random.default_rng(2).normal(0, ERROR, 30), 10 * ERROR)
    found = posterior(scores, np.full(31, ERROR**2))
    assert found.means[-1] == pytest.approx(scores[-1], abs=0.3 * ERROR)
    assert abs(found.means[:-1]).max() < ERROR


def test_truths_are_where_their_posterior_says():
    rng = np.random.default_rng(3)
    held = []
    for _ in range(100):
        truths = rng.normal(0.5, ERROR / 2, 30)
        scores = truths + rng.normal(0, ERROR, 30)
        found = posterior(scores, np.full(30, ERROR**2))
        best = scores.argmax()
        held.append(abs(found.means[best] - truths[best]) < 1.96 * found.variances[best] ** 0.5)
    assert np.mean(held) >= 0.91


def test_a_noisier_score_is_shrunk_further_and_counts_less():
    scores, errors = np.array([-1.0, 1.0, -1.0, 1.0]), np.array([0.1, 0.1, 0.5, 0.5])
    found = posterior(scores, errors**2)
    assert abs(found.means[2]) < abs(found.means[0])
    assert found.centring[2] < found.centring[0]
    assert found.centring.sum() == pytest.approx(1)


def test_trials_without_an_error_of_their_own_beside_others_keep_their_scores():
    found = posterior(np.array([0.5, 0.7, 0.72]), np.array([1e-10, 1e-4, 1e-4]))
    assert found.means[0] == pytest.approx(0.5, abs=1e-4)
    assert np.isfinite(found.means).all()
