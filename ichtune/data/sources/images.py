"""Any folder of PNG, JPEG or DICOM files with a CSV of a row a slice."""

from pathlib import Path

from ichtune.data.images import is_image
from ichtune.data.label_tables import read_csv
from ichtune.data.sources.folder import files_below, only_csv, stem, without_suffix
from ichtune.data.sources.source import Source
from ichtune.data.sources.wide import from_wide
from ichtune.data.windows import Window
from ichtune.errors import InputError

FILE_COLUMNS = ("file", "filename", "filepath", "path", "image", "imagepath", "imagefile")
ID_COLUMNS = ("id", "imageid", "sliceid", "sopinstanceuid", "slice", "name")
PATIENT_COLUMNS = ("patientid", "patient", "patientnumber", "subject", "subjectid", "case", "caseid")


def open_images(root: Path, labels: Path | None, window: Window) -> Source:
    """Any folder of PNG, JPEG or DICOM with a CSV: a file or id column, labels, maybe patients."""
    table_path = labels or only_csv(root)
    table = read_csv(table_path)
    key = next((name for name in (*FILE_COLUMNS, *ID_COLUMNS) if name in table.columns), None)
    if key is None:
        raise InputError(
            f"{table_path}: no column says which image a row is about; name it file or id; "
            f"it has {', '.join(table.columns)}"
        )
    found = [name for name in files_below(root) if is_image(name) or _may_be_dicom(name)]
    if not found:
        raise InputError(f"{root}: no PNG, JPEG or DICOM files here")
    by_name = _unique_names(found)
    named = table[key].str.strip().str.replace("\\", "/").str.removeprefix("./")
    table = table.assign(file=[by_name.get(name, name) for name in named], slice_id=named.map(without_suffix))
    patient = next((name for name in PATIENT_COLUMNS if name in table.columns), None)
    if patient:
        table["patient_id"] = table[patient].str.strip()
    return from_wide("images", root, table, found, table_path, window)


def _unique_names(files: list[str]) -> dict[str, str]:
    """Files by every name that a table may use (without suffix, base name, its stem), where unique."""
    names: dict[str, str] = {}
    ambiguous: set[str] = set()
    for file in files:
        for name in {without_suffix(file), file.rpartition("/")[2], stem(file)} - {file}:
            if name in names:
                ambiguous.add(name)
            names[name] = file
    for name in ambiguous:
        del names[name]
    return names


def _may_be_dicom(file: str) -> bool:
    return file.lower().endswith((".dcm", ".dicom", ".ima")) or "." not in file.rpartition("/")[2]
