"""CT-ICH as images: a folder per patient, and a CSV with a row per slice."""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from ichtune.data.label_tables import read_csv, require_columns
from ichtune.data.options import PrepareOptions
from ichtune.data.sources.folder import files_below
from ichtune.data.sources.source import Source, match_files
from ichtune.data.sources.wide import from_wide
from ichtune.errors import InputError

CT_ICH_LABELS = "hemorrhage_diagnosis.csv"
CT_ICH_SPACING_MM = 5.0  # Hssayeni et al., PhysioNet 2020: slices of 5 mm
KEYS = ("patientnumber", "slicenumber")


def open_ct_ich(root: Path, labels: Path | None, options: PrepareOptions) -> Source:
    """Open `Patients_CT/NNN/brain/K.jpg` with `hemorrhage_diagnosis.csv`, a row per slice."""
    table_path = labels or next(
        (path for path in (root / CT_ICH_LABELS, root / "Patients_CT" / CT_ICH_LABELS) if path.is_file()),
        root / CT_ICH_LABELS,
    )
    table = read_csv(table_path)
    require_columns(table, KEYS, table_path)
    patients, numbers = (_whole_numbers(table[key], table_path) for key in KEYS)
    pairs = list(zip(patients, numbers, strict=True))
    table = table.assign(
        name=[f"Patients_CT/{p:03d}/brain/{k}.jpg" for p, k in pairs],
        slice_id=[f"{p:03d}_{k:03d}" for p, k in pairs],
        patient_id=[f"{p:03d}" for p in patients],
        z_mm=numbers * CT_ICH_SPACING_MM,
    )
    found = [name for name in files_below(root) if re.fullmatch(r"Patients_CT/\d+/brain/\d+\.jpg", name)]
    matches = match_files(table["name"], root, found)
    return from_wide("ct-ich", root, table, found, matches, table_path, options.grey_window, KEYS)


def _whole_numbers(text: pd.Series, path: Path) -> pd.Series:
    numbers = pd.to_numeric(text, errors="coerce")
    if len(rows := numbers.index[~(np.isfinite(numbers) & (numbers % 1 == 0))]):
        raise InputError(
            f"{path}: line {rows[0]}: patient and slice must be whole numbers, got {text[rows[0]]!r}"
        )
    return numbers.astype(int)
