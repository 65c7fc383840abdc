"""A card's scores are those of the model's decisions and of its probabilities, with intervals by patient."""

import re

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import average_precision_score, f1_score, hamming_loss, roc_auc_score

from analysis.calibration.scores import Judged
from analysis.calibration.tune import Decided, Tuned
from analysis.calibration.wanted import Wanted
from analysis.model_card import tables
from tests.analysis.calibration.test_tune import predictions

TUNED = Tuned(predictions(patients=80), Wanted())
OTHERS = predictions(patients=80, seed=1)
TEST = Judged.of("test", TUNED, OTHERS.logits, OTHERS.labels, OTHERS.patients)


def first(text: str) -> float:
    return float(text.partition(" ")[0])


def test_scores_of_decisions_are_at_the_models_thresholds():
    rows = tables.overall([TEST]).set_index("metric")["test"]
    called = expit(TEST.after.logits) >= list(TUNED.thresholds.values())
    known = ~np.isnan(TEST.labels)
    f1 = [
        f1_score(TEST.labels[known[:, column], column], called[known[:, column], column])
        for column in range(6)
    ]
    assert first(rows["F1"]) == pytest.approx(np.mean(f1), abs=0.006)
    wrong = hamming_loss(TEST.labels[known] == 1, called[known])
    assert first(rows["hamming score"]) == pytest.approx(1 - wrong, abs=0.006)
    assert re.fullmatch(r"0\.\d+ \(0\.\d+ to 0\.\d+\)", rows["hamming score"])


def test_the_order_of_each_label_is_scored_as_trained():
    row = tables.by_label([TEST]).set_index("label").loc["any"]
    truth, logits = OTHERS.labels[:, 5], OTHERS.logits[:, 5]
    assert first(row["AUC, test"]) == pytest.approx(roc_auc_score(truth, logits), abs=0.006)
    expected = average_precision_score(truth, logits)
    assert first(row["average precision, test"]) == pytest.approx(expected, abs=0.006)


def test_logits_beyond_half_precision_and_thresholds_of_zero_have_scores():
    logits = np.where(OTHERS.labels == 1, 1e6, -1e6)
    decided = Decided(logits, np.zeros(logits.shape))
    judged = Judged("test", OTHERS.labels, OTHERS.patients, decided, decided, TUNED.thresholds)
    rows = tables.overall([judged]).set_index("metric")["test"]
    assert (first(rows["AUC"]), first(rows["recall"])) == (1, 1)
