"""The slices of scans, where labels are known of whole scans: what follows for their slices, and what is missing."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from ichtune.data.name_fits import without_suffix
from ichtune.data.slice_table import SCAN_LABELS
from ichtune.data.sources.folder import files_below
from ichtune.data.sources.series import Series, examples
from ichtune.data.sources.slice_files import describe_others
from ichtune.labels import LABELS

LABELS_OF_SCANS: Final = (
    "The labels are those of scans: slices of a scan that is negative for a label are negative for it, but which "
    "slices of a positive scan are positive is unknown."
)
_SUFFIXES: Final = {"dcm", "dicom", "ima"}


def dicom_by_folder(root: Path) -> tuple[dict[str, list[str]], list[str]]:
    """Return the files below `root` that may be DICOM by their folder, in order of name, and a note on others."""
    found: dict[str, list[str]] = {}
    others = []
    for file in sorted(files_below(root)):
        folder, _, name = file.rpartition("/")
        if _may_be_dicom(name):
            found.setdefault(folder, []).append(file)
        else:
            others.append(file)
    return found, describe_others(others)


def _may_be_dicom(name: str) -> bool:
    _, dot, suffix = name.rpartition(".")
    return name != "DICOMDIR" and (not dot or suffix.isdecimal() or suffix.strip().lower() in _SUFFIXES)


def scan_entries(chosen: Sequence[Series], labels: pd.DataFrame) -> pd.DataFrame:
    """Return a row per file of the chosen series, with the labels of its scan and those of the slice.

    A scan without a label has no slice with it, so its slices are negative. Which slices of a positive scan are
    positive is unknown.

    Args:
        labels: a row per scan, by its name; float32, NaN if unknown.
    """
    rows = [(one, file) for one in chosen for file in one.files]
    scans = labels.loc[[one.scan for one, _ in rows], list(LABELS)].to_numpy(np.float32)
    slices = np.where(scans == 0, scans, np.float32("nan"))
    return pd.DataFrame(
        {
            "file": [file for _, file in rows],
            "slice_id": [without_suffix(file) for _, file in rows],
            "scan": [one.scan for one, _ in rows],
            "series_id": ["" if one.header.series_id else one.folder for one, _ in rows],
            "series_description": [one.description for one, _ in rows],
            **dict(zip(LABELS, slices.T, strict=True)),
            **dict(zip(SCAN_LABELS.values(), scans.T, strict=True)),
        }
    )


def describe_absent(absent: Mapping[str, Iterable[str]]) -> list[str]:
    """Return notes on scans of which something is missing, by what they are called in the note."""
    found = {what: list(names) for what, names in absent.items()}
    return [f"{what}: {len(names):,} ({examples(names)})." for what, names in found.items() if names]


def first_fault(series: Iterable[Series]) -> str:
    """Return what is wrong with the first series that can't be used, to end a message."""
    return next((f"; the first: {one.folder}: {one.header.fault}" for one in series if one.header.fault), "")
