"""Inputs of training: folds, sources of inputs, and the steps of an epoch over several folds."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch


class Source(Protocol):
    """Inputs of slices by row of the store; the same interface for cached features and augmented images."""

    def batches(self, chunks: Iterable[np.ndarray], epoch: int | None) -> Iterator[torch.Tensor]:
        """Yield the inputs of each chunk of rows (int64 `[n]`, repeats allowed) in order, float32 `[n, ...]`.

        Features are `[n, D]`, images `[n, C, H, W]`. Epochs count from 0 and choose the augmentation;
        None means no augmentation.
        """
        ...


@dataclass(frozen=True)
class Fold:
    """One fold of cross-validation: its number and the store rows (int64) it trains and validates on.

    The rows make up whole units, one after the other (see `Units`).
    """

    index: int
    train: np.ndarray
    valid: np.ndarray
    partition: int = 0
    """The partition that it belongs to, in repeated cross-validation; patients are in folds of several partitions."""


class Step(NamedTuple):
    """One optimizer step of F folds side by side: B rows per fold, of which the first `counts[f]` are real."""

    rows: np.ndarray
    """int64 `[F, B]`"""
    counts: np.ndarray
    """int64 `[F]`; 0 for a fold with no batch left in this epoch."""


def in_batches(order: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Split the units in `order` into batches; the last is shorter, and a lone last unit joins the batch before it.

    A batch of one has no variance, so batch normalisation can't train on it.
    """
    starts = list(range(batch_size, len(order), batch_size))
    if starts and len(order) - starts[-1] == 1 < batch_size:
        starts.pop()
    return np.split(order, starts)


def side_by_side(folds: Sequence[Sequence[np.ndarray]]) -> list[Step]:
    """Return the steps of an epoch: batch i of every fold, padded to the longest with a row of the same fold."""
    return [_step(folds, position) for position in range(max(len(batches) for batches in folds))]


def _step(folds: Sequence[Sequence[np.ndarray]], position: int) -> Step:
    current = [batches[position] if position < len(batches) else batches[0][:0] for batches in folds]
    counts = np.array([len(batch) for batch in current])
    rows = np.empty((len(folds), counts.max()), dtype=np.int64)
    for row, batch, batches in zip(rows, current, folds, strict=True):
        row[: len(batch)] = batch
        row[len(batch) :] = batches[0][0]
    return Step(rows, counts)
