"""DICOM folders with a CSV of a row per scan: a patient, a study or a series."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

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
from ichtune.data.formats.dicom import element
from ichtune.data.formats.series_header import SeriesHeader, read_series_header
from ichtune.data.label_tables import original_names, read_csv, read_wide
from ichtune.data.options import PrepareOptions
from ichtune.data.sources.folder import only_csv
from ichtune.data.sources.scan_entries import (
    LABELS_OF_SCANS,
    describe_absent,
    dicom_by_folder,
    first_fault,
    scan_entries,
)
from ichtune.data.sources.series import (
    Series,
    choose_per_scan,
    describe_choice,
    refuse_missing_codec,
    series_table,
)
from ichtune.data.sources.source import Source, make_source
from ichtune.errors import InputError
from ichtune.labels import LABELS

KEYS: Final = (*SERIES_COLUMNS, *STUDY_COLUMNS, *PATIENT_COLUMNS)
"""Columns that name a scan, the closest first; their cells are UIDs or ids in the headers, or names of folders."""


def is_scan_table(header: Iterable[str]) -> bool:
    """Whether a table with these columns has rows of scans: labels, and something that names scans but not slices."""
    names = set(header)
    slices = {*FILE_COLUMNS, *ID_COLUMNS, "slicenumber"}
    return bool(label_columns(header)) and bool(names & set(KEYS)) and not names & slices


def open_scans(root: Path, labels: Path | None, options: PrepareOptions) -> Source:
    """Open DICOM files in folders by series, study or patient, with a CSV of a row for each of these.

    Slices of a scan without a label are negative; which slices of a positive scan are positive is unknown.
    """
    path = labels or only_csv(root)
    table = read_csv(path)
    key = _key(table, path)
    patient = next((name for name in PATIENT_COLUMNS if name in table.columns), None)
    truth, patients, reasons = _scans(table, path, key, patient)
    folders, others = dicom_by_folder(root)
    if not folders:
        raise InputError(
            f"{root}: no DICOM files here, which {path} with a row per {key} needs; for images, give it a column file"
        )
    found, unclear = _of_scans(_found(root, folders), key, {*truth.index, *reasons})
    reasons |= unclear
    series = [one for one in found if one.scan in truth.index]
    chosen = choose_per_scan(series, options.series)
    if not series:
        raise InputError(
            f"{root}: no folder or DICOM header here has a {key} of {path}{_example(list(truth.index), unclear)}"
        )
    if not chosen:
        raise InputError(
            f"{root}: no scan of {path} has a series to use (--series {options.series}){first_fault(series)}"
        )
    refuse_missing_codec(root, chosen)
    entries = scan_entries(chosen, truth)
    entries["patient_id"] = entries["scan"].map(patients)
    used = {key, *([patient] if patient else [])}
    notes = [
        *describe_columns(original_names(path), label_columns(table.columns), used),
        *_absent(found, truth.index, chosen),
        *describe_choice(series, chosen, options.series),
        *_several_studies(series, options.series),
        *others,
        f"{LABELS_OF_SCANS} A search needs a table that labels slices.",
    ]
    listing = series_table(series, chosen)
    source = make_source("scans", root, entries, reasons, options.grey_window, notes, listing)
    return replace(source, heeds=("series",))


def _key(table: pd.DataFrame, path: Path) -> str:
    key = next((name for name in (*KEYS, *ID_COLUMNS) if name in table.columns), None)
    if key is None:
        raise InputError(
            f"{path}: no column names the scan of a row; name it patient, study or series; it has "
            f"{', '.join(table.columns)}"
        )
    return key


def _scans(
    table: pd.DataFrame, path: Path, key: str, patient: str | None
) -> tuple[pd.DataFrame, dict[str, str], dict[str, str]]:
    """Return the labels and patients of scans by their names, and what is wrong with the others."""
    values, wrong = read_wide(table, path)
    rows = values.assign(scan=table[key].str.strip(), patient=table[patient].str.strip() if patient else "")
    reasons = {rows["scan"][row] or f"line {row}": str(wrong[row]) for row in wrong.index}
    rows = rows[~rows["scan"].isin([*reasons, ""])].drop_duplicates()
    twice = rows["scan"][rows["scan"].duplicated()]
    reasons |= dict.fromkeys(twice, "contradictory labels: it is in the CSV with different values")
    rows = rows[~rows["scan"].isin(set(twice))].set_index("scan")
    return rows[list(LABELS)].astype(np.float32), rows["patient"].to_dict(), reasons


def _found(root: Path, folders: dict[str, list[str]]) -> Iterator[Series]:
    """Yield the series in these folders, of no scan yet."""
    for folder, files in folders.items():
        for part in _parts(root, files):
            yield Series("", folder, tuple(part), read_series_header(root / part[len(part) // 2]))


def _parts(root: Path, files: list[str]) -> list[list[str]]:
    """Return a folder's files by series; all headers are read only if those of its ends and middle differ."""
    probes = {files[0], files[len(files) // 2], files[-1]}
    if len({element(root / file, "SeriesInstanceUID") for file in probes}) == 1:
        return [files]
    parts: dict[str, list[str]] = {}
    for file in files:
        parts.setdefault(element(root / file, "SeriesInstanceUID"), []).append(file)
    return list(parts.values())


def _of_scans(
    found: Iterable[Series], key: str, scans: Collection[str]
) -> tuple[list[Series], dict[str, str]]:
    """Return series with the names of their scans, empty if none fits; and why files of others can't be used."""
    named: list[Series] = []
    unclear: dict[str, str] = {}
    for series in found:
        fits = _fits(series, key, scans)
        if len(fits) < 2:
            named.append(replace(series, scan=next(iter(fits), "")))
        else:
            shown = " and ".join(map(repr, fits))
            unclear |= dict.fromkeys(
                series.files, f"its folders and header name two scans of the table: {shown}"
            )
    return named, unclear


def _fits(series: Series, key: str, scans: Collection[str]) -> list[str]:
    """Return the scans that the header or a folder names; the header decides between folders."""
    by_header = {_id(series.header, key)} & set(scans)
    by_folder = set(series.folder.split("/")) & set(scans)
    return sorted(by_header & by_folder or by_header | by_folder)


def _absent(found: Sequence[Series], scans: Iterable[str], chosen: Sequence[Series]) -> list[str]:
    named, taken = {one.scan for one in found}, {one.scan for one in chosen}
    return describe_absent(
        {
            "Scans in the table without files here": [scan for scan in scans if scan not in named],
            "Series without a row in the table, which are not used": [
                one.folder for one in found if not one.scan
            ],
            "Scans without a series to use, which are left out": [
                scan for scan in scans if scan in named and scan not in taken
            ],
        }
    )


def _several_studies(series: Sequence[Series], wish: str) -> list[str]:
    """Return a note on scans of the table that are several studies, as of a patient who came twice."""
    studies: dict[str, set[str]] = {}
    for one in series:
        studies.setdefault(one.scan, set()).add(one.header.study_id)
    several = [scan for scan, ids in studies.items() if len(ids) > 1]
    taken = "all have its labels" if wish == "all" else "a series of only one is used"
    return describe_absent({f"Rows of the table with several studies, of which {taken}": several})


def _example(scans: Sequence[str], unclear: dict[str, str]) -> str:
    if unclear:
        return f" alone (the first: {next(iter(unclear))}: {next(iter(unclear.values()))})"
    return f", such as {scans[0]!r}" if len(scans) else ""


def _id(header: SeriesHeader, key: str) -> str:
    if key in SERIES_COLUMNS:
        return header.series_id
    return header.study_id if key in STUDY_COLUMNS else header.patient_id
