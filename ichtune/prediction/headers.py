"""The headers of DICOM files: which scan a slice is in, and where."""

import hashlib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from ichtune.data.formats.dicom import dataset, elements, z_mm
from ichtune.data.formats.elements import finite, text
from ichtune.data.formats.size import read_bounded
from ichtune.data.formats.slice import Rejected
from ichtune.data.workers import Workers
from ichtune.prediction.listing import ALONE, Ids, Names, same_scan
from ichtune.wording import plural

_CHUNK: Final = 1000
"""Files that a worker looks into at a time; fewer aren't worth starting workers for."""
_KEYWORDS: Final = [
    *("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "ImagePositionPatient", "InstanceNumber")
]


@dataclass(frozen=True)
class Headers:
    """What the headers of N files say of them; a file that can't be read is in no scan, and refused when it is read."""

    scan: np.ndarray
    """The scan of each file, a number into `ids`, or ALONE; int32 [N]."""
    z_mm: np.ndarray
    """float64 [N], NaN if unknown."""
    number: np.ndarray
    """InstanceNumber; float64 [N], NaN if unknown."""
    ids: list[Ids]
    stamp: bytes
    """A digest of the files' sizes and times of change."""

    @property
    def order(self) -> np.ndarray:
        """The files scan by scan, in the order of their first files, those in no scan last; int64 [N].

        Within a scan from the feet up, then those without a position, by their number if they have one.
        """
        rank = np.where(self.scan == ALONE, len(self.ids), self.scan)
        return np.lexsort((self.number, self.z_mm, rank))

    def notes(self, ordered: np.ndarray) -> list[str]:
        """Return notes on those of these files, in their order, whose place in their scan is uncertain."""
        scan, z_mm = self.scan[ordered], self.z_mm[ordered]
        notes = []
        if without := int((np.isnan(z_mm) & (scan != ALONE)).sum()):
            what = plural(without, "slice has no position and comes", "slices have no position and come")
            notes.append(
                f"{what} last in the scan, by InstanceNumber or else by name; models that read scans see each alone."
            )
        if again := int((same_scan(scan) & (z_mm[1:] == z_mm[:-1])).sum()):
            what = plural(again, "slice is", "slices are")
            notes.append(
                f"{what} at the same height as another of the same scan: copies of files, or several scans under one "
                "SeriesInstanceUID, which the table by scan counts as one."
            )
        return notes


class _Look(NamedTuple):
    """A look into some files: their identifiers, heights and numbers [n], and sizes and times as bytes."""

    ids: list[Ids]
    z_mm: list[float]
    number: list[float]
    stamp: bytes


def read_headers(root: Path, files: Names, workers: Workers, report: Callable[[int, int], None]) -> Headers:
    """Read the headers of DICOM files below `root`; `report` receives the number of files done and their total."""
    numbers: dict[Ids, int] = {}
    scan, (heights, number) = np.empty(len(files), np.int32), np.empty((2, len(files)))
    stamp, done = hashlib.sha256(), 0
    chunks = [range(first, min(first + _CHUNK, len(files))) for first in range(0, len(files), _CHUNK)]
    for look in workers.in_order(partial(_look, root), files, chunks):
        here = slice(done, done + len(look.ids))
        scan[here] = [numbers.setdefault(ids, len(numbers)) if ids else ALONE for ids in look.ids]
        heights[here] = look.z_mm
        number[here] = look.number
        stamp.update(look.stamp)
        done = here.stop
        report(done, len(files))
    return Headers(scan, heights, number, list(numbers), stamp.digest())


def _look(root: Path, _first: int, files: list[str]) -> _Look:
    found = [_header(root / file) for file in files]
    heights = [z_mm(texts[3]) for texts in found]
    numbers = [math.nan if (number := finite(texts[4])) is None else number for texts in found]
    return _Look([Ids(*texts[:3]) for texts in found], heights, numbers, sizes_and_times(root, files))


def sizes_and_times(root: Path, files: Iterable[str]) -> bytes:
    """Return a digest of the sizes of files below `root` and of the times when they were changed."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(np.array(_size_and_time(root / file), "<i8").data)
    return digest.digest()


def _header(path: Path) -> list[str]:
    found = elements(path, _KEYWORDS)
    return found if any(found) else _without_prefix(path)


def _without_prefix(path: Path) -> list[str]:
    """Return the elements of an old file that lacks the prefix of DICOM; all empty if it can't be read at all."""
    try:
        ds = dataset(read_bounded(path))
        return [text(ds, keyword) for keyword in _KEYWORDS]
    except (Rejected, OSError):
        return [""] * len(_KEYWORDS)


def _size_and_time(path: Path) -> tuple[int, int]:
    try:
        about = path.stat()
    except OSError:
        return -1, -1
    return about.st_size, about.st_mtime_ns
