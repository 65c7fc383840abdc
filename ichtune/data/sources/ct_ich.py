"""CT-ICH as images, a folder per patient with a CSV of a row per slice; or as volumes."""

import re
from pathlib import Path

from ichtune.data.label_tables import read_csv, require_columns
from ichtune.data.options import PrepareOptions
from ichtune.data.sources.ct_ich_volumes import open_ct_ich_volumes
from ichtune.data.sources.folder import files_below
from ichtune.data.sources.source import Source, match_files
from ichtune.data.sources.whole_numbers import whole_numbers
from ichtune.data.sources.wide import from_wide

CT_ICH_LABELS = "hemorrhage_diagnosis.csv"
CT_ICH_SPACING_MM = 5.0  # Hssayeni et al., PhysioNet 2020: slices of 5 mm
KEYS = ("patientnumber", "slicenumber")


def open_ct_ich(root: Path, labels: Path | None, options: PrepareOptions) -> Source:
    """Open CT-ICH in the layout that the folder has: images, or the volumes of release 1.3.1."""
    is_volumes = (root / "ct_scans").is_dir() and not (root / "Patients_CT").is_dir()
    return (open_ct_ich_volumes if is_volumes else _open_images)(root, labels, options)


def _open_images(root: Path, labels: Path | None, options: PrepareOptions) -> Source:
    """Open `Patients_CT/NNN/brain/K.jpg` with `hemorrhage_diagnosis.csv`, a row per slice."""
    table_path = labels or next(
        (path for path in (root / CT_ICH_LABELS, root / "Patients_CT" / CT_ICH_LABELS) if path.is_file()),
        root / CT_ICH_LABELS,
    )
    table = read_csv(table_path)
    require_columns(table, KEYS, table_path)
    patients, numbers = (whole_numbers(table[key], table_path) for key in KEYS)
    pairs = list(zip(patients, numbers, strict=True))
    table = table.assign(
        name=[f"Patients_CT/{p:03d}/brain/{k}.jpg" for p, k in pairs],
        slice_id=[f"{p:03d}_{k:03d}" for p, k in pairs],
        patient_id=[f"{p:03d}" for p in patients],
        series_id=[f"Patients_CT/{p:03d}" for p in patients],  # each patient has one scan
        z_mm=numbers * CT_ICH_SPACING_MM,
    )
    found = [name for name in files_below(root) if re.fullmatch(r"Patients_CT/\d+/brain/\d+\.jpg", name)]
    matches = match_files(table["name"], root, found)
    return from_wide("ct-ich", root, table, found, matches, table_path, options.grey_window, KEYS)
