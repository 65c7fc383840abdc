"""Rendered images kept in memory for as long as they are the same, within a bound."""

from threading import Lock
from typing import Final

import numpy as np

MOST_BYTES: Final = 256 * 2**20
"""The most memory for images that several folds train on: a search has many processes."""


class KeptImages:
    """Images of rows of a store, uint8 `[C, S, S]`: those that were rendered first, of one view at a time.

    Folds that take turns train on the same view of most slices, each in its own order; what is kept is rendered once.
    """

    def __init__(self, shape: tuple[int, ...], most_bytes: int = MOST_BYTES) -> None:
        self.most = most_bytes // int(np.prod(shape))
        """How many images fit."""
        self._view: object = None
        self._images: dict[int, np.ndarray] = {}
        self._lock = Lock()

    def begin(self, view: object) -> None:
        """Forget all images if they show another view."""
        with self._lock:
            if view != self._view:
                self._view, self._images = view, {}

    def get(self, row: int) -> np.ndarray | None:
        return self._images.get(row)

    def keep(self, row: int, image: np.ndarray) -> None:
        """Keep a copy of a row's image if there is room."""
        with self._lock:
            if len(self._images) < self.most:
                self._images[row] = image.copy()
