"""The units that batches consist of."""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from ichtune.data.scans import Scans
from ichtune.training.batches import Batch


class Units(Protocol):
    """Numbered units that a head reads whole: single slices, or all slices of a scan."""

    def within(self, rows: np.ndarray) -> np.ndarray:
        """Return the units (int64 `[u]`) that the store's rows (int64 `[n]`) are in, each once, in order."""
        ...

    def batch(self, units: np.ndarray) -> Batch:
        """Return the rows of units (int64 `[u]`, repeats allowed), one unit after the other, and their numbers."""
        ...

    def labels(self, units: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return the labels `[u, 6]` of units from the slices' `[N, 6]`: a unit has every label any slice has."""
        ...

    @property
    def largest(self) -> int:
        """The number of slices of the largest unit."""
        ...

    def per_batch(self, units: np.ndarray, slices: int) -> int:
        """Return how many of these units (int64 `[u]`) have this many slices on average, at least 1."""
        ...


class Slices:
    """Every slice is its own unit, numbered by its row."""

    largest = 1

    def within(self, rows: np.ndarray) -> np.ndarray:
        return rows

    def batch(self, units: np.ndarray) -> Batch:
        return Batch(units, np.ones(len(units), np.int64))

    def labels(self, units: np.ndarray, labels: np.ndarray) -> np.ndarray:
        return labels[units]

    def per_batch(self, units: np.ndarray, slices: int) -> int:
        return slices


SLICES: Final = Slices()


@dataclass(frozen=True)
class ScanUnits:
    """The slices that a scan has in one fold, or in the test set, from the feet towards the head.

    As scans are not shared between patients, this is nearly always the whole scan. A slice whose series or position
    is unknown is a unit of its own.
    """

    order: np.ndarray
    """All rows, unit by unit, int64 `[N]`."""
    starts: np.ndarray
    """Where each of U units begins in `order`, int64 `[U + 1]`."""
    of_row: np.ndarray
    """The unit of each row, int64 `[N]`."""
    placed: np.ndarray
    """Which slices have a known series and position, bool `[N]`."""

    @classmethod
    def of(cls, scans: Scans) -> "ScanUnits":
        """Group the slices of scans by their folds."""
        part = scans.slices["fold"].to_numpy()
        rows = np.arange(len(part))
        # Numbers beyond those of scans, each once, for slices that are alone.
        scan = np.where(scans.placed, scans.of_row, len(scans) + rows)
        place = np.empty_like(rows)
        place[scans.order] = rows
        order = np.lexsort((place, part, scan))
        begins = np.ones(len(order), bool)
        begins[1:] = (np.diff(scan[order]) != 0) | (np.diff(part[order]) != 0)
        of_row = np.empty_like(rows)
        of_row[order] = np.cumsum(begins) - 1
        return cls(order, np.append(np.flatnonzero(begins), len(order)), of_row, scans.placed)

    def __str__(self) -> str:
        sizes = self.sizes[np.unique(self.of_row[self.placed])]
        words = f"{len(sizes):,} scans of {sizes.min()} to {sizes.max()} slices" if len(sizes) else "no scans"
        alone = int((~self.placed).sum())
        if not alone:
            return words
        have, are = ("slice has", "it is a scan") if alone == 1 else ("slices have", "each is a scan")
        return f"{words}; {alone:,} {have} no known series or position, so {are} of its own"

    @property
    def sizes(self) -> np.ndarray:
        """The number of slices of each unit, int64 `[U]`."""
        return np.diff(self.starts)

    @property
    def largest(self) -> int:
        return int(self.sizes.max())

    def within(self, rows: np.ndarray) -> np.ndarray:
        return np.unique(self.of_row[rows])

    def batch(self, units: np.ndarray) -> Batch:
        sizes = self.sizes[units]
        within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return Batch(self.order[np.repeat(self.starts[units], sizes) + within], sizes)

    def labels(self, units: np.ndarray, labels: np.ndarray) -> np.ndarray:
        batch = self.batch(units)
        if not len(units):
            return labels[:0]
        # fmax passes over unknown labels.
        return np.fmax.reduceat(labels[batch.rows], np.cumsum(batch.sizes) - batch.sizes)

    def per_batch(self, units: np.ndarray, slices: int) -> int:
        return max(1, round(slices / self.sizes[units].mean())) if len(units) else 1
