"""CT-ICH 1.3.1: NIfTI volumes and masks, and a CSV with a row per slice."""

from pathlib import Path

from ichtune.data.formats.nifti import is_volume, without_volume_suffix
from ichtune.data.label_tables import read_csv, read_wide, require_columns
from ichtune.data.options import PrepareOptions
from ichtune.data.sources.folder import files_below
from ichtune.data.sources.masks import Mask, describe_unusable, read_masks
from ichtune.data.sources.slice_order import settle_order
from ichtune.data.sources.slice_rows import SliceRows
from ichtune.data.sources.source import Source
from ichtune.data.sources.volumes import Volumes
from ichtune.data.sources.whole_numbers import whole_numbers
from ichtune.errors import InputError
from ichtune.labels import ANY

RAW_LABELS = "hemorrhage_diagnosis_raw_ct.csv"
KEYS = ("patientnumber", "slicenumber")


def open_ct_ich_volumes(root: Path, labels: Path | None, options: PrepareOptions) -> Source:
    """Open `ct_scans/NNN.nii` and `masks/NNN.nii` with `hemorrhage_diagnosis_raw_ct.csv`, a row per slice.

    The masks show in which direction the table counts a scan's slices.
    """
    table_path = labels or root / RAW_LABELS
    table = read_csv(table_path)
    require_columns(table, KEYS, table_path)
    patients, numbers = (whole_numbers(table[key], table_path).tolist() for key in KEYS)
    files = _by_patient(root, "ct_scans")
    names = [f"{patient:03d}" for patient in patients]
    volumes = Volumes.read(root, files.values())
    rows = SliceRows(volumes, [files.get(patient) for patient in patients], names, numbers, first=1)
    values, _wrong = read_wide(table, table_path)
    masks, notes = _masks(root, files, volumes)
    settled = settle_order(rows.scans(values[ANY].to_numpy() == 1, masks), str(table_path))
    identified = table.assign(
        slice_id=[f"{name}_{number:03d}" for name, number in zip(names, numbers, strict=True)],
        patient_id=names,
        study_id=[f"ct_scans/{name}" for name in names],
        series_id=[f"ct_scans/{name}" for name in names],
    )
    places = rows.places(settled.order)
    notes = [*settled.notes, *notes]
    return rows.source("ct-ich", root, identified, places, table_path, options.grey_window, KEYS, notes)


def _by_patient(root: Path, folder: str) -> dict[int, str]:
    """Return the volumes of a folder by the patient's number."""
    found: dict[int, str] = {}
    for name in sorted(files_below(root / folder)) if (root / folder).is_dir() else ():
        number = without_volume_suffix(name)
        if not is_volume(name) or not (number.isascii() and number.isdecimal()):
            continue
        if int(number) in found:
            raise InputError(f"{root / folder}: two files of patient {int(number)}; keep one of them")
        found[int(number)] = f"{folder}/{name}"
    return found


def _masks(root: Path, files: dict[int, str], volumes: Volumes) -> tuple[dict[str, Mask], list[str]]:
    """Return the masks of volumes by the volume's file, and a note on those that can't be used."""
    masks = _by_patient(root, "masks")
    pairs = {
        file: masks[patient]
        for patient, file in files.items()
        if patient in masks and file in volumes.headers
    }
    found, unusable = read_masks(root, pairs, volumes.headers, by_voxels=True)
    return found, describe_unusable(unusable)
