"""In which order an epoch takes the rows of a fold's training part."""

from collections.abc import Callable

import numpy as np

from ichtune.training.batches import Fold


def shuffle(rows: np.ndarray, _labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Every row once, in random order."""
    return rng.permutation(rows)


def oversample(rows: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many rows as there are, drawn with replacement, slices with rare labels more often."""
    return rng.choice(rows, size=len(rows), p=rarity(labels))


SAMPLERS = {"shuffle": shuffle, "oversample": oversample}


def rarity(labels: np.ndarray) -> np.ndarray:
    """How likely each slice is drawn when rare labels are oversampled, `[n]`, summing to 1; labels `[n, 6]`.

    A slice weighs 1 / (number of slices that have its rarest positive label); slices without a positive label
    weigh 1 / (their own number). Unknown labels (NaN) count as not positive.
    """
    positive = labels > 0.5
    # The last column means "none of the labels": all that a slice without a positive label has.
    positive = np.column_stack([positive, ~positive.any(axis=1)])
    frequency = np.where(positive, positive.sum(axis=0), np.inf).min(axis=1)
    weight = 1 / frequency
    return weight / weight.sum()


def make_sampler(name: str, fold: Fold, labels: np.ndarray, seed: int) -> Callable[[int], np.ndarray]:
    """A function from an epoch (from 0) to the order of its rows (int64 `[n]`).

    Keyed by (seed, the fold's number, epoch), and weighted by the labels `[N, 6]` of the fold's training part.
    """
    train_labels = labels[fold.train]

    def order(epoch: int) -> np.ndarray:
        rng = np.random.default_rng([*b"order", seed, fold.index, epoch])
        return SAMPLERS[name](fold.train, train_labels, rng)

    return order
