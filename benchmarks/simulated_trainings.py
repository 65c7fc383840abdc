"""Made-up searches whose models are truly trained, so that other patients and seeds give other models.

A slice has `features` features per label. They are normal noise of variance 1, with a part per patient and one per
slice as in `benchmarks.simulated_searches`; a label adds a fixed vector. A fold's model of a label is linear: the
difference of the means of its training part's positive and negative slices, plus noise by seed. Its true AUC is that of
its weights in the population. The noise by seed shrinks with the square root of the patients, as the noise by training
set does.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from benchmarks.simulated_searches import FOLDS, PATIENT, POSITIVE_SLICES, SLICES, Population

IDEAL = 0.90
"""The AUC of the best linear model."""


class Recipe(NamedTuple):
    """How unstable training is: the number of features, and the deviation of the weights by seed for one patient."""

    features: int
    by_seed: float

    @property
    def signal(self) -> np.ndarray:
        """What a label adds to the features, `[F]`."""
        return np.full(self.features, norm.ppf(IDEAL) * np.sqrt(2 / self.features))


@dataclass(frozen=True)
class Patients:
    """Slices of made-up patients in folds: features `[N, 6, F]`, labels `[N, 6]`."""

    features: np.ndarray
    labels: np.ndarray
    patients: np.ndarray
    folds: np.ndarray


def patients(rng: np.random.Generator, population: Population, recipe: Recipe, count: int) -> Patients:
    """So many patients of a population."""
    of = np.repeat(np.arange(count), SLICES)
    sick = rng.random((count, 6)) < population.rates
    labels = sick[of] & (rng.random((len(of), 6)) < POSITIVE_SLICES)
    positive, negative = (rng.standard_normal((count, 6, recipe.features), np.float32)[of] for _ in range(2))
    features = np.sqrt(1 - PATIENT, dtype=np.float32) * rng.standard_normal(positive.shape, np.float32)
    features += np.sqrt(PATIENT, dtype=np.float32) * np.where(labels[:, :, None], positive, negative)
    features += labels[:, :, None] * recipe.signal.astype(np.float32)
    return Patients(features, labels, of, rng.permutation(np.arange(count) % FOLDS)[of])


def train(rng: np.random.Generator, recipe: Recipe, made: Patients) -> np.ndarray:
    """The weights of each fold's models, `[FOLDS, 6, F]`; those of a label without positives are noise by seed."""
    count = made.patients[-1] + 1
    weights = recipe.by_seed / np.sqrt(count) * rng.standard_normal((FOLDS, 6, recipe.features))
    for fold in range(FOLDS):
        known = made.folds != fold
        for label in range(6):
            features, positive = made.features[known, label], made.labels[known, label]
            if positive.any():
                weights[fold, label] += features[positive].mean(axis=0) - features[~positive].mean(axis=0)
    return weights


def true_aucs(recipe: Recipe, weights: np.ndarray) -> np.ndarray:
    """The AUC in the population of each fold's models, `[FOLDS, 6]`."""
    return norm.cdf(weights @ recipe.signal / np.linalg.norm(weights, axis=-1) / np.sqrt(2))


def out_of_fold(made: Patients, weights: np.ndarray) -> np.ndarray:
    """The logits that each slice gets from the models of its fold, `[N, 6]`."""
    return np.einsum("nlf,nlf->nl", made.features, weights[made.folds]).astype(np.float16)
