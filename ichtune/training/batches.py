"""Inputs of training: folds, sources of inputs, and the steps of an epoch over several folds."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

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

    The rows of each part make up whole units (see `Units`).
    """

    index: int
    train: np.ndarray
    valid: np.ndarray
    partition: int = 0
    """The partition that it belongs to, in repeated cross-validation; patients are in folds of several partitions."""
    round: int = 0
    """The cross-validation that it belongs to: one for each partition and training seed."""


class Batch(NamedTuple):
    """Whole units of a fold, one after the other."""

    rows: np.ndarray
    """int64 `[n]`"""
    sizes: np.ndarray
    """The number of rows of each unit, int64 `[u]`."""


NO_BATCH: Final = Batch(np.empty(0, np.int64), np.empty(0, np.int64))


class Step(NamedTuple):
    """One optimizer step of F folds side by side: B rows per fold, of which the first `counts[f]` are real."""

    rows: np.ndarray
    """int64 `[F, B]`"""
    counts: np.ndarray
    """int64 `[F]`; 0 for a fold with no batch left in this epoch."""
    sizes: list[np.ndarray]
    """The number of rows of each of a fold's units, int64 `[u_f]`."""

    def parts(self, count: int) -> Iterator["Part"]:
        """Yield at most `count` parts of the step, each of whole units.

        There are half as many parts as rows at most, as a single row has no variance to normalise by.
        """
        rows = self.rows.shape[1]
        count = max(1, min(count, rows // 2, max(map(len, self.sizes))))
        if count == 1:
            yield Part(slice(None), self)
            return
        shares = [np.array_split(sizes, count) for sizes in self.sizes]
        begun = np.zeros_like(self.counts)
        for sizes in map(list, zip(*shares, strict=True)):
            counts = np.array([share.sum() for share in sizes], dtype=np.int64)
            columns = np.minimum(begun[:, None] + np.arange(counts.max()), rows - 1)
            yield Part(columns, Step(np.take_along_axis(self.rows, columns, axis=1), counts, sizes))
            begun += counts


class Part(NamedTuple):
    """A part of a step, as a smaller step."""

    columns: np.ndarray | slice
    """The columns of the whole step that it has, int64 `[F, B']`, or all."""
    step: Step

    def of(self, values: torch.Tensor) -> torch.Tensor:
        """Return the part's values `[F, B', ...]` of the whole step's `[F, B, ...]`."""
        if isinstance(self.columns, slice):
            return values[:, self.columns]
        folds = torch.arange(len(self.columns))[:, None]
        return values[folds, torch.from_numpy(self.columns)]


def in_batches(order: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Split the units in `order` into batches; the last is shorter, and a lone last unit joins the batch before it.

    A batch of one has no variance, so batch normalisation can't train on it.
    """
    starts = list(range(batch_size, len(order), batch_size))
    if starts and len(order) - starts[-1] == 1 < batch_size:
        starts.pop()
    return np.split(order, starts)


def side_by_side(folds: Sequence[Sequence[Batch]]) -> list[Step]:
    """Return the steps of an epoch: batch i of every fold, padded to the longest with a row of the same fold."""
    return [_step(folds, position) for position in range(max(len(batches) for batches in folds))]


def _step(folds: Sequence[Sequence[Batch]], position: int) -> Step:
    current = [batches[position] if position < len(batches) else NO_BATCH for batches in folds]
    counts = np.array([len(batch.rows) for batch in current])
    rows = np.empty((len(folds), counts.max()), dtype=np.int64)
    for row, batch, batches in zip(rows, current, folds, strict=True):
        row[: len(batch.rows)] = batch.rows
        row[len(batch.rows) :] = batches[0].rows[0]
    return Step(rows, counts, [batch.sizes for batch in current])
