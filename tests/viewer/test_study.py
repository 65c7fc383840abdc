"""Files become a study in memory: its slices in order, and a reason for each file that has none."""

from pathlib import Path

import numpy as np
import pytest

from ichtune.errors import InputError
from ichtune.viewer.described import study_facts
from ichtune.viewer.folder import read_folder
from ichtune.viewer.session import Session
from ichtune.viewer.study import MIB, Intake, Study, TooLarge
from tests.made_up.dicom import write_dicom
from tests.made_up.viewers import write_steps


def taken(folder: Path, most: int = 64 * MIB) -> Intake:
    return read_folder(folder, most, lambda done, total, remark: None)


def middle_hu(study: Study, series: int) -> list[int]:
    return [int(study.arrived[row].slice.hu[9, 9]) for row in study.scans.rows(series)]


def test_slices_are_in_order_from_the_feet_whatever_their_files_are_called(tmp_path: Path):
    study = Study.of(taken(write_steps(tmp_path / "study", 5)))
    assert middle_hu(study, 0) == [0, 10, 20, 30, 40]
    assert study.arrived[0].name == "01.dcm"


def test_a_series_is_never_mixed_with_another(tmp_path: Path):
    write_steps(tmp_path / "study" / "thick", 5, SeriesInstanceUID="1.1")
    write_steps(tmp_path / "study" / "more", 3, SeriesInstanceUID="1.2", RescaleIntercept=1)
    study = Study.of(taken(tmp_path / "study"))
    assert sorted(map(tuple, (middle_hu(study, 0), middle_hu(study, 1)))) == [
        (0, 10, 20, 30, 40),
        (1, 11, 21),
    ]


def test_the_series_without_contrast_is_shown_first(tmp_path: Path):
    thick = {"SliceThickness": 5}
    write_steps(
        tmp_path / "study" / "a", 30, SeriesInstanceUID="1.1", ContrastBolusAgent="Omnipaque", **thick
    )
    write_steps(tmp_path / "study" / "b", 30, SeriesInstanceUID="1.2", RescaleIntercept=1, **thick)
    study = Study.of(taken(tmp_path / "study"))
    assert study.series[study.first].header.series_id == "1.2"
    assert [series.drawbacks for series in study.series] == ["contrast", ""]


def test_a_model_sees_every_slice_as_a_square_of_its_size_with_air_around_it(tmp_path: Path):
    stored = np.full((20, 40), 30, np.int16)
    (tmp_path / "study").mkdir()
    write_dicom(tmp_path / "study" / "a.dcm", stored)
    hu = Study.of(taken(tmp_path / "study")).hu(20)
    assert hu.shape == (1, 20, 20)
    assert hu.dtype == np.int16
    assert hu[0, :5].max() == -1000
    assert (hu[0, 5:15] == 30).all()


def test_every_file_without_a_slice_has_its_reason(tmp_path: Path):
    folder = write_steps(tmp_path / "study", 3)
    (folder / "notes.txt").write_text("nothing")
    (folder / "half.dcm").write_bytes((folder / "01.dcm").read_bytes()[:-100])
    (folder / "twice.dcm").write_bytes((folder / "01.dcm").read_bytes())
    write_dicom(folder / "mr.dcm", np.zeros((8, 8), np.int16), Modality="MR", SOPClassUID="1.2")
    write_dicom(folder / "wide.dcm", np.zeros((8, 8), np.int16), RescaleSlope=None)
    rejected = taken(folder).rejected
    assert rejected.keys() == {"notes.txt", "half.dcm", "twice.dcm", "mr.dcm", "wide.dcm"}
    assert rejected["twice.dcm"] == "a copy of 01.dcm"
    assert "not a DICOM file" in rejected["notes.txt"]
    assert "truncated" in rejected["half.dcm"]
    assert "no RescaleSlope" in rejected["wide.dcm"]
    assert "Modality is MR" in rejected["mr.dcm"]


def test_files_and_what_they_hold_decoded_are_both_bounded(tmp_path: Path):
    content = write_dicom(tmp_path / "a.dcm", np.zeros((32, 32), np.int16)).read_bytes()
    slices = Intake(most=2 * 32 * 32)
    with pytest.raises(TooLarge, match=r"the files take more than 0 MiB; .* raise --max-upload"):
        slices.add("a.dcm", content)
    deflated = write_deflated(tmp_path / "b.dcm").read_bytes()
    assert len(deflated) < 8000
    with pytest.raises(TooLarge, match="the decoded slices take more"):
        Intake(most=2 * 512 * 512 - 1).add("b.dcm", deflated)
    assert Intake(most=2 * 512 * 512).add("b.dcm", deflated) == ""


def write_deflated(path: Path) -> Path:
    """512 x 512 zeros, which deflate to almost nothing."""
    import pydicom
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    ds = pydicom.dcmread(write_dicom(path, np.zeros((512, 512), np.int16)))
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    pydicom.dcmwrite(path, ds, enforce_file_format=True)
    return path


def test_a_folder_without_a_slice_is_refused_with_the_first_reason(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(InputError, match=r"no CT slice in 1 file \(the first: notes\.txt: not a DICOM file"):
        taken(tmp_path)
    with pytest.raises(InputError, match="not a folder"):
        taken(tmp_path / "gone")


@pytest.mark.parametrize("at", range(0, 900, 7))
def test_a_file_damaged_anywhere_is_a_slice_or_has_a_reason(tmp_path: Path, at: int):
    content = bytearray(write_dicom(tmp_path / "a.dcm", np.zeros((8, 8), np.int16)).read_bytes())
    content[at % len(content)] ^= 0xFF
    intake = Intake(64 * MIB)
    reason = intake.add("a.dcm", bytes(content))
    assert bool(reason) == (not intake.arrived)


def test_series_of_several_patients_or_studies_say_whose_they_are(tmp_path: Path):
    def notes(folder: Path) -> list[str]:
        facts = study_facts(Session(None, 64 * MIB).show(taken(folder)))
        return [series["notes"][0] for series in facts["series"]]

    for number in (1, 2):
        same = {"StudyInstanceUID": f"1.{number}", "SeriesInstanceUID": f"1.{number}.1"}
        write_steps(tmp_path / "patients" / str(number), 2, PatientID=f"P{number}", **same)
        write_steps(tmp_path / "studies" / str(number), 2, **same, RescaleIntercept=number)
    assert notes(tmp_path / "patients") == [
        f"is of patient P{number}, one of 2 in these files" for number in (1, 2)
    ]
    assert notes(tmp_path / "studies") == [
        f"is of study 1.{number}, one of 2 in these files" for number in (1, 2)
    ]


def test_a_series_says_what_is_uncertain_about_it(tmp_path: Path):
    folder = write_steps(tmp_path / "study", 4, ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    write_dicom(folder / "nowhere.dcm", np.full((48, 48), 7, np.int16), ImagePositionPatient=None)
    write_dicom(folder / "again.dcm", np.full((48, 48), 8, np.int16), ImagePositionPatient=[0, 0, 5])
    session = Session(None, 64 * MIB)  # nothing is asked of the model
    facts = study_facts(session.show(taken(folder)))
    assert facts["series"][0]["notes"] == [
        "1 slice has no position and comes last, in the order of the files",
        "1 slice is at the same height as another",
        "2 slices do not say which side is left and which is right",
    ]
    assert [one["sides"] for one in facts["series"][0]["slices"]].count(("R", "A", "L", "P")) == 4
