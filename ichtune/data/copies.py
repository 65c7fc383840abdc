"""Slices with the same pixels but other labels: one of the labels must be wrong."""

import numpy as np
import pandas as pd

from ichtune.labels import LABELS


def contradicting_copies(slices: pd.DataFrame, digests: np.ndarray) -> list[list[str]]:
    """Return the ids of slices that have the same pixels and of which one is positive for a label, another negative.

    Args:
        slices: `slice_id` and the six labels.
        digests: of the slices' pixels, uint64 [N].
    """
    twice = pd.Series(digests).duplicated(keep=False).to_numpy()
    if not twice.any():
        return []
    copies = slices.loc[twice, ["slice_id", *LABELS]]
    groups = copies.groupby(digests[twice])
    differ = (groups[list(LABELS)].nunique() > 1).any(axis=1)
    return [ids.tolist() for digest, ids in groups["slice_id"] if differ[digest]]


def describe_contradicting_copies(copies: list[list[str]]) -> list[str]:
    """Return a note on such slices, if there are any."""
    if not copies:
        return []
    first, second, *_ = copies[0]
    return [
        f"{sum(map(len, copies)):,} slices have the same pixels as another, but a different label (the first: {first} "
        f"and {second}); one of the labels is wrong."
    ]
