"""CT-ICH as images: a folder a patient, with a CSV of a row a slice."""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from ichtune.data.label_tables import read_csv, require_columns
from ichtune.data.sources.folder import files_below
from ichtune.data.sources.source import Source
from ichtune.data.sources.wide import from_wide
from ichtune.data.windows import Window
from ichtune.errors import InputError

CT_ICH_LABELS = "hemorrhage_diagnosis.csv"
CT_ICH_SPACING_MM = 5.0  # Hssayeni et al., PhysioNet 2020: slices of 5 mm


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
    found = [name for name in files_below(root) if re.fullmatch(r"Patients_CT/\d+/brain/\d+\.jpg", name)]
    ids = [f"{p:03d}_{k:03d}" for p, k in zip(patients.astype(int), numbers.astype(int), strict=True)]
    table = table.assign(
        file=names, slice_id=ids, patient_id=[i[:3] for i in ids], z_mm=numbers * CT_ICH_SPACING_MM
    )
    return from_wide("ct-ich", root, table, found, table_path, window)
