"""Whether a store still holds what was prepared: its pixels and its table beside what was recorded of them."""

from collections.abc import Iterable

import numpy as np

from ichtune.data.pixels import digest
from ichtune.data.store import SliceStore, fingerprint
from ichtune.progress import Report

MOST_NAMED = 10
"""Slices whose names a message gives."""
REPORT_EVERY = 256  # slices


def damage(store: SliceStore, report: Report = lambda *_: None) -> str | None:
    """What is no longer as it was prepared, and its mend; None where all is. Reads every pixel.

    `report` is called with the slices that were compared.

    Raises:
        StoreError: the table or the digests can't be read.
    """
    found = _digests(store, report)
    differ = np.flatnonzero(found != store.digests)
    file, what = _altered(store, found, differ)
    return f"{store.path / file}: {what}; prepare the store anew, or copy it again" if file else None


def _altered(store: SliceStore, found: np.ndarray, differ: np.ndarray) -> tuple[str, str]:
    """The file that was altered, if any, and how.

    The store's fingerprint is that of its table and digests, so it proves which of the files is the sound one.
    """
    if fingerprint(store.table, store.digests) == store.fingerprint:
        if not len(differ):
            return "", ""
        names = _named(store.table["slice_id"].iloc[differ])
        return (
            "hu.npy",
            f"altered since it was prepared, the pixels of {len(differ):,} slices differ: {names}",
        )
    if fingerprint(store.table, found) == store.fingerprint:
        return "digests.npy", f"altered since it was prepared, the digests of {len(differ):,} slices differ"
    others = f" and the pixels of {len(differ):,} slices" if len(differ) else ""
    return (
        "slices.parquet",
        f"altered since it was prepared, its identifiers, labels or splits{others} differ",
    )


def _named(names: Iterable[str]) -> str:
    listed = list(names)
    more = len(listed) - MOST_NAMED
    return ", ".join(listed[:MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _digests(store: SliceStore, report: Report) -> np.ndarray:
    found = np.empty(len(store), np.uint64)
    for row, pixels in enumerate(store.hu):
        found[row] = digest(pixels)
        if (row + 1) % REPORT_EVERY == 0 or row + 1 == len(store):
            report(row + 1, len(store), "")
    return found
