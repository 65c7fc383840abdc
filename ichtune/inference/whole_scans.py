"""Slices of a store in parts of some whole scans, so that long work on them can report its progress."""

from collections.abc import Iterator
from typing import Final

import numpy as np

_AT_A_TIME: Final = 256


def whole_scans(of_row: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the places of slices, whole scans of about 256 slices at a time, from the scan of each slice `[n]`."""
    order = np.argsort(of_row, kind="stable")
    begins = np.flatnonzero(np.diff(of_row[order], prepend=-1))
    cuts = begins[np.flatnonzero(np.diff(begins // _AT_A_TIME, prepend=0))]
    yield from (part for part in np.split(order, cuts) if len(part))
