"""The result of opening a layout: every slice to read, with its labels, before any image is opened."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from ichtune.data.formats.image import is_image
from ichtune.data.matching import Matches, match
from ichtune.data.name_fits import without_suffix
from ichtune.data.reading import Place
from ichtune.data.slice_table import SCAN_LABELS
from ichtune.data.sources.headers import same_bytes, uids
from ichtune.errors import InputError
from ichtune.labels import LABELS
from ichtune.windows import Window

NO_FILE = "labels without a file: it is in the CSV but not in the folder"
NO_LABELS = "a file without labels: the CSV has no row for it"

_BLANK = {
    "plane": -1,
    **dict.fromkeys(("patient_id", "study_id", "series_id", "series_description", "given_split"), ""),
    "z_mm": np.nan,
    **dict.fromkeys((*LABELS, *SCAN_LABELS.values()), np.nan),
}


@dataclass(frozen=True)
class Source:
    """The slices to read, determined before any image is opened.

    `entries` has a row per slice, sorted by `file` (relative to `root`) and `plane`:
    `file`; `plane`, the slice's number in a volume from the feet up, -1 if the file is a single slice;
    `slice_id, patient_id, study_id, series_id, series_description, z_mm` (empty or NaN if left to the header);
    `given_split`, `train` or `test` if the source has such folders, else empty;
    the six labels of the slice, and the six of its scan (`SCAN_LABELS`), float32, NaN if unknown.
    `rejected` has `file, reason` for slices that the labels alone rule out.
    """

    format: str
    root: Path
    entries: pd.DataFrame
    rejected: pd.DataFrame
    window: Window
    notes: tuple[str, ...] = field(default=())
    series: pd.DataFrame = field(default_factory=pd.DataFrame)
    """The series of the source's scans and which were chosen, a row per series; empty if there was no choice."""
    heeds: tuple[str, ...] = ()
    """The options, apart from `patient`, that decide how it is read, such as `mask_classes`."""

    @property
    def needs_patient(self) -> bool:
        """Whether each file must name its patient, study or series, as all DICOM files of RSNA's set do.

        Not if its path names the patient.
        """
        unnamed = (self.entries["patient_id"] == "").any()
        return self.format == "rsna" and bool(unnamed) and not self.has_images

    @property
    def places(self) -> list[Place]:
        """Where the slice of each entry is."""
        return list(map(Place, self.entries["file"], self.entries["plane"]))

    @property
    def has_images(self) -> bool:
        """Whether any entry is a windowed 8-bit image rather than a DICOM file."""
        return self.entries["file"].map(is_image).any()


class NothingUsable(InputError):
    """A source without any slice to read; `rejected` says why (`file, reason`)."""

    def __init__(self, message: str, rejected: pd.DataFrame) -> None:
        super().__init__(message)
        self.rejected = rejected


def match_files(names: Iterable[str], root: Path, files: Iterable[str]) -> Matches:
    """Match a table's names to the files below `root`."""
    names = list(dict.fromkeys(names))
    return match(
        names, sorted(files), same_bytes=partial(same_bytes, root), uids=partial(uids, root, names=set(names))
    )


def reasons_without_labels(matches: Matches, files: Iterable[str]) -> dict[str, str]:
    """Return why files have no labels, by file."""
    owners = {_base_name(file): file for file in matches.files.values()}
    done = {*matches.files.values(), *matches.unclear, *matches.copies}
    return {
        file: f"another file of this name, {owner!r}, has its labels"
        if (owner := owners.get(_base_name(file)))
        else NO_LABELS
        for file in sorted(files)
        if file not in done
    }


def make_source(
    kind: str,
    root: Path,
    entries: pd.DataFrame,
    reasons: dict[str, str],
    window: Window,
    notes: Iterable[str] = (),
    series: pd.DataFrame | None = None,
) -> Source:
    """Return a source of these entries, without those whose slice id is in several files.

    Raises:
        NothingUsable: no entries are left.
    """
    twice = entries[entries["slice_id"].duplicated(keep=False)]
    for slice_id, files in twice.groupby("slice_id")["file"]:
        shown = ", ".join(map(repr, sorted(files)[:2]))
        reasons |= dict.fromkeys(files, f"two files with the slice id {slice_id!r}: {shown}")
    entries = entries.drop(index=twice.index)
    rejected = pd.DataFrame(sorted(reasons.items()), columns=["file", "reason"], dtype=str)
    if entries.empty:
        raise NothingUsable(f"{root}: no image here has usable labels{_example(reasons)}", rejected)
    missing = {name: value for name, value in _BLANK.items() if name not in entries.columns}
    columns = ["file", "slice_id", *_BLANK]
    ordered = entries.assign(**missing)[columns].sort_values(["file", "plane"], ignore_index=True)
    table = pd.DataFrame() if series is None else series
    return Source(kind, root, ordered, rejected, window, tuple(notes), table)


def _example(reasons: dict[str, str]) -> str:
    """Return the table's and the folder's naming side by side if they differ, else the first reason."""
    lost = [name for name, why in reasons.items() if why.startswith(NO_FILE)]
    spare = [name for name, why in reasons.items() if why == NO_LABELS]
    if lost and spare:
        return f": the CSV names its images as {lost[0]!r}, the folder as {spare[0]!r}"
    return next((f" (the first: {file}: {why})" for file, why in reasons.items()), "")


def _base_name(file: str) -> str:
    return without_suffix(file.rpartition("/")[2])
