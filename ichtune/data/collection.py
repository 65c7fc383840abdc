"""The sources of a store: one, or several whose identifiers are kept apart."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import pandas as pd

from ichtune.data.options import PrepareOptions
from ichtune.data.patients import Patients, join_shared_studies, settle_patients
from ichtune.data.sources import NothingUsable, Source, open_source
from ichtune.errors import InputError

_UID: Final = r"\d+(\.\d+)+"
_UNIQUE: Final = (
    10  # characters of identifiers that are unique everywhere; 17 or scan_003 is another study elsewhere
)
_IDLE: Final = {
    "readers": "only CQ500 has readers, and it is no source here",
    "series": "series are chosen for CQ500 and for tables of scans, and no source here is one of these",
    "boxes": "boxes label the slices of CQ500, which is no source here",
    "mask_classes": "no source here takes its labels from voxel masks",
}
"""Why an option of how sources are read is idle where no source heeds it."""


@dataclass(frozen=True)
class Collection:
    """Opened sources; with several, each has a name that its identifiers begin with. A single one has none."""

    sources: tuple[Source, ...]
    names: tuple[str, ...]

    @property
    def is_several(self) -> bool:
        """Whether slices come from more than one source."""
        return len(self.sources) > 1

    @property
    def has_images(self) -> bool:
        """Whether any entry is a windowed 8-bit image."""
        return any(source.has_images for source in self.sources)

    @property
    def format(self) -> str:
        """The layouts of the sources, such as `ct-ich+rsna`."""
        return "+".join(sorted({source.format for source in self.sources}))

    @property
    def files(self) -> list[str]:
        """The file of each entry, with the slice's number in a volume, in the order of the sources."""
        return [f"{self.prefix(k)}{place.name}" for k, one in enumerate(self.sources) for place in one.places]

    @cached_property
    def entries(self) -> pd.DataFrame:
        """The entries of all sources, in their order, with a column `source`."""
        return pd.concat(
            [
                one.entries.assign(source=name, slice_id=self.prefix(k) + one.entries["slice_id"])
                for k, (name, one) in enumerate(self._named())
            ],
            ignore_index=True,
        )

    @cached_property
    def rejected(self) -> pd.DataFrame:
        """What the labels alone rule out (`file, reason`)."""
        return pd.concat(
            [
                one.rejected.assign(file=self.prefix(k) + one.rejected["file"])
                for k, one in enumerate(self.sources)
            ],
            ignore_index=True,
        )

    @cached_property
    def series(self) -> pd.DataFrame:
        """The series of all scans and which were chosen (see `Source`); empty if no source had a choice."""
        return pd.concat(
            [
                one.series.assign(folder=self.prefix(k) + one.series["folder"])
                for k, one in enumerate(self.sources)
                if len(one.series)
            ]
            or [pd.DataFrame()],
            ignore_index=True,
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know, with the source's name if there are several."""
        return tuple(self._said(name, note) for name, one in self._named() for note in one.notes)

    def prefix(self, number: int) -> str:
        """Return what begins the names of a source's files and slices."""
        return f"{self.names[number]}/" if self.is_several else ""

    def settle_patients(self, slices: pd.DataFrame) -> Patients:
        """Determine the patients of slices (see `settle_patients`); those of two sources share only a study.

        Args:
            slices: `source, plane, slice_id, patient_id, study_id, series_id`.
        """
        if not self.is_several:
            return settle_patients(slices)
        parts = {name: settle_patients(slices[slices["source"] == name]) for name in self.names}
        ids = pd.concat([f"{name}/" + part.ids for name, part in parts.items()]).reindex(slices.index)
        ids, shared = join_shared_studies(ids, self.study_ids(slices), slices["source"])
        notes = [self._said(name, note) for name, part in parts.items() for note in part.notes]
        return Patients(ids, all(part.known for part in parts.values()), (*notes, *shared))

    def study_ids(self, slices: pd.DataFrame) -> pd.Series:
        """Return the studies of slices; with several sources, those that a source numbers itself begin with its name.

        Args:
            slices: `source, plane, study_id`.
        """
        studies = slices["study_id"]
        if not self.is_several:
            return studies
        unique = (studies.str.len() >= _UNIQUE) | studies.str.fullmatch(_UID)
        own = (studies != "") & ((slices["plane"] >= 0) | ~unique)  # a volume's study is its path
        return studies.where(~own, slices["source"] + "/" + studies)

    def _named(self) -> Sequence[tuple[str, Source]]:
        return list(zip(self.names, self.sources, strict=True))

    def _said(self, name: str, note: str) -> str:
        return f"{name}: {note}" if self.is_several else note


def open_collection(roots: Sequence[Path], options: PrepareOptions) -> Collection:
    """Open one or several sources.

    Raises:
        InputError: a source can't be used, is given twice or lies inside another, or tables are given for only some of
            the sources, or in another order.
        NothingUsable: an InputError after rejecting slices.
    """
    resolved = [root.resolve() for root in roots]
    if twice := [root for root, count in Counter(resolved).items() if count > 1]:
        raise InputError(f"{twice[0]}: this source is given twice; give each source once")
    for root in resolved:
        if inner := next((other for other in resolved if root in other.parents), None):
            raise InputError(
                f"{inner}: this source lies inside another, {root}, so its slices would count twice; give one of them"
            )
    tables = _tables(roots, options)
    names = _names(resolved, options.hash_ids) if len(roots) > 1 else ("",)
    opened, unusable = [], {}
    for root, table, name in zip(roots, tables, names, strict=True):
        try:
            opened.append(open_source(root, table, options))
        except NothingUsable as error:
            unusable[name] = error
    if unusable:
        raise _nothing_usable(unusable)
    _refuse_idle_options(options, opened)
    return Collection(tuple(opened), names)


def _nothing_usable(errors: dict[str, NothingUsable]) -> NothingUsable:
    """Return the errors of sources, by their names, as one."""
    rejected = [
        error.rejected.assign(file=(f"{name}/" if name else "") + error.rejected["file"])
        for name, error in errors.items()
    ]
    return NothingUsable("; ".join(map(str, errors.values())), pd.concat(rejected, ignore_index=True))


def _refuse_idle_options(options: PrepareOptions, opened: Sequence[Source]) -> None:
    """Refuse options about what none of the sources has, since labels would be others than asked for."""
    given = {**options.reading, **({"boxes": str(options.boxes[0])} if options.boxes else {})}
    heeded = {name for source in opened for name in source.heeds}
    for name, why in _IDLE.items():
        if name in given and name not in heeded:
            raise InputError(f"--{name.replace('_', '-')} {given[name]}: {why}; omit it")


def _tables(roots: Sequence[Path], options: PrepareOptions) -> list[Path | None]:
    given = list(options.labels or ())
    if not given:
        return [None] * len(roots)
    if len(given) != len(roots):
        raise InputError(
            f"--labels is given {len(given)} times for {len(roots)} sources; give it once for each, in their order, or "
            "not at all"
        )
    _refuse_swapped(roots, given)
    return [*given]


def _refuse_swapped(roots: Sequence[Path], tables: Sequence[Path]) -> None:
    """Refuse a table that lies in another source, whose files may have the same names."""
    for root, table in zip(roots, tables, strict=True):
        for other, own in zip(roots, tables, strict=True):
            if other != root and own != table and other.resolve() in table.resolve().parents:
                raise InputError(
                    f"--labels {table}: it is given for {root}, but lies in {other}; give the tables in the order of "
                    "the sources"
                )


def _names(roots: Sequence[Path], hashed: bool) -> tuple[str, ...]:
    """Return distinct names: those of the folders, or numbers if names of patients might be among them."""
    if hashed:
        return tuple(f"source{number}" for number in range(1, len(roots) + 1))
    bare = [root.name or "source" for root in roots]
    if len(set(bare)) == len(bare):
        return tuple(bare)
    return tuple(f"{name}-{number}" for number, name in enumerate(bare, 1))
