"""Shrinkage of scores, beside posterior means that are known."""

import numpy as np
import pytest
from scipy.stats import norm

from analysis.statistics.shrinkage import posterior_means

ERROR = 0.1


def test_scores_that_scatter_as_their_errors_do_are_shrunk_to_their_mean():
    rng = np.random.default_rng(1)
    left = [posterior_means(rng.normal(0.5, ERROR, 50), np.full(50, ERROR**2)).max() - 0.5 for _ in range(20)]
    assert abs(np.mean(left)) < 0.25 * 2.25 * ERROR  # the expected largest of 50 normal values is 2.25


def test_normal_truths_have_their_normal_posterior():
    rng = np.random.default_rng(1)
    scores = rng.normal(0.5, 2 * ERROR, 1000) + rng.normal(0, ERROR, 1000)
    inner = np.abs(scores - 0.5) < 4 * ERROR
    found = posterior_means(scores, np.full(1000, ERROR**2))[inner]
    # Of the variance of the scores, 5 errors squared, 4 are that of the truths.
    assert np.sqrt(np.mean((found - 0.5 - 0.8 * (scores[inner] - 0.5)) ** 2)) < 0.25 * ERROR


def test_truths_at_two_points_have_the_posterior_by_bayes_rule():
    rng = np.random.default_rng(2)
    scores = np.repeat([0.0, 3 * ERROR], 500) + rng.normal(0, ERROR, 1000)
    upper = norm.pdf(scores, 3 * ERROR, ERROR)
    expected = 3 * ERROR * upper / (upper + norm.pdf(scores, 0, ERROR))
    found = posterior_means(scores, np.full(1000, ERROR**2))
    assert np.sqrt(np.mean((found - expected) ** 2)) < 0.25 * ERROR


def test_a_tail_of_bad_scores_does_not_keep_equals_on_a_plateau_apart():
    rng = np.random.default_rng(3)
    left, raw = [], []
    for _ in range(50):
        truths = np.concatenate([np.full(15, 0.0), -rng.uniform(0, 20 * ERROR, 15)])
        scores = truths + rng.normal(0, ERROR, 30)
        left.append(posterior_means(scores, np.full(30, ERROR**2)).max())
        raw.append(scores.max())
    assert abs(np.mean(left)) < 0.25 * np.mean(raw)


def test_one_score_far_ahead_of_equals_is_kept():
    scores = np.append(np.random.default_rng(2).normal(0, ERROR, 30), 10 * ERROR)
    found = posterior_means(scores, np.full(31, ERROR**2))
    assert found[-1] == pytest.approx(scores[-1], abs=0.1 * ERROR)
    assert abs(found[:-1]).max() < ERROR


def test_a_score_with_a_larger_error_is_shrunk_further():
    scores, errors = np.array([-1.0, 1.0, -1.0, 1.0]) * ERROR, np.array([0.5, 0.5, 2, 2]) * ERROR
    found = posterior_means(scores, errors**2)
    assert abs(found[3]) < abs(found[1])


def test_a_score_without_doubt_keeps_its_value_beside_others():
    found = posterior_means(np.array([0.5, 0.7, 0.72]), np.array([1e-10, 1e-4, 1e-4]))
    assert found[0] == pytest.approx(0.5, abs=1e-3)
    assert np.isfinite(found).all()
