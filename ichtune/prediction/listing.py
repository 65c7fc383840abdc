"""What there is to predict, in the order of reading; a million files take some hundred bytes each."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Final, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ichtune.data.reading import CHUNK, Place

ALONE: Final = -1
"""The scan of a slice that is in none, as far as its file says."""


_PIECE: Final = 10_000  # names that are Python objects at a time
_BYTES: Final = pa.large_binary()  # names need not be UTF-8


class Names(Sequence[str]):
    """Many names of files in one piece of memory, far smaller than a list of them."""

    def __init__(self, names: Iterable[str] | pa.Array) -> None:
        self.array = names if isinstance(names, pa.Array) else _in_pieces(names)

    def __len__(self) -> int:
        return len(self.array)

    @overload
    def __getitem__(self, key: int) -> str: ...
    @overload
    def __getitem__(self, key: slice) -> "Names": ...
    def __getitem__(self, key: int | slice) -> "str | Names":
        return Names(self.array[key]) if isinstance(key, slice) else os.fsdecode(self.array[int(key)].as_py())

    def __iter__(self) -> Iterator[str]:
        for first in range(0, len(self), _PIECE):
            yield from map(os.fsdecode, self.array[first : first + _PIECE].to_pylist())

    def take(self, places: np.ndarray) -> "Names":
        """Return the names at these places (int64)."""
        return Names(self.array.take(pa.array(places)))

    def __add__(self, more: "Names") -> "Names":
        return Names(pa.concat_arrays([self.array, more.array]))

    def sorted(self) -> "Names":
        """Return the names in their order."""
        return Names(self.array.take(pc.call_function("sort_indices", [self.array])))


def _in_pieces(names: Iterable[str]) -> pa.Array:
    names = iter(names)
    pieces = iter(lambda: list(map(os.fsencode, islice(names, _PIECE))), [])
    return pa.concat_arrays([pa.array([], _BYTES), *(pa.array(piece, _BYTES) for piece in pieces)])


class Places(Sequence[Place]):
    """The places of slices below a folder, made as they are asked for."""

    def __init__(self, files: Names, file: np.ndarray, plane: np.ndarray) -> None:
        """Args:
        files: each file once.
        file, plane: which file a slice is in, and its plane (-1 if the file is a single slice), int32 [n].
        """
        self.files, self.file, self.plane = files, file, plane

    def __len__(self) -> int:
        return len(self.file)

    @overload
    def __getitem__(self, key: int) -> Place: ...
    @overload
    def __getitem__(self, key: slice) -> "Places": ...
    def __getitem__(self, key: int | slice) -> "Place | Places":
        if isinstance(key, slice):
            return Places(self.files, self.file[key], self.plane[key])
        return Place(self.files[self.file[key]], int(self.plane[key]))

    def __iter__(self) -> Iterator[Place]:
        names = self.files.take(self.file.astype(np.int64))
        yield from map(Place, names, self.plane.tolist())


@dataclass(frozen=True, slots=True)
class Ids:
    """The identifiers of a scan by its headers or, of a volume, by its path; empty if unknown."""

    patient_id: str = ""
    study_id: str = ""
    series_id: str = ""

    def __bool__(self) -> bool:
        return bool(self.patient_id or self.study_id or self.series_id)


@dataclass(frozen=True)
class Listing:
    """N slices below a folder: whole scans one after the other, each from the feet up, then slices in no scan."""

    root: Path
    places: Places
    scan: np.ndarray
    """The scan of each slice, a number into `ids`, or ALONE; int32 [N]."""
    ids: Sequence[Ids]
    notes: tuple[str, ...]
    stamp: bytes
    """A digest of sizes and times of the files."""

    def __len__(self) -> int:
        return len(self.places)

    @property
    def digest(self) -> str:
        """Identifies the files, their order and scans: a resumed run must find the same."""
        content = hashlib.sha256(self.stamp)
        for name in self.places.files:
            content.update(os.fsencode(name) + b"\0")
        for numbers in (self.places.file, self.places.plane, self.scan):
            content.update(np.ascontiguousarray(numbers, "<i4").data)
        return content.hexdigest()

    def chunks(self, *, whole_scans: bool) -> list[range]:
        """Return which slices to read at a time: about CHUNK, a volume (opened once) or, if asked, a scan never parted.

        A scan of more slices than CHUNK is a chunk of its own then.
        """
        in_volume = self.places.plane[1:] >= 0
        follows = in_volume & (self.places.file[1:] == self.places.file[:-1])
        return in_chunks(follows | same_scan(self.scan) if whole_scans else follows)


def same_scan(scan: np.ndarray) -> np.ndarray:
    """Whether each slice but the first is in the scan of the one before it, bool [n - 1]."""
    return (scan[1:] == scan[:-1]) & (scan[1:] != ALONE)


def in_chunks(follows: np.ndarray) -> list[range]:
    """Return chunks of CHUNK slices or more, never parted between a slice and one that follows it (bool [n - 1])."""
    starts = [0]
    for place in (np.flatnonzero(~follows) + 1).tolist():
        if place - starts[-1] >= CHUNK:
            starts.append(place)
    return [range(*ends) for ends in pairwise([*starts, len(follows) + 1])]
