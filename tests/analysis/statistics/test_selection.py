"""The best score corrected for its selection, on searches with known truths."""

import numpy as np
import pytest

from analysis.statistics.selection import Winner, shrunken
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
    assert abs(np.mean(left)) < 0.15 * np.mean(gains)
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
        scores = found(rng, np.array([0.9, *[0.1] * 9]))
        left.append(Winner(scores).corrected - 0.9)
    assert abs(np.mean(left)) < 0.08


def test_shrunk_scores_scatter_as_the_truths_must():
    scores = np.array([-1.0, 1.0, -1.0, 1.0, 0.0]) / np.sqrt(2)  # the sum of squares is 2, over 4 degrees 1/2
    shrunk = shrunken(scores, 0.25 * np.eye(5))
    assert shrunk.var(ddof=1) == pytest.approx(0.5 - 0.25, rel=0.15)
    assert shrunk == pytest.approx(scores / np.sqrt(2), abs=0.05)


def test_scores_that_scatter_as_their_errors_do_are_shrunk_to_their_mean():
    assert shrunken(np.array([0.7, 0.8]), np.eye(2)) == pytest.approx([0.75, 0.75], abs=1e-4)


def test_a_loss_is_corrected_upwards():
    rng = np.random.default_rng(4)
    scores = found(rng, np.full(20, 0.5))
    losses = Scores(1 - scores.values, -scores.influence, 99, maximised=False)
    assert Winner(losses).corrected == pytest.approx(1 - Winner(scores).corrected, abs=0.01)
    assert Winner(losses).corrected > losses.values.min()


def test_without_a_degree_of_freedom_the_winner_has_no_interval():
    assert np.isnan(Winner(Scores(np.array([0.9, 0.5]), np.zeros((2, 4)), 0)).interval).all()
