"""Sources of slices, a module per layout, such as RSNA's DICOM folder or any images with a CSV."""

import os
from collections.abc import Callable
from pathlib import Path

from ichtune.data.label_tables import read_csv, read_header
from ichtune.data.options import PrepareOptions
from ichtune.data.sources.class_folders import has_class_folders, open_class_folders
from ichtune.data.sources.cq500 import open_cq500
from ichtune.data.sources.ct_ich import open_ct_ich
from ichtune.data.sources.folder import only_csv
from ichtune.data.sources.image_folder import open_images
from ichtune.data.sources.nifti import has_volumes, open_nifti
from ichtune.data.sources.path_patients import with_patients
from ichtune.data.sources.reads import READS, is_reads
from ichtune.data.sources.rsna import open_rsna
from ichtune.data.sources.scan_table import is_scan_table, open_scans
from ichtune.data.sources.source import NothingUsable, Source
from ichtune.errors import InputError
from ichtune.labels import LABELS

__all__ = ["SOURCES", "NothingUsable", "Source", "open_source"]


SOURCES: dict[str, Callable[[Path, Path | None, PrepareOptions], Source]] = {
    "rsna": open_rsna,
    "ct-ich": open_ct_ich,
    "cq500": open_cq500,
    "images": open_images,
    "folders": open_class_folders,
    "scans": open_scans,
    "nifti": open_nifti,
}


def open_source(root: Path, labels: Path | None, options: PrepareOptions) -> Source:
    """Open the source at `root`, in the given format or (`auto`) the one that its layout shows.

    `labels` is its table, if not the one in the folder (`options.labels` holds those of all sources).

    Raises:
        InputError: the folder doesn't exist or has no source, or the labels file is missing, empty or lacks columns.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder to prepare from")
    if not os.access(root, os.R_OK | os.X_OK):
        raise InputError(f"{root}: this folder can't be read; check its permissions")
    kind = _kind_by_layout(root, labels) if options.format == "auto" else options.format
    return with_patients(SOURCES[kind](root, labels, options), options.patient)


def _kind_by_layout(root: Path, labels: Path | None) -> str:
    if (root / "Patients_CT").is_dir() or (root / "ct_scans").is_dir():
        return "ct-ich"
    if is_reads(labels or root / READS):
        return "cq500"
    try:
        table = labels or only_csv(root)
    except InputError:
        if has_volumes(root):
            return "nifti"
        return "folders" if has_class_folders(root) else "images"
    header = read_header(table)
    if {"id", "label"} <= set(header) and _ends_in_label(table):
        return "rsna"
    if has_volumes(root):
        return "nifti"
    return "scans" if is_scan_table(header) else "images"


def _ends_in_label(table: Path) -> bool:
    first = str(read_csv(table, nrows=1)["id"].iloc[0])
    return first.rpartition("_")[2].strip().lower() in LABELS
