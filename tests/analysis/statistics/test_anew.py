from itertools import islice

import numpy as np
import pytest

from analysis.statistics.anew import Variance, anew_intervals, of_training_sets, validation_share
from analysis.statistics.influence import Truth
from analysis.statistics.significance import Scores
from benchmarks.estimands import trained_anew
from ichtune.training.batches import Fold

LOSS = Scores(np.array([0.5]), np.full((1, 4), 0.005), degrees_of_freedom=40, maximised=False)
"""A loss of 0.5 with a standard error of 0.01: its interval is symmetric, so widths can be worked by hand."""


def half_width(ends: np.ndarray) -> float:
    return float(ends[0, 1] - ends[0, 0]) / 2


def spread(deviation: float, folds: int, share: float = 0.25) -> Variance:
    return of_training_sets(np.array([deviation]), np.array([folds]), share)


def test_the_spread_over_folds_adds_nadeau_and_bengios_part_as_worked_by_hand():
    # Five folds: one validation patient to four of training. Variances 0.0001 and 0.25 * 0.04 ** 2 = 0.0004, together
    # 0.0005; Satterthwaite's degrees of freedom are 25 / (1 / 40 + 16 / 4) = 6.21, whose quantile is 2.426.
    assert half_width(anew_intervals(LOSS, spread(0.04, 5))) == pytest.approx(2.426 * 0.0005**0.5, rel=1e-3)


def test_seeds_count_where_they_vary_more_than_folds():
    alone, steady = anew_intervals(LOSS, spread(0.02, 5)), Variance(np.array([1e-8]), 4)
    assert anew_intervals(LOSS, spread(0.02, 5), steady) == pytest.approx(alone)
    # Variances 0.0001 by patient and 0.0003 by seed: 16 / (1 / 40 + 9 / 4) = 7.03 degrees of freedom, quantile 2.363.
    unsteady = Variance(np.array([0.0003]), 4)
    found = half_width(anew_intervals(LOSS, spread(0.02, 5), unsteady))
    assert found == pytest.approx(2.363 * 0.0004**0.5, rel=1e-3)


def test_a_recipe_trained_anew_is_never_known_better_than_its_models():
    few = Scores(np.array([0.8]), np.full((1, 4), 0.02), degrees_of_freedom=1)
    low, high = few.intervals()[0]
    for deviation in (0.0, 0.02, 0.05, 0.5):
        anew_low, anew_high = anew_intervals(few, spread(deviation, 5))[0]
        assert anew_low <= low
        assert anew_high >= high


def test_a_single_fold_shows_nothing_about_training_anew_but_seeds_do():
    one = spread(np.nan, 1)
    assert np.isnan(anew_intervals(LOSS, one)).all()
    seeds = Variance(np.array([0.0003]), 4)
    assert half_width(anew_intervals(LOSS, one, seeds)) == pytest.approx(2.363 * 0.0004**0.5, rel=1e-3)


def test_without_an_error_by_patient_there_is_no_interval():
    nobody = Scores(np.array([0.9]), np.zeros((1, 4)), degrees_of_freedom=0)
    assert np.isnan(anew_intervals(nobody, spread(0.02, 5))).all()


def test_five_folds_validate_one_patient_to_four_trained_on():
    patients = np.repeat(np.arange(20), 3)
    rows = np.arange(60)
    folds = [Fold(k, rows[patients % 5 != k], rows[patients % 5 == k]) for k in range(5)]
    assert validation_share(Truth(np.zeros((60, 6)), patients, folds)) == 0.25


def test_intervals_hold_the_recipes_score_where_training_sets_differ():
    found = {record["interval"]: record for record in islice(trained_anew(40, seed=5), 3)}
    assert found["as trained"]["recipe"] < 0.95  # 0.90 of 400
    assert found["trained anew"]["recipe"] >= 0.93
