"""What each patient adds to a score, beside scikit-learn's weighted metrics and a bootstrap over patients."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import average_precision_score, f1_score, precision_score, recall_score, roc_auc_score

from analysis.statistics.averaging import over_partitions
from analysis.statistics.influence import Measure, Truth, is_measurable
from analysis.statistics.significance import Scores
from ichtune.metric_names import METRICS
from ichtune.metrics import evaluate
from ichtune.training.batches import Fold

MEASURABLE = sorted(set(METRICS) - {"loss"})


def heads(seed: int, patients: int = 40, slices: int = 10) -> tuple[np.ndarray, Truth]:
    """Logits, with ties, and the truth in two folds; some labels are unknown."""
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), slices)
    labels = ((rng.random((patients, 6)) < 0.5)[patient] & (rng.random((len(patient), 6)) < 0.6)).astype(
        float
    )
    logits = np.round(
        1.5 * labels - 1 + rng.normal(0, 1, (patients, 6))[patient] + rng.normal(0, 1, labels.shape), 1
    )
    labels[rng.random(labels.shape) < 0.02] = np.nan
    rows = np.arange(len(patient))
    folds = [Fold(k, rows[patient % 2 != k], rows[patient % 2 == k]) for k in range(2)]
    return logits.astype(np.float16), Truth(labels, patient, folds)


@pytest.mark.parametrize("metric", [*MEASURABLE, "auc_subdural", "average_precision_any"])
def test_the_score_is_the_mean_over_folds_of_what_training_records(metric):
    logits, truth = heads(1)
    recorded = [
        evaluate(expit(logits[f.valid].astype(float)), truth.labels[f.valid])[metric] for f in truth.folds
    ]
    assert Measure(metric, truth).of(logits)[0] == pytest.approx(np.mean(recorded), abs=1e-6)


@pytest.mark.parametrize(
    ("metric", "by_sklearn"),
    [
        ("auc", lambda y, s, w: roc_auc_score(y, s, sample_weight=w)),
        ("average_precision", lambda y, s, w: average_precision_score(y, s, sample_weight=w)),
        ("f1", lambda y, s, w: f1_score(y, s >= 0, sample_weight=w)),
        ("precision", lambda y, s, w: precision_score(y, s >= 0, sample_weight=w)),
        ("recall", lambda y, s, w: recall_score(y, s >= 0, sample_weight=w)),
    ],
)
def test_a_patients_share_is_the_slope_of_the_metric_by_its_weight(metric, by_sklearn):
    logits, truth = heads(2)
    first = truth.folds[0].valid
    whole = Truth(np.tile(truth.labels[:, :1], 6), truth.patients, [Fold(0, first, first)])
    measure = Measure(metric, whole)
    (carriers,) = set(measure.carriers.values())
    found = measure.of(np.tile(logits[:, :1], 6))[1] / np.sqrt(carriers / (carriers - 1))
    known = first[~np.isnan(truth.labels[first, 0])]
    y, s, patient = truth.labels[known, 0], logits[known, 0].astype(float), whole.codes[known]
    for one in (0, 3, 11):
        up, down = (by_sklearn(y, s, 1 + step * (patient == one)) for step in (1e-4, -1e-4))
        assert found[one] == pytest.approx((up - down) / 2e-4, abs=1e-6)


@pytest.mark.parametrize("metric", MEASURABLE)
def test_the_error_is_that_of_a_bootstrap_over_patients(metric):
    rng = np.random.default_rng(3)
    logits, truth = heads(3)
    scores = Scores.of(Measure(metric, truth), [logits])
    rows_of = [np.flatnonzero(truth.patients == patient) for patient in range(40)]
    draws = []
    for _ in range(120):
        drawn_scores = []
        for fold in truth.folds:
            drawn = rng.choice(np.unique(truth.patients[fold.valid]), 20)
            rows = np.concatenate([rows_of[patient] for patient in drawn])
            drawn_scores.append(evaluate(expit(logits[rows].astype(float)), truth.labels[rows])[metric])
        draws.append(np.mean(drawn_scores))
    assert scores.errors[0] == pytest.approx(np.std(draws), rel=0.3)


@pytest.mark.parametrize("metric", ["auc", "average_precision"])
def test_many_slices_are_counted_as_few_are_sorted(metric, monkeypatch):
    logits, truth = heads(5)
    few = Measure(metric, truth).of(logits)
    monkeypatch.setattr("analysis.statistics.levels.MANY", 0)
    many = Measure(metric, truth).of(logits)
    assert many[0] == pytest.approx(few[0])
    assert many[1] == pytest.approx(few[1])


def test_the_loss_depends_on_more_than_the_predictions():
    assert not is_measurable("loss")
    assert is_measurable("auc_epidural")
    assert not is_measurable("subset_accuracy_any")


def test_a_score_that_no_fold_defines_is_not_a_number():
    logits, truth = heads(4)
    empty = Truth(np.zeros_like(truth.labels), truth.patients, truth.folds)
    assert np.isnan(Measure("auc", empty).of(logits)[0])


def repeated(seed: int) -> tuple[np.ndarray, Truth]:
    """Logits `[2, N, 6]` of two partitions of all patients into two folds."""
    (one, truth), (other, _) = heads(seed), heads(seed + 100)
    rows, patient = np.arange(len(truth.patients)), truth.patients
    groups = (patient % 2, patient // 2 % 2)
    folds = [
        Fold(2 * r + k, rows[group != k], rows[group == k], r, r)
        for r, group in enumerate(groups)
        for k in range(2)
    ]
    return np.stack([one, other]), Truth(truth.labels, patient, folds)


def test_over_several_partitions_a_score_is_the_mean_over_all_their_folds():
    logits, truth = repeated(5)
    areas = []
    for fold in truth.folds:
        for label in range(6):
            known = fold.valid[~np.isnan(truth.labels[fold.valid, label])]
            areas.append(roc_auc_score(truth.labels[known, label], logits[fold.partition, known, label]))
    assert Measure("auc", truth).of(logits)[0] == pytest.approx(np.mean(areas))


def test_over_several_partitions_patients_shares_are_as_the_slopes_of_the_mean_score_by_their_weights():
    logits, truth = repeated(6)
    rows = np.arange(len(truth.patients))
    label = np.where(np.isnan(truth.labels[:, 0]), 0.0, truth.labels[:, 0])
    whole = Truth(np.tile(label[:, None], 6), truth.patients, [Fold(r, rows, rows, r, r) for r in range(2)])
    found = Measure("auc", whole).of(np.tile(logits[:, :, :1], 6))[1]

    def score(weights: np.ndarray) -> float:
        return np.mean(
            [roc_auc_score(label, own[:, 0].astype(float), sample_weight=weights) for own in logits]
        )

    slopes = []
    for patient in range(40):
        heavier, lighter = np.ones(len(rows)), np.ones(len(rows))
        heavier[truth.patients == patient] += 1e-4
        lighter[truth.patients == patient] -= 1e-4
        slopes.append((score(heavier) - score(lighter)) / 2e-4)
    assert np.corrcoef(found, slopes)[0, 1] == pytest.approx(1, abs=1e-6)


def test_over_several_seeds_a_score_has_the_error_of_the_models_mean_score():
    logits, truth = repeated(8)
    rows = np.arange(len(truth.patients))
    label = np.where(np.isnan(truth.labels[:, 0]), 0.0, truth.labels[:, 0])
    whole = Truth(np.tile(label[:, None], 6), truth.patients, [Fold(r, rows, rows, 0, r) for r in range(2)])
    both = Measure("auc", whole).of(np.tile(logits[:, :, :1], 6))[1]
    alone = Truth(whole.labels, whole.patients, whole.folds[:1])
    each = [Measure("auc", alone).of(np.tile(seed[:, :1], 6))[1] for seed in logits]
    np.testing.assert_allclose(both, np.mean(each, axis=0), atol=1e-12)
    # Models of other seeds err on other patients, so the mean has a smaller error than each, unlike over partitions.
    assert (both**2).sum() < np.mean([(one**2).sum() for one in each])


def test_more_seeds_make_no_label_defined_in_more_folds():
    _, truth = heads(9)
    twice = Truth(truth.labels, truth.patients, [replace(f, round=r) for r in range(2) for f in truth.folds])
    np.testing.assert_array_equal(twice.defined_folds, truth.defined_folds)


def test_over_several_partitions_the_variance_is_the_mean_of_theirs_and_no_smaller():
    # By hand: two partitions, each half of the score. Alone they would have variances 4 x (1 + 4) and 4 x (4 + 1).
    shares = over_partitions(np.array([[1.0, -2.0], [2.0, -1.0]]))
    assert (shares**2).sum() == pytest.approx(20)
    assert shares[0] == pytest.approx(-shares[1])


def test_repeating_one_partition_changes_neither_a_score_nor_its_error():
    logits, truth = heads(7)
    twice = Truth(
        truth.labels,
        truth.patients,
        [replace(f, partition=r, round=r) for r in range(2) for f in truth.folds],
    )
    for metric in ("auc", "weighted_log_loss"):
        once = Scores.of(Measure(metric, truth), [logits])
        again = Scores.of(Measure(metric, twice), [np.stack([logits, logits])])
        assert again.values == pytest.approx(once.values)
        assert again.errors == pytest.approx(once.errors)
        assert again.degrees_of_freedom == once.degrees_of_freedom
