import math
from pathlib import Path

import numpy as np
import pytest

from ichtune.data.options import PrepareOptions
from ichtune.data.slice_table import SCAN_LABELS
from ichtune.data.sources import Source, open_source
from ichtune.errors import InputError
from tests.made_up.cq500 import THICK, THIN, write_scan

NAN = math.nan


def opened(root: Path, table: str, **options: object) -> Source:
    (root / "labels.csv").write_text(table)
    return open_source(root, None, PrepareOptions(**options))


def three_patients(root: Path) -> Path:
    """Folders `p1` to `p3` with a thick and a thin series of three slices each."""
    for number in (1, 2, 3):
        write_scan(root, number, {"CT Plain": THICK, "CT PLAIN THIN": THIN}, below=f"p{number}")
    return root


@pytest.mark.parametrize(
    "table",
    [
        "PatientID,any,subdural\np1,1,0\np2,0,0\n",
        "PatientID,any,subdural\nCQ500CT1,1,0\nCQ500CT2,0,0\n",
        "StudyInstanceUID,any,subdural\n1.1,1,0\n1.2,0,0\n",
        "SeriesInstanceUID,any,subdural\n1.1.2,1,0\n1.2.2,0,0\n",
    ],
    ids=["folders", "patients", "studies", "series"],
)
def test_a_row_a_scan_is_found_by_header_or_folder(tmp_path, table):
    source = opened(three_patients(tmp_path), table)
    assert source.format == "scans"
    assert source.entries["file"].tolist() == [
        f"p{patient}/CT Plain/CT00000{z}.dcm" for patient in (1, 2) for z in range(3)
    ]
    slices = source.entries[["epidural", "subdural", "any"]]
    np.testing.assert_array_equal(slices, [[NAN, 0, NAN]] * 3 + [[NAN, 0, 0]] * 3)
    assert source.entries[SCAN_LABELS["any"]].tolist() == [1] * 3 + [0] * 3


def test_series_in_one_folder_are_told_apart_by_their_headers(tmp_path):
    three_patients(tmp_path)
    for path in sorted((tmp_path / "p1").rglob("*.dcm")):
        path.rename(tmp_path / "p1" / f"{path.parent.name}{path.name}")
    source = opened(tmp_path, "patient,any\np1,1\n", series="thick")
    assert source.entries["file"].tolist() == [f"p1/CT PlainCT00000{z}.dcm" for z in range(3)]
    assert source.series["chosen"].tolist() == [0, 1]


def test_rows_and_folders_without_the_other_and_rows_that_are_wrong_are_named(tmp_path):
    source = opened(three_patients(tmp_path), "patient,any\np1,1\np2,7\np8,0\n")
    assert set(source.entries["patient_id"]) == {"p1"}
    assert source.rejected.to_numpy().tolist() == [
        ["p2", "a label that is neither 0 nor 1: any is '7' (line 3)"]
    ]
    assert "Scans in the table without files here: 1 (p8)." in source.notes
    assert (
        "Series without a row in the table, which are not used: 2 (p3/CT PLAIN THIN, p3/CT Plain)."
        in source.notes
    )


def test_a_header_that_names_another_scan_of_the_table_than_the_folder_is_not_believed(tmp_path):
    for number in (1, 2, 3):
        about = {**THICK, "PatientID": "1" if number == 2 else str(number)}
        write_scan(tmp_path, number, {"CT": about}, below=str(number), slices=1)
    source = opened(tmp_path, "patient,any\n1,1\n2,0\n3,0\n")
    assert source.entries["patient_id"].tolist() == ["1", "3"]
    assert source.rejected.to_numpy().tolist() == [
        ["2/CT/CT000000.dcm", "its folders and header name two scans of the table: '1' and '2'"]
    ]


def test_the_header_decides_between_folders_that_are_named_like_scans(tmp_path):
    write_scan(tmp_path, 2, {"1": {**THICK, "PatientID": "2"}}, below="2", slices=1)
    source = opened(tmp_path, "patient,any\n1,1\n2,0\n")
    assert source.entries["patient_id"].tolist() == ["2"]


def test_a_patient_with_two_studies_is_noted(tmp_path):
    for number in (1, 2, 3):
        about = {**THICK, "PatientID": f"p{max(number, 2)}"}
        write_scan(tmp_path, number, {"CT": about}, below=f"study{number}", slices=1)
    source = opened(tmp_path, "patient,any\np2,1\np3,0\n")
    assert (
        "Rows of the table with several studies, of which a series of only one is used: 1 (p2)."
        in source.notes
    )


def test_a_table_of_patients_beside_images_asks_for_a_column_of_files(tmp_path):
    (tmp_path / "a.png").touch()
    with pytest.raises(InputError, match=r"no DICOM files here.* row per patient.*give it a column file"):
        opened(tmp_path, "patient,any\np1,1\n")


def test_a_table_that_fits_no_scan_says_so(tmp_path):
    with pytest.raises(InputError, match=r"no folder or DICOM header here has a patient of .*, such as 'x1'"):
        opened(three_patients(tmp_path), "Patient,any\nx1,1\n")
