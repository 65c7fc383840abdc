"""Made-up searches with known truths, to check a ranking's statistics: only their generator, no statistics.

All trials see the same patients and slices. A trial's logit of a label is `shift * label + noise`; the noise has a part
per patient and one per slice, and of each a share is common to all trials (recipes find the same heads difficult), a
share to the trials of a family (the same backbone), and the rest is the trial's own. Labels are as rare as in the data
set that a `Population` is named after.

The true AUC of a trial is `Phi(shift / sqrt(2))`, as all noise has variance 1 and the noise of a positive slice is
independent of that of a negative one: how hard a patient's bleeds are to see says nothing about how confusing its other
slices are. So the score of a trial on any patients is an unbiased estimate of its truth.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

SLICES, FOLDS, FAMILIES = 30, 5, 4
AUC = 0.80
PATIENT = 0.5
"""The patients' share of the noise's variance; the rest is the slices'."""
OWN, FAMILY = (0.05, 0.5), 0.1
"""A trial's own share of the noise's variance (log-uniform between two ends), and that of its family."""
POSITIVE_SLICES = 0.3
"""The share of positive slices in a patient who has the label."""
FACTOR, OFFSET = 0.4, 1.0
"""How folds' models differ in scale: the deviations of the logarithm of their factors, and of their offsets."""


class Population(NamedTuple):
    """A data set's name, and the share of its patients who have each of the six labels."""

    name: str
    rates: tuple[float, ...]


# Of 82 patients in CT-ICH (Hssayeni et al. 2020, table 2); of the examinations in RSNA 2019 (stage 2).
CT_ICH = Population("ct-ich", (22 / 82, 16 / 82, 5 / 82, 7 / 82, 4 / 82, 36 / 82))
RSNA = Population("rsna", (0.016, 0.24, 0.17, 0.18, 0.17, 0.41))


@dataclass(frozen=True)
class Search:
    """T trials with known true AUCs `[T]` on N slices, with logits `[T, N, 6]` and labels `[N, 6]`."""

    truths: np.ndarray
    logits: np.ndarray
    labels: np.ndarray
    patients: np.ndarray
    folds: np.ndarray


def search(
    rng: np.random.Generator,
    population: Population,
    patients: int,
    truths: np.ndarray,
    share: tuple[float, float] = OWN,
) -> Search:
    """A search over trials with these true AUCs, whose own share of the noise lies in a range."""
    of = np.repeat(np.arange(patients), SLICES)
    sick = rng.random((patients, 6)) < population.rates
    labels = sick[of] & (rng.random((len(of), 6)) < POSITIVE_SLICES)
    own = np.exp(rng.uniform(*np.log(share), len(truths)))
    positive, negative = (_noise(rng, (patients, 6), own)[:, of] for _ in range(2))
    noise = np.sqrt(PATIENT) * np.where(labels, positive, negative)
    noise += np.sqrt(1 - PATIENT) * _noise(rng, labels.shape, own)
    shifts = norm.ppf(truths) * np.sqrt(2)
    logits = (noise + shifts[:, None, None] * labels).astype(np.float16)
    folds = rng.permutation(np.arange(patients) % FOLDS)[of]
    return Search(truths, logits, labels.astype(float), of, folds)


def rescaled(rng: np.random.Generator, logits: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Logits `[N, 6]` of folds' models that each have a scale of their own."""
    factors, offsets = np.exp(rng.normal(0, FACTOR, FOLDS)), rng.normal(0, OFFSET, FOLDS)
    return (logits * factors[folds][:, None] + offsets[folds][:, None]).astype(np.float16)


def true_average_precision(auc: float, population: Population, label: int) -> float:
    """A label's average precision in the population of a trial with this true AUC, by numerical integration."""
    prevalence, shift = population.rates[label] * POSITIVE_SLICES, norm.ppf(auc) * np.sqrt(2)
    thresholds, step = np.linspace(-8, 8 + shift, 20_001, retstep=True)
    true = prevalence * norm.sf(thresholds - shift)
    precision = true / (true + (1 - prevalence) * norm.sf(thresholds))
    return float((precision * norm.pdf(thresholds - shift)).sum() * step)


def _noise(rng: np.random.Generator, shape: tuple[int, int], own: np.ndarray) -> np.ndarray:
    """Normal noise of variance 1, `[T, *shape]`, of which trials have these shares to themselves."""
    family = rng.standard_normal((FAMILIES, *shape), np.float32)[np.arange(len(own)) % FAMILIES]
    alone = rng.standard_normal((len(own), *shape), np.float32)
    common = rng.standard_normal(shape, np.float32)
    parts = ((common, 1 - FAMILY - own), (family, np.full(len(own), FAMILY)), (alone, own))
    return sum(np.sqrt(share).astype(np.float32)[:, None, None] * part for part, share in parts)
