"""Intervals by resampling patients, for figures that have no linearization, such as the calibration error.

Slices of one head are correlated, so whole patients are drawn with replacement (Efron and Tibshirani 1993, An
Introduction to the Bootstrap, chapter 8), and intervals are percentiles. With few patients they are somewhat narrow.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np

DRAWS: Final = 1000
_ENDS: Final = (0.025, 0.975)


class Drawn(NamedTuple):
    """A figure, and the same figure in each resample of the patients, `[DRAWS]`."""

    value: float
    draws: np.ndarray

    @property
    def ends(self) -> tuple[float, float]:
        """The 95 % interval; NaN if the figure is undefined, or the same in all resamples, which proves nothing."""
        known = self.draws[np.isfinite(self.draws)]
        if not np.isfinite(self.value) or not len(known):
            return float("nan"), float("nan")
        low, high = np.quantile(known, _ENDS)
        return (float(low), float(high)) if high > low else (float("nan"), float("nan"))

    def centred(self) -> "Drawn":
        """The same figure with its resamples shifted so that their mean is its value.

        For a sum of distances, such as the calibration error, which the extra noise of resamples always raises.
        """
        known = self.draws[np.isfinite(self.draws)]
        return Drawn(self.value, self.draws - known.mean() + self.value) if len(known) else self

    def minus(self, other: "Drawn") -> "Drawn":
        """The difference of two figures on the same resamples."""
        return Drawn(self.value - other.value, self.draws - other.draws)


def mean_of(figures: Sequence[Drawn]) -> Drawn:
    """The mean of the figures that are defined; in each resample, of those defined there."""
    defined = [figure for figure in figures if np.isfinite(figure.value)]
    if not defined:
        return Drawn(float("nan"), np.full(DRAWS, np.nan))
    draws = np.stack([figure.draws for figure in defined])
    counts = np.isfinite(draws).sum(axis=0)
    sums = np.nansum(draws, axis=0)
    means = np.divide(sums, counts, out=np.full(len(counts), np.nan), where=counts > 0)
    return Drawn(float(np.mean([figure.value for figure in defined])), means)


@dataclass(frozen=True)
class PatientBootstrap:
    """Resamples of the patients of n slices."""

    patients: np.ndarray
    """The patient of each slice, `[n]`."""
    seed: int = 0

    def figure(
        self, values: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray], among: np.ndarray
    ) -> Drawn:
        """A statistic of sums over some slices.

        `values` `[m, K]` are those of the m slices `among` all n (a mask `[n]`); of their sums `[..., K]` the statistic
        makes figures `[...]`.
        """
        codes = self._codes[among]
        sums = np.stack([np.bincount(codes, column, self._count) for column in values.T], axis=1)
        return Drawn(float(statistic(sums.sum(axis=0))), statistic(self._weights @ sums))

    @cached_property
    def _codes(self) -> np.ndarray:
        return np.unique(self.patients, return_inverse=True)[1]

    @property
    def _count(self) -> int:
        return int(self._codes.max()) + 1

    @cached_property
    def _weights(self) -> np.ndarray:
        """How often each resample has each patient, `[DRAWS, P]`."""
        rng = np.random.default_rng(self.seed)
        drawn = rng.multinomial(self._count, np.full(self._count, 1 / self._count), DRAWS)
        return drawn.astype(np.float64)


def ratio(sums: np.ndarray) -> np.ndarray:
    """The first of two sums `[..., 2]` divided by the second; NaN where that is 0."""
    part, whole = sums[..., 0], sums[..., 1]
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)
