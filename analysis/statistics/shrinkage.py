"""The truths behind many scores, estimated together by a hierarchical model.

Truths are taken to scatter normally around a centre, with a width that isn't known, and one trial's worth of them more
widely: else a recipe that is far ahead of equals would be pulled down to them. Such mixtures of normal distributions
around one centre are those of adaptive shrinkage (Stephens, Biostatistics 2017, 18:275). As few trials don't show the
width well, estimates are averaged over all widths, by their likelihood (Gelman, Bayesian Analysis 2006, 1:515); with
the most likely one alone, intervals would be too narrow.
"""

from typing import Final, NamedTuple

import numpy as np
from scipy.special import logsumexp, softmax

ROUNDS: Final = 15
"""Steps by which the centre is found."""


class Posterior(NamedTuple):
    """What scores say about their truths, each array `[T]`."""

    means: np.ndarray
    variances: np.ndarray
    centring: np.ndarray
    """The weight of each score in the centre; they sum to 1."""


def posterior(scores: np.ndarray, variances: np.ndarray) -> Posterior:
    """The posterior of the truths of scores `[T]` with independent normal errors of these variances `[T]` above 0."""
    widths = _widths(scores - scores.mean(), variances)
    total = variances[:, None] + widths**2
    prior = _priors(len(widths), len(scores))
    centres = np.full(len(prior), scores.mean())
    for _ in range(ROUNDS):
        shares = softmax(_likelihoods(prior, scores - centres[:, None], total), axis=2)
        precisions = (shares / total).sum(axis=2)
        centres = precisions @ scores / precisions.sum(axis=1)
    likelihoods = _likelihoods(prior, scores - centres[:, None], total)
    # The centre isn't known either: its part of the marginal likelihood is that of a flat prior.
    marginal = logsumexp(likelihoods, axis=2).sum(axis=1) - 0.5 * np.log(precisions.sum(axis=1))
    each = softmax(marginal)
    shares = each[:, None, None] * softmax(likelihoods, axis=2)
    kept = widths**2 / total
    means = centres[:, None, None] + kept * (scores - centres[:, None])[:, :, None]
    mean = (shares * means).sum(axis=(0, 2))
    variance = (shares * (kept * variances[:, None] + (means - mean[:, None]) ** 2)).sum(axis=(0, 2))
    return Posterior(mean, variance, each @ (precisions / precisions.sum(axis=1, keepdims=True)))


def _widths(distances: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Standard deviations that truths may have: 0, then by a factor of 1.4 from far below the errors to beyond all."""
    low = np.sqrt(variances.min()) / 5
    high = 2 * max(np.abs(distances).max(), 5 * low)
    steps = int(np.ceil(2 * np.log2(high / low)))
    return np.concatenate([[0.0], low * 2 ** (np.arange(steps + 1) / 2)])


def _priors(widths: int, trials: int) -> np.ndarray:
    """Log probabilities `[W - 1, W]` of each width for a trial, if most trials have the first, second, ... of them."""
    apart = min(1 / trials, 0.5)
    wider = np.triu(np.ones((widths, widths)), 1)[:-1]
    probabilities = (1 - apart) * np.eye(widths)[:-1] + apart * wider / wider.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        return np.log(probabilities)


def _likelihoods(prior: np.ndarray, distances: np.ndarray, total: np.ndarray) -> np.ndarray:
    """The log likelihood of each trial's distance to the centre with each width, times its prior, `[W - 1, T, W]`."""
    return prior[:, None, :] - 0.5 * (np.log(total) + distances[:, :, None] ** 2 / total)
