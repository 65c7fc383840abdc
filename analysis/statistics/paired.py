"""How much each of several recipes gains from one way of training to another, paired by patient."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from analysis.statistics.comparisons import DRAWS
from analysis.statistics.significance import CONFIDENCE, Scores

_TINY = 1e-12


@dataclass(frozen=True)
class Gains:
    """The differences between two scores of each of K recipes on the same patients."""

    scores: Scores
    """Those of 2 K trials: each recipe trained one way, then each in the same order the other way."""
    seed: int = 0

    @property
    def count(self) -> int:
        return len(self.scores.values) // 2

    @property
    def values(self) -> np.ndarray:
        """Each second score minus the first, `[K]`."""
        return self.scores.values[self.count :] - self.scores.values[: self.count]

    @cached_property
    def influence(self) -> np.ndarray:
        """Each patient's contribution to each difference, `[K, P]`."""
        return self.scores.influence[self.count :] - self.scores.influence[: self.count]

    @cached_property
    def intervals(self) -> np.ndarray:
        """The ends of each difference's 95 % interval by Student's t, `[K, 2]`; NaN without a degree of freedom."""
        return self._around(self._half)

    @cached_property
    def simultaneous(self) -> np.ndarray:
        """The ends of intervals that hold all K true differences at once with 95 % confidence, `[K, 2]`.

        By the largest of the differences' drawn errors, in the units of `Comparisons`; none is narrower than the
        difference's own interval.
        """
        if self.scores.degrees_of_freedom < 1:
            return self.intervals
        rng, degrees = np.random.default_rng(self.seed), self.scores.pooled_degrees
        drawn = self.influence @ rng.standard_normal((self.influence.shape[1], DRAWS))
        drawn /= np.sqrt(rng.chisquare(degrees, DRAWS) / degrees)
        units = np.maximum(self._errors + np.median(self._errors), _TINY)
        largest = np.abs(drawn / units[:, None]).max(axis=0)
        return self._around(np.maximum(np.quantile(largest, CONFIDENCE) * units, self._half))

    @property
    def _errors(self) -> np.ndarray:
        return np.sqrt((self.influence**2).sum(axis=1))

    @property
    def _half(self) -> np.ndarray:
        return self.scores.quantiles(self.influence) * self._errors

    def _around(self, half: np.ndarray) -> np.ndarray:
        return np.stack([self.values - half, self.values + half], axis=1)
