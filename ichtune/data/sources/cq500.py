"""CQ500: a folder of series per scan, and `reads.csv`, a row per scan; boxes of BHX label its slices."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from ichtune.data.formats.dicom import sop_instance_uid
from ichtune.data.formats.series_header import read_series_header
from ichtune.data.name_fits import without_suffix
from ichtune.data.options import PrepareOptions
from ichtune.data.slice_table import SCAN_LABELS
from ichtune.data.sources.boxes import Boxes, find_boxes, read_boxes
from ichtune.data.sources.folder import files_below
from ichtune.data.sources.reads import READS, Reads, read_reads, scan_number
from ichtune.data.sources.series import Series, choose, describe_choice, series_table
from ichtune.data.sources.source import Source, make_source
from ichtune.errors import InputError
from ichtune.labels import LABELS

_SUFFIXES: Final = {"dcm", "dicom", "ima"}


def open_cq500(root: Path, labels: Path | None, options: PrepareOptions) -> Source:
    """Open folders `CQ500CT{n} CQ500CT{n}/Unknown Study/<series>/CT*.dcm` with `reads.csv`.

    A scan without a label has no slice with it: its slices are negative. Which slices of a positive scan are positive
    only boxes say; without them it is unknown.
    """
    table = labels or root / READS
    reads = read_reads(table, options.readers)
    boxes = read_boxes(find_boxes(options.boxes, table))
    folders = _folders_by_scan(root)
    series = [
        _series(root, scan, folder, files, boxes)
        for scan, its_folders in folders.items()
        if scan in reads.names
        for folder, files in its_folders.items()
    ]
    by_scan: dict[int, list[Series]] = defaultdict(list)
    for one in series:
        by_scan[one.scan].append(one)
    chosen = [one for its_series in by_scan.values() for one in choose(its_series, options.series)]
    if not chosen:
        raise InputError(
            f"{root}: no scan of {table} has a series to use (--series {options.series}){_first_fault(series)}"
        )
    entries, told = _entries(root, chosen, series, reads, boxes)
    notes = [
        *reads.notes,
        *_absent(reads, folders, {one.scan for one in chosen}),
        *describe_choice(series, chosen, options.series),
        *boxes.notes,
        *told,
    ]
    listing = series_table(series, chosen, reads.names)
    return make_source("cq500", root, entries, {}, options.grey_window, notes, listing)


def _folders_by_scan(root: Path) -> dict[int, dict[str, list[str]]]:
    """Return each scan's folders with their files, in an order that doesn't depend on the disk."""
    found: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for file in sorted(files_below(root)):
        folder, _, name = file.rpartition("/")
        scan = scan_number(folder)
        if scan is not None and _may_be_dicom(name):
            found[scan][folder].append(file)
    if not found:
        packed = "; unpack its zip archives first" if any(root.rglob("*.zip")) else ""
        raise InputError(
            f"{root}: no DICOM files in folders named like 'CQ500CT1 CQ500CT1' here, as CQ500 has them{packed}"
        )
    return dict(sorted(found.items()))


def _may_be_dicom(name: str) -> bool:
    _, dot, suffix = name.rpartition(".")
    return name != "DICOMDIR" and (not dot or suffix.isdecimal() or suffix.strip().lower() in _SUFFIXES)


def _series(root: Path, scan: int, folder: str, files: list[str], boxes: Boxes) -> Series:
    # A scout may come first, but not in the middle.
    header = read_series_header(root / files[len(files) // 2])
    return Series(scan, folder, tuple(files), header, header.series_id in boxes.series)


def _entries(
    root: Path, chosen: Sequence[Series], series: Sequence[Series], reads: Reads, boxes: Boxes
) -> tuple[pd.DataFrame, list[str]]:
    """Return a row per file of the chosen series with its labels, and notes on the boxes."""
    rows = [(one, file) for one in chosen for file in one.files]
    scans = reads.labels.loc[[one.scan for one, _ in rows]].to_numpy(np.float32)
    uids = [sop_instance_uid(root / file) if one.is_boxed else "" for one, file in rows]
    marks = boxes.marks(uids)
    slices = np.where(scans == 0, scans, np.float32("nan"))
    slices = np.where(marks, np.where(scans == 0, np.float32("nan"), np.float32(1)), slices)
    entries = pd.DataFrame(
        {
            "file": [file for _, file in rows],
            "slice_id": [without_suffix(file) for _, file in rows],
            "patient_id": [reads.names[one.scan] for one, _ in rows],
            "series_id": ["" if one.header.series_id else one.folder for one, _ in rows],
            "series_description": [one.description for one, _ in rows],
            **dict(zip(LABELS, slices.T, strict=True)),
            **dict(zip(SCAN_LABELS.values(), scans.T, strict=True)),
        }
    )
    against = (marks & (scans == 0)).any(axis=1)
    notes = [
        *_labelled(marks),
        *_contradictions(entries["patient_id"][against]),
        *_without_file(boxes, uids, series, chosen),
    ]
    return entries, notes


def _labelled(marks: np.ndarray) -> list[str]:
    """Return a note on which slices have labels."""
    if positive := int(marks.any(axis=1).sum()):
        return [
            f"{positive:,} slices have boxes, which make them positive; other slices of a scan that is positive for a "
            "label are unknown for it, those of a negative scan negative."
        ]
    return [
        "The labels are those of scans: slices of a scan that is negative for a label are negative for it, but which "
        "slices of a positive scan are positive is unknown. A search needs that: give BHX's boxes with --boxes."
    ]


def _contradictions(scans: pd.Series) -> list[str]:
    if scans.empty:
        return []
    return [
        f"{len(scans):,} slices of {scans.nunique():,} scans have a box with a label that the readers didn't see, such "
        f"as {scans.iloc[0]}: the label of these slices is unknown."
    ]


def _without_file(
    boxes: Boxes, uids: Iterable[str], series: Sequence[Series], chosen: Sequence[Series]
) -> list[str]:
    """Return notes on boxes on slices of series that were left, and on slices that have no file."""
    taken = {one.header.series_id for one in chosen}
    left = {one.header.series_id for one in series} - taken
    used = set(uids)
    unused = {uid: of for uid, of in boxes.slices.items() if uid not in used}
    lost = [uid for uid, of in unused.items() if of not in left]
    notes = []
    if elsewhere := len(unused) - len(lost):
        notes.append(f"{elsewhere:,} slices with boxes belong to series that were not chosen.")
    if lost:
        notes.append(
            f"{len(lost):,} slices with boxes have no file here (the first: SOPInstanceUID {min(lost)})."
        )
    return notes


def _absent(reads: Reads, folders: dict[int, dict[str, list[str]]], chosen: set[int]) -> list[str]:
    """Return notes on scans of which the table or the folder knows nothing, and on those without a usable series."""
    without = {
        "scans of the table have no folder here": [n for n in reads.names if n not in folders],
        "scans have folders here but no row in the table, and are not used": [
            n for n in folders if n not in reads.names
        ],
        "scans have no series that can be used, and are left out (see series.csv)": [
            n for n in reads.names if n in folders and n not in chosen
        ],
    }
    return [
        f"{len(numbers):,} {what}: {_shown(numbers, reads)}." for what, numbers in without.items() if numbers
    ]


def _shown(numbers: Iterable[int], reads: Reads) -> str:
    names = [reads.names.get(number, f"CQ500CT{number}") for number in sorted(numbers)]
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _first_fault(series: Sequence[Series]) -> str:
    return next((f"; the first: {one.folder}: {one.header.fault}" for one in series if one.header.fault), "")
