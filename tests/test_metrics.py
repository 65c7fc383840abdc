"""Metrics against scikit-learn, ties and unknown labels included."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from ichtune.labels import LABELS
from ichtune.metrics import evaluate, higher_is_better, no_skill, worst

NAN = float("nan")


def some(seed: int, rows: int = 60, levels: int = 0, unknown: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (of a few levels only, where ties are wanted) and labels."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((rows, 6)) < 0.3).astype(np.float32)
    probs = 0.3 * labels + 0.7 * rng.random((rows, 6))
    labels[rng.random(labels.shape) < unknown] = np.nan
    return np.round(probs * levels) / levels if levels else probs, labels


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), levels=st.sampled_from([0, 1, 3, 20]), unknown=st.sampled_from([0.0, 0.3]))
def test_ranking_metrics_are_scikit_learns(seed, levels, unknown):
    probs, labels = some(seed, levels=levels, unknown=unknown)
    scores = evaluate(probs, labels)
    for column, label in enumerate(LABELS):
        known = ~np.isnan(labels[:, column])
        truth, prob = labels[known, column], probs[known, column]
        if len(set(truth)) < 2:
            assert np.isnan(scores[f"auc_{label}"])
            continue
        assert scores[f"auc_{label}"] == pytest.approx(sk.roc_auc_score(truth, prob))
        assert scores[f"average_precision_{label}"] == pytest.approx(sk.average_precision_score(truth, prob))


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10**6))
def test_macro_means_are_scikit_learns(seed):
    probs, labels = some(seed)
    scores, called = evaluate(probs, labels), probs >= 0.5
    assert scores["auc"] == pytest.approx(sk.roc_auc_score(labels, probs, average="macro"))
    assert scores["average_precision"] == pytest.approx(
        sk.average_precision_score(labels, probs, average="macro")
    )
    settings = {"average": "macro", "zero_division": 0}
    assert scores["f1"] == pytest.approx(sk.f1_score(labels, called, **settings))
    assert scores["precision"] == pytest.approx(sk.precision_score(labels, called, **settings))
    assert scores["recall"] == pytest.approx(sk.recall_score(labels, called, **settings))
    assert scores["subset_accuracy"] == pytest.approx(sk.accuracy_score(labels, called))
    assert scores["hamming_score"] == pytest.approx(1 - sk.hamming_loss(labels, called))
    weighted = np.mean([sk.log_loss(labels[:, i], probs[:, i], labels=[0, 1]) for i in (0, 1, 2, 3, 4, 5, 5)])
    assert scores["weighted_log_loss"] == pytest.approx(weighted)


def test_each_label_may_have_its_own_threshold_and_each_slice_too():
    probs, labels = some(1)
    thresholds = np.linspace(0.2, 0.7, 6)
    called = probs >= thresholds
    settings = {"average": "macro", "zero_division": 0}
    for chosen in (thresholds, np.tile(thresholds, (len(probs), 1))):
        scores = evaluate(probs, labels, chosen)
        assert scores["f1"] == pytest.approx(sk.f1_score(labels, called, **settings))
        assert scores["precision"] == pytest.approx(sk.precision_score(labels, called, **settings))
        assert scores["subset_accuracy"] == pytest.approx(sk.accuracy_score(labels, called))
        assert scores["hamming_score"] == pytest.approx(1 - sk.hamming_loss(labels, called))


def test_a_label_with_one_class_is_not_defined_and_no_part_of_a_mean():
    probs, labels = some(0)
    labels[:, 0], labels[:, 1] = 0, 1
    scores = evaluate(probs, labels)
    assert scores["defined_labels"] == 4
    assert np.isnan(scores["auc_epidural"])
    assert np.isnan(scores["average_precision_intraparenchymal"])
    assert scores["auc"] == pytest.approx(sk.roc_auc_score(labels[:, 2:], probs[:, 2:]))
    assert scores["f1"] == pytest.approx(sk.f1_score(labels[:, 2:], probs[:, 2:] >= 0.5, average="macro"))


def test_where_no_label_is_defined_means_are_nan():
    scores = evaluate(np.full((5, 6), 0.2), np.zeros((5, 6)))
    assert scores["defined_labels"] == 0
    assert np.isnan(scores["auc"])
    assert np.isnan(scores["f1"])
    assert scores["subset_accuracy"] == 1


def test_unknown_labels_are_left_out_by_hand():
    labels = np.array([[1, NAN, 0, 0, 0, 1], [NAN] * 6])
    probs = np.array([[0.9, 0.9, 0.2, 0.2, 0.2, 0.4], [0.9] * 6])
    scores = evaluate(probs, labels)
    # Of five known labels "any" alone is wrong; the second slice tells nothing.
    assert scores["subset_accuracy"] == 0
    assert scores["hamming_score"] == pytest.approx(4 / 5)
    log_loss = -(np.log(0.9) + 3 * np.log(0.8) + 2 * np.log(0.4)) / 6
    assert scores["weighted_log_loss"] == pytest.approx(log_loss)


def test_certain_and_wrong_costs_what_the_challenges_clip_says():
    scores = evaluate(np.zeros((1, 6)), np.ones((1, 6)))
    assert scores["weighted_log_loss"] == pytest.approx(-np.log(1e-15))


def test_probabilities_that_are_not_finite_make_every_score_nan():
    probs, labels = some(0)
    probs[3, 2] = NAN
    scores = evaluate(probs, labels)
    assert scores.pop("defined_labels") == 6
    assert np.isnan(list(scores.values())).all()
    assert scores.keys() == evaluate(*some(0)).keys() - {"defined_labels"}


def test_no_slices_have_no_scores():
    scores = evaluate(np.empty((0, 6)), np.empty((0, 6)))
    assert scores.pop("defined_labels") == 0
    assert np.isnan(list(scores.values())).all()


def test_no_skill_ranks_by_chance():
    _, labels = some(0)
    prevalence = labels.mean(axis=0)
    scores = no_skill(labels, prevalence)
    for row in scores.values():
        assert row["auc"] == pytest.approx(0.5)
        assert row["average_precision"] == pytest.approx(prevalence.mean())
        assert row["recall"] == 0
    assert scores["always negative"]["subset_accuracy"] == pytest.approx((labels.sum(axis=1) == 0).mean())
    entropy = -(prevalence * np.log(prevalence) + (1 - prevalence) * np.log(1 - prevalence))
    assert scores["prevalence"]["weighted_log_loss"] == pytest.approx(
        (entropy.sum() + entropy[5]) / 7, rel=1e-6
    )


def test_a_diverged_trial_reports_the_worst_and_a_finite_value():
    assert worst("auc") == 0
    assert worst("loss") > 1e5
    assert np.isfinite([worst("auc"), worst("loss"), worst("weighted_log_loss")]).all()
    assert higher_is_better("auc_any")
    assert not higher_is_better("weighted_log_loss")
