"""How far two orders of the same recipes agree, and what errors by patient and by seed make of it.

Kendall's tau of two noisy orders is closer to 0 than that of the true ones (attenuation: Spearman, American Journal of
Psychology 1904, 15:72). If both are measured on the same patients, what these have in common may also raise it. So the
true scores are estimated by a hierarchical model: those of K recipes are pairs from a normal distribution, observed
with normal errors whose covariance is known from the patients' contributions. Its two deviations have a uniform prior
(Gelman, Bayesian Analysis 2006, 1:515), and so has its correlation; the posterior is summed over a grid.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
from scipy.stats import kendalltau

from analysis.statistics.significance import CONFIDENCE

DRAWS: Final = 1000
FEWEST: Final = 3
"""With two recipes, tau is 1 or -1 whatever they are."""
_DEVIATIONS, _CORRELATIONS, _WIDEST, _CLOSEST = 24, 21, 4.0, 0.999
"""The grid's points for each deviation and for the correlation; its largest deviation, in those observed, and its
largest correlation."""
_TINY: Final = 1e-9


class Estimate(NamedTuple):
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Agreement:
    """Two scores of each of K recipes, at least `FEWEST`, on the same P patients.

    Agreement(np.array([[0.71, 0.69, 0.60], [0.75, 0.77, 0.66]]), influence).measured
    """

    values: np.ndarray
    """`[2, K]`"""
    influence: np.ndarray
    """Each patient's contribution to each score, `[2, K, P]`."""
    by_seed: tuple[float, float] = (0.0, 0.0)
    """The variance of each of both scores by random seed; 0 where it isn't known."""
    seed: int = 0

    @property
    def measured(self) -> float:
        """Kendall's tau-b between the two orders; NaN if one of them has ties only."""
        return float(kendalltau(*self.values).statistic)

    @cached_property
    def interval(self) -> tuple[float, float]:
        """The ends of tau's 95 % interval by a bootstrap over patients (percentiles): what others like them would show.

        Patients are drawn through their contributions by normal multipliers, as in `Comparisons`. Each draw adds errors
        to scores that have errors already, so this isn't an interval of the true orders' tau, which is `true`.
        """
        multipliers = self._rng(0).standard_normal((self.influence.shape[2], DRAWS))
        return _ends(kendall(*(self.values[:, :, None] + self.influence @ multipliers)))

    @cached_property
    def true(self) -> Estimate:
        """Tau between the orders of the true scores: its posterior median and 95 % interval."""
        taus = kendall(*self._truths)
        return Estimate(float(np.median(taus)), *_ends(taus))

    @cached_property
    def if_same(self) -> float:
        """The tau to be expected on such patients if both true orders were the same: errors allow no more."""
        first, second = self._truths
        ranks = first.argsort(axis=0).argsort(axis=0)
        return self._expected(first, np.take_along_axis(np.sort(second, axis=0), ranks, axis=0))

    @cached_property
    def if_unrelated(self) -> float:
        """The tau to be expected on such patients if the true orders had nothing to do with one another."""
        first, second = self._truths
        return self._expected(first, self._rng(2).permuted(second, axis=0))

    @cached_property
    def repeated(self) -> tuple[float, float]:
        """The tau to be expected of each order with itself, measured again on as many other patients."""
        once, again = self._errors(3), self._errors(4)
        found = [
            kendall(truths + once[row], truths + again[row]).mean() for row, truths in enumerate(self._truths)
        ]
        return float(found[0]), float(found[1])

    def repeated_by_seed(self, row: int) -> float:
        """The tau to be expected of an order with itself, trained again with another seed; NaN if that isn't known.

        Between normal scores with correlation r, tau is 2 arcsin(r) / pi (Kendall and Gibbons 1990, Rank Correlation
        Methods, chapter 9).
        """
        observed, noise = float(np.var(self.values[row], ddof=1)), self.by_seed[row]
        if not noise or not observed:
            return float("nan")
        return float(2 / np.pi * np.arcsin(max(1 - noise / observed, 0.0)))

    @cached_property
    def errors(self) -> np.ndarray:
        """The covariance of both scores' errors `[2, 2]`, in differences between recipes; the mean over recipes."""
        own = self.influence - self.influence.mean(axis=1, keepdims=True)
        by_patient = np.einsum("ikp,jkp->ij", own, own) / (self.values.shape[1] - 1)
        return by_patient + np.diag(self.by_seed)

    def _expected(self, first: np.ndarray, second: np.ndarray) -> float:
        """The mean tau of true scores `[K, DRAWS]` once errors are added as these patients have them."""
        return float(np.nanmean(kendall(*(np.stack([first, second]) + self._errors(5)))))

    def _errors(self, stream: int) -> np.ndarray:
        """Errors of both scores drawn together, `[2, K, DRAWS]`."""
        normal = self._rng(stream).standard_normal((2, self.values.shape[1], DRAWS))
        return np.einsum("ij,jkd->ikd", _root(self.errors), normal)

    @cached_property
    def _truths(self) -> np.ndarray:
        """True scores drawn from their posterior, `[2, K, DRAWS]`, relative to their mean over recipes."""
        spread = self._spreads
        # The posterior of a recipe's pair, given the distribution that it is from and its error.
        gain = spread @ np.linalg.inv(spread + self.errors + _TINY * np.eye(2) * np.trace(self.errors))
        observed = self.values - self.values.mean(axis=1, keepdims=True)
        normal = self._rng(1).standard_normal((DRAWS, 2, self.values.shape[1]))
        drawn = gain @ observed + _root(spread - gain @ spread) @ normal
        return drawn.transpose(1, 2, 0)

    @property
    def _spreads(self) -> np.ndarray:
        """Covariances of the true scores drawn from their posterior, `[DRAWS, 2, 2]`."""
        count, observed, errors = self.values.shape[1], np.cov(self.values), self.errors
        widest = _WIDEST * np.sqrt(np.maximum(np.diag(observed) + np.diag(errors), _TINY**2))
        first, second, correlation = (
            axis.ravel()
            for axis in np.meshgrid(
                *(np.linspace(0, end, _DEVIATIONS + 1)[1:] for end in widest),
                np.linspace(-_CLOSEST, _CLOSEST, _CORRELATIONS),
            )
        )
        between = correlation * first * second
        spreads = np.stack([first**2, between, between, second**2], axis=-1).reshape(-1, 2, 2)
        whole = spreads + errors
        # The likelihood of the covariance of K pairs: Wishart's, with K - 1 degrees of freedom.
        fit = np.linalg.slogdet(whole)[1] + np.trace(np.linalg.inv(whole) @ observed, axis1=1, axis2=2)
        weights = np.exp(-0.5 * (count - 1) * (fit - fit.min()))
        return spreads[self._rng(6).choice(len(spreads), DRAWS, p=weights / weights.sum())]

    def _rng(self, stream: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, stream])


def kendall(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Kendall's tau-b of each column of two arrays `[K, D]`, `[D]`; NaN where one has ties only."""
    both = np.zeros(first.shape[1])
    untied = np.zeros((2, first.shape[1]))
    for row in range(len(first) - 1):
        signs = [np.sign(scores[row + 1 :] - scores[row]) for scores in (first, second)]
        both += (signs[0] * signs[1]).sum(axis=0)
        untied += [np.abs(sign).sum(axis=0) for sign in signs]
    pairs = np.sqrt(untied.prod(axis=0))
    return np.divide(both, pairs, out=np.full_like(both, np.nan), where=pairs > 0)


def _ends(taus: np.ndarray) -> tuple[float, float]:
    low, high = np.nanquantile(taus, [0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2])
    return float(low), float(high)


def _root(covariance: np.ndarray) -> np.ndarray:
    """The symmetric square root of covariances `[..., 2, 2]`, which may be singular."""
    values, vectors = np.linalg.eigh((covariance + np.swapaxes(covariance, -1, -2)) / 2)
    return (vectors * np.sqrt(np.maximum(values, 0))[..., None, :]) @ np.swapaxes(vectors, -1, -2)
