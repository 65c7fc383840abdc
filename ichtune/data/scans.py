"""The scans in a table of slices: which slices each has, in which order, and the neighbours of a slice."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from ichtune.data.slice_table import SCAN_LABELS
from ichtune.labels import LABELS


@dataclass(frozen=True)
class Scans:
    """M scans of N slices. A scan is a series; without one, what the slices have of a study; else of a patient."""

    slices: pd.DataFrame
    of_row: np.ndarray
    """The scan (0 to M - 1) of each row of `slices`, int64 [N]."""
    order: np.ndarray
    """All rows, scan by scan, from the feet towards the head within each, int64 [N]."""
    starts: np.ndarray
    """Where each scan begins in `order`, int64 [M + 1]."""

    @classmethod
    def of(cls, slices: pd.DataFrame) -> "Scans":
        """Group a store's slices. Slices without a position follow those with one, in the order of the table."""
        keys = [
            slices[name].fillna("").astype(str) for name in ("source", "patient_id", "study_id", "series_id")
        ]
        of_row, names = pd.MultiIndex.from_arrays(keys).factorize()
        order = np.lexsort((slices["z_mm"].to_numpy(float), of_row))  # stable; NaN sorts last
        starts = np.concatenate([[0], np.cumsum(np.bincount(of_row, minlength=len(names)))])
        return cls(slices, of_row.astype(np.int64), order.astype(np.int64), starts.astype(np.int64))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def rows(self, scan: int) -> np.ndarray:
        """Return a scan's rows from the feet towards the head, int64 [K]."""
        return self.order[self.starts[scan] : self.starts[scan + 1]]

    def neighbours(self, rows: np.ndarray, reach: int) -> np.ndarray:
        """Return the rows within `reach` slices of each row, itself in the middle, int64 [len(rows), 2 reach + 1].

        From the feet towards the head. Past a scan's ends its last slice is repeated. A slice without a position
        has no neighbours: it is repeated throughout.
        """
        place = self._place[rows]
        first, last = self._ends[self.of_row[rows]].T
        steps = place[:, None] + np.arange(-reach, reach + 1)
        found = self.order[np.clip(steps, first[:, None], np.maximum(last, first)[:, None])]
        return np.where(self._positioned[rows][:, None], found, np.asarray(rows)[:, None])

    @cached_property
    def labels(self) -> np.ndarray:
        """Each scan's labels, float32 [M, 6] in the order of LABELS, NaN if unknown.

        As its source says; else positive if a slice is, and negative if all its slices are known to be.
        """
        given = self._by_scan(list(SCAN_LABELS.values())).max().to_numpy(np.float32, na_value=np.nan)
        slices = self._by_scan(list(LABELS))
        highest = slices.max().to_numpy(np.float32, na_value=np.nan)
        complete = (slices.count().to_numpy() == self.sizes[:, None]) | (highest == 1)
        return np.where(np.isnan(given), np.where(complete, highest, np.nan), given).astype(np.float32)

    @cached_property
    def places(self) -> np.ndarray:
        """Where each slice is in its scan, from 0 (feet) to 1 (head), float64 [N].

        NaN for slices without a position, and for those that are alone in their scan.
        """
        first, last = self._ends[self.of_row].T
        length = np.where(last > first, last - first, 1)
        return np.where(self._positioned & (last > first), (self._place - first) / length, np.nan)

    @cached_property
    def sizes(self) -> np.ndarray:
        """The number of slices of each scan, int64 [M]."""
        return np.diff(self.starts)

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row per scan.

        Columns `source, patient_id, study_id, series_id, series_description, split, fold, slices, spacing_mm,
        thickness_mm, pixel_mm` (`spacing_mm`: the median distance between neighbouring slices) and the six labels.
        """
        first = self.slices.iloc[self.order[self.starts[:-1]]].reset_index(drop=True)
        kept = ["source", "patient_id", "study_id", "series_id", "series_description", "split", "fold"]
        return first[kept].assign(
            slices=self.sizes,
            spacing_mm=[self._spacing(scan) for scan in range(len(self))],
            thickness_mm=first["thickness_mm"],
            pixel_mm=first["pixel_mm"],
            **dict(zip(LABELS, self.labels.T, strict=True)),
        )

    @cached_property
    def placed(self) -> np.ndarray:
        """Which slices have a known series and position in it, bool [N]."""
        return self._positioned & (self.slices["series_id"].fillna("").astype(str) != "").to_numpy()

    @cached_property
    def _positioned(self) -> np.ndarray:
        return self.slices["z_mm"].notna().to_numpy()

    @cached_property
    def _place(self) -> np.ndarray:
        """Where each row is in `order`, int64 [N]."""
        place = np.empty(len(self.order), np.int64)
        place[self.order] = np.arange(len(self.order))
        return place

    @cached_property
    def _ends(self) -> np.ndarray:
        """The first and last place in `order` of each scan's slices with a position, int64 [M, 2]."""
        positioned = np.bincount(self.of_row, weights=self._positioned, minlength=len(self)).astype(np.int64)
        return np.stack([self.starts[:-1], self.starts[:-1] + positioned - 1], axis=1)

    def _spacing(self, scan: int) -> float:
        z = self.slices["z_mm"].to_numpy(float)[self.rows(scan)]
        gaps = np.diff(z[np.isfinite(z)])
        gaps = gaps[gaps > 0]
        return float(np.median(gaps)) if len(gaps) else float("nan")

    def _by_scan(self, columns: list[str]) -> "pd.api.typing.DataFrameGroupBy":
        return self.slices[columns].groupby(self.of_row)
