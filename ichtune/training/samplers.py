"""The order in which an epoch draws the units of a fold's training set."""

from collections.abc import Callable

import numpy as np

from ichtune.training.batches import Fold
from ichtune.training.units import SLICES, Units


def shuffle(units: np.ndarray, _labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return every unit once, in random order."""
    return rng.permutation(units)


def oversample(units: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw as many units as there are, with replacement, those with rare labels more often.

    A scan is drawn as often as its rarest label asks for, with all its slices.
    """
    return rng.choice(units, size=len(units), p=rarity(labels))


SAMPLERS = {"shuffle": shuffle, "oversample": oversample}


def rarity(labels: np.ndarray) -> np.ndarray:
    """Return the probability `[u]` of drawing each unit when rare labels are oversampled, from labels `[u, 6]`.

    A unit's weight is 1 / (number of units with its rarest positive label); without a positive label it is
    1 / (number of such units). Unknown labels (NaN) count as not positive.
    """
    positive = labels > 0.5
    # The last column means "none of the labels".
    positive = np.column_stack([positive, ~positive.any(axis=1)])
    frequency = np.where(positive, positive.sum(axis=0), np.inf).min(axis=1)
    weight = 1 / frequency
    return weight / weight.sum()


def make_sampler(
    name: str, fold: Fold, labels: np.ndarray, seed: int, units: Units = SLICES
) -> Callable[[int], np.ndarray]:
    """Return a function from the epoch (counted from 0) to the order of its units (int64 `[u]`).

    Seeded by (seed, fold number, epoch), and weighted by the fold's training rows of `labels` `[N, 6]`.
    """
    train = units.within(fold.train)
    train_labels = units.labels(train, labels)

    def order(epoch: int) -> np.ndarray:
        rng = np.random.default_rng([*b"order", seed, fold.index, epoch])
        return SAMPLERS[name](train, train_labels, rng)

    return order
