"""Figures before and after tuning are scikit-learn's."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss, precision_score, recall_score, roc_auc_score

from analysis.calibration.scores import Judged, calibration_errors, decisions
from analysis.calibration.tune import Decided, Tuned
from analysis.calibration.wanted import Wanted
from tests.analysis.calibration.test_tune import predictions


@pytest.fixture(scope="module")
def judged() -> Judged:
    """Out-of-fold predictions, half of the slices of `subarachnoid` unknown."""
    given = predictions(patients=80)
    given.labels[::2, 3] = np.nan
    tuned = Tuned(given, Wanted())
    before = Decided.as_trained(given.logits)
    return Judged("validation", given.labels, given.patients, before, tuned.cross_fitted, tuned.thresholds)


@pytest.mark.parametrize(("label", "column"), [("any", 5), ("subarachnoid", 3)])
def test_the_errors_are_scikit_learns(judged: Judged, label: str, column: int):
    rows = calibration_errors([judged]).set_index(["label", "error"]).loc[label]
    known = ~np.isnan(judged.labels[:, column])
    truth = judged.labels[known, column]
    for name, decided in (("before", judged.before), ("after", judged.after)):
        probs = expit(decided.logits[known, column])
        assert rows.at["log loss", name] == pytest.approx(log_loss(truth, probs))
        assert rows.at["Brier score", name] == pytest.approx(brier_score_loss(truth, probs))
        observed, predicted = calibration_curve(truth, probs, n_bins=10, strategy="quantile")
        error = np.mean(np.abs(observed - predicted))  # all bins hold equally many
        assert rows.at["calibration error", name] == pytest.approx(error, rel=1e-6)


def test_calibration_makes_overconfident_predictions_better_on_patients_it_was_not_fitted_on(judged: Judged):
    rows = calibration_errors([judged]).set_index(["label", "error"]).loc["any"]
    assert (rows["change_high"] < 0).all()
    assert (rows["change"] == rows["after"] - rows["before"]).all()


def test_intervals_hold_their_figure_even_where_calibration_is_perfect():
    rng = np.random.default_rng(0)
    logits = rng.normal(-1, 1.5, (300, 6))
    labels = (rng.random(logits.shape) < expit(logits)).astype(float)
    decided = Decided.as_trained(logits)
    rows = calibration_errors([Judged("test", labels, np.arange(300) // 10, decided, decided, {})])
    assert (rows["before_low"] < rows["before"]).all()
    assert (rows["before"] < rows["before_high"]).all()


def test_an_error_has_no_negative_end():
    rng = np.random.default_rng(5)
    lows = []
    for _ in range(40):
        logits = rng.normal(-1, 0.5, (40, 6))
        labels = (rng.random(logits.shape) < expit(logits)).astype(float)
        decided = Decided.as_trained(logits)
        rows = calibration_errors([Judged("test", labels, np.arange(40) // 10, decided, decided, {})])
        lows.append(rows.loc[rows["error"] == "calibration error", "before_low"].min())
    assert min(lows) == 0


def test_the_mean_is_that_of_the_labels(judged: Judged):
    table = calibration_errors([judged]).set_index(["label", "error"])
    losses = table.xs("log loss", level="error")["after"]
    assert losses["mean"] == pytest.approx(losses.drop("mean").mean())


def test_the_rates_of_a_threshold_are_scikit_learns(judged: Judged):
    row = decisions([judged]).set_index(["label", "model"]).loc[("any", "tuned")]
    truth = judged.labels[:, 5]
    called = expit(judged.after.logits[:, 5]) >= judged.after.thresholds[:, 5]
    assert row["sensitivity"] == pytest.approx(recall_score(truth, called))
    assert row["specificity"] == pytest.approx(recall_score(1 - truth, ~called))
    assert row["ppv"] == pytest.approx(precision_score(truth, called))
    assert row["sensitivity_low"] < row["sensitivity"] < row["sensitivity_high"]
    assert row["threshold"] == judged.thresholds["any"]


def test_a_label_of_one_patient_has_no_interval_of_its_sensitivity(judged: Judged):
    row = decisions([judged]).set_index(["label", "model"]).loc[("epidural", "as trained")]
    assert (row["patients"], row["threshold"]) == (1, 0.5)
    assert np.isnan(row["sensitivity_low"])


def test_tuning_changes_decisions_and_probabilities_but_not_the_order(judged: Judged):
    known = ~np.isnan(judged.labels[:, 5])
    assert judged.scores["auc_any"] == pytest.approx(
        roc_auc_score(judged.labels[known, 5], judged.before.logits[known, 5])
    )
    called = expit(judged.after.logits) >= judged.after.thresholds
    right = (called == (judged.labels == 1))[~np.isnan(judged.labels)]
    assert judged.scores["hamming_score"] == pytest.approx(right.mean())
