import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from analysis.statistics.influence import Measure, Truth
from analysis.statistics.significance import Scores
from ichtune.training.batches import Fold

PATIENTS, SLICES = 60, 20


def made_up(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[Fold]]:
    """Labels, patients, a shared signal and two folds: slices of a patient share label and difficulty."""
    patients = np.repeat(np.arange(PATIENTS), SLICES)
    sick = rng.random((PATIENTS, 6)) < 0.4
    labels = (sick[patients] & (rng.random((len(patients), 6)) < 0.6)).astype(float)
    signal = 1.2 * labels + rng.normal(0, 1, (PATIENTS, 6))[patients] + rng.normal(0, 1, labels.shape)
    signal = signal.astype(np.float16).astype(float)  # as runs keep predictions
    rows = np.arange(len(patients))
    folds = [Fold(k, rows[patients % 2 != k], rows[patients % 2 == k]) for k in range(2)]
    return labels, patients, signal, folds


def auc_of(trials: list[np.ndarray], labels: np.ndarray, patients: np.ndarray, folds: list[Fold]) -> Scores:
    """The macro AUC of trials' logits."""
    return Scores.of(Measure("auc", Truth(labels, patients, folds)), trials)


def test_the_score_is_scikit_learns_mean_over_folds_and_labels():
    labels, patients, signal, folds = made_up(np.random.default_rng(1))
    labels[5:9, 2] = np.nan
    found = auc_of([signal], labels, patients, folds).values[0]
    areas = []
    for fold in folds:
        y, s = labels[fold.valid], signal[fold.valid]
        areas += [roc_auc_score(y[~np.isnan(y[:, k]), k], s[~np.isnan(y[:, k]), k]) for k in range(6)]
    assert found == pytest.approx(np.mean(areas))


def test_the_closed_form_error_agrees_with_a_bootstrap_over_patients():
    rng = np.random.default_rng(2)
    labels, patients, signal, folds = made_up(rng)
    found = auc_of([signal], labels, patients, folds)
    rows_of = [np.flatnonzero(patients == patient) for patient in range(PATIENTS)]
    draws = []
    for _ in range(150):
        areas = []
        for fold in folds:
            drawn = rng.choice(np.unique(patients[fold.valid]), PATIENTS // 2)
            rows = np.concatenate([rows_of[patient] for patient in drawn])
            both = [k for k in range(6) if 0 < labels[rows, k].mean() < 1]
            areas += [roc_auc_score(labels[rows, k], signal[rows, k]) for k in both]
        draws.append(np.mean(areas))
    assert found.errors[0] == pytest.approx(np.std(draws), rel=0.15)


def test_slices_counted_as_patients_would_be_too_sure():
    labels, patients, signal, folds = made_up(np.random.default_rng(3))
    by_patient = auc_of([signal], labels, patients, folds).errors[0]
    by_slice = auc_of([signal], labels, np.arange(len(patients)), folds).errors[0]
    assert by_patient > 1.5 * by_slice


def test_a_constant_prediction_has_half_the_area_and_no_doubt():
    labels, patients, signal, folds = made_up(np.random.default_rng(4))
    found = auc_of([np.zeros_like(signal)], labels, patients, folds)
    assert found.values[0] == 0.5
    assert found.errors[0] == 0


def test_a_label_without_a_positive_in_a_fold_leaves_its_mean():
    labels, patients, signal, folds = made_up(np.random.default_rng(5))
    labels[folds[0].valid, 3] = 0
    found = auc_of([signal], labels, patients, folds).values[0]
    first = np.mean(
        [roc_auc_score(labels[folds[0].valid, k], signal[folds[0].valid, k]) for k in (0, 1, 2, 4, 5)]
    )
    second = np.mean([roc_auc_score(labels[folds[1].valid, k], signal[folds[1].valid, k]) for k in range(6)])
    assert found == pytest.approx((first + second) / 2)


def test_an_interval_is_symmetric_on_the_logit_scale_as_worked_by_hand():
    # An error of 0.01 at 0.9 is one of 0.01 / (0.9 * 0.1) = 1 / 9 on the logit scale; odds of 9 times exp(-1.96 / 9).
    low, high = Scores(np.array([0.9]), np.array([[0.01]]), degrees_of_freedom=1e9).intervals()[0]
    odds = 9 * np.exp(np.array([-1.96, 1.96]) / 9)
    assert [low, high] == pytest.approx(odds / (1 + odds), abs=1e-5)


def test_a_losss_interval_is_symmetric_and_not_below_zero():
    losses = Scores(np.array([0.5, 0.01]), np.full((2, 1), 0.1), degrees_of_freedom=1e9, maximised=False)
    assert losses.intervals()[0] == pytest.approx([0.304, 0.696], abs=1e-3)
    assert losses.intervals()[1][0] == 0


def test_degrees_of_freedom_follow_from_the_kurtosis_of_the_contributions():
    # Squares 1, 1, 1, 9 sum to 12, fourth powers 1, 1, 1, 81 to 84: 2 * 144 / (84 - 144 / 4) = 6.
    heavy = np.array([[1.0, -1.0, 1.0, -3.0]])
    assert Scores(np.array([0.9]), heavy, 40).degrees(heavy) == pytest.approx([6])
    assert Scores(np.array([0.9]), heavy, 3).degrees(heavy) == pytest.approx([3])


def test_contributions_of_one_size_have_all_degrees_of_freedom():
    even, none = np.full((1, 4), 0.01), np.zeros((1, 4))
    assert Scores(np.array([0.9]), even, 40).degrees(np.stack([even, none])).tolist() == [[40], [40]]


def test_normal_contributions_have_as_many_degrees_of_freedom_as_patients():
    drawn = np.random.default_rng(6).normal(0, 1, (50, 2000))
    assert np.median(Scores(np.zeros(50), drawn, 1e9).degrees(drawn)) == pytest.approx(2000, rel=0.05)


def test_where_nobody_can_tell_there_is_no_interval_and_no_difference():
    scores = Scores(np.array([0.9, 0.5]), np.zeros((2, 4)), degrees_of_freedom=0)
    assert np.isnan(scores.intervals()).all()
    assert np.isnan(scores.differences(0)[:, 1:]).all()


def test_intervals_hold_the_truth_also_where_few_patients_carry_a_label():
    held, count = 0, 120
    for seed in range(count):
        rng = np.random.default_rng([9, seed])
        patients = np.repeat(np.arange(50), 10)
        sick = rng.random((50, 6)) < np.array([0.3, 0.2, 0.05, 0.1, 0.05, 0.4])
        labels = (sick[patients] & (rng.random((500, 6)) < 0.4)).astype(float)
        signal = 1.2 * labels + rng.normal(0, 0.9, (50, 6))[patients] + rng.normal(0, 1, labels.shape)
        fold_of, rows = rng.permutation(np.arange(50) % 5)[patients], np.arange(500)
        folds = [Fold(k, rows[fold_of != k], rows[fold_of == k]) for k in range(5)]
        low, high = auc_of([signal], labels, patients, folds).intervals()[0]
        held += low < norm.cdf(1.2 / np.sqrt(2 * (0.9**2 + 1))) < high
    assert held >= 0.88 * count  # 0.72 of them did before shares were taken from the mean over folds
