"""How certain scores and their differences are, clustered by patient, as slices of one head are correlated.

Every score comes with each patient's contribution to it (`analysis.statistics.influence`). The variances of scores and
of differences on the same patients follow from these alone.
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
    """Scores of T trials on the same P patients, and their certainty."""

    values: np.ndarray
    """`[T]`"""
    influence: np.ndarray
    """Each patient's contribution to each score, `[T, P]`."""
    degrees_of_freedom: float
    """Degrees of freedom of the errors; below 1 there are no intervals or tests."""
    maximised: bool = True
    """Whether higher is better, as for all metrics between 0 and 1; minimized metrics are losses of 0 or more."""

    @classmethod
    def of(cls, measure: Measure, logits: Iterable[np.ndarray]) -> "Scores":
        """The scores of trials' logits, each `[N, 6]` and read one at a time."""
        values, shares = measure.of_each(logits)
        return cls(values, shares, measure.degrees_of_freedom, higher_is_better(measure.metric))

    @cached_property
    def covariance(self) -> np.ndarray:
        """The covariance of the scores, `[T, T]`, clustered by patient."""
        return self.influence @ self.influence.T

    @property
    def errors(self) -> np.ndarray:
        """The standard error of each score, `[T]`."""
        return np.sqrt(np.diag(self.covariance))

    def intervals(self, confidence: float = CONFIDENCE) -> np.ndarray:
        """The lower and upper end of each score's interval, `[T, 2]`, by Student's t, clipped to the metric's range."""
        half = self._half_width(confidence) * self.errors
        ends = np.stack([self.values - half, self.values + half], axis=1)
        return np.clip(ends, 0, 1 if self.maximised else None)

    def differences(self, best: int, confidence: float = CONFIDENCE) -> np.ndarray:
        """Each score minus that of trial `best`, with the ends of its interval, `[T, 3]`; paired by patient."""
        half = self._half_width(confidence) * self._pair_errors[best]
        difference = self.values - self.values[best]
        return np.stack([difference, difference - half, difference + half], axis=1)

    def _half_width(self, confidence: float) -> float:
        """Half the width of an interval in standard errors; NaN without a degree of freedom."""
        degrees = self.degrees_of_freedom
        return float(t.ppf(0.5 + confidence / 2, degrees)) if degrees >= 1 else float("nan")

    @cached_property
    def _pair_errors(self) -> np.ndarray:
        """The standard error of each pair's difference, `[T, T]`."""
        variance = np.diag(self.covariance)
        squared = variance[:, None] + variance[None, :] - 2 * self.covariance
        # What remains of a zero variance is rounding: such a pair predicts the same for every patient.
        return np.where(
            squared > 1e-12 * np.maximum(variance[:, None], 1e-12), np.sqrt(np.maximum(squared, 0)), 0.0
        )

    @cached_property
    def p_values(self) -> np.ndarray:
        """The two-sided p-value of each pair's difference, paired by patient, `[T, T]`; 1 if there is no difference."""
        if self.degrees_of_freedom < 1:
            return np.ones_like(self.covariance)
        error = self._pair_errors
        difference = np.abs(self.values[:, None] - self.values[None, :])
        known = error > 0
        statistic = np.divide(difference, error, out=np.zeros_like(error), where=known)
        return np.where(
            known, 2 * t.sf(statistic, self.degrees_of_freedom), np.where(difference > 1e-12, 0.0, 1.0)
        )

    @cached_property
    def adjusted(self) -> np.ndarray:
        """The p-values `[T, T]` after Holm's correction over all pairs of trials.

        All pairs, because the best trial was chosen by its score: if it were only compared with each other trial,
        copies of one recipe would differ significantly far more often than in one of twenty tables.
        """
        count = len(self.values)
        first, second = np.triu_indices(count, 1)
        adjusted = np.ones((count, count))
        adjusted[first, second] = adjusted[second, first] = holm(self.p_values[first, second])
        return adjusted

    def tied_with(self, best: int, level: float = 1 - CONFIDENCE) -> np.ndarray:
        """Which trials are indistinguishable from trial `best`, `[T]`."""
        return self.adjusted[best] >= level

    def rank_intervals(self, level: float = 1 - CONFIDENCE) -> np.ndarray:
        """The best and worst rank that each trial may have, `[T, 2]`, counted from 1."""
        better = self.values if self.maximised else -self.values
        beats = (self.adjusted < level) & (better[:, None] > better[None, :])  # row beats column
        return np.stack([1 + beats.sum(axis=0), len(better) - beats.sum(axis=1)], axis=1)

    def corrected_best(self, draws: int = 2000, seed: int = 0) -> float:
        """The best score, corrected for selecting it, by a bootstrap over patients.

        Each draw looks up the winner on the drawn patients in the scores on all patients; the mean difference is how
        optimistic a selected winner is (Efron and Tibshirani 1993, chapter 17).
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
    """The score of each trial's logits and the ends of its interval, `[T, 3]`, without comparisons."""
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
