"""Comparisons of all trials with one another, beside integrals by SciPy and searches with known truths."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm, studentized_range

from analysis.statistics.comparisons import Comparisons
from analysis.statistics.significance import Scores

ERROR, MANY = 0.01, 1e6


def independent(values: list[float], error: float = ERROR) -> Comparisons:
    """Trials with independent errors of one size, which are known exactly."""
    return Comparisons(Scores(np.array(values), error * np.eye(len(values)), MANY))


def correlated(rng: np.random.Generator, truths: np.ndarray, patients: int = 40) -> Scores:
    """Trials whose errors have a large part in common."""
    influence = rng.normal(0, 1, (1, patients)) + 0.5 * rng.normal(0, 1, (len(truths), patients))
    influence *= ERROR / np.sqrt(patients)
    seen = (influence * rng.normal(0, 1, patients)).sum(axis=1)
    return Scores(truths + seen, influence, patients - 1)


def test_the_p_value_of_being_best_is_that_of_a_numerical_integral():
    found = independent([0.81, 0.80, 0.80, 0.80, 0.80]).p_best[1]
    expected = 1 - quad(lambda z: norm.pdf(z) * norm.cdf(z + 0.01 / ERROR) ** 4, -8, 8)[0]
    assert found == pytest.approx(expected, abs=0.05)


def test_p_values_of_all_pairs_are_those_of_the_studentized_range():
    found = independent([0.83, 0.80, 0.80, 0.80, 0.80]).p_values[1]
    assert found == pytest.approx(studentized_range.sf(3, 5, np.inf), abs=0.05)


def test_simultaneous_intervals_are_as_wide_as_tukeys():
    low, high = independent([0.83, 0.80, 0.80, 0.80, 0.80]).simultaneous[1]
    assert (low + high) / 2 == pytest.approx(-0.03)
    assert (high - low) / 2 == pytest.approx(studentized_range.ppf(0.95, 5, np.inf) * ERROR, rel=0.07)


def test_the_truly_best_of_equals_is_kept_in_nineteen_of_twenty_searches():
    rng = np.random.default_rng(1)
    kept = [Comparisons(correlated(rng, np.full(10, 0.8)), seed).tied_with_best.mean() for seed in range(100)]
    assert 0.93 <= np.mean(kept) <= 0.98


def test_a_recipe_that_is_better_by_far_is_alone_among_the_best():
    rng = np.random.default_rng(2)
    truths = np.array([0.84, *[0.8] * 19])
    alone = [
        Comparisons(correlated(rng, truths)).tied_with_best.tolist() == [True] + [False] * 19
        for _ in range(20)
    ]
    assert np.mean(alone) >= 0.95


def test_trials_far_below_do_not_make_the_two_best_harder_to_separate():
    expected = norm.sf(2 / np.sqrt(2))  # of the two alone
    assert independent([0.82, 0.80]).p_best[1] == pytest.approx(expected, abs=0.03)
    assert independent([0.82, 0.80, *[0.5] * 50]).p_best[1] == pytest.approx(expected, abs=0.03)


def test_rank_intervals_hold_what_the_differences_allow():
    assert independent([0.9, 0.899, 0.5]).rank_intervals.tolist() == [[1, 2], [1, 2], [3, 3]]


def test_rank_intervals_have_the_true_rank_in_nineteen_of_twenty():
    rng = np.random.default_rng(3)
    truths, held, width = np.linspace(0.86, 0.8, 10), [], []
    for _ in range(40):
        ranks = Comparisons(correlated(rng, truths)).rank_intervals
        held.append((ranks[:, 0] <= np.arange(1, 11)) & (np.arange(1, 11) <= ranks[:, 1]))
        width.append(ranks[:, 1] - ranks[:, 0])
    assert np.mean(held) >= 0.95
    assert np.mean(width) < 4  # of at most 9


def test_copies_of_a_recipe_are_ties_and_other_constants_are_not():
    same = Comparisons(Scores(np.array([0.7, 0.7]), np.zeros((2, 40)), 3))
    assert same.tied_with_best.all()
    assert same.rank_intervals.tolist() == [[1, 2], [1, 2]]
    other = Comparisons(Scores(np.array([0.7, 0.6]), np.zeros((2, 40)), 3))
    assert other.tied_with_best.tolist() == [True, False]


def test_the_lowest_loss_is_the_best():
    losses = Scores(np.array([0.1, 0.2]), ERROR * np.eye(2), MANY, maximised=False)
    assert Comparisons(losses).tied_with_best.tolist() == [True, False]


def test_without_a_degree_of_freedom_every_trial_may_be_the_best():
    found = Comparisons(Scores(np.array([0.9, 0.5]), np.zeros((2, 4)), degrees_of_freedom=0))
    assert found.tied_with_best.all()
    assert found.rank_intervals.tolist() == [[1, 2], [1, 2]]
    assert np.isnan(found.simultaneous).all()
    assert np.isnan(found.patients_for(0.02))


def test_four_times_the_patients_are_needed_for_half_the_difference():
    found = independent([0.81, 0.80, 0.80])
    assert found.patients_for(0.01) == pytest.approx(4 * found.patients_for(0.02))
    # Dunnett's one-sided critical value for two comparisons is 1.92 (Dunnett 1955, table 1a).
    needed = 3 * ((1.92 + 0.84) * np.sqrt(2) * ERROR / 0.02) ** 2
    assert found.patients_for(0.02) == pytest.approx(needed, rel=0.1)
