"""A source from a table whose rows are about numbered slices of volumes."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ichtune.data.matching import Matches
from ichtune.data.reading import Place
from ichtune.data.sources.masks import Mask
from ichtune.data.sources.slice_order import Scan, plane_of
from ichtune.data.sources.source import Source
from ichtune.data.sources.volumes import Volumes
from ichtune.data.sources.wide import from_wide
from ichtune.windows import Window


@dataclass(frozen=True)
class SliceRows:
    """The slice that each row of a table is about: `numbers[k]`, counted from `first`, of the volume `files[k]`."""

    volumes: Volumes
    files: list[str | None]
    """None where the volume is missing."""
    names: list[str]
    """How the table names the volumes."""
    numbers: list[int]
    first: int

    def scans(self, positive: np.ndarray, masks: dict[str, Mask]) -> list[Scan]:
        """Return the volumes with what the table (bool [rows]) and the masks say of their slices."""
        by_file: dict[str, dict[int, bool]] = {file: {} for file in self.volumes.headers}
        for file, number, label in zip(self.files, self.numbers, positive.tolist(), strict=True):
            if file in by_file:
                by_file[file][number - self.first] = label
        return [
            Scan(
                file,
                numbers,
                self.volumes.headers[file].shape[0],
                self.volumes.headers[file].stored_from_head,
                masks[file].marked if file in masks else None,
            )
            for file, numbers in by_file.items()
        ]

    def places(self, order: str) -> list[Place | None]:
        """Return each row's slice, None if there is none, in a table that counts in this order (see `plane_of`)."""
        return [
            self._place(file, number, order) for file, number in zip(self.files, self.numbers, strict=True)
        ]

    def source(
        self,
        kind: str,
        root: Path,
        table: pd.DataFrame,
        places: list[Place | None],
        table_path: Path,
        window: Window,
        used: Iterable[str],
        notes: Iterable[str],
    ) -> Source:
        """Return the source of a table with the columns of `IDENTITY`, and the place of each row."""
        names = [place.name if place else self._title(row) for row, place in enumerate(places)]
        lost = {names[row]: why for row, place in enumerate(places) if not place and (why := self._why(row))}
        unread = {file: why for file, why in self.volumes.rejected.items() if file not in self.files}
        matches = Matches(
            files={place.name: place.name for place in places if place},
            unclear=lost | unread,
            undecided=set(lost),
        )
        all_places = {
            place.name: place for file in self.volumes.headers for place in self.volumes.places(file)
        }
        source = from_wide(
            kind, root, table.assign(name=names), list(all_places), matches, table_path, window, used
        )
        return _with_places(source, all_places, notes)

    def _place(self, file: str | None, number: int, order: str) -> Place | None:
        header = self.volumes.headers.get(file) if file else None
        if file is None or header is None or not self.first <= number < self.first + header.shape[0]:
            return None
        return Place(file, plane_of(number - self.first, header.shape[0], order, header.stored_from_head))

    def _title(self, row: int) -> str:
        return f"{self.names[row]}, slice {self.numbers[row]}"

    def _why(self, row: int) -> str:
        """Return why a row has no slice, if its volume is there; else nothing."""
        file = self.files[row]
        if file is None:
            return ""
        if file in self.volumes.rejected:
            return f"{file!r}: {self.volumes.rejected[file]}"
        last = self.first + self.volumes.headers[file].shape[0] - 1
        return f"labels without a slice: {file!r} has slices {self.first} to {last}"


def _with_places(source: Source, places: dict[str, Place], notes: Iterable[str]) -> Source:
    """Return the source with files and planes instead of the names of places."""
    found = [places[name] for name in source.entries["file"]]
    entries = source.entries.assign(
        file=pd.Series([place.file for place in found], dtype=str),
        plane=pd.Series([place.plane for place in found], dtype=int),
    ).sort_values(["file", "plane"], ignore_index=True)
    return replace(source, entries=entries, notes=(*notes, *source.notes))
