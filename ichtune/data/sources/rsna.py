"""RSNA 2019: `ID_*.dcm`, or PNG and JPEG copies of them, with a long CSV."""

import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from ichtune.data.columns import describe_columns
from ichtune.data.csv_files import csv_format
from ichtune.data.formats.dicom import looks_like_dicom
from ichtune.data.formats.image import is_image
from ichtune.data.label_tables import original_names
from ichtune.data.long_tables import read_long
from ichtune.data.matching import Matches
from ichtune.data.name_fits import Step, without_suffix
from ichtune.data.options import PrepareOptions
from ichtune.data.sources.folder import files_below, only_csv
from ichtune.data.sources.slice_files import describe_others, is_named_as_dicom
from ichtune.data.sources.source import (
    NO_FILE,
    NO_LABELS,
    Source,
    make_source,
    match_files,
    reasons_without_labels,
)
from ichtune.data.sources.unlabeled import describe_unlabeled, set_aside
from ichtune.errors import InputError


def open_rsna(root: Path, labels: Path | None, options: PrepareOptions) -> Source:
    """Open `ID_*.dcm`, or PNG or JPEG files of these names, beside or below a long CSV of `ID,Label`."""
    table = labels or only_csv(root)
    values, wrong = read_long(table)
    folder, files = _folder_of_slices(root, table)
    matches = match_files([*values.index, *wrong.index], folder, files.slices)
    usable = [name for name in values.index if name in matches.files]
    entries = values.loc[usable].reset_index(names="slice_id")
    entries = entries.assign(file=pd.Series([matches.files[name] for name in usable], dtype=str))
    without, notes = _without_labels(matches, folder, files)
    suffix = ".dcm" if files.has_dicom else Path(files.slices[0].strip()).suffix
    reasons = {
        **{file: wrong[name] for name, file in matches.files.items() if name in wrong.index},
        **without,
        **matches.unclear,
        **dict.fromkeys((f"{name}{suffix}" for name in values.index if _is_lost(name, matches)), NO_FILE),
        **{f"{name}{suffix}": f"{NO_FILE}; {why}" for name, why in wrong.items() if _is_lost(name, matches)},
    }
    notes = [
        *csv_format(table).notes,
        *describe_columns(original_names(table), (), ("id", "label")),
        *notes,
        *([] if folder == root else _beside(folder, {*values.index, *wrong.index})),
        *matches.note(table.name, usual=(Step.SUFFIX, Step.FOLDER)),
    ]
    return make_source("rsna", folder, entries, reasons, options.grey_window, notes)


class _Files(NamedTuple):
    """The files that may be slices, the DICOM files first, and all others."""

    slices: list[str]
    others: list[str]
    has_dicom: bool


def _folder_of_slices(root: Path, table: Path) -> tuple[Path, _Files]:
    """Return the folder named like the table (with or without `_images`), else `root`, and its files."""
    for folder in (root / table.stem, root / f"{table.stem}_images", root):
        if folder.is_dir() and (files := _files(folder)).slices:
            return folder, files
    raise InputError(
        f"{root}: no DICOM, PNG or JPEG files here; is it the folder of the slices that {table} labels?"
    )


def _files(folder: Path) -> _Files:
    """Return a folder's files; a PNG or JPEG beside a DICOM file of its name isn't another slice."""
    files = list(files_below(folder))
    dicom = [file for file in files if _is_dicom(file)]
    taken = set(map(_base_name, dicom))
    images = [file for file in files if is_image(file) and _base_name(file) not in taken]
    slices = [*dicom, *images]
    return _Files(slices, sorted(set(files) - set(slices)), bool(dicom))


def _is_dicom(file: str) -> bool:
    name = file.rpartition("/")[2]
    return is_named_as_dicom(file) or (name.startswith("ID_") and "." not in name)


def _base_name(file: str) -> str:
    return "".join(without_suffix(file.rpartition("/")[2]).split())


def _without_labels(matches: Matches, folder: Path, files: _Files) -> tuple[dict[str, str], list[str]]:
    """Return why files have no labels, and notes on those that aren't worth a rejection each."""
    reasons, notes = set_aside(reasons_without_labels(matches, files.slices), matches)
    pictures = {file for file in reasons if files.has_dicom and is_image(file)}
    reasons = {
        file: "not a DICOM file (and without labels)"
        if why == NO_LABELS and not is_image(file) and not looks_like_dicom(folder / file)
        else why
        for file, why in reasons.items()
        if file not in pictures
    }
    return reasons, [*notes, *describe_others([*files.others, *pictures])]


def _beside(folder: Path, names: set[str]) -> list[str]:
    """Return a note on slices without labels in the folders beside that of the labeled slices."""
    counts: Counter[str] = Counter()
    for other in sorted(path for path in folder.parent.iterdir() if path.is_dir() and path != folder):
        files = [
            file for _, _, files in os.walk(other) for file in files if _is_dicom(file) or is_image(file)
        ]
        counts[other.name] = sum(_base_name(file) not in names for file in files)
    return describe_unlabeled(counts)


def _is_lost(name: object, matches: Matches) -> bool:
    return name not in matches.files and name not in matches.undecided
