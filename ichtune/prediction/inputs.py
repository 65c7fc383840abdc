"""Slices to predict, read chunk by chunk: files below a folder, or the rows of a store."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import pandas as pd

from ichtune.data.name_fits import without_suffix
from ichtune.data.pixels import resize, square
from ichtune.data.reading import Place, Read, read_or_reason, read_place
from ichtune.data.sources.volumes import ids_of
from ichtune.data.store import SliceStore
from ichtune.data.workers import Workers
from ichtune.prediction.listing import ALONE, Ids, Listing, in_chunks, same_scan
from ichtune.windows import Window

ABOUT: Final = ("slice_id", "patient_id", "study_id", "series_id", "z_mm", "file", "scan", "reason")
"""What is known of a slice; `reason` says why it can't be predicted, `scan` numbers the scans of an input."""


@dataclass(frozen=True)
class Chunk:
    """Slices read together, and the pixels of those without a reason.

    Not a table of pandas, since making one for so few slices takes as long as a part of the network.
    """

    about: Mapping[str, Sequence[Any] | np.ndarray]
    """The columns ABOUT, of all slices."""
    hu: Mapping[int, np.ndarray]
    """Hounsfield units, int16 [n, S, S], by the wanted side in pixels."""

    @property
    def read(self) -> pd.DataFrame:
        """A row for each slice without a reason."""
        about = pd.DataFrame(dict(self.about))
        return about[about["reason"] == ""]


class Input(Protocol):
    """What predictions are made for."""

    @property
    def notes(self) -> Sequence[str]:
        """What the user should know."""
        ...

    @property
    def dicom_root(self) -> Path | None:
        """The folder that its DICOM files are in; None if there are none whose scan is known."""
        ...

    @property
    def names(self) -> Iterable[str]:
        """The names of the slices or, of a volume, that of its file; in any order."""
        ...

    def __len__(self) -> int: ...

    @property
    def digest(self) -> str:
        """Identifies the slices and their order."""
        ...

    def chunks(self, *, whole_scans: bool) -> list[range]:
        """Return which slices are read at a time; with `whole_scans`, none of them holds a part of a scan."""
        ...

    def read(
        self, chunks: Sequence[range], sizes: Sequence[int], workers: Workers, folder: Path
    ) -> Iterator[Chunk]:
        """Yield the chunks in order, each slice in all `sizes`; `folder` is for pixels on their way."""
        ...


@dataclass(frozen=True)
class Files:
    """Slices in files."""

    listing: Listing
    window: Window

    def __len__(self) -> int:
        return len(self.listing)

    @property
    def notes(self) -> Sequence[str]:
        return self.listing.notes

    @property
    def names(self) -> Iterable[str]:
        return map(without_suffix, self.listing.places.files)

    @property
    def dicom_root(self) -> Path | None:
        # Images are in no scan.
        return (
            self.listing.root
            if ((self.listing.places.plane < 0) & (self.listing.scan != ALONE)).any()
            else None
        )

    @property
    def digest(self) -> str:
        return self.listing.digest

    def chunks(self, *, whole_scans: bool) -> list[range]:
        return self.listing.chunks(whole_scans=whole_scans)

    def read(
        self, chunks: Sequence[range], sizes: Sequence[int], workers: Workers, folder: Path
    ) -> Iterator[Chunk]:
        reader = _Reader(self.listing.root, self.window, tuple(sizes), folder)
        places = self.listing.places
        read = workers.in_order(reader, places, chunks)
        for chunk, (reads, pixels) in zip(chunks, read, strict=True):
            here = list(places[chunk.start : chunk.stop])
            about = self._about(here, reads, self.listing.scan[chunk.start : chunk.stop])
            yield Chunk(about, _by_size(pixels, sizes, sum(not read.reason for read in reads)))
            pixels.unlink()

    def _about(
        self, places: Sequence[Place], reads: Sequence[Read], scans: np.ndarray
    ) -> dict[str, Sequence[Any] | np.ndarray]:
        known = [Ids() if scan == ALONE else self.listing.ids[scan] for scan in scans.tolist()]
        texts = {
            "slice_id": [
                without_suffix(place.file) if place.plane < 0 else ids_of(place)["slice_id"]
                for place in places
            ],
            "file": [place.file for place in places],
            "reason": [read.reason for read in reads],
            **{
                name: [
                    getattr(read, name) or getattr(ids, name) for read, ids in zip(reads, known, strict=True)
                ]
                for name in ("patient_id", "study_id", "series_id")
            },
        }
        return {
            **{name: [_utf8(text) for text in column] for name, column in texts.items()},
            "z_mm": np.array([np.nan if read.z_mm is None else read.z_mm for read in reads]),
            "scan": scans,
        }


@dataclass(frozen=True)
class Rows:
    """The slices of a store."""

    store: SliceStore

    def __len__(self) -> int:
        return len(self.store)

    @property
    def notes(self) -> Sequence[str]:
        return ()

    @property
    def names(self) -> Iterable[str]:
        return self.store.table["slice_id"]

    @property
    def dicom_root(self) -> Path | None:
        return None

    @property
    def digest(self) -> str:
        return self.store.fingerprint

    @cached_property
    def scan(self) -> np.ndarray:
        """The scan of each slice in the order of `store.scans`, int32 [N]; ALONE without any identifier."""
        scans, table = self.store.scans, self.store.table
        named = (table[["patient_id", "study_id", "series_id"]].fillna("") != "").any(axis=1).to_numpy()
        return np.where(named, scans.of_row, ALONE)[scans.order].astype(np.int32)

    def chunks(self, *, whole_scans: bool) -> list[range]:
        return in_chunks(same_scan(self.scan) if whole_scans else np.zeros(len(self) - 1, bool))

    def read(
        self, chunks: Sequence[range], sizes: Sequence[int], workers: Workers, folder: Path
    ) -> Iterator[Chunk]:
        for chunk in chunks:
            rows = self.store.scans.order[chunk.start : chunk.stop]
            about = self.store.table.iloc[rows][list(ABOUT[:5])].reset_index(drop=True)
            about = about.assign(file="", scan=self.scan[chunk.start : chunk.stop], reason="")
            columns = {name: about[name].to_numpy() for name in ABOUT}
            yield Chunk(columns, dict.fromkeys(sizes, self.store.hu[rows]))


@dataclass(frozen=True)
class _Reader:
    """Reads places into slices of all sizes; passes their pixels through a file, as prepare's reader does."""

    root: Path
    window: Window
    sizes: tuple[int, ...]
    folder: Path

    def __call__(self, first: int, places: list[Place]) -> tuple[list[Read], Path]:
        """Return the result of each place, and a file with the pixels, size by size (<i2 [n, S, S])."""
        pixels = [np.empty((len(places), size, size), "<i2") for size in self.sizes]
        reads: list[Read] = []
        for entry, place in enumerate(places, first):
            count = sum(not read.reason for read in reads)
            reads.append(read_or_reason(entry, lambda at=(entry, place, count): self._read(pixels, *at)))
        count = sum(not read.reason for read in reads)
        file = self.folder / f"{first}.hu"
        with open(file, "wb") as out:
            for one in pixels:
                out.write(one[:count].data)
        return reads, file

    def _read(self, pixels: list[np.ndarray], entry: int, place: Place, count: int) -> Read:
        found = read_place(self.root, place, self.window)
        whole = square(found.hu)
        for one in pixels:
            one[count] = resize(whole, one.shape[1])
        return Read.of(entry, found, self.sizes[0])


def _by_size(file: Path, sizes: Sequence[int], count: int) -> dict[int, np.ndarray]:
    """Return the pixels that a reader wrote, int16 [count, S, S] by size, mapped instead of loaded."""
    found, offset = {}, 0
    for size in sizes:
        shape = (count, size, size)
        found[size] = np.memmap(file, np.int16, "r", offset, shape) if count else np.empty(shape, np.int16)
        offset += 2 * count * size * size
    return found


def _utf8(text: str) -> str:
    """Return a text that may hold the name of a file; what isn't UTF-8 is written with codes."""
    return text.encode("utf-8", "backslashreplace").decode()
