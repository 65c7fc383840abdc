"""Integrity of a store: its pixels and table against the digests recorded when it was prepared."""

from collections.abc import Iterable

import numpy as np

from ichtune.data.pixels import digest
from ichtune.data.store import SliceStore, fingerprint
from ichtune.progress import Report

MOST_NAMED = 10
"""The most slices that a message names."""
REPORT_EVERY = 256  # slices


def damage(store: SliceStore, report: Report = lambda *_: None) -> str | None:
    """Return what has changed since the store was prepared, and how to fix it; None if nothing has. Reads every pixel.

    `report` is called with the number of slices compared.

    Raises:
        StoreError: the table or the digests can't be read.
    """
    found = _digests(store, report)
    differ = np.flatnonzero(found != store.digests)
    file, what = _altered(store, found, differ)
    return f"{store.path / file}: {what}; prepare the store again, or copy it again" if file else None


def _altered(store: SliceStore, found: np.ndarray, differ: np.ndarray) -> tuple[str, str]:
    """Return the file that has changed and how; empty if none has.

    The store's fingerprint covers its table and digests, so it shows which of the files is intact.
    """
    if fingerprint(store.table, store.digests) == store.fingerprint:
        if not len(differ):
            return "", ""
        names = _named(store.table["slice_id"].iloc[differ])
        return (
            "hu.npy",
            f"changed since it was prepared: the pixels of {len(differ):,} slices differ: {names}",
        )
    if fingerprint(store.table, found) == store.fingerprint:
        return "digests.npy", f"changed since it was prepared: the digests of {len(differ):,} slices differ"
    others = f" and the pixels of {len(differ):,} slices" if len(differ) else ""
    return (
        "slices.parquet",
        f"changed since it was prepared: its identifiers, labels or splits{others} differ",
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
