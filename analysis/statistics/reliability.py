"""Whether predicted probabilities are calibrated: the observed share of positives by predicted probability."""

from typing import Final, NamedTuple

import numpy as np

BINS: Final = 10


class ReliabilityCurve(NamedTuple):
    """By bins of equally many slices `[B]`: mean probability, share of positives, and number of slices."""

    predicted: np.ndarray
    observed: np.ndarray
    slices: np.ndarray

    @property
    def error(self) -> float:
        """The expected calibration error: the bins' mean distance from the diagonal, weighted by slices."""
        return float(np.average(np.abs(self.observed - self.predicted), weights=self.slices))


def reliability_curve(probs: np.ndarray, truth: np.ndarray, bins: int = BINS) -> ReliabilityCurve:
    """The observed share of positives by quantiles of the probability; empty bins are omitted."""
    places = quantile_bins(probs, bins)
    slices = np.bincount(places, minlength=bins)
    filled = slices > 0
    predicted, observed = (np.bincount(places, values, bins)[filled] for values in (probs, truth))
    return ReliabilityCurve(predicted / slices[filled], observed / slices[filled], slices[filled])


def quantile_bins(probs: np.ndarray, bins: int = BINS) -> np.ndarray:
    """The bin of each probability `[n]`, from 0, where bins hold equally many; equal probabilities share a bin."""
    edges = np.quantile(probs, np.linspace(0, 1, bins + 1))
    return np.searchsorted(edges[1:-1], probs)
