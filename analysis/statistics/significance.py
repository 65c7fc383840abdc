"""How sure a score is, and a difference between two: by patient, as the slices of one head say the same thing.

Every score here comes with what each patient adds to it (`analysis.statistics.influence`). Variances of scores and of
differences, on the same patients, follow from these alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.stats import t

from analysis.statistics.influence import Measure
from ichtune.metrics import higher_is_better

CONFIDENCE = 0.95
DRAWS_AT_ONCE = 100


@dataclass(frozen=True)
class Scores:
    """Scores of T trials on the same P patients, and how sure they are."""

    values: np.ndarray
    """`[T]`"""
    influence: np.ndarray
    """What each patient adds to each score, `[T, P]`."""
    freedom: float
    """Degrees of freedom of their errors; below 1 nobody can tell."""
    maximised: bool = True
    """Whether more is better, as of all metrics between 0 and 1; what is minimised is a loss, of 0 and above."""

    @classmethod
    def of(cls, measure: Measure, logits: Iterable[np.ndarray]) -> "Scores":
        """Those of trials' logits, each `[N, 6]` and looked at one after the other."""
        values, shares = measure.of_each(logits)
        return cls(values, shares, measure.freedom, higher_is_better(measure.metric))

    @cached_property
    def covariance(self) -> np.ndarray:
        """Of the scores, `[T, T]`, clustered by patient."""
        return self.influence @ self.influence.T

    @property
    def errors(self) -> np.ndarray:
        """The standard error of each score, `[T]`."""
        return np.sqrt(np.diag(self.covariance))

    def intervals(self, confidence: float = CONFIDENCE) -> np.ndarray:
        """Lower and upper end for each score, `[T, 2]`, by Student's t, cut off where a metric ends."""
        half = self._reach(confidence) * self.errors
        ends = np.stack([self.values - half, self.values + half], axis=1)
        return np.clip(ends, 0, 1 if self.maximised else None)

    def differences(self, best: int, confidence: float = CONFIDENCE) -> np.ndarray:
        """Each score less that of one of them, and the lower and the upper end of that, `[T, 3]`; paired by patient."""
        half = self._reach(confidence) * self._pair_errors[best]
        difference = self.values - self.values[best]
        return np.stack([difference, difference - half, difference + half], axis=1)

    def _reach(self, confidence: float) -> float:
        """How many standard errors an interval reaches to each side; NaN where nobody can tell."""
        return float(t.ppf(0.5 + confidence / 2, self.freedom)) if self.freedom >= 1 else float("nan")

    @cached_property
    def _pair_errors(self) -> np.ndarray:
        """The standard error of each pair's difference, `[T, T]`."""
        variance = np.diag(self.covariance)
        squared = variance[:, None] + variance[None, :] - 2 * self.covariance
        # What is left of a variance of 0 is rounding: such a pair predicts alike for every patient.
        return np.where(
            squared > 1e-12 * np.maximum(variance[:, None], 1e-12), np.sqrt(np.maximum(squared, 0)), 0.0
        )

    @cached_property
    def p_values(self) -> np.ndarray:
        """Of each pair's difference, two-sided and paired by patient, `[T, T]`; 1 for a pair without one."""
        if self.freedom < 1:
            return np.ones_like(self.covariance)
        error = self._pair_errors
        difference = np.abs(self.values[:, None] - self.values[None, :])
        known = error > 0
        statistic = np.divide(difference, error, out=np.zeros_like(error), where=known)
        return np.where(known, 2 * t.sf(statistic, self.freedom), np.where(difference > 1e-12, 0.0, 1.0))

    @cached_property
    def adjusted(self) -> np.ndarray:
        """The p-values `[T, T]` after Holm's correction over all pairs of the table.

        All of them, since the best one was chosen by looking: compared with the best alone, copies of one recipe
        would come out as different far more often than once in twenty tables.
        """
        count = len(self.values)
        first, second = np.triu_indices(count, 1)
        adjusted = np.ones((count, count))
        adjusted[first, second] = adjusted[second, first] = holm(self.p_values[first, second])
        return adjusted

    def tied_with(self, best: int, level: float = 1 - CONFIDENCE) -> np.ndarray:
        """Which trials can't be told from one of them, `[T]`."""
        return self.adjusted[best] >= level

    def rank_intervals(self, level: float = 1 - CONFIDENCE) -> np.ndarray:
        """The best and the worst rank that each trial may have, `[T, 2]`, counted from 1."""
        better = self.values if self.maximised else -self.values
        beats = (self.adjusted < level) & (better[:, None] > better[None, :])  # row beats column
        return np.stack([1 + beats.sum(axis=0), len(better) - beats.sum(axis=1)], axis=1)

    def corrected_best(self, draws: int = 2000, seed: int = 0) -> float:
        """The best score less what choosing it has added to it, by a bootstrap over patients.

        In each draw the winner on the drawn patients is looked up on all of them; the mean of that difference is
        how much too good a chosen winner looks (Efron and Tibshirani 1993, chapter 17, on optimism).
        """
        sign = 1 if self.maximised else -1
        count = self.influence.shape[1]
        rng = np.random.default_rng(seed)
        optimism = []
        for first in range(0, draws, DRAWS_AT_ONCE):
            size = min(DRAWS_AT_ONCE, draws - first)
            weights = rng.multinomial(count, np.full(count, 1 / count), size)
            drawn = sign * (self.values + (weights - 1.0) @ self.influence.T)
            optimism.append(drawn.max(axis=1) - sign * self.values[drawn.argmax(axis=1)])
        return float(sign * ((sign * self.values).max() - np.concatenate(optimism).mean()))


def each_alone(measure: Measure, logits: Iterable[np.ndarray]) -> np.ndarray:
    """The score of each trial's logits and the ends of its interval, `[T, 3]`, without comparing them."""
    scores = Scores.of(measure, logits)
    alone = [
        replace(scores, values=scores.values[[row]], influence=scores.influence[[row]])
        for row in range(len(scores.values))
    ]
    return np.column_stack([scores.values, np.concatenate([one.intervals() for one in alone])])


def holm(p_values: np.ndarray) -> np.ndarray:
    """Holm's step-down correction (Scandinavian Journal of Statistics 1979, 6:65) of p-values `[n]`."""
    order = np.argsort(p_values)
    stepped = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    adjusted = np.empty_like(stepped)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted
