"""How far two orders agree, once the errors that they have are allowed for."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import kendalltau

from analysis.statistics.agreement import Agreement, kendall
from analysis.statistics.influence import Measure, Truth
from analysis.statistics.paired import Gains
from analysis.statistics.significance import Scores
from benchmarks.simulated_searches import FOLDS, RSNA, search
from ichtune.metrics import evaluate
from ichtune.training.batches import Fold

PATIENTS, RECIPES = 60, 6


@pytest.fixture(scope="module")
def searched() -> tuple[np.ndarray, Truth]:
    """Logits `[2 K, N, 6]` of K recipes, each trained in two ways, and the truth."""
    rng = np.random.default_rng(4)
    truths = np.concatenate([np.linspace(0.75, 0.9, RECIPES), np.linspace(0.8, 0.9, RECIPES)])
    made = search(rng, RSNA, PATIENTS, truths)
    rows = np.arange(len(made.patients))
    folds = [Fold(k, rows[made.folds != k], rows[made.folds == k], 0, 0) for k in range(FOLDS)]
    return made.logits, Truth(made.labels, made.patients, folds)


@pytest.fixture(scope="module")
def scores(searched: tuple[np.ndarray, Truth]) -> Scores:
    logits, truth = searched
    return Scores.of(Measure("auc_any", truth), logits)


def agreement(values: np.ndarray, influence: np.ndarray) -> Agreement:
    return Agreement(values.reshape(2, -1), influence.reshape(2, len(values) // 2, -1))


def made_up(
    rng: np.random.Generator, truths: np.ndarray, noise: float, shared: float = 0.0, patients: int = 50
) -> Agreement:
    """Scores of truths `[2, K]`, whose errors have this variance, of which a share is common to both scores."""
    own = rng.standard_normal((2, truths.shape[1], patients))
    common = rng.standard_normal((truths.shape[1], patients))
    influence = np.sqrt(noise / patients) * (np.sqrt(1 - shared) * own + np.sqrt(shared) * common)
    return Agreement(
        truths + influence.sum(axis=2), influence - influence.mean(axis=2, keepdims=True), seed=1
    )


def test_tau_of_every_column_is_scipys_also_with_ties():
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 4, (7, 20)), rng.integers(0, 4, (7, 20))
    expected = [kendalltau(one, other).statistic for one, other in zip(first.T, second.T, strict=True)]
    assert kendall(first, second) == pytest.approx(expected)


def test_an_order_of_ties_only_has_no_tau():
    assert np.isnan(kendall(np.zeros((4, 1)), np.arange(4.0)[:, None])).all()


def test_the_interval_is_that_of_drawing_patients_and_scoring_their_predictions_anew(searched, scores):
    logits, truth = searched
    rng = np.random.default_rng(5)
    rows_of = [np.flatnonzero(truth.patients == patient) for patient in range(PATIENTS)]
    in_fold = [np.unique(truth.patients[fold.valid]) for fold in truth.folds]
    probs = expit(logits[:, :, 5:].astype(float))
    taus = []
    for _ in range(120):
        drawn = [np.concatenate([rows_of[one] for one in rng.choice(of, len(of))]) for of in in_fold]
        again = [np.nanmean([_auc(one[rows], truth.labels[rows, 5:]) for rows in drawn]) for one in probs]
        taus.append(kendalltau(again[:RECIPES], again[RECIPES:]).statistic)
    found = agreement(scores.values, scores.influence)
    assert found.measured == kendalltau(scores.values[:RECIPES], scores.values[RECIPES:]).statistic
    assert found.interval == pytest.approx(np.quantile(taus, [0.025, 0.975]), abs=0.15)


def _auc(probs: np.ndarray, labels: np.ndarray) -> float:
    return evaluate(np.tile(probs, 6), np.tile(labels, 6))["auc_any"]


def test_noise_hides_an_agreement_that_the_true_orders_have():
    rng, covered, raw, estimated = np.random.default_rng(6), [], [], []
    for _ in range(40):
        truths = np.tile(rng.normal(0, 1, 12), (2, 1))  # the same order: tau is 1
        found = made_up(rng, truths, noise=0.3)
        covered.append(found.true.high >= 0.9)
        raw.append(found.measured)
        estimated.append(found.true.value)
    assert np.mean(raw) < 0.75
    assert np.mean(estimated) > np.mean(raw) + 0.1
    assert np.mean(covered) > 0.9


def test_shared_patients_alone_make_unrelated_orders_agree():
    rng = np.random.default_rng(7)
    found = [made_up(rng, rng.normal(0, 1, (2, 15)), noise=2.0, shared=0.8) for _ in range(30)]
    assert np.mean([one.measured for one in found]) > 0.25
    assert np.mean([one.if_unrelated for one in found]) == pytest.approx(
        np.mean([one.measured for one in found]), abs=0.12
    )
    assert np.mean([one.true.low <= 0 <= one.true.high for one in found]) > 0.9


def test_an_order_agrees_with_itself_on_other_patients_as_often_as_is_expected():
    rng, expected, seen = np.random.default_rng(8), [], []
    for _ in range(40):
        truths = rng.normal(0, 1, (2, 15))
        one, again = (made_up(rng, truths, noise=0.5) for _ in range(2))
        expected.append(one.repeated)
        seen.append([kendalltau(*pair).statistic for pair in zip(one.values, again.values, strict=True)])
    assert np.mean(expected, axis=0) == pytest.approx(np.mean(seen, axis=0), abs=0.06)


def test_errors_allow_no_more_agreement_than_greiners_relation_gives():
    rng = np.random.default_rng(9)
    found = [made_up(rng, np.tile(rng.normal(0, 1, 30), (2, 1)), noise=0.5) for _ in range(10)]
    # With a third of the variance being noise, scores of the same truth have a correlation of 2/3.
    assert np.mean([one.if_same for one in found]) == pytest.approx(2 / np.pi * np.arcsin(2 / 3), abs=0.05)
    assert np.mean([one.if_unrelated for one in found]) == pytest.approx(0, abs=0.03)


def test_seed_noise_is_of_the_size_that_greiners_relation_gives():
    values = np.array([[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]])  # variance 1
    found = Agreement(values, np.zeros((2, 3, 4)), by_seed=(0.5, 0.0))
    assert found.repeated_by_seed(0) == pytest.approx(1 / 3)  # 2 arcsin(1/2) / pi
    assert np.isnan(found.repeated_by_seed(1))


def test_recipes_that_predict_the_same_have_no_errors_to_divide_by():
    values = np.tile(np.array([0.6, 0.7, 0.8]), (2, 1))
    found = Agreement(values, np.zeros((2, 3, 10)))
    assert found.measured == 1
    assert found.interval == (1, 1)
    assert np.isfinite(found.true).all()


def test_a_gain_is_a_paired_difference(scores):
    gains = Gains(scores)
    (_, *expected) = scores.differences(0)[RECIPES]
    assert gains.values[0] == pytest.approx(scores.values[RECIPES] - scores.values[0])
    assert gains.intervals[0] == pytest.approx(expected)


def test_intervals_that_hold_at_once_are_no_narrower_and_hold_as_often_as_they_should():
    rng, held = np.random.default_rng(10), []
    for _ in range(200):
        influence = rng.standard_normal((16, 50)) / 50
        found = Scores(influence.sum(axis=1), influence - influence.mean(axis=1, keepdims=True), 30.0)
        gains = Gains(found)
        low, high = gains.simultaneous.T
        held.append(((low <= 0) & (high >= 0)).all())
        assert (np.diff(gains.simultaneous) >= np.diff(gains.intervals) - 1e-12).all()
    assert np.mean(held) == pytest.approx(0.95, abs=0.04)
