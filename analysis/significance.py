"""How sure a score is, and a difference between two: by patient, as the slices of one head say the same thing.

Every score here is written as its value plus a sum over patients of what each adds to it (its influence), which is
the linear form of the score. Variances of scores and of differences, on the same patients, follow from these alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.stats import rankdata, t

from ichtune.training.batches import Fold

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Influence:
    """Scores of T trials on the same patients, and what each of P patients adds to each score."""

    scores: np.ndarray
    """`[T]`"""
    patients: np.ndarray
    """`[T, P]`, rows that sum to 0."""

    @property
    def freedom(self) -> int:
        """Degrees of freedom: patients less one."""
        return max(self.patients.shape[1] - 1, 1)

    @cached_property
    def covariance(self) -> np.ndarray:
        """Of the scores, `[T, T]`: clustered by patient, with P / (P - 1) for the mean that was estimated."""
        count = self.patients.shape[1]
        return self.patients @ self.patients.T * count / max(count - 1, 1)

    @property
    def errors(self) -> np.ndarray:
        """The standard error of each score, `[T]`."""
        return np.sqrt(np.diag(self.covariance))

    def intervals(self, confidence: float = CONFIDENCE) -> np.ndarray:
        """Lower and upper end for each score, `[T, 2]`, by Student's t over patients, cut off at 0 and 1."""
        half = t.ppf(0.5 + confidence / 2, self.freedom) * self.errors
        return np.clip(np.stack([self.scores - half, self.scores + half], axis=1), 0, 1)

    @cached_property
    def p_values(self) -> np.ndarray:
        """Of each pair's difference, two-sided and paired by patient, `[T, T]`; 1 for a pair without one."""
        variance = np.diag(self.covariance)
        squared = variance[:, None] + variance[None, :] - 2 * self.covariance
        error = np.sqrt(np.maximum(squared, 0))
        difference = np.abs(self.scores[:, None] - self.scores[None, :])
        # What is left of a variance of 0 is rounding: such a pair predicts alike for every patient.
        known = error > 1e-12
        statistic = np.divide(difference, error, out=np.zeros_like(error), where=known)
        return np.where(known, 2 * t.sf(statistic, self.freedom), np.where(difference > 1e-12, 0.0, 1.0))

    @cached_property
    def adjusted(self) -> np.ndarray:
        """The p-values `[T, T]` after Holm's correction over all pairs of the table.

        All of them, since the best one was chosen by looking: compared with the best alone, copies of one recipe
        would come out as different far more often than once in twenty tables.
        """
        count = len(self.scores)
        first, second = np.triu_indices(count, 1)
        adjusted = np.ones((count, count))
        adjusted[first, second] = adjusted[second, first] = holm(self.p_values[first, second])
        return adjusted

    def tied_with(self, best: int, level: float = 1 - CONFIDENCE) -> np.ndarray:
        """Which trials can't be told from one of them, `[T]`."""
        return self.adjusted[best] >= level

    def rank_intervals(self, *, maximised: bool = True, level: float = 1 - CONFIDENCE) -> np.ndarray:
        """The best and the worst rank that each trial may have, `[T, 2]`, counted from 1."""
        differ = self.adjusted < level
        above = self.scores[:, None] > self.scores[None, :]
        beats = differ & (above if maximised else ~above)  # row beats column
        return np.stack([1 + beats.sum(axis=0), len(self.scores) - beats.sum(axis=1)], axis=1)

    def corrected_best(self, *, maximised: bool = True, draws: int = 2000, seed: int = 0) -> float:
        """The best score less what choosing it has added to it, by a bootstrap over patients.

        In each draw the winner on the drawn patients is looked up on all of them; the mean of that difference is
        how much too good a chosen winner looks (Efron and Tibshirani 1993, chapter 17, on optimism).
        """
        sign = 1 if maximised else -1
        count = self.patients.shape[1]
        weights = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), draws)
        drawn = sign * (self.scores + (weights - 1.0) @ self.patients.T)
        winners = drawn.argmax(axis=1)
        optimism = (drawn.max(axis=1) - sign * self.scores[winners]).mean()
        return float(sign * ((sign * self.scores).max() - optimism))


def auc_influence(
    logits: Sequence[np.ndarray],
    labels: np.ndarray,
    patients: np.ndarray,
    folds: Sequence[Fold],
    columns: Sequence[int] | None = None,
) -> Influence:
    """Macro AUC of T trials' out-of-fold logits (each `[N, 6]`), the mean over folds, with each patient's influence.

    An area is a mean over pairs of a positive and a negative slice, and its variance clustered by patient that of
    Obuchowski (Biometrics 1997, 53:567), in linear form. Labels without both in a fold are undefined there and
    leave its mean, as in `evaluate`; `columns` chooses labels.
    """
    names, codes = np.unique(patients, return_inverse=True)
    chosen = range(labels.shape[1]) if columns is None else columns
    scores, rows = [], []
    for trial in logits:
        parts = []
        for fold in folds:
            areas = [
                _area(trial[fold.valid, k], labels[fold.valid, k], codes[fold.valid], len(names))
                for k in chosen
            ]
            defined = [area for area in areas if area is not None]
            if defined:
                parts.append(
                    (np.mean([value for value, _ in defined]), np.mean([row for _, row in defined], axis=0))
                )
        scores.append(np.mean([value for value, _ in parts]) if parts else np.nan)
        rows.append(np.mean([row for _, row in parts], axis=0) if parts else np.full(len(names), np.nan))
    taken = np.isin(np.arange(len(names)), codes[np.concatenate([fold.valid for fold in folds])])
    return Influence(np.array(scores), np.stack(rows)[:, taken])


def _area(
    scores: np.ndarray, labels: np.ndarray, codes: np.ndarray, patients: int
) -> tuple[float, np.ndarray] | None:
    """One area under the curve and its influence by patient `[P]`; None where it is undefined."""
    positive, negative = labels > 0.5, labels <= 0.5
    m, n = positive.sum(), negative.sum()
    if not m or not n:
        return None
    known = positive | negative
    ranks = np.zeros(len(scores))
    ranks[known] = rankdata(scores[known])
    # Each slice's share of the other side that it is on the right side of, ties counting half.
    right_of_positive = (ranks[positive] - rankdata(scores[positive])) / n
    right_of_negative = 1 - (ranks[negative] - rankdata(scores[negative])) / m
    area = right_of_positive.mean()
    influence = np.bincount(codes[positive], (right_of_positive - area) / m, patients)
    influence += np.bincount(codes[negative], (right_of_negative - area) / n, patients)
    return float(area), influence


def holm(p_values: np.ndarray) -> np.ndarray:
    """Holm's step-down correction (Scandinavian Journal of Statistics 1979, 6:65) of p-values `[n]`."""
    order = np.argsort(p_values)
    stepped = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    adjusted = np.empty_like(stepped)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted
