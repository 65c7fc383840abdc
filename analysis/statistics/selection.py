"""What the best of many scores is worth: its value and interval, corrected for having been selected."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from scipy.special import expit, logit

from analysis.statistics.shrinkage import posterior_means
from analysis.statistics.significance import Scores, ends_around

_TINY: Final = 1e-3
"""The smallest share of the mean variance that a trial's own error may have."""


@dataclass(frozen=True)
class Winner:
    """The best of T scores, corrected by the posterior mean of its truth given all scores.

    The more of the scores' scatter is that of their errors, the more likely the best one was lucky. A posterior allows
    for that: it is the same whether or not its score was selected. Trials are scored on the same patients, so most of
    their errors is common to all; what makes one trial lucky is the rest, its distance to the mean of all trials.

    All this is on the logit scale for metrics between 0 and 1: a score near 1 has a smaller error, and a smaller part
    of the common one, so on the metric's own scale it would differ from the mean by chance more than it does.
    """

    scores: Scores

    @cached_property
    def corrected(self) -> float:
        """The best score minus what selecting it adds on average."""
        if not self._on_logits:
            return float(self._shrunken(self.scores.values, self.scores.influence)[self._best])
        values = self.scores.values
        influence = self.scores.influence / (values * (1 - values))[:, None]
        return float(expit(self._shrunken(logit(values), influence)[self._best]))

    @cached_property
    def interval(self) -> tuple[float, float]:
        """The ends of the winner's 95 % interval, which allows for the selection; NaN without a degree of freedom.

        It reaches from where the corrected score's would to where the best score's own would. How far to correct is
        itself estimated: a recipe that really stands out by two or three errors looks like the luckiest of equal ones.
        """
        half = self.scores.quantiles(self.scores.influence[self._best]) * self.scores.errors[self._best]
        middles = np.array([self.corrected, self.scores.values[self._best]])
        ends = ends_around(middles, half, half, maximised=self.scores.maximised)
        return float(ends.min()), float(ends.max())

    @property
    def _best(self) -> int:
        return int(np.argmax(self.scores.values if self.scores.maximised else -self.scores.values))

    @property
    def _on_logits(self) -> bool:
        values = self.scores.values
        return self.scores.maximised and bool(((values > 0) & (values < 1)).all())

    def _shrunken(self, values: np.ndarray, influence: np.ndarray) -> np.ndarray:
        count = len(values)
        own = ((influence - influence.mean(axis=0)) ** 2).sum(axis=1) * count / max(count - 1, 1)
        if not own.any():  # a single trial, or copies of one
            return values
        return posterior_means(values, np.maximum(own, _TINY * own.mean()))
