"""Any folder of PNG, JPEG or DICOM files with a CSV of a row per slice."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from ichtune.data.columns import FILE_COLUMNS, ID_COLUMNS, PATIENT_COLUMNS, SERIES_COLUMNS, STUDY_COLUMNS
from ichtune.data.label_tables import read_csv
from ichtune.data.matching import Matches, match, tidy
from ichtune.data.name_fits import Step, without_suffix
from ichtune.data.options import PrepareOptions
from ichtune.data.sources.folder import files_below, only_csv
from ichtune.data.sources.name_columns import Named, refuse_rivals
from ichtune.data.sources.positions import read_positions
from ichtune.data.sources.slice_files import describe_others, may_be_slice
from ichtune.data.sources.source import Source, match_files
from ichtune.data.sources.wide import from_wide
from ichtune.errors import InputError

IDS = {"patient_id": PATIENT_COLUMNS, "study_id": STUDY_COLUMNS, "series_id": SERIES_COLUMNS}


def open_images(root: Path, labels: Path | None, options: PrepareOptions) -> Source:
    """Open any folder of PNG, JPEG or DICOM files with a CSV: a file or id column, labels, optionally patients."""
    table_path = labels or only_csv(root)
    table = read_csv(table_path)
    keys = [name for name in (*FILE_COLUMNS, *ID_COLUMNS) if name in table.columns]
    if not keys:
        raise InputError(
            f"{table_path}: no column identifies the image of a row; name it file or id; "
            f"it has {', '.join(table.columns)}"
        )
    files = list(files_below(root))
    found = [name for name in files if may_be_slice(name)]
    if not found:
        raise InputError(f"{root}: no PNG, JPEG or DICOM files here")
    key, names, matches = _match_by_first_key(table, keys, root, found)
    chosen = Named(key, [matches.files.get(name) for name in names])
    refuse_rivals(chosen, _others(table, keys[keys.index(key) + 1 :], found), table.index, table_path)
    # If the table's leading folders were dropped (such as a home folder), they stay out of the ids as well.
    ids = [matches.files[n] if matches.steps.get(n) is Step.PREFIX else n for n in names]
    table = table.assign(name=names, slice_id=list(map(without_suffix, ids)))
    positions = read_positions(table)
    if positions.z_mm is not None:
        table["z_mm"] = positions.z_mm
    used = [key, *positions.columns]
    for column, synonyms in IDS.items():
        given = next((name for name in synonyms if name in table.columns and name != key), None)
        if given is None:
            continue
        used.append(given)
        if (table[given].str.strip() != "").any():  # an empty column counts as missing
            table[column] = table[given].str.strip()
    notes = [*positions.notes, *describe_others(set(files) - set(found))]
    return from_wide("images", root, table, found, matches, table_path, options.grey_window, used, notes)


def _match_by_first_key(
    table: pd.DataFrame, keys: list[str], root: Path, found: list[str]
) -> tuple[str, pd.Series, Matches]:
    """Match by the first column whose names fit any file; by the very first column if none does."""
    tried = []
    for key in keys:
        names = table[key].map(tidy)
        matches = match_files(names, root, found)
        if matches.files or matches.undecided:
            return key, names, matches
        tried.append((key, names, matches))
    return tried[0]


def _others(table: pd.DataFrame, keys: list[str], found: list[str]) -> Iterator[Named]:
    """Yield what other columns name, by the files' names alone, if they name another file in each row."""
    for key in keys:
        names = table[key].map(tidy)
        if names.is_unique:
            files = match(names, sorted(found), same_bytes=lambda _files: False, uids=lambda _files: {}).files
            yield Named(key, [files.get(name) for name in names])
