"""RSNA 2019: a folder of `ID_*.dcm` with a long CSV."""

from pathlib import Path

import pandas as pd

from ichtune.data.columns import describe_columns
from ichtune.data.csv_files import csv_format
from ichtune.data.formats.dicom import looks_like_dicom
from ichtune.data.label_tables import original_names
from ichtune.data.long_tables import read_long
from ichtune.data.matching import Matches
from ichtune.data.name_fits import Step
from ichtune.data.sources.folder import files_below, only_csv
from ichtune.data.sources.source import (
    NO_FILE,
    NO_LABELS,
    Source,
    make_source,
    match_files,
    reasons_without_labels,
)
from ichtune.errors import InputError
from ichtune.windows import Window


def open_rsna(root: Path, labels: Path | None, window: Window) -> Source:
    """Open `ID_*.dcm` beside or below a long CSV of `ID,Label`."""
    table = labels or only_csv(root)
    values, wrong = read_long(table)
    folder = root / table.stem if (root / table.stem).is_dir() else root
    files = [name for name in files_below(folder) if name.strip().lower().endswith(".dcm")]
    if not files:
        raise InputError(f"{folder}: no .dcm files here; is it the folder of the slices that {table} labels?")
    matches = match_files([*values.index, *wrong.index], folder, files)
    usable = [name for name in values.index if name in matches.files]
    entries = values.loc[usable].reset_index(names="slice_id")
    entries = entries.assign(file=pd.Series([matches.files[name] for name in usable], dtype=str))
    reasons = {
        **_reasons_of_files(matches, folder, files, wrong),
        **dict.fromkeys((f"{name}.dcm" for name in values.index if _is_lost(name, matches)), NO_FILE),
        **{f"{name}.dcm": f"{NO_FILE}; {why}" for name, why in wrong.items() if _is_lost(name, matches)},
    }
    notes = [
        *csv_format(table).notes,
        *describe_columns(original_names(table), (), ("id", "label")),
        *matches.note(table.name, usual=(Step.SUFFIX, Step.FOLDER)),
    ]
    return make_source("rsna", folder, entries, reasons, window, notes)


def _reasons_of_files(matches: Matches, folder: Path, files: list[str], wrong: pd.Series) -> dict[str, str]:
    without = reasons_without_labels(matches, files)
    return {
        **{file: wrong[name] for name, file in matches.files.items() if name in wrong.index},
        **{
            file: "not a DICOM file (and without labels)"
            if why == NO_LABELS and not looks_like_dicom(folder / file)
            else why
            for file, why in without.items()
        },
        **matches.unclear,
    }


def _is_lost(name: object, matches: Matches) -> bool:
    return name not in matches.files and name not in matches.undecided
