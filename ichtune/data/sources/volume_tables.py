"""NIfTI volumes with a table of their slices, or of whole volumes."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ichtune.data.columns import (
    FILE_COLUMNS,
    ID_COLUMNS,
    PATIENT_COLUMNS,
    SERIES_COLUMNS,
    STUDY_COLUMNS,
    describe_columns,
    label_columns,
)
from ichtune.data.formats.nifti import without_volume_suffix
from ichtune.data.label_tables import original_names, read_csv, read_wide
from ichtune.data.matching import Matches, match, tidy
from ichtune.data.options import PrepareOptions
from ichtune.data.slice_table import SCAN_LABELS
from ichtune.data.sources.mask_files import Paired
from ichtune.data.sources.masks import BINARY, Mask, describe_unusable, read_masks
from ichtune.data.sources.name_columns import Named, refuse_rivals
from ichtune.data.sources.slice_order import UP, SliceOrder, most_agreeing, settle_order
from ichtune.data.sources.slice_rows import SliceRows
from ichtune.data.sources.source import NO_FILE, NO_LABELS, Source, make_source
from ichtune.data.sources.volumes import Volumes, ids_of
from ichtune.data.sources.whole_numbers import whole_numbers
from ichtune.errors import InputError
from ichtune.labels import ANY, SUBTYPES

VOLUME_COLUMNS = (
    *FILE_COLUMNS,
    *("volume", "volumeid", "volumename", "scan", "scanid", "scanname", "nifti", "ct", "id", "name"),
    *SERIES_COLUMNS,
    *STUDY_COLUMNS,
    *PATIENT_COLUMNS,
)
SLICE_COLUMNS = ("slicenumber", "sliceindex", "sliceno", "slicenr", "slicenum", "slice", "sliceid")
UNCHECKED = SliceOrder(
    UP,
    (
        "Slices are taken to be counted from the feet up, as there are no masks to compare with: see whether "
        "`ichtune inspect` shows the hemorrhages where the table has them.",
    ),
)


@dataclass(frozen=True)
class VolumeTable:
    """A label table and the volume that each row is about."""

    path: Path
    table: pd.DataFrame
    key: str
    """The column that names the volumes."""
    names: list[str]
    matches: Matches
    """From those names to the volumes' files."""

    @classmethod
    def read(cls, path: Path, files: list[str]) -> "VolumeTable":
        """Read a table and match it by the first column whose names fit any volume, or the most if that is an id."""
        table = read_csv(path)
        keys = [name for name in VOLUME_COLUMNS if name in table.columns]
        if not keys:
            raise InputError(
                f"{path}: no column names the volume of a row; name it volume, file or id; "
                f"it has {', '.join(table.columns)}"
            )
        tried = [cls._matched_by(key, path, table, files) for key in keys]
        fitting = [found for found in tried if found.matches.files] or tried[:1]
        first, *others = sorted(fitting, key=lambda found: -found.named.rows)
        if fitting[0].key not in ID_COLUMNS:
            return fitting[0]
        refuse_rivals(first.named, [other.named for other in others], table.index, path)
        return first

    @classmethod
    def _matched_by(cls, key: str, path: Path, table: pd.DataFrame, files: list[str]) -> "VolumeTable":
        by_name = {without_volume_suffix(file): file for file in files}
        names = [without_volume_suffix(tidy(name)) for name in table[key]]
        matches = match(
            dict.fromkeys(names), sorted(by_name), same_bytes=lambda _files: False, uids=lambda _files: {}
        )
        matches.files = {name: by_name[found] for name, found in matches.files.items()}
        return cls(path, table, key, names, matches)

    @property
    def named(self) -> Named:
        """The volume of each row."""
        return Named(self.key, self.files)

    @property
    def files(self) -> list[str | None]:
        """The volume of each row; None if it is missing."""
        return [self.matches.files.get(name) for name in self.names]

    @property
    def numbers(self) -> str | None:
        """The column of the slices' numbers, if there is one."""
        return next((name for name in SLICE_COLUMNS if name in self.table.columns and name != self.key), None)

    @property
    def patients(self) -> list[str]:
        """The patient of each row; empty if there is no column of patients."""
        column = self._patients
        return [name.strip() for name in self.table[column]] if column else [""] * len(self.table)

    @property
    def divided(self) -> dict[str, str]:
        """Why volumes can't be used that have rows of two patients."""
        patients: dict[str, set[str]] = {}
        for file, patient in zip(self.files, self.patients, strict=True):
            if file and patient:
                patients.setdefault(file, set()).add(patient)
        return {
            file: f"its slices have two patients in the table: {', '.join(map(repr, sorted(names)[:2]))}"
            for file, names in patients.items()
            if len(names) > 1
        }

    @property
    def used(self) -> list[str]:
        """The columns that were read, apart from labels."""
        return [name for name in (self.key, self.numbers, self._patients) if name]

    @property
    def _patients(self) -> str | None:
        found = next((name for name in PATIENT_COLUMNS if name in self.table.columns), None)
        return found if found and (self.table[found].str.strip() != "").any() else None


def open_table(root: Path, table_path: Path, paired: Paired, options: PrepareOptions) -> Source:
    """Open volumes with a table of slices, if it has a column of their numbers, or else of whole volumes."""
    table = VolumeTable.read(table_path, list(paired.masks))
    volumes = Volumes.read(root, paired.masks).without(table.divided)
    if table.numbers is None:
        return _of_scans(root, table, volumes, options)
    numbers = whole_numbers(table.table[table.numbers], table.path).tolist()
    masks, unusable = _masks(root, volumes, paired)
    positive = read_wide(table.table, table.path)[0][ANY].to_numpy() == 1
    rows, how = _rows(table, volumes, numbers, positive, masks)
    settled = settle_order(rows.scans(positive, masks), str(table.path)) if masks else UNCHECKED
    notes = [how, *settled.notes, *unusable]
    return _of_slices(root, table, rows, settled.order, notes, options)


def _rows(
    table: VolumeTable, volumes: Volumes, numbers: list[int], positive: np.ndarray, masks: dict[str, Mask]
) -> tuple[SliceRows, str]:
    """Return the slices of a table's rows, which may be numbered from 0 or 1, and a note on how that is known."""
    from_zero, from_one = (SliceRows(volumes, table.files, table.names, numbers, first) for first in (0, 1))
    name = table.path.name
    if 0 in numbers:
        return from_zero, f"Slices are numbered from 0 in {name}."
    planes = {file: header.shape[0] for file, header in volumes.headers.items()}
    if any(file and planes.get(file) == number for file, number in zip(table.files, numbers, strict=True)):
        return from_one, f"Slices are numbered from 1 in {name}."
    either = {rows.first: most_agreeing(rows.scans(positive, masks)) for rows in (from_zero, from_one)}
    if either[0] == either[1]:
        why = "which has neither a slice 0 nor a volume's last"
        return from_one, f"Slices are taken to be numbered from 1 in {name}, {why}."
    rows, other = (from_zero, 1) if either[0] > either[1] else (from_one, 0)
    return rows, (
        f"Slices are numbered from {rows.first} in {name}, as {either[rows.first]:,} of its positive slices have "
        f"voxels in a mask ({either[other]:,} if numbered from {other})."
    )


def _of_slices(
    root: Path, table: VolumeTable, rows: SliceRows, order: str, notes: list[str], options: PrepareOptions
) -> Source:
    places = rows.places(order)
    blank = {"slice_id": "", "study_id": "", "series_id": ""}
    ids = pd.DataFrame([ids_of(place) if place else blank for place in places], index=table.table.index)
    labelled = table.table.assign(**ids)
    if any(table.patients):
        labelled["patient_id"] = table.patients
    return rows.source(
        "nifti",
        root,
        labelled,
        places,
        table.path,
        options.grey_window,
        table.used,
        [*notes, *table.matches.note(table.path.name)],
    )


def _masks(root: Path, volumes: Volumes, paired: Paired) -> tuple[dict[str, Mask], list[str]]:
    """Return the masks of volumes, and a note on those that can't be used."""
    masks = {file: mask for file, mask in paired.masks.items() if mask and file in volumes.headers}
    found, unusable = read_masks(root, masks, volumes.headers)
    return found, describe_unusable(unusable)


def _of_scans(root: Path, table: VolumeTable, volumes: Volumes, options: PrepareOptions) -> Source:
    """Return slices whose scan's labels are known, and their own aren't."""
    labels, wrong = read_wide(table.table, table.path)
    scan_labels = labels.rename(columns=SCAN_LABELS).to_dict("records")
    several = {file for file, count in Counter(filter(None, table.files)).items() if count > 1}
    entries: list[dict[str, object]] = []
    reasons: dict[str, str] = dict(volumes.rejected)
    for row, (file, name) in enumerate(zip(table.files, table.names, strict=True)):
        line = table.table.index[row]
        if file is None:
            reasons[name or f"line {line}"] = table.matches.unclear.get(name, NO_FILE)
        elif file in several:
            reasons |= volumes.reasons(file, "two rows of the table are about its volume")
        elif line in wrong.index:
            reasons |= volumes.reasons(file, str(wrong[line]))
        elif file in volumes.headers:
            common = {"patient_id": table.patients[row], **scan_labels[row]}
            entries += [{**place._asdict(), **ids_of(place), **common} for place in volumes.places(file)]
    for file in set(volumes.headers) - set(table.files):
        reasons |= volumes.reasons(file, NO_LABELS)
    notes = [
        f"{table.path.name} has labels of whole scans; those of their slices are unknown.",
        *describe_columns(original_names(table.path), label_columns(table.table.columns), table.used),
        *table.matches.note(table.path.name),
    ]
    if labels[list(SUBTYPES)].isna().all(axis=None):
        notes.append(BINARY)
    columns = None if entries else ["file", "slice_id"]
    return make_source(
        "nifti", root, pd.DataFrame(entries, columns=columns), reasons, options.grey_window, notes
    )
