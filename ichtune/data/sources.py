"""Where slices come from: RSNA's DICOM folder, CT-ICH's image folder, or any folder of images with a CSV."""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from ichtune.data.formats.dicom import looks_like_dicom
from ichtune.data.formats.image import is_image
from ichtune.data.label_tables import (
    read_csv,
    read_header,
    read_long,
    read_wide,
    require_columns,
)
from ichtune.data.windows import Window
from ichtune.errors import InputError
from ichtune.labels import LABELS, SUBTYPES

CT_ICH_LABELS = "hemorrhage_diagnosis.csv"
CT_ICH_SPACING_MM = 5.0  # Hssayeni et al., PhysioNet 2020: slices of 5 mm
FILE_COLUMNS = ("file", "filename", "filepath", "path", "image", "imagepath", "imagefile")
ID_COLUMNS = ("id", "imageid", "sliceid", "sopinstanceuid", "slice", "name")
PATIENT_COLUMNS = ("patientid", "patient", "patientnumber", "subject", "subjectid", "case", "caseid")
NO_FILE = "labels without a file: the CSV names it, the folder doesn't have it"
NO_LABELS = "a file without labels: the CSV has no row for it"


@dataclass(frozen=True)
class Source:
    """What is to be read, settled before the first image is opened.

    `entries` has a row a slice, sorted by `file` (relative to `root`): `file, slice_id, patient_id, study_id,
    series_id, z_mm` (empty or NaN where the image's own header tells) and the six labels (float32).
    `rejected` has `file, reason` for what the labels alone rule out.
    """

    format: str
    root: Path
    entries: pd.DataFrame
    rejected: pd.DataFrame
    window: Window
    patients_known: bool = True
    notes: tuple[str, ...] = field(default=())

    @property
    def has_images(self) -> bool:
        """Whether any entry is a windowed 8-bit image rather than a DICOM file."""
        return self.entries["file"].map(is_image).any()


def open_source(root: Path, *, labels: Path | None, kind: str, window: Window) -> Source:
    """The source at `root`, of the given kind or (`auto`) of the kind that its layout shows.

    Raises:
        InputError: no such folder, no source in it, or a labels file that is missing, empty or of other columns.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder to prepare from")
    if not os.access(root, os.R_OK | os.X_OK):
        raise InputError(f"{root}: the folder can't be read; check its permissions")
    if kind == "auto":
        kind = _kind_by_layout(root, labels)
    return SOURCES[kind](root, labels, window)


def _kind_by_layout(root: Path, labels: Path | None) -> str:
    if (root / "Patients_CT").is_dir():
        return "ct-ich"
    try:
        table = labels or _only_csv(root)
    except InputError:
        return "images"
    return "rsna" if {"id", "label"} <= set(read_header(table)) and _ends_in_label(table) else "images"


def _ends_in_label(table: Path) -> bool:
    first = str(read_csv(table, nrows=1)["id"].iloc[0])
    return first.rpartition("_")[2].strip().lower() in LABELS


def open_rsna(root: Path, labels: Path | None, window: Window) -> Source:
    """`ID_*.dcm` beside or below a long CSV of `ID,Label`."""
    table = labels or _only_csv(root)
    values, wrong = read_long(table)
    folder = root / table.stem if (root / table.stem).is_dir() else root
    files = pd.Series(
        sorted(name for name in _files_below(folder) if name.lower().endswith(".dcm")), dtype=str
    )
    if files.empty:
        raise InputError(f"{folder}: no .dcm files here; is it the folder of the slices that {table} labels?")
    ids = files.map(_stem)
    entries = values.reindex(ids).reset_index(names="slice_id").assign(file=files)
    known = ids.isin(values.index)
    unlabeled = files[~known & ~ids.isin(wrong.index)]
    reasons = {
        **{file: wrong[_stem(file)] for file in files[ids.isin(wrong.index)]},
        **{file: _why_without_labels(folder / file) for file in unlabeled},
        **dict.fromkeys((f"{name}.dcm" for name in values.index.difference(ids)), NO_FILE),
        **{f"{name}.dcm": f"{NO_FILE}; {wrong[name]}" for name in wrong.index.difference(ids)},
    }
    return _source("rsna", folder, entries[known.to_numpy()], reasons, window)


def open_ct_ich(root: Path, labels: Path | None, window: Window) -> Source:
    """`Patients_CT/NNN/brain/K.jpg` with `hemorrhage_diagnosis.csv`, a row a slice."""
    table_path = labels or next(
        (path for path in (root / CT_ICH_LABELS, root / "Patients_CT" / CT_ICH_LABELS) if path.is_file()),
        root / CT_ICH_LABELS,
    )
    table = read_csv(table_path)
    require_columns(table, ("patientnumber", "slicenumber"), table_path)
    table = table.rename(columns={"patientnumber": "patientid"})
    numbers = pd.to_numeric(table["slicenumber"], errors="coerce")
    patients = pd.to_numeric(table["patientid"], errors="coerce")
    if (rows := np.flatnonzero(numbers.isna() | patients.isna())).size:
        raise InputError(f"{table_path}: line {rows[0] + 2}: patient and slice must be numbers")
    names = [
        f"Patients_CT/{p:03d}/brain/{k}.jpg"
        for p, k in zip(patients.astype(int), numbers.astype(int), strict=True)
    ]
    found = [name for name in _files_below(root) if re.fullmatch(r"Patients_CT/\d+/brain/\d+\.jpg", name)]
    ids = [f"{p:03d}_{k:03d}" for p, k in zip(patients.astype(int), numbers.astype(int), strict=True)]
    table = table.assign(
        file=names, slice_id=ids, patient_id=[i[:3] for i in ids], z_mm=numbers * CT_ICH_SPACING_MM
    )
    return _from_wide("ct-ich", root, table, found, table_path, window)


def open_images(root: Path, labels: Path | None, window: Window) -> Source:
    """Any folder of PNG, JPEG or DICOM with a CSV: a file or id column, labels, maybe patients."""
    table_path = labels or _only_csv(root)
    table = read_csv(table_path)
    key = next((name for name in (*FILE_COLUMNS, *ID_COLUMNS) if name in table.columns), None)
    if key is None:
        raise InputError(
            f"{table_path}: no column says which image a row is about; name it file or id; "
            f"it has {', '.join(table.columns)}"
        )
    found = [name for name in _files_below(root) if is_image(name) or _may_be_dicom(name)]
    if not found:
        raise InputError(f"{root}: no PNG, JPEG or DICOM files here")
    by_name = _unique_names(found)
    named = table[key].str.strip().str.replace("\\", "/").str.removeprefix("./")
    table = table.assign(
        file=[by_name.get(name, name) for name in named], slice_id=named.map(_without_suffix)
    )
    patient = next((name for name in PATIENT_COLUMNS if name in table.columns), None)
    if patient:
        table["patient_id"] = table[patient].str.strip()
    return _from_wide("images", root, table, found, table_path, window)


SOURCES: dict[str, Callable[[Path, Path | None, Window], Source]] = {
    "rsna": open_rsna,
    "ct-ich": open_ct_ich,
    "images": open_images,
}


def _from_wide(
    kind: str, root: Path, table: pd.DataFrame, found: list[str], table_path: Path, window: Window
) -> Source:
    """A source from a table with a row a slice (`file, slice_id`, maybe `patient_id` and `z_mm`)."""
    values, wrong = read_wide(table, table_path)
    columns = [name for name in ("file", "slice_id", "patient_id", "z_mm") if name in table.columns]
    entries = pd.concat([table[columns], values], axis=1)
    reasons = {str(entries["file"][row]): str(reason) for row, reason in wrong.items()}
    entries = entries.drop(index=wrong.index).drop_duplicates(ignore_index=True)
    if "patient_id" in entries.columns:
        reasons |= dict.fromkeys(
            entries.loc[entries["patient_id"] == "", "file"], "no patient: its cell is empty"
        )
    twice = entries["file"][entries["file"].duplicated(keep=False)]
    reasons |= dict.fromkeys(twice, "contradictory labels: it stands in the CSV with different values")
    reasons |= dict.fromkeys(sorted(set(entries["file"]) - set(found)), NO_FILE)
    reasons |= dict.fromkeys(sorted(set(found) - set(entries["file"]) - set(reasons)), NO_LABELS)
    notes = []
    patients_known = "patient_id" in entries.columns or not any(map(is_image, entries["file"]))
    if not patients_known:
        notes.append(
            f"{table_path} has no patient column: every image counts as its own patient, so slices of one "
            "head may stand on both sides of a split. Leaks can't be ruled out, and scores may be too good."
        )
    if values[list(SUBTYPES)].isna().all(axis=None):
        notes.append("The labels are binary: only 'any' is known, the five subtypes are missing values.")
    return _source(
        kind, root, entries[~entries["file"].isin(list(reasons))], reasons, window, patients_known, notes
    )


def _source(
    kind: str,
    root: Path,
    entries: pd.DataFrame,
    reasons: dict[str, str],
    window: Window,
    patients_known: bool = True,
    notes: list[str] | None = None,
) -> Source:
    if entries.empty:
        example = next((f" (the first: {file}: {why})" for file, why in reasons.items()), "")
        raise InputError(f"{root}: no image here has usable labels{example}")
    blank = {"patient_id": "", "study_id": "", "series_id": "", "z_mm": np.nan}
    missing = {name: value for name, value in blank.items() if name not in entries.columns}
    columns = ["file", "slice_id", *blank, *LABELS]
    ordered = entries.assign(**missing)[columns].sort_values("file", ignore_index=True)
    rejected = pd.DataFrame(sorted(reasons.items()), columns=["file", "reason"], dtype=str)
    return Source(kind, root, ordered, rejected, window, patients_known, tuple(notes or ()))


def _only_csv(root: Path) -> Path:
    """The labels file that stands in a source's folder: its only CSV, sample submissions left aside."""
    found = sorted(path for path in root.glob("*.csv") if "sample_submission" not in path.name)
    long = [path for path in found if {"id", "label"} <= set(read_header(path))]
    for candidates in (found, long):
        if len(candidates) == 1:
            return candidates[0]
    if not found:
        raise InputError(f"{root}: no CSV with labels here; name it with --labels")
    names = ", ".join(path.name for path in found)
    raise InputError(
        f"{root}: {len(found)} CSV files here ({names}); say with --labels which one holds the labels"
    )


def _files_below(folder: Path) -> Iterator[str]:
    """Every file below `folder`, relative to it with forward slashes; hidden ones are left out."""
    pending = [""]
    while pending:
        below = pending.pop()
        try:
            with os.scandir(folder / below) as listing:
                for item in listing:
                    if item.name.startswith("."):
                        continue
                    name = f"{below}/{item.name}" if below else item.name
                    if item.is_dir():
                        pending.append(name)
                    else:
                        yield name
        except PermissionError:
            raise InputError(f"{folder / below}: the folder can't be read; check its permissions") from None


def _unique_names(files: list[str]) -> dict[str, str]:
    """Files by every name that a table may use (without suffix, base name, its stem), where unique."""
    names: dict[str, str] = {}
    ambiguous: set[str] = set()
    for file in files:
        for name in {_without_suffix(file), file.rpartition("/")[2], _stem(file)} - {file}:
            if name in names:
                ambiguous.add(name)
            names[name] = file
    for name in ambiguous:
        del names[name]
    return names


def _why_without_labels(path: Path) -> str:
    return NO_LABELS if looks_like_dicom(path) else "not a DICOM file (and without labels)"


def _may_be_dicom(file: str) -> bool:
    return file.lower().endswith((".dcm", ".dicom", ".ima")) or "." not in file.rpartition("/")[2]


def _without_suffix(file: str) -> str:
    return re.sub(r"\.(png|jpe?g|dcm|dicom|ima)$", "", file, flags=re.IGNORECASE)


def _stem(file: str) -> str:
    return _without_suffix(file.rpartition("/")[2])
