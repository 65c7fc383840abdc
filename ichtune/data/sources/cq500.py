"""CQ500: a folder of series per scan, and `reads.csv`, a row per scan; boxes of BHX label its slices."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from ichtune.data.formats.dicom import sop_instance_uid
from ichtune.data.formats.series_header import read_series_header
from ichtune.data.options import PrepareOptions
from ichtune.data.slice_table import SCAN_LABELS
from ichtune.data.sources.boxes import Boxes, find_boxes, read_boxes
from ichtune.data.sources.reads import READS, Reads, read_reads, scan_number
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
    examples,
    refuse_missing_codec,
    series_table,
)
from ichtune.data.sources.source import Source, make_source
from ichtune.errors import InputError
from ichtune.labels import LABELS


def open_cq500(root: Path, labels: Path | None, options: PrepareOptions) -> Source:
    """Open folders `CQ500CT{n} CQ500CT{n}/Unknown Study/<series>/CT*.dcm` with `reads.csv`.

    Slices of a scan without a label are negative. Which slices of a positive scan are positive only boxes say.
    """
    table = labels or root / READS
    reads = read_reads(table, options.readers)
    boxes = read_boxes(find_boxes(options.boxes, table))
    folders, others = _folders(root)
    series = [
        _series(root, scan, reads.names[scan], folder, files, boxes)
        for (scan, folder), files in folders.items()
        if scan in reads.names
    ]
    chosen = choose_per_scan(series, options.series)
    if not chosen:
        raise InputError(
            f"{root}: no scan of {table} has a series to use (--series {options.series}){first_fault(series)}"
        )
    refuse_missing_codec(root, chosen)
    entries = scan_entries(chosen, reads.labels)
    entries = entries.assign(patient_id=entries["scan"])  # a scan of each patient
    uids = _uids(root, chosen)
    entries, told = _with_boxes(entries, uids, boxes)
    notes = [
        *reads.notes,
        *_absent(reads, {scan for scan, _ in folders}, chosen),
        *describe_choice(series, chosen, options.series),
        *others,
        *boxes.notes,
        *told,
        *_unused(boxes, set(uids), series, chosen),
    ]
    listing = series_table(series, chosen)
    source = make_source("cq500", root, entries, {}, options.grey_window, notes, listing)
    return replace(source, heeds=("readers", "series", "boxes"))


def _folders(root: Path) -> tuple[dict[tuple[int, str], list[str]], list[str]]:
    """Return the files of each folder of a scan, by the scan's number and the folder; and notes on others."""
    folders, others = dicom_by_folder(root)
    found = {
        (scan, folder): files
        for folder, files in folders.items()
        if (scan := scan_number(folder)) is not None
    }
    if not found:
        packed = "; unpack its zip archives first" if any(root.rglob("*.zip")) else ""
        raise InputError(
            f"{root}: no DICOM files in folders named like 'CQ500CT1 CQ500CT1' here, as CQ500 has them{packed}"
        )
    nameless = [folder or "the top folder" for folder in folders if scan_number(folder) is None]
    absent = describe_absent({"Folders with files that name no scan, which are not used": nameless})
    return dict(sorted(found.items())), [*absent, *others]


def _series(root: Path, scan: int, name: str, folder: str, files: list[str], boxes: Boxes) -> Series:
    # A scout may come first, but not in the middle.
    header = read_series_header(root / files[len(files) // 2])
    if not header.fault and scan_number(header.patient_id) not in (None, scan):
        header = replace(header, fault=f"its PatientID is {header.patient_id!r}, which is another scan")
    return Series(name, folder, tuple(files), header, header.series_id in boxes.series)


def _uids(root: Path, chosen: Sequence[Series]) -> list[str]:
    """Return the SOPInstanceUID of each file of the chosen series; empty if its series has no boxes."""
    return [sop_instance_uid(root / file) if one.is_boxed else "" for one in chosen for file in one.files]


def _with_boxes(entries: pd.DataFrame, uids: list[str], boxes: Boxes) -> tuple[pd.DataFrame, list[str]]:
    """Return the entries with slices positive where they have boxes, and notes on that.

    A label with a box in a scan that the readers found negative for it is unknown for that slice.
    """
    marks = boxes.marks(uids)
    denied = marks & (entries[list(SCAN_LABELS.values())].to_numpy() == 0)
    slices = entries[list(LABELS)].to_numpy()
    slices = np.where(denied, np.float32("nan"), np.where(marks, np.float32(1), slices))
    entries = entries.assign(**dict(zip(LABELS, slices.T, strict=True)))
    return entries, [*_labelled(marks), *_denied(entries["scan"][denied.any(axis=1)])]


def _labelled(marks: np.ndarray) -> list[str]:
    if positive := int(marks.any(axis=1).sum()):
        return [
            f"Slices with boxes, which make them positive: {positive:,}. Other slices of a scan that is positive for a "
            "label are unknown for it; those of a negative scan are negative."
        ]
    return [f"{LABELS_OF_SCANS} A search needs that: give BHX's boxes with --boxes."]


def _denied(scans: pd.Series) -> list[str]:
    if scans.empty:
        return []
    return [
        "Slices with a box of a label that the readers didn't see, which is unknown for these slices: "
        f"{len(scans):,} ({examples(scans.unique())})."
    ]


def _unused(
    boxes: Boxes, used: Collection[str], series: Sequence[Series], chosen: Sequence[Series]
) -> list[str]:
    """Return notes on boxes on slices of series that were left, and on slices that have no file."""
    left = {one.header.series_id for one in series} - {one.header.series_id for one in chosen}
    unused = {uid: of for uid, of in boxes.slices.items() if uid not in used}
    lost = [uid for uid, of in unused.items() if of not in left]
    elsewhere = len(unused) - len(lost)
    return [
        *([f"Slices with boxes in series that were not chosen: {elsewhere:,}."] if elsewhere else []),
        *([f"Slices with boxes without a file here: {len(lost):,} ({examples(lost)})."] if lost else []),
    ]


def _absent(reads: Reads, folders: Collection[int], chosen: Sequence[Series]) -> list[str]:
    taken = {one.scan for one in chosen}
    names = reads.names.items()
    return describe_absent(
        {
            "Scans in the table without a folder here": [
                name for number, name in names if number not in folders
            ],
            "Scans with a folder but without a row in the table, which are not used": [
                f"CQ500CT{number}" for number in folders if number not in reads.names
            ],
            "Scans without a series to use, which are left out": [
                name for number, name in names if number in folders and name not in taken
            ],
        }
    )
