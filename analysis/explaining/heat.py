"""Where an activation map's heat is: outside the head, or on the blood."""

from typing import Final

import numpy as np
from scipy import ndimage

TISSUE_HU: Final = -300
"""Between air (-1000) and fat (-100)."""


def head_mask(hu: np.ndarray) -> np.ndarray:
    """The head in a slice (int16 `[S, S]`), bool: the largest connected part denser than air, with its holes filled.

    In a slice that was stored in a window, all air has the lowest value. A single pixel's bridge to a head rest or the
    table is cut by an opening first. Empty if nothing is dense.
    """
    dense = hu > max(TISSUE_HU, int(hu.min()))
    parts, count = ndimage.label(ndimage.binary_opening(dense))
    if not count:
        parts, count = ndimage.label(dense)
    if not count:
        return dense
    largest = np.bincount(parts.ravel())[1:].argmax() + 1
    return ndimage.binary_fill_holes(parts == largest)


def share_outside(heat: np.ndarray, mask: np.ndarray) -> float:
    """The share of a map's heat (`[S, S]`, at least 0) outside a mask; NaN if there is no heat."""
    total = float(heat.sum(dtype=np.float64))
    return float(heat[~mask].sum(dtype=np.float64)) / total if total else float("nan")
