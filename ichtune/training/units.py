"""What batches are made of."""

from typing import Final, Protocol

import numpy as np


class Units(Protocol):
    """The units that a head reads whole, by number: slices by themselves, or all slices of a scan."""

    def within(self, rows: np.ndarray) -> np.ndarray:
        """The units (int64 `[u]`) that the store's rows (int64 `[n]`) make up, in their order."""
        ...

    def rows(self, units: np.ndarray) -> np.ndarray:
        """The rows (int64 `[n]`) of units (int64 `[u]`, repeats allowed), one unit after the other."""
        ...

    def labels(self, units: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """The labels `[u, 6]` of units, given the slices' `[N, 6]`: a unit has what any of its slices has."""
        ...


class Slices:
    """Each slice by itself, numbered by its row."""

    def within(self, rows: np.ndarray) -> np.ndarray:
        return rows

    def rows(self, units: np.ndarray) -> np.ndarray:
        return units

    def labels(self, units: np.ndarray, labels: np.ndarray) -> np.ndarray:
        return labels[units]


SLICES: Final = Slices()
