"""Stores that know which scans are positive, but not which of their slices."""

import numpy as np

from ichtune.data.store import SliceStore
from ichtune.errors import InputError


def refuse_labels_of_scans(store: SliceStore) -> None:
    """Refuse to train on a store that knows positive scans but no positive slice.

    Raises:
        InputError: it has labels of scans only.
    """
    rows = store.train
    if (store.labels[rows] == 1).any():
        return
    scans = np.unique(store.scans.of_row[rows])
    positive = (store.scans.labels[scans] == 1).any(axis=1)
    if positive.any():
        raise InputError(
            f"{store.path}: this store has labels of scans only ({len(scans):,} scans outside the test set, "
            f"{positive.sum():,} of them positive), but training needs to know which slices are positive; prepare it "
            "with a table that labels slices (for CQ500: with --boxes and the CSVs of BHX)"
        )
