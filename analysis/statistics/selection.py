"""What the best of many scores is worth: its value and interval, corrected for having been selected."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from analysis.statistics.significance import CONFIDENCE, Scores, ends_around

DRAWS: Final = 2000
_GRID: Final = np.concatenate([[1e-9], np.geomspace(1e-3, 2, 60)])
"""Candidate variances of the true scores, as shares of the scores' variance."""


@dataclass(frozen=True)
class Winner:
    """The best of T scores, corrected by a bootstrap around shrunken scores.

    A bootstrap around the scores themselves corrects too little, as they scatter more than the truths do. So the truths
    are first estimated by shrinking the scores towards their mean (empirical Bayes with the scores' covariance: Efron
    and Morris, JASA 1973, 68:117); then scores are drawn around these, and the mean excess of the best drawn score over
    the truth of the one it belongs to is subtracted (Efron and Tibshirani 1993, chapter 17).
    """

    scores: Scores
    seed: int = 0

    @cached_property
    def corrected(self) -> float:
        """The best score minus what selecting it adds on average."""
        return self._sign * (self._best - float(self._excess.mean()))

    @cached_property
    def interval(self) -> tuple[float, float]:
        """The ends of the winner's 95 % interval, which allows for the selection; NaN without a degree of freedom."""
        if self.scores.degrees_of_freedom < 1:
            return float("nan"), float("nan")
        degrees = self.scores.degrees(self.scores.influence)[(self._sign * self.scores.values).argmax()]
        rng = np.random.default_rng(self.seed)
        centre = self._excess.mean()
        spread = (self._excess - centre) / np.sqrt(rng.chisquare(degrees, DRAWS) / degrees)
        tails = (1 - CONFIDENCE) / 2
        above, below = np.quantile(self._sign * (centre + spread), (tails, 1 - tails))
        value = np.array([self._sign * self._best])
        low, high = ends_around(value, below, -above, maximised=self.scores.maximised)[0]
        return float(low), float(high)

    @property
    def _sign(self) -> int:
        return 1 if self.scores.maximised else -1

    @property
    def _best(self) -> float:
        return float((self._sign * self.scores.values).max())

    @cached_property
    def _excess(self) -> np.ndarray:
        """How much the best drawn score exceeds its own truth, `[DRAWS]`."""
        rng = np.random.default_rng(self.seed)
        truths = self._sign * shrunken(self.scores.values, self.scores.covariance)
        multipliers = rng.standard_normal((DRAWS, self.scores.influence.shape[1]), np.float32)
        drawn = truths + multipliers @ self.scores.influence.T.astype(np.float32)
        return drawn.max(axis=1) - truths[drawn.argmax(axis=1)]


def shrunken(scores: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Scores `[T]` shrunk towards their mean: estimates of truths that scatter normally around it.

    The variance of the truths is the most likely one given the scores, among a grid of values. Posterior means scatter
    less than truths do, so they are spread to have that variance (Louis, JASA 1984, 79:393).
    """
    count = len(scores)
    if count < 2 or np.ptp(scores) == 0:
        return scores.copy()
    centring = np.eye(count) - 1 / count
    variances, axes = np.linalg.eigh(centring @ covariance @ centring)
    # Of the centred scores, the direction of their mean has no part.
    kept = np.abs(axes.sum(axis=0)) < 0.5 * np.sqrt(count)
    variances, axes = np.maximum(variances[kept], 0), axes[:, kept]
    along = axes.T @ (scores - scores.mean())
    truth = max(_GRID * scores.var(ddof=1), key=lambda of: _likelihood(along, variances + of))
    posterior = axes @ (along * truth / (variances + truth))
    return scores.mean() + posterior * max(np.sqrt(truth / posterior.var(ddof=1)), 1)


def _likelihood(values: np.ndarray, variances: np.ndarray) -> float:
    """The log likelihood of independent normal values with mean 0, up to a constant."""
    return float(-0.5 * (np.log(variances) + values**2 / variances).sum())
