"""Reading a source's files into slices of one size, as worker processes do it.

Imports are kept small, because every worker process repeats them.
"""

import math
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ichtune.data.formats.dicom import read_dicom
from ichtune.data.formats.image import is_image, read_image
from ichtune.data.formats.slice import CTSlice, Rejected
from ichtune.data.pixels import digest, resize, square
from ichtune.windows import Window

CHUNK = 32  # slices that a worker reads at a time: 4 MiB at 256 x 256


@dataclass(frozen=True)
class Read:
    """The result of one entry: a slice's identifiers and the digest of its pixels, or the reason for rejecting it."""

    entry: int
    reason: str = ""
    patient_id: str = ""
    study_id: str = ""
    series_id: str = ""
    z_mm: float | None = None
    series_description: str = ""
    thickness_mm: float | None = None
    pixel_mm: float | None = None
    digest: int = 0

    @classmethod
    def of(cls, entry: int, found: CTSlice, size: int, digest: int = 0) -> "Read":
        """Return what is known of an entry's slice, which is resized to `size` pixels along a side."""
        return cls(
            entry,
            patient_id=found.patient_id,
            study_id=found.study_id,
            series_id=found.series_id,
            z_mm=_known(found.z_mm),
            series_description=found.series_description,
            thickness_mm=_known(found.thickness_mm),
            pixel_mm=_known(found.pixel_mm * max(found.hu.shape) / size),
            digest=digest,
        )


class Place(NamedTuple):
    """Where a slice is: a file, and for a volume the slice's number from the feet up (else -1)."""

    file: str
    plane: int = -1

    @property
    def name(self) -> str:
        """The file, and for a volume the slice's number, counted from 1 at the feet."""
        return self.file if self.plane < 0 else f"{self.file} (slice {self.plane + 1} from the feet)"


@dataclass(frozen=True)
class Reader:
    """Reads a chunk of places into slices of `size`; small, since it is sent to the workers with every chunk.

    Pixels are passed through a file in the folder `chunks`, which is three times as fast as sending them between
    processes.
    """

    root: Path
    window: Window
    size: int
    needs_patient: bool
    chunks: Path

    def __call__(self, first: int, places: list[Place]) -> tuple[list[Read], Path]:
        """Return the result of each place, from entry `first` on, and a file with the slices' HU (<i2 [n, S, S])."""
        reads = []
        pixels, count = np.empty((len(places), self.size, self.size), "<i2"), 0
        for entry, place in enumerate(places, first):
            read = read_or_reason(entry, partial(self._read, entry, place, pixels[count]))
            reads.append(read)
            count += not read.reason
        chunk = self.chunks / f"{first}.hu"
        # A task whose node was given up may still be writing the same chunk.
        own = chunk.with_suffix(f".{secrets.token_hex(8)}")
        own.write_bytes(pixels[:count].data)
        own.replace(chunk)
        return reads, chunk

    def can_read(self, place: Place) -> bool:
        """Whether a place can be read."""
        try:
            self._read(0, place, np.empty((self.size, self.size), "<i2"))
        except (Rejected, OSError):
            return False
        return True

    def _read(self, entry: int, place: Place, pixels: np.ndarray) -> Read:
        found = read_place(self.root, place, self.window)
        if self.needs_patient and not (found.patient_id or found.study_id or found.series_id):
            raise Rejected(
                "no PatientID, study or series, at least one of which is needed to split by patient"
            )
        pixels[:] = resize(square(found.hu), self.size)
        return Read.of(entry, found, self.size, digest(pixels))


def read_or_reason(entry: int, read: Callable[[], Read]) -> Read:
    """Return what `read` makes of an entry, or why its file can't become a slice."""
    try:
        return read()
    except Rejected as why:
        return Read(entry, reason=str(why))
    except OSError as error:
        return Read(entry, reason=f"can't be read: {error.strerror or error}")


def read_place(root: Path, place: Place, window: Window) -> CTSlice:
    """Return the slice at a place below `root`: in a volume, a DICOM file, or an image made with `window`."""
    path = root / place.file
    if place.plane >= 0:
        # Imported here, because most workers don't need nibabel, which takes as long to import as all the rest.
        from ichtune.data.formats.nifti import read_plane

        return read_plane(path, place.plane)
    return read_image(path, window) if is_image(path.name) else read_dicom(path)


def chunks_of(places: list[Place]) -> list[range]:
    """Return which places a worker reads at a time: CHUNK files, or a whole volume, so that each is opened once."""
    starts = [0]
    for number in range(1, len(places)):
        same_volume = places[number].plane >= 0 and places[number].file == places[number - 1].file
        of_files = places[number].plane < 0 and places[starts[-1]].plane < 0
        if not same_volume and not (of_files and number - starts[-1] < CHUNK):
            starts.append(number)
    return [range(*ends) for ends in pairwise([*starts, len(places)])] if places else []


ChunkReading = Callable[[Reader, list[Place], Sequence[range], int], Iterator[tuple[list[Read], Path]]]
"""Reads chunks of places, with entries counted from a number, and yields what the reader returns, in order."""


def _known(number: float) -> float | None:
    return None if math.isnan(number) else number
