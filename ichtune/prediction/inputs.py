"""Slices to predict, read chunk by chunk: files below a folder, or the rows of a store."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import pandas as pd

from ichtune.data.name_fits import without_suffix
from ichtune.data.pixels import resize, square
from ichtune.data.reading import Place, Read, read_in_order, read_or_reason, read_place
from ichtune.data.sources.volumes import ids_of
from ichtune.data.store import SliceStore
from ichtune.prediction.listing import ALONE, Ids, Listing, in_chunks, same_scan
from ichtune.windows import Window

ABOUT: Final = ("slice_id", "patient_id", "study_id", "series_id", "z_mm", "file", "scan", "reason")
"""What is known of a slice; `reason` says why it can't be predicted, `scan` numbers the scans of an input."""


@dataclass(frozen=True)
class Chunk:
    """Slices read together: a row for each with the columns ABOUT, and the pixels of those without a reason."""

    about: pd.DataFrame
    hu: Mapping[int, np.ndarray]
    """Hounsfield units, int16 [n, S, S], by the wanted side in pixels."""


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
        self, chunks: Sequence[range], sizes: Sequence[int], workers: int, folder: Path
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
        self, chunks: Sequence[range], sizes: Sequence[int], workers: int, folder: Path
    ) -> Iterator[Chunk]:
        reader = _Reader(self.listing.root, self.window, tuple(sizes), folder)
        places = self.listing.places
        read = read_in_order(reader, places, chunks, 0, workers)
        for chunk, (reads, pixels) in zip(chunks, read, strict=True):
            here = list(places[chunk.start : chunk.stop])
            about = self._about(here, reads, self.listing.scan[chunk.start : chunk.stop])
            yield Chunk(about, _by_size(pixels, sizes, int((about["reason"] == "").sum())))
            pixels.unlink()

    def _about(self, places: Sequence[Place], reads: Sequence[Read], scans: np.ndarray) -> pd.DataFrame:
        rows = []
        for place, read, scan in zip(places, reads, scans.tolist(), strict=True):
            known = Ids() if scan == ALONE else self.listing.ids[scan]
            name = without_suffix(place.file) if place.plane < 0 else ids_of(place)["slice_id"]
            ids = {
                key: getattr(read, key) or getattr(known, key)
                for key in ("patient_id", "study_id", "series_id")
            }
            z_mm = np.nan if read.z_mm is None else read.z_mm
            rows.append((name, *ids.values(), z_mm, place.file, scan, read.reason))
        return pd.DataFrame(rows, columns=list(ABOUT)).astype({"z_mm": float, "scan": "int32"})


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
        self, chunks: Sequence[range], sizes: Sequence[int], workers: int, folder: Path
    ) -> Iterator[Chunk]:
        for chunk in chunks:
            rows = self.store.scans.order[chunk.start : chunk.stop]
            about = self.store.table.iloc[rows][list(ABOUT[:5])].reset_index(drop=True)
            about = about.assign(file="", scan=self.scan[chunk.start : chunk.stop], reason="")
            yield Chunk(about[list(ABOUT)], dict.fromkeys(sizes, self.store.hu[rows]))


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
