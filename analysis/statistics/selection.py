"""What the best of many scores is worth: its value and interval, corrected for having been selected."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from analysis.statistics.shrinkage import Posterior, posterior
from analysis.statistics.significance import Scores, ends_around

_TINY: Final = 1e-6
"""The smallest share of the typical variance that an error of its own may have."""


@dataclass(frozen=True)
class Winner:
    """The best of T scores, corrected by the posterior of its truth given all scores.

    The more of the scores' scatter is that of their errors, the more likely the best one was lucky. A posterior allows
    for that: it is the same whether or not its score was selected. Trials are scored on the same patients, so most of
    their errors is common to all; what makes one trial lucky is the rest, its distance to the mean of all trials.
    """

    scores: Scores

    @cached_property
    def corrected(self) -> float:
        """The best score minus what selecting it adds on average."""
        return float(self._posterior.means[self._best])

    @cached_property
    def interval(self) -> tuple[float, float]:
        """The ends of the winner's 95 % interval, which allows for the selection; NaN without a degree of freedom.

        The corrected score is a weighted mean of the best score and of all scores, and so has contributions by patient.
        To their variance is added that of the truth at given scores, as far as it isn't the best score's own error.
        """
        truth, own = self._posterior.variances[self._best], self._own[self._best]
        # For normal errors, a posterior's variance is that of the error times the mean's slope by the score.
        weight = min(truth / own, 1.0) if own else 1.0
        influence = self.scores.influence
        combined = weight * influence[self._best] + (1 - weight) * self._posterior.centring @ influence
        error = np.sqrt(combined @ combined + truth - weight**2 * own)
        half = self.scores.quantiles(combined) * error
        low, high = ends_around(np.array([self.corrected]), half, half, maximised=self.scores.maximised)[0]
        return float(low), float(high)

    @property
    def _best(self) -> int:
        return int(np.argmax(self.scores.values if self.scores.maximised else -self.scores.values))

    @cached_property
    def _own(self) -> np.ndarray:
        """The variance of each trial's error that isn't common to all, `[T]`."""
        influence = self.scores.influence
        count = len(influence)
        apart = ((influence - influence.mean(axis=0)) ** 2).sum(axis=1) * count / max(count - 1, 1)
        return np.maximum(apart, _TINY * apart.mean())

    @cached_property
    def _posterior(self) -> Posterior:
        if not self._own.any():  # a single trial, or copies of one
            return Posterior(self.scores.values, self._own, np.full(len(self._own), 1 / len(self._own)))
        return posterior(self.scores.values, self._own)
