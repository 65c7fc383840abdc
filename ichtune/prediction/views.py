"""Test-time augmentation: the same slices seen in several ways."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from ichtune.data.pixels import AIR_HU

View = Callable[[np.ndarray], np.ndarray]
"""Slices (int16 [n, S, S]) to slices of the same shape."""
SHIFT: Final = 1 / 32
"""How far slices are shifted, as a part of their side: 7 pixels of 224."""


def views(augmentations: Sequence[str]) -> list[View]:
    """Return the ways in which slices are seen: as they are, and those of the augmentations."""
    added = {"flips": [_mirrored], "shifts": [_shifted(*step) for step in ((-1, 0), (1, 0), (0, -1), (0, 1))]}
    return [lambda hu: hu, *(view for name in augmentations for view in added[name])]


def describe(augmentations: Sequence[str]) -> str:
    """Return what is averaged, in words."""
    words = {
        "flips": "mirrored left to right",
        "shifts": "shifted by 1/32 of their side up, down, left and right",
    }
    seen = ", and ".join(["as they are", *(words[name] for name in augmentations)])
    return f"probabilities are the mean of {len(views(augmentations))} views of the slices: {seen}"


def _mirrored(hu: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(hu[:, :, ::-1])


def _shifted(down: int, right: int) -> View:
    """Return a view shifted by SHIFT of the side in these directions, with air where nothing is known."""

    def shift(hu: np.ndarray) -> np.ndarray:
        side = hu.shape[1]
        y, x = (step * max(1, round(side * SHIFT)) for step in (down, right))
        moved = np.full_like(hu, AIR_HU)
        moved[:, max(0, y) : side + min(0, y), max(0, x) : side + min(0, x)] = hu[
            :, max(0, -y) : side + min(0, -y), max(0, -x) : side + min(0, -x)
        ]
        return moved

    return shift
