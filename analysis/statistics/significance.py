"""How certain scores and their differences are, clustered by patient, as slices of one head are correlated.

Every score comes with each patient's contribution to it (`analysis.statistics.influence`). The variances of scores and
of differences on the same patients follow from these alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.special import expit, logit
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
    """The most that a single error can have; below 1 there are no intervals or tests."""
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
        """The lower and upper end of each score's interval, `[T, 2]`, by Student's t, on the scale of `ends_around`."""
        half = self.quantiles(self.influence, confidence) * self.errors
        return ends_around(self.values, half, half, maximised=self.maximised)

    def differences(self, best: int, confidence: float = CONFIDENCE) -> np.ndarray:
        """Each score minus that of trial `best`, with the ends of its interval, `[T, 3]`; paired by patient."""
        paired = self.quantiles(self.influence - self.influence[best], confidence)
        half = paired * self.pair_errors[best]
        difference = self.values - self.values[best]
        ends = np.stack([difference - half, difference + half], axis=1)
        # Scores between 0 and 1 can't differ by more.
        ends = np.clip(ends, -1, 1) if self.maximised else ends
        return np.column_stack([difference, ends])

    def degrees(self, influence: np.ndarray) -> np.ndarray:
        """Degrees of freedom of the errors of these contributions `[..., P]`, `[...]`.

        An error that rests on a few patients is itself imprecise. Its square is matched to a chi-square variable by
        mean and variance (Satterthwaite, Biometrics Bulletin 1946, 2:110); the variance follows from the kurtosis k of
        P contributions, which gives 2 P / (k - 1) degrees (O'Neill, The American Statistician 2014, 68:282).

        By the number of positive patients alone, 95 % intervals of AUCs of 0.97 covered the truth in 92 % of simulated
        searches on 50 or 200 patients, and in 94 % this way. By kurtosis alone, those of means over labels on 50
        patients covered it in only 91 %, where models were trained on each fold.
        """
        squares = influence.astype(float) ** 2
        total = squares.sum(axis=-1)
        excess = (squares**2).sum(axis=-1) - total**2 / influence.shape[-1]
        found = np.full(total.shape, float(self.degrees_of_freedom))
        heavy = excess > 1e-12 * total**2
        return np.minimum(found, np.divide(2 * total**2, excess, out=found.copy(), where=heavy))

    def quantiles(self, influence: np.ndarray, confidence: float = CONFIDENCE) -> np.ndarray:
        """Half the width of intervals in their standard errors, `[...]`; NaN without a degree of freedom."""
        if self.degrees_of_freedom < 1:
            return np.full(influence.shape[:-1], np.nan)
        return t.ppf(0.5 + confidence / 2, self.degrees(influence))

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


def ends_around(
    values: np.ndarray, below: np.ndarray | float, above: np.ndarray | float, *, maximised: bool
) -> np.ndarray:
    """The ends `[T, 2]` of intervals that reach so far below and above values `[T]`, within the metric's range.

    For metrics between 0 and 1, the distances apply to the logits of the values, as the distribution of a score near 1
    is skewed (for the AUC: Pepe 2003, The Statistical Evaluation of Medical Tests, section 5.2). A logit moves by
    1 / (value (1 - value)) times as much as its value. Losses are at least 0.
    """
    if not maximised:
        return np.maximum(np.stack([values - below, values + above], axis=1), 0)
    inside = (values > 0) & (values < 1)
    middle = np.where(inside, values, 0.5)
    slope = 1 / (middle * (1 - middle))
    ends = expit(np.stack([logit(middle) - slope * below, logit(middle) + slope * above], axis=1))
    return np.where(inside[:, None], ends, np.clip(np.stack([values - below, values + above], axis=1), 0, 1))
