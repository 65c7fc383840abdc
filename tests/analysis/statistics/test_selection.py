"""The best score corrected for its selection, on searches with known truths."""

import numpy as np
import pytest

from analysis.statistics.selection import Winner
from analysis.statistics.significance import Scores


def found(rng: np.random.Generator, truths: np.ndarray, error: float = 0.1) -> Scores:
    """Scores of trials on 100 patients, with these truths and equal errors."""
    patients = 100
    influence = rng.normal(0, error / 10, (len(truths), patients))
    seen = (influence * rng.normal(0, 1, patients)).sum(axis=1)
    return Scores(truths + seen, influence, degrees_of_freedom=patients - 1)


def test_what_selecting_the_best_of_copies_adds_is_taken_away():
    rng = np.random.default_rng(1)
    searches = [found(rng, np.full(20, 0.5)) for _ in range(60)]
    gains = [scores.values.max() - 0.5 for scores in searches]
    left = [Winner(scores).corrected - 0.5 for scores in searches]
    assert np.mean(gains) > 0.15
    assert abs(np.mean(left)) < 0.25 * np.mean(gains)
    assert np.square(left).mean() < 0.3 * np.square(gains).mean()


def test_the_winners_interval_has_its_truth_though_it_was_selected():
    rng = np.random.default_rng(2)
    held, naive = [], []
    for _ in range(60):
        truths = rng.normal(0.5, 0.01, 30)
        scores = found(rng, truths, error=0.02)
        best = scores.values.argmax()
        low, high = Winner(scores).interval
        held.append(low <= truths[best] <= high)
        naive.append(scores.intervals()[best][0] <= truths[best])
    assert np.mean(held) >= 0.93
    assert np.mean(naive) < 0.8


def test_a_winner_far_ahead_is_left_nearly_as_it_is():
    rng = np.random.default_rng(3)
    left = []
    for _ in range(30):
        scores = found(rng, np.array([0.9, *[0.1] * 9]), error=0.02)
        left.append(Winner(scores).corrected - 0.9)
    assert abs(np.mean(left)) < 0.016


def test_the_winner_of_many_that_differ_is_not_corrected_too_far():
    rng = np.random.default_rng(5)
    left, raw = [], []
    for _ in range(100):
        truths = rng.normal(0.5, 0.03, 200)
        scores = found(rng, truths, error=0.015)
        left.append(Winner(scores).corrected - truths[scores.values.argmax()])
        raw.append(scores.values.max() - truths[scores.values.argmax()])
    assert np.mean(raw) > 0.01
    assert abs(np.mean(left)) < 0.25 * np.mean(raw)
    assert np.square(left).mean() < np.square(raw).mean()


def test_an_error_common_to_all_trials_stays_in_the_interval_but_is_not_luck():
    common = np.full((20, 1), 0.05)  # one error of 0.05 that all trials share, and small ones of their own
    influence = np.hstack([common, 0.001 * np.eye(20)])
    winner = Winner(Scores(np.linspace(0.82, 0.80, 20), influence, degrees_of_freedom=1e9, maximised=False))
    assert winner.corrected == pytest.approx(0.80, abs=0.001)
    low, high = winner.interval
    assert high - low > 2 * 1.96 * 0.05


def test_errors_that_shrink_towards_1_are_not_taken_for_luck():
    # One error common to all, as large as the logit scale makes it: 0.1 of p (1 - p), and so smaller for the best.
    values = np.linspace(0.97, 0.70, 20)
    influence = np.hstack([0.1 * (values * (1 - values))[:, None], 1e-4 * np.eye(20)])
    assert Winner(Scores(values, influence, degrees_of_freedom=30)).corrected == pytest.approx(0.97, abs=1e-3)


def test_a_perfect_score_is_corrected_too():
    influence = 0.02 * np.eye(4)
    corrected = Winner(Scores(np.array([1.0, 0.99, 0.98, 0.97]), influence, degrees_of_freedom=30)).corrected
    assert 0.97 < corrected < 1


def test_a_single_trial_and_copies_of_one_are_left_as_they_are():
    alone = Scores(np.array([0.7]), np.full((1, 4), 0.01), 30)
    copies = Scores(np.array([0.7, 0.7]), np.full((2, 4), 0.01), 30)
    for scores in (alone, copies):
        assert Winner(scores).corrected == 0.7
        assert Winner(scores).interval == pytest.approx(scores.intervals()[0])


def test_a_loss_is_corrected_upwards():
    rng = np.random.default_rng(4)
    scores = found(rng, np.full(20, 0.5))
    losses = Scores(1 - scores.values, -scores.influence, 99, maximised=False)
    assert losses.values.min() + 0.05 < Winner(losses).corrected < 0.5


def test_without_a_degree_of_freedom_the_winner_has_no_interval():
    assert np.isnan(Winner(Scores(np.array([0.9, 0.5]), np.zeros((2, 4)), 0)).interval).all()
