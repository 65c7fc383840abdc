"""In which order an epoch takes the units of a fold's training part."""

from collections.abc import Callable

import numpy as np

from ichtune.training.batches import Fold
from ichtune.training.units import SLICES, Units


def shuffle(units: np.ndarray, _labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Every unit once, in random order."""
    return rng.permutation(units)


def oversample(units: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many units as there are, drawn with replacement, those with rare labels more often."""
    return rng.choice(units, size=len(units), p=rarity(labels))


SAMPLERS = {"shuffle": shuffle, "oversample": oversample}


def rarity(labels: np.ndarray) -> np.ndarray:
    """How likely each unit is drawn when rare labels are oversampled, `[u]`, summing to 1; labels `[u, 6]`.

    A unit weighs 1 / (number of units that have its rarest positive label); units without a positive label
    weigh 1 / (their own number). Unknown labels (NaN) count as not positive.
    """
    positive = labels > 0.5
    # The last column means "none of the labels": all that a unit without a positive label has.
    positive = np.column_stack([positive, ~positive.any(axis=1)])
    frequency = np.where(positive, positive.sum(axis=0), np.inf).min(axis=1)
    weight = 1 / frequency
    return weight / weight.sum()


def make_sampler(
    name: str, fold: Fold, labels: np.ndarray, seed: int, units: Units = SLICES
) -> Callable[[int], np.ndarray]:
    """A function from an epoch (from 0) to the order of its units (int64 `[u]`).

    Keyed by (seed, the fold's number, epoch), and weighted by the labels `[N, 6]` of the fold's training part.
    """
    train = units.within(fold.train)
    train_labels = units.labels(train, labels)

    def order(epoch: int) -> np.ndarray:
        rng = np.random.default_rng([*b"order", seed, fold.index, epoch])
        return SAMPLERS[name](train, train_labels, rng)

    return order
