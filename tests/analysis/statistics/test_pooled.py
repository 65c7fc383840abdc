"""Pooled average precision beside scikit-learn, a count by hand, slopes by weight and a bootstrap over patients."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from analysis.statistics.influence import Truth
from analysis.statistics.levels import MANY
from analysis.statistics.pooled import PooledAveragePrecision
from analysis.statistics.significance import Scores
from benchmarks.estimands import average_precisions
from benchmarks.simulated_searches import CT_ICH, search, true_average_precision
from ichtune.training.batches import Fold

ANY = "average_precision_any"


def truth_of(labels: np.ndarray, patients: np.ndarray, folds: np.ndarray) -> Truth:
    rows = np.arange(len(patients))
    parts = [Fold(k, rows[folds != k], rows[folds == k]) for k in np.unique(folds)]
    return Truth(np.tile(labels[:, None], 6).astype(float), patients, parts)


def heads(seed: int, patients: int = 60, slices: int = 20, folds: int = 3) -> tuple[np.ndarray, Truth]:
    """Logits with ties on a scale of their own in each fold; a few labels are unknown."""
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), slices)
    labels = (rng.random(patients) < 0.5)[patient] & (rng.random(len(patient)) < 0.4)
    fold = patient % folds
    logits = 1.5 * labels + rng.normal(0, 0.7, patients)[patient] + rng.normal(0, 0.7, len(patient))
    logits = np.round(np.array([1, 3, 0.5])[fold] * logits + np.array([0, -4, 2])[fold], 1)
    known = np.where(rng.random(len(patient)) < 0.02, np.nan, labels)
    return np.tile(logits[:, None], 6).astype(np.float16), truth_of(known, patient, fold)


def counted(logits: np.ndarray, truth: Truth, weights: np.ndarray) -> float:
    """The score by its definition, slice by slice, with a weight for each."""
    y, s = truth.labels[:, 0], logits[:, 0].astype(float)
    rates, of = [], []
    for fold in truth.folds:
        negatives = [row for row in fold.valid if y[row] == 0]
        for row in fold.valid:
            if y[row] == 1:
                above = sum(weights[other] for other in negatives if s[other] >= s[row])
                rates.append((above + 0.5) / (sum(weights[other] for other in negatives) + 1))
                of.append(weights[row])
    every = sum(weights[row] for fold in truth.folds for row in fold.valid if y[row] == 0)
    precision = []
    for rate in rates:
        true = sum(weight for other, weight in zip(rates, of, strict=True) if other <= rate)
        precision.append(true / (true + every * rate))
    return float(np.average(precision, weights=of))


def test_two_folds_are_pooled_by_rank_as_worked_by_hand():
    # Fold 0: the positive is below one of two negatives, (1 + 1/2) / 3 = 1/2. Fold 1: above both, (0 + 1/2) / 3 = 1/6.
    # With four negatives: 1 / (1 + 4/6) = 0.6 for the better one, and 2 / (2 + 4/2) = 0.5 for the other.
    labels, patients = np.array([1, 0, 0, 1, 0, 0]), np.arange(6)
    logits = np.tile(np.array([2.0, 3, 1, -10, -11, -12])[:, None], 6)
    measure = PooledAveragePrecision(ANY, truth_of(labels, patients, patients // 3))
    assert measure.of(logits)[0] == pytest.approx((0.6 + 0.5) / 2)


def test_the_score_follows_its_definition():
    logits, truth = heads(1, patients=30, slices=8)
    found = PooledAveragePrecision(ANY, truth).of(logits)[0]
    assert found == pytest.approx(counted(logits, truth, np.ones(len(logits))))


def test_in_a_single_large_fold_it_is_scikit_learns():
    rng = np.random.default_rng(2)
    labels = rng.random(2 * MANY) < 0.1
    logits = (1.5 * labels + rng.normal(0, 1, len(labels))).astype(np.float16)
    truth = truth_of(labels, np.arange(len(labels)) // 30, np.zeros(len(labels), int))
    found = PooledAveragePrecision(ANY, truth).of(np.tile(logits[:, None], 6))[0]
    assert found == pytest.approx(average_precision_score(labels, logits.astype(float)), abs=0.002)


def test_it_does_not_depend_on_the_scale_of_a_folds_model():
    logits, truth = heads(3)
    measure = PooledAveragePrecision(ANY, truth)
    moved = logits.copy()
    moved[truth.folds[1].valid] = moved[truth.folds[1].valid] * 2 - 16
    assert measure.of(moved)[0] == pytest.approx(measure.of(logits)[0])


def test_a_patients_share_is_the_slope_of_the_score_by_its_weight():
    logits, truth = heads(4, patients=24, slices=8)
    measure = PooledAveragePrecision(ANY, truth)
    (carriers,) = measure.carriers.values()
    found = measure.of(logits)[1] / np.sqrt(carriers / (carriers - 1))
    for patient in (0, 7, 11, 23):
        up, down = (counted(logits, truth, 1 + step * (truth.patients == patient)) for step in (1e-5, -1e-5))
        assert found[patient] == pytest.approx((up - down) / 2e-5, abs=1e-6)


def test_the_error_is_that_of_a_bootstrap_over_patients():
    logits, truth = heads(5)
    rng = np.random.default_rng(5)
    rows_of = [np.flatnonzero(truth.patients == patient) for patient in range(60)]
    draws = []
    for _ in range(200):
        drawn = [rng.choice(np.unique(truth.patients[fold.valid]), 20) for fold in truth.folds]
        rows = np.concatenate([rows_of[patient] for of_fold in drawn for patient in of_fold])
        folds = np.repeat(np.arange(3), 20 * 20)
        again = truth_of(truth.labels[rows, 0], np.arange(len(rows)) // 20, folds)
        draws.append(PooledAveragePrecision(ANY, again).of(logits[rows])[0])
    scores = Scores.of(PooledAveragePrecision(ANY, truth), [logits])
    assert scores.errors[0] == pytest.approx(np.std(draws), rel=0.15)


def test_large_folds_are_counted_as_small_ones_are(monkeypatch):
    logits, truth = heads(6)
    small = PooledAveragePrecision(ANY, truth).of(logits)
    for module in ("analysis.statistics.pooled", "analysis.statistics.levels"):
        monkeypatch.setattr(f"{module}.MANY", 0)
    large = PooledAveragePrecision(ANY, truth).of(logits)
    assert large[0] == pytest.approx(small[0])
    assert large[1] == pytest.approx(small[1])


def test_a_label_without_positives_has_no_score_and_leaves_the_mean():
    logits, truth = heads(7)
    labels = truth.labels.copy()
    labels[:, 0] = 0
    without = Truth(labels, truth.patients, truth.folds)
    assert np.isnan(PooledAveragePrecision("average_precision_epidural", without).of(logits)[0])
    every, one = (PooledAveragePrecision(name, without).of(logits)[0] for name in ("average_precision", ANY))
    assert every == pytest.approx(one)


def test_a_single_positive_patient_has_a_score_without_an_interval():
    logits, truth = heads(8)
    labels = np.where(truth.patients[:, None] == 1, truth.labels, 0)
    labels[truth.patients == 1, :] = np.arange(20)[:, None] < 6
    scores = Scores.of(PooledAveragePrecision(ANY, Truth(labels, truth.patients, truth.folds)), [logits])
    assert 0 < scores.values[0] < 1
    assert np.isnan(scores.intervals()).all()


def test_the_mean_over_folds_is_too_high_for_rare_labels_and_the_pooled_value_hardly():
    found = next(average_precisions(40, seed=3))
    assert found["mean over folds: bias"] > 0.1
    assert abs(found["pooled: bias"]) < 0.06
    assert found["pooled: coverage"] >= 0.9


def test_the_populations_average_precision_is_that_of_many_patients():
    made = search(np.random.default_rng(9), CT_ICH, 4000, np.array([0.9]))
    found = average_precision_score(made.labels[:, 5], made.logits[0, :, 5].astype(float))
    assert found == pytest.approx(true_average_precision(0.9, CT_ICH, 5), abs=0.03)
    # A trial without skill scores the prevalence.
    assert true_average_precision(0.5, CT_ICH, 5) == pytest.approx(36 / 82 * 0.3, abs=1e-4)
