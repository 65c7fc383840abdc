"""The order in which an epoch draws the units of a fold's training set."""

import math
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
    name: str,
    fold: Fold,
    labels: np.ndarray,
    seed: int,
    units: Units = SLICES,
    *,
    per_epoch: int | None = None,
) -> Callable[[int], np.ndarray]:
    """Return a function from the epoch (counted from 0) to the order of its units (int64 `[u]`).

    An epoch is a pass over the fold's training part or, with `per_epoch`, that many units: each epoch goes on in the
    passes where the one before it stopped. A pass is seeded by (seed, fold number, number of the pass), and weighted
    by the fold's training rows of `labels` `[N, 6]`.
    """
    train = units.within(fold.train)
    train_labels = units.labels(train, labels)

    def whole(number: int) -> np.ndarray:
        rng = np.random.default_rng([*b"order", seed, fold.index, number])
        return SAMPLERS[name](train, train_labels, rng)

    if per_epoch is None:
        return whole

    def part(epoch: int) -> np.ndarray:
        first, skipped = divmod(epoch * per_epoch, len(train))
        passes = math.ceil((skipped + per_epoch) / len(train))
        return np.concatenate([whole(first + n) for n in range(passes)])[skipped : skipped + per_epoch]

    return part
