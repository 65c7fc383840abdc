"""The units that batches consist of."""

from typing import Final, Protocol

import numpy as np


class Units(Protocol):
    """Numbered units that a head reads whole: single slices, or all slices of a scan."""

    def within(self, rows: np.ndarray) -> np.ndarray:
        """Return the units (int64 `[u]`) that the store's rows (int64 `[n]`) make up, in order."""
        ...

    def rows(self, units: np.ndarray) -> np.ndarray:
        """Return the rows (int64 `[n]`) of units (int64 `[u]`, repeats allowed), one unit after the other."""
        ...

    def labels(self, units: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return the labels `[u, 6]` of units from the slices' `[N, 6]`: a unit has every label any slice has."""
        ...


class Slices:
    """Every slice is its own unit, numbered by its row."""

    def within(self, rows: np.ndarray) -> np.ndarray:
        return rows

    def rows(self, units: np.ndarray) -> np.ndarray:
        return units

    def labels(self, units: np.ndarray, labels: np.ndarray) -> np.ndarray:
        return labels[units]


SLICES: Final = Slices()
