"""How certain a recipe's score is if its models were trained anew, on other patients and with other seeds.

A score's error by patient is about the models as trained. Other training sets give other models, which the spread over
folds shows, as each fold's model is trained on another set. These sets overlap, so the spread is smaller than that of
models from separate sets. Nadeau and Bengio (Machine Learning 2003, 52:239) allow for that: the mean of J folds has the
variance (1 / J + n_valid / n_train) S², where S² is the variance over folds. Its first part, that of validation sets,
is known better by patient, so it is replaced by the error by patient; the second is added.
"""

from typing import NamedTuple

import numpy as np
from scipy.stats import t

from analysis.statistics.influence import Truth
from analysis.statistics.significance import CONFIDENCE, Scores, ends_around


class Variance(NamedTuple):
    """Variances of scores, and their degrees of freedom."""

    values: np.ndarray
    """`[T]`; NaN where unknown."""
    degrees: np.ndarray | float


def of_training_sets(spreads: np.ndarray, folds: np.ndarray, share: float) -> Variance:
    """The variance of scores by training set, from standard deviations over folds `[T]`, each over so many `[T]`.

    `share` is the number of validation patients per training patient. NaN for fewer than two folds.
    """
    known = folds > 1
    return Variance(np.where(known, share * spreads**2, np.nan), np.maximum(folds - 1, 1))


def validation_share(truth: Truth) -> float:
    """The number of validation patients per training patient, mean over folds."""
    shares = [
        len(np.unique(truth.patients[fold.valid])) / max(len(np.unique(truth.patients[fold.train])), 1)
        for fold in truth.folds
    ]
    return float(np.mean(shares))


def anew_intervals(scores: Scores, training_sets: Variance, seeds: Variance | None = None) -> np.ndarray:
    """The ends of the 95 % interval of each recipe's score if trained anew, `[T, 2]`; on the scale of `ends_around`.

    `seeds` is the variance of scores by random seed alone, if known. The spread over folds already has that, as each
    fold's model has random numbers of its own; so the larger of both variances counts, by the width of the interval
    that results. None is narrower than the one for the models as trained. NaN where neither variance is known, or the
    score has no error by patient.

        scores = Scores.of(Measure("auc", truth), logits)
        spread = of_training_sets(np.array([0.03]), np.array([5]), validation_share(truth))
        anew_intervals(scores, spread)
    """
    if scores.degrees_of_freedom < 1:
        return np.full((len(scores.values), 2), np.nan)
    by_patient = Variance(scores.errors**2, scores.degrees(scores.influence))
    half = _half_width(by_patient, training_sets)
    if seeds is not None:
        half = np.fmax(half, _half_width(by_patient, seeds))
    nothing_more = Variance(np.zeros_like(half), 1)
    half = np.maximum(half, _half_width(by_patient, nothing_more))
    return ends_around(scores.values, half, half, maximised=scores.maximised)


def _half_width(first: Variance, second: Variance) -> np.ndarray:
    """Half the width of intervals by the sum of two variances, `[T]`; NaN where one is unknown.

    The degrees of freedom of the sum are Satterthwaite's (Biometrics Bulletin 1946, 2:110).
    """
    total = first.values + second.values
    squares = first.values**2 / first.degrees + second.values**2 / second.degrees
    degrees = np.divide(total**2, squares, out=np.ones_like(total), where=squares > 0)
    return t.ppf(0.5 + CONFIDENCE / 2, degrees) * np.sqrt(total)
