"""Calibration and thresholds are chosen on patients who are not those that they are judged on."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import f1_score

from analysis.calibration.out_of_fold import OutOfFold
from analysis.calibration.scaling import fit_scaling
from analysis.calibration.thresholds import best_f1
from analysis.calibration.tune import Tuned
from analysis.calibration.wanted import Wanted
from ichtune.errors import InputError
from ichtune.labels import LABELS


def predictions(patients: int = 60, folds: int = 3, seed: int = 0) -> OutOfFold:
    """Overconfident logits of ten slices a patient; `epidural` in a single patient, `subdural` partly unknown."""
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(patients), 10)
    honest = rng.normal(-1, 1.5, (len(owner), 6))
    labels = (rng.random(honest.shape) < expit(honest)).astype(float)
    labels[:, 0] = owner == 7
    labels[::3, 4] = np.nan
    return OutOfFold(2.5 * honest + 1, labels, owner, owner % folds)


def test_a_label_is_fitted_on_its_known_slices():
    given = predictions()
    known = ~np.isnan(given.labels[:, 4])
    slope, intercept = fit_scaling(given.logits[known, 4], given.labels[known, 4], "platt")
    tuned = Tuned(given, Wanted("platt"))
    assert (tuned.calibration.slopes["subdural"], tuned.calibration.intercepts["subdural"]) == (
        slope,
        intercept,
    )
    probs = expit(slope * given.logits[known, 4] + intercept)
    assert tuned.thresholds["subdural"] == best_f1(probs, given.labels[known, 4])


def test_predictions_of_a_single_patient_stay_as_they_are():
    given = predictions(patients=1, folds=1)
    tuned = Tuned(given, Wanted("platt"))
    np.testing.assert_allclose(tuned.cross_fitted.logits, given.logits)
    assert set(tuned.thresholds.values()) == {0.5}


def test_a_rare_label_keeps_its_probabilities_and_one_half_and_says_so():
    tuned = Tuned(predictions(), Wanted("temperature"))
    assert tuned.calibration.slopes["epidural"] == 1
    assert tuned.thresholds["epidural"] == 0.5
    assert tuned.calibration.chosen == (
        "temperature scaling on the out-of-fold predictions of 600 slices of 60 patients (3 folds); "
        "epidural left as predicted (fewer than 5 patients with or without it)"
    )
    assert tuned.thresholds_chosen.endswith("epidural kept 0.5 (fewer than 5 patients with or without it)")


def test_a_label_that_is_not_ranked_is_left_as_predicted_and_says_so():
    given = predictions()
    given.logits[:, 5] *= -1
    tuned = Tuned(given, Wanted("platt"))
    assert tuned.calibration.slopes["any"] == 1
    assert tuned.calibration.chosen.endswith("any left as predicted (no scaling fits)")


def test_nothing_is_changed_if_nothing_is_wanted():
    tuned = Tuned(predictions(), Wanted("none", "fixed"))
    assert tuned.calibration.slopes == dict.fromkeys(LABELS, 1.0)
    assert tuned.thresholds == dict.fromkeys(LABELS, 0.5)
    np.testing.assert_array_equal(tuned.cross_fitted.logits, tuned.out_of_fold.logits)


@pytest.mark.parametrize("folds", [1, 3])
def test_what_a_patient_is_judged_by_does_not_depend_on_that_patients_labels(folds: int):
    given = predictions(folds=folds)
    here = given.parts == given.parts[0]
    assert len(set(given.patients[here]) & set(given.patients[~here])) == 0
    before = Tuned(given, Wanted()).cross_fitted
    changed = predictions(folds=folds)
    changed.labels[here] = 1 - changed.labels[here]
    if folds == 1:
        changed = OutOfFold(changed.logits, changed.labels, changed.patients, given.parts)
    after = Tuned(changed, Wanted()).cross_fitted
    enough = given.enough & changed.enough
    np.testing.assert_array_equal(before.logits[here][:, enough], after.logits[here][:, enough])
    np.testing.assert_array_equal(before.thresholds[here][:, enough], after.thresholds[here][:, enough])


def test_a_part_is_judged_by_what_fits_the_other_parts():
    given = predictions()
    tuned = Tuned(given, Wanted("platt"))
    rest = Tuned(given.take(given.folds != 2), Wanted("platt"))
    here = given.folds == 2
    np.testing.assert_allclose(
        tuned.cross_fitted.logits[here], rest.calibration.logits(given.logits[here]), rtol=1e-9
    )
    assert tuned.cross_fitted.thresholds[here][0].tolist() == list(rest.thresholds.values())


def test_chosen_thresholds_raise_f1_and_a_wanted_sensitivity_is_reached():
    given = predictions()
    probs = Tuned(given, Wanted()).calibration.probabilities(given.logits)
    threshold = Tuned(given, Wanted()).thresholds["any"]
    assert f1_score(given.labels[:, 5], probs[:, 5] >= threshold) > f1_score(
        given.labels[:, 5], probs[:, 5] >= 0.5
    )
    wanted = Tuned(given, Wanted(sensitivity=0.95))
    called = wanted.calibration.probabilities(given.logits)[:, 5] >= wanted.thresholds["any"]
    assert 0.95 <= called[given.labels[:, 5] == 1].mean() < 0.96


def test_models_of_a_fold_are_calibrated_before_they_are_averaged():
    given = predictions()
    noise = np.random.default_rng(1).normal(0, 1, given.logits.shape)
    both = replace(given, logits=np.stack([given.logits, given.logits + noise]))
    tuned = Tuned(both, Wanted())
    slope, intercept = fit_scaling(both.logits[..., 5].ravel(), np.tile(given.labels[:, 5], 2), "platt")
    probs = expit(slope * both.logits[..., 5] + intercept).mean(axis=0)
    assert tuned.thresholds["any"] == best_f1(probs, given.labels[:, 5])
    np.testing.assert_allclose(expit(tuned.decide(both.logits).logits[:, 5]), probs)
    assert tuned.cross_fitted.logits.shape == given.labels.shape


def test_predictions_must_be_complete():
    given = predictions()
    with pytest.raises(ValueError, match="must be finite"):
        OutOfFold(np.full_like(given.logits, np.nan), given.labels, given.patients, given.folds)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sensitivity": 1.5}, "--sensitivity: must be above 0 and at most 1, got 1.5"),
        ({"sensitivity": 0.9, "thresholds": "fixed"}, "and so does --thresholds fixed; leave out one"),
    ],
)
def test_wishes_that_contradict_themselves_are_refused(given: dict, message: str):
    with pytest.raises(InputError, match=message):
        Wanted(**given)
