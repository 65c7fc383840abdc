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


@dataclass(frozen=True)
class Scores:
    """Scores of T trials on the same P patients, and their certainty."""

    values: np.ndarray
    """`[T]`"""
    influence: np.ndarray
    """Each patient's contribution to each score, `[T, P]`."""
    degrees_of_freedom: float
    """Degrees of freedom of a single error; below 1 there are no intervals or tests."""
    maximised: bool = True
    """Whether higher is better, as for all metrics between 0 and 1; minimized metrics are losses of 0 or more."""
    labels: int = 1
    """How many labels the score is the mean of."""

    @classmethod
    def of(cls, measure: Measure, logits: Iterable[np.ndarray]) -> "Scores":
        """The scores of trials' logits, each `[N, 6]` and read one at a time."""
        values, shares = measure.of_each(logits)
        return cls(
            values,
            shares,
            measure.degrees_of_freedom,
            higher_is_better(measure.metric),
            len(measure.carriers),
        )

    @property
    def pooled_degrees(self) -> float:
        """Degrees of freedom of the errors of many trials together: each label's carriers minus one, summed."""
        return self.degrees_of_freedom * self.labels

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
        half = self._half_width(confidence) * self.pair_errors[best]
        difference = self.values - self.values[best]
        return np.stack([difference, difference - half, difference + half], axis=1)

    def _half_width(self, confidence: float) -> float:
        """Half the width of an interval in standard errors; NaN without a degree of freedom."""
        degrees = self.degrees_of_freedom
        return float(t.ppf(0.5 + confidence / 2, degrees)) if degrees >= 1 else float("nan")

    @cached_property
    def pair_errors(self) -> np.ndarray:
        """The standard error of each pair's difference, `[T, T]`."""
        variance = np.diag(self.covariance)
        squared = variance[:, None] + variance[None, :] - 2 * self.covariance
        # What remains of a zero variance is rounding: such a pair predicts the same for every patient.
        return np.where(
            squared > 1e-12 * np.maximum(variance[:, None], 1e-12), np.sqrt(np.maximum(squared, 0)), 0.0
        )


def each_alone(measure: Measure, logits: Iterable[np.ndarray]) -> np.ndarray:
    """The score of each trial's logits and the ends of its interval, `[T, 3]`, without comparisons."""
    scores = Scores.of(measure, logits)
    alone = [
        replace(scores, values=scores.values[[row]], influence=scores.influence[[row]])
        for row in range(len(scores.values))
    ]
    return np.column_stack([scores.values, np.concatenate([one.intervals() for one in alone])])


def clipped(value: float, maximised: bool) -> float:
    """A value within the range of the metric: 0 to 1, or at least 0 if it is minimized."""
    return float(np.clip(value, 0, 1 if maximised else None))
