"""What slices say of their scans: the largest probabilities, how many slices are positive, and where."""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pandas as pd

from ichtune.intended_use import RESEARCH_ONLY
from ichtune.labels import LABELS
from ichtune.prediction.listing import ALONE
from ichtune.prediction.rows import IS, USE

_TOP: Final = 3
_AT_A_TIME: Final = 1000


def scans_of(parts: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Yield the rows of each scan, of tables whose rows come scan by scan (column `scan`)."""
    held = pd.DataFrame()
    for part in parts:
        rows = pd.concat([held, part], ignore_index=True) if len(held) else part.reset_index(drop=True)
        scan = rows["scan"].to_numpy()
        starts = [0, *(np.flatnonzero(scan[1:] != scan[:-1]) + 1).tolist()]
        for first, end in pairwise(starts):
            if scan[first] != ALONE:
                yield rows.iloc[first:end]
        held = rows.iloc[starts[-1] :]
        if scan[-1] == ALONE:
            held = held.iloc[:0]
    if len(held):
        yield held


def scan_tables(parts: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Yield tables with a row per scan; see `scan_row`."""
    rows: list[dict[str, Any]] = []
    for scan in scans_of(parts):
        rows.append(scan_row(scan))
        if len(rows) == _AT_A_TIME:
            yield pd.DataFrame(rows)
            rows = []
    if rows:
        yield pd.DataFrame(rows)


def scan_row(slices: pd.DataFrame) -> dict[str, Any]:
    """Return what the rows of a scan's slices say of it.

    The numbers of `slices` predicted and `unread`, and for each label: `max_` and `top3_`, the largest calibrated
    probability and the mean of the three largest; `slices_`, how many reach the threshold; `peak_mm_`, the height of
    the most probable slice; `from_mm_` and `to_mm_`, that of the lowest and highest that reach the threshold.
    """
    read = slices[slices["reason"] == ""]
    first = slices.iloc[0]
    row: dict[str, Any] = {name: first[name] for name in ("patient_id", "study_id", "series_id")}
    row |= {"slices": len(read), "unread": len(slices) - len(read)}
    z_mm = read["z_mm"].to_numpy(float)
    probs = read[list(LABELS)].to_numpy(float)
    positive = read[list(IS.values())].to_numpy(float, na_value=0) == 1
    for at, label in enumerate(LABELS):
        found = _of_label(probs[:, at], positive[:, at], z_mm)
        row |= {f"{name}_{label}": value for name, value in found.items()}
    return row | {USE: RESEARCH_ONLY}


def _of_label(probs: np.ndarray, positive: np.ndarray, z_mm: np.ndarray) -> dict[str, float | int]:
    known = z_mm[positive & np.isfinite(z_mm)]
    return {
        "max": probs.max() if len(probs) else np.nan,
        "top3": np.sort(probs)[-_TOP:].mean() if len(probs) else np.nan,
        "slices": int(positive.sum()),
        "peak_mm": z_mm[probs.argmax()] if len(probs) else np.nan,
        "from_mm": known.min() if len(known) else np.nan,
        "to_mm": known.max() if len(known) else np.nan,
    }
