"""DICOM files that arrive one by one, and the study that they make; all of it is kept in memory alone."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
import pandas as pd

from ichtune.data.formats.dicom import dicom_slice
from ichtune.data.formats.series_header import SeriesHeader, series_header
from ichtune.data.formats.slice import CTSlice, Rejected
from ichtune.data.pixels import resize, square
from ichtune.data.scans import Scans
from ichtune.data.slice_table import with_all_columns
from ichtune.data.sources.series import Series, choose
from ichtune.errors import InputError
from ichtune.labels import LABELS

MIB: Final = 1 << 20


class TooLarge(InputError):
    """More than the viewer was allowed to hold."""


@dataclass(frozen=True)
class Arrived:
    """A slice, the name of its file, and what the file says about its series."""

    name: str
    slice: CTSlice
    header: SeriesHeader


@dataclass
class Intake:
    """The files of a study while they arrive. Neither they nor their decoded pixels may take more than `most` bytes."""

    most: int
    arrived: list[Arrived] = field(default_factory=list)
    rejected: dict[str, str] = field(default_factory=dict)
    """Why files have no slice to show, by their names."""
    _known: dict[bytes, str] = field(default_factory=dict)
    _read: int = 0
    _held: int = 0

    def add(self, name: str, content: bytes) -> str:
        """Take a file; return why it has no slice to show, or nothing if it has one.

        Raises:
            TooLarge: the study would become larger than allowed.
        """
        self._read += len(content)
        self._refuse_more_than_allowed(self._read, "files")
        try:
            found = self._found(name, content)
        except Rejected as why:
            self.rejected[name] = str(why)
            return str(why)
        # A compressed file of a few bytes may hold megabytes.
        self._held += found.slice.hu.nbytes
        self._refuse_more_than_allowed(self._held, "decoded slices")
        self.arrived.append(found)
        return ""

    def _found(self, name: str, content: bytes) -> Arrived:
        same = hashlib.sha256(content).digest()
        if same in self._known:
            raise Rejected(f"a copy of {self._known[same]}")
        self._known[same] = name
        header = series_header(content)
        if header.fault:
            raise Rejected(header.fault)
        return Arrived(name, dicom_slice(content), header)

    def _refuse_more_than_allowed(self, size: int, what: str) -> None:
        if size > self.most:
            raise TooLarge(
                f"the {what} take more than {self.most // MIB:,} MiB; open a single study, or raise --max-upload"
            )


@dataclass(frozen=True)
class Study:
    """N slices in series, each from the feet towards the head, and the files that had none."""

    arrived: tuple[Arrived, ...]
    rejected: dict[str, str]
    scans: Scans
    """The study's series; their rows are places in `arrived`."""

    @classmethod
    def of(cls, intake: Intake) -> "Study":
        return cls(tuple(intake.arrived), dict(intake.rejected), Scans.of(_table(intake.arrived)))

    def hu(self, size: int) -> np.ndarray:
        """Return all slices as a model sees them: HU in a square with air around it, int16 [N, size, size]."""
        return np.stack([resize(square(each.slice.hu), size) for each in self.arrived])

    @cached_property
    def series(self) -> tuple[Series, ...]:
        """The series, described by the middle one of their slices."""
        return tuple(self._series(number) for number in range(len(self.scans)))

    @property
    def first(self) -> int:
        """The series to show first: the one that `prepare` would take."""
        return self.series.index(choose(self.series, "auto")[0])

    def _series(self, number: int) -> Series:
        slices = [self.arrived[row] for row in self.scans.rows(number)]
        names = tuple(each.name for each in slices)
        return Series("", f"series {number + 1}", names, slices[len(slices) // 2].header)


def _table(arrived: Sequence[Arrived]) -> pd.DataFrame:
    """Return the table of a store with these slices alone, from which `Scans` groups and orders them."""
    slices = [each.slice for each in arrived]
    known = {
        "slice_id": [each.name for each in arrived],
        "patient_id": [each.patient_id for each in slices],
        "study_id": [each.study_id for each in slices],
        "series_id": [each.series_id for each in slices],
        "z_mm": np.array([each.z_mm for each in slices], float),
    }
    return with_all_columns(
        pd.DataFrame({**known, **dict.fromkeys(LABELS, np.nan), "split": "test", "fold": 0})
    )
