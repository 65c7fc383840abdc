"""Scores in order: logits of half precision sorted fast, by the few values that a half may have."""

from typing import Final

import numpy as np

MANY: Final = 2**14
"""From so many slices on, counting all values that a half may have is faster than sorting."""


def levels(
    scores: np.ndarray, positive: np.ndarray, negative: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The level of each score among all, in ascending order, and the counts of each kind there; some may be empty."""
    keys = ascending_keys(scores)
    if len(keys) > MANY:
        level = keys.astype(np.intp) - np.iinfo(np.int16).min
        return (
            level,
            np.bincount(level[positive], minlength=2**16),
            np.bincount(level[negative], minlength=2**16),
        )
    order = np.argsort(keys, kind="stable")
    ascending = keys[order]
    level = np.empty(len(scores), np.intp)
    level[order] = np.concatenate([[0], (ascending[1:] != ascending[:-1]).cumsum()])
    count = level[order[-1]] + 1
    return level, np.bincount(level, positive, count), np.bincount(level, negative, count)


def ascending_keys(halves: np.ndarray) -> np.ndarray:
    """Integers of 16 bits that sort as these halves `[n]` (contiguous) do, but faster."""
    # The bits of a half, read as an integer, sort like its value once negative ones are reversed.
    bits = halves.view(np.int16)
    return np.where(bits < 0, np.int16(-(2**15)) - bits, bits)


def from_top(counts: np.ndarray) -> np.ndarray:
    """How many are at each level or above, from the counts per level."""
    return counts[::-1].cumsum()[::-1]
