"""A model's scores are scikit-learn's, and their intervals are by patient."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    confusion_matrix,
    f1_score,
    hamming_loss,
    precision_score,
    recall_score,
    roc_auc_score,
)

from analysis.evaluation.predictions import Predictions, by_unit
from analysis.evaluation.scores import (
    decisions_at_thresholds,
    differences,
    label_scores,
    no_skill_scores,
    overall_scores,
)
from ichtune.labels import LABELS


def predictions(slices: int = 400, seed: int = 0) -> Predictions:
    """Slices of 20 to a patient, that are scored better the more they are positive."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((slices, 6)) < 0.3).astype(np.float32)
    logits = rng.normal(size=(slices, 6)) + 1.5 * labels - 1
    patients = np.array([f"p{number // 20}" for number in range(slices)])
    return Predictions("slice", logits, logits, labels, patients, np.linspace(0.2, 0.6, 6))


def test_every_metric_is_scikit_learns_at_the_models_thresholds():
    given = predictions()
    (row,) = overall_scores([given]).to_dict("records")
    called = given.probabilities >= given.thresholds
    assert row["auc"] == pytest.approx(roc_auc_score(given.labels, given.probabilities, average="macro"))
    assert row["average_precision"] == pytest.approx(
        average_precision_score(given.labels, given.probabilities, average="macro")
    )
    assert row["f1"] == pytest.approx(f1_score(given.labels, called, average="macro"))
    assert row["precision"] == pytest.approx(precision_score(given.labels, called, average="macro"))
    assert row["recall"] == pytest.approx(recall_score(given.labels, called, average="macro"))
    assert row["subset_accuracy"] == pytest.approx(accuracy_score(given.labels, called))
    assert row["hamming_score"] == pytest.approx(1 - hamming_loss(given.labels, called))
    assert (row["count"], row["patients"], row["labels"]) == (400, 20, 6)


def test_a_score_of_which_every_patient_has_the_same_has_no_interval():
    given = predictions()
    wrong = np.where(given.labels > 0, -9.0, 9.0)
    (row,) = overall_scores([replace(given, logits=wrong, trained=wrong)]).to_dict("records")
    assert row["subset_accuracy"] == 0
    assert np.isnan([row["subset_accuracy_low"], row["subset_accuracy_high"]]).all()
    (difference,) = differences("auc", [given, given])
    assert difference["difference"] == 0
    assert np.isnan([difference["low"], difference["all_high"]]).all()


def test_a_patient_alone_has_no_interval_and_patients_without_labels_are_not_counted():
    given = predictions(slices=60)
    given.labels[20:] = np.nan
    (row,) = overall_scores([given]).to_dict("records")
    assert (row["count"], row["patients"]) == (20, 1)
    assert np.isnan([row["weighted_log_loss_low"], row["weighted_log_loss_high"]]).all()


def test_unknown_labels_are_left_out_of_a_labels_scores():
    given = predictions()
    given.labels[::3, 2] = np.nan
    rows = label_scores([given]).set_index("label")
    known = ~np.isnan(given.labels[:, 2])
    truth, probs = given.labels[known, 2], given.probabilities[known, 2]
    assert rows.at["intraventricular", "auc"] == pytest.approx(roc_auc_score(truth, probs))
    assert rows.at["intraventricular", "average_precision"] == pytest.approx(
        average_precision_score(truth, probs)
    )
    assert rows.at["intraventricular", "count"] == known.sum()


def test_a_label_that_is_unknown_everywhere_has_no_row():
    given = predictions()
    given.labels[:, :5] = np.nan
    assert label_scores([given])["label"].tolist() == ["any"]
    assert decisions_at_thresholds([given])["label"].tolist() == ["any"]
    assert overall_scores([given]).at[0, "labels"] == 1


def test_the_confusion_matrix_and_rates_are_scikit_learns():
    given = predictions()
    rows = decisions_at_thresholds([given]).set_index("label")
    for column, label in enumerate(LABELS):
        called = given.probabilities[:, column] >= given.thresholds[column]
        matrix = confusion_matrix(given.labels[:, column], called)
        found = rows.loc[label]
        assert [[found.true_negative, found.false_positive], [found.false_negative, found.true_positive]] == (
            matrix.tolist()
        )
        assert found.sensitivity == pytest.approx(recall_score(given.labels[:, column], called))
        assert found.specificity == pytest.approx(recall_score(given.labels[:, column], called, pos_label=0))
        assert found.precision == pytest.approx(precision_score(given.labels[:, column], called))
        assert found.npv == pytest.approx(precision_score(given.labels[:, column], called, pos_label=0))
        assert found.f1 == pytest.approx(f1_score(given.labels[:, column], called))


def test_slices_that_only_repeat_their_patients_make_no_interval_narrower():
    given = predictions(slices=200)
    thrice = given.take(np.tile(np.arange(200), 3))
    for rows in (overall_scores, label_scores):
        once, again = rows([given]), rows([thrice])
        assert np.allclose(once["auc_low"], again["auc_low"], atol=1e-4)
        assert np.allclose(once["auc_high"], again["auc_high"], atol=1e-4)


def test_the_spread_of_models_on_other_patients_is_what_intervals_say():
    aucs = [overall_scores([predictions(seed=seed)]).iloc[0] for seed in range(100)]
    truth = np.mean([row["auc"] for row in aucs])
    covered = [row["auc_low"] <= truth <= row["auc_high"] for row in aucs]
    assert 0.88 <= np.mean(covered) <= 1


def guesses(seed: int) -> Predictions:
    """The slices of `predictions`, scored at random."""
    given = predictions()
    given.logits[:] = np.random.default_rng(seed).normal(size=given.logits.shape)
    return given


def test_models_on_the_same_slices_differ_by_their_scores():
    first, others = predictions(), [guesses(5), guesses(6)]
    before = roc_auc_score(first.labels, first.logits)
    for other, row in zip(others, differences("auc", [first, *others]), strict=True):
        assert row["difference"] == pytest.approx(roc_auc_score(first.labels, other.logits) - before)
        assert row["all_low"] <= row["low"] < row["difference"] < row["high"] <= row["all_high"] < 0


def test_the_interval_of_a_difference_of_two_guesses_holds_0_in_most_cases():
    rows = [differences("auc", [guesses(seed), guesses(seed + 100)])[0] for seed in range(60)]
    assert np.mean([row["low"] <= 0 <= row["high"] for row in rows]) >= 0.85


def test_no_skill_is_the_prevalence_among_these_slices():
    given = predictions()
    rows = no_skill_scores([given]).set_index("by")
    assert rows.at["slice, prevalence", "auc"] == 0.5
    assert rows.at["slice, always negative", "hamming_score"] == pytest.approx(1 - given.labels.mean())


def store_table(scans: list[str], patients: list[str], labels: list[list[float]]) -> pd.DataFrame:
    """Rows of a store's table of slices, from the scan and patient of each."""
    from ichtune.data.slice_table import with_all_columns

    table = pd.DataFrame({"slice_id": range(len(scans)), "patient_id": patients, "study_id": scans})
    table["series_id"], table["z_mm"] = scans, np.arange(len(scans), dtype=float)
    table[list(LABELS)] = pd.DataFrame(labels).astype("Int8").to_numpy()
    table["split"], table["fold"] = "test", -1
    return with_all_columns(table.astype(dict.fromkeys(LABELS, "Int8")))


def of_any(values: list[float], table: pd.DataFrame) -> Predictions:
    """Predictions of `any` alone for the slices of a table."""
    logits = np.full((len(values), 6), -5.0)
    logits[:, 5] = values
    labels = table[list(LABELS)].to_numpy(np.float32, na_value=np.nan)
    return Predictions("slice", logits, logits, labels, table["patient_id"].to_numpy(), np.full(6, 0.5))


NONE, POSITIVE, UNKNOWN = [0.0] * 6, [0.0] * 5 + [1.0], [np.nan] * 6


def test_a_scan_and_a_patient_score_as_the_highest_of_their_slices():
    table = store_table(
        ["a1", "a1", "a2", "b1", "b1"],
        ["a", "a", "a", "b", "b"],
        [NONE, POSITIVE, NONE, NONE, NONE],
    )
    slices, scans, patients = by_unit(of_any([-1, 2, 0.5, -3, -2], table), table)
    assert [slices.unit, scans.unit, patients.unit] == ["slice", "scan", "patient"]
    assert scans.logits[:, 5].tolist() == [2, 0.5, -2]
    assert scans.labels[:, 5].tolist() == [1, 0, 0]
    assert patients.logits[:, 5].tolist() == [2, -2]
    assert patients.labels[:, 5].tolist() == [1, 0]


def test_a_patient_with_an_unknown_scan_is_negative_only_if_no_scan_is_unknown():
    table = store_table(
        ["a1", "a2", "b1", "b2", "c1", "c2"],
        ["a", "a", "b", "b", "c", "c"],
        [NONE, UNKNOWN, POSITIVE, UNKNOWN, NONE, NONE],
    )
    patients = by_unit(of_any([0, 0, 0, 0, 0, 0], table), table)[-1]
    assert np.isnan(patients.labels[0, 5])
    assert patients.labels[1:, 5].tolist() == [1, 0]


def test_labels_of_scans_alone_are_scored_by_scan():
    table = store_table(["a1", "a1", "b1", "b1"], ["a", "a", "b", "b"], [UNKNOWN] * 4)
    table["scan_any"] = pd.array([1, 1, 0, 0], "Int8")
    (scans,) = by_unit(of_any([-1, 3, 0, 0], table), table)
    assert scans.unit == "scan"
    assert scans.labels[:, 5].tolist() == [1, 0]
    assert label_scores([scans])["label"].tolist() == ["any"]


def test_single_slices_are_no_scans():
    table = store_table(["a", "b", "c"], ["a", "b", "c"], [NONE, POSITIVE, NONE])
    assert [each.unit for each in by_unit(of_any([0, 1, 0], table), table)] == ["slice"]
