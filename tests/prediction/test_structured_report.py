"""A scan's structured report is a DICOM file that follows template TID 1500 and says what the table says."""

from pathlib import Path

import pandas as pd
import pydicom
import pytest
from pydicom.dataset import Dataset

from ichtune.errors import InputError
from ichtune.labels import LABELS
from ichtune.prediction.options import PredictOptions
from ichtune.prediction.predict import predict
from tests.made_up.dicom import head, write_dicom, write_rsna

hd = pytest.importorskip("highdicom", reason="needs the extra sr")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scans of three slices with valid UIDs; a file of the second can't be read."""
    folder = tmp_path_factory.mktemp("dicom")
    for scan in (1, 2):
        for number in range(3):
            write_dicom(
                folder / f"{scan}{number}.dcm",
                head((32, 32), 10 * scan + number),
                PatientID=f"P{scan}",
                StudyInstanceUID=f"1.2.3.{scan}",
                SeriesInstanceUID=f"1.2.3.{scan}.1",
                ImagePositionPatient=[0, 0, 5 * number],
                **({"PixelData": b"\0" * 8} if (scan, number) == (2, 1) else {}),
            )
    return folder


@pytest.fixture(scope="module")
def reported(model: Path, root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    """The folder of the reports, and the table of the slices."""
    out = tmp_path_factory.mktemp("out")
    made = predict(
        [model], root, out / "p.parquet", PredictOptions(workers=1, dicom_sr=out / "sr", tta="flips")
    )
    assert made.reports == 2
    return out / "sr", pd.read_parquet(made.file)


def children(item: Dataset, code: str) -> list[Dataset]:
    """The content items below an item with this concept name."""
    return [
        each
        for each in item.get("ContentSequence", [])
        if "ConceptNameCodeSequence" in each and each.ConceptNameCodeSequence[0].CodeValue == code
    ]


def only(item: Dataset, code: str) -> Dataset:
    (found,) = children(item, code)
    return found


def test_a_report_is_of_the_patient_and_study_of_its_scan(reported):
    folder, _ = reported
    assert sorted(file.name for file in folder.iterdir()) == ["1.2.3.1.1.dcm", "1.2.3.2.1.dcm"]
    report = pydicom.dcmread(folder / "1.2.3.1.1.dcm")
    assert (report.PatientID, report.StudyInstanceUID, report.Modality) == ("P1", "1.2.3.1", "SR")
    assert report.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.33"  # Comprehensive SR Storage
    assert report.SeriesInstanceUID != "1.2.3.1.1"
    assert report.VerificationFlag == "UNVERIFIED"
    assert report.SeriesDescription == "ichtune: research software, no medical device"
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    assert len(series.ReferencedSOPSequence) == 3


def test_a_report_has_the_rows_that_the_template_demands(reported):
    """PS3.16 TID 1500, 1001 to 1004, 1501, 300 and 4019: what is mandatory or used, with its kind and relation."""
    report = pydicom.dcmread(reported[0] / "1.2.3.1.1.dcm")
    assert report.ValueType == "CONTAINER"
    assert report.ConceptNameCodeSequence[0].CodeValue == "126000"  # Imaging Measurement Report
    (template,) = report.ContentTemplateSequence
    assert (template.MappingResource, template.TemplateIdentifier) == ("DCMR", "1500")
    assert {item.RelationshipType for item in report.ContentSequence} == {
        *("HAS CONCEPT MOD", "HAS OBS CONTEXT", "CONTAINS"),
    }
    assert only(report, "121005").ConceptCodeSequence[0].CodeValue == "121007"  # the observer is a device
    assert only(report, "121012").ValueType == "UIDREF"
    assert "no medical device" in only(report, "121013").TextValue
    assert only(report, "121058").ConceptCodeSequence[0].CodeValue == "303653007"  # CT of head
    measurements = only(report, "126010")
    groups = children(measurements, "125007")
    assert len(groups) == len(measurements.ContentSequence) == 6
    for group in groups:
        assert group.ContentTemplateSequence[0].TemplateIdentifier == "1501"
        assert only(group, "112040").RelationshipType == "HAS OBS CONTEXT"
        for code in ("111001", "111003"):
            assert (only(group, code).ValueType, only(group, code).RelationshipType) == (
                "TEXT",
                "HAS CONCEPT MOD",
            )
        assert only(group, "121071").ValueType == "CODE"
        number = only(group, "122157")
        assert (number.ValueType, number.RelationshipType) == ("NUM", "CONTAINS")
        assert only(number, "121401").ConceptCodeSequence[0].CodeValue == "56851009"  # the maximum
        assert only(number, "121112").RelationshipType == "INFERRED FROM"
    assert len({only(group, "112040").UID for group in groups}) == 6


def test_a_report_says_what_the_table_says(reported, model, root):
    folder, table = reported
    report = pydicom.dcmread(folder / "1.2.3.1.1.dcm")
    slices = table[table["patient_id"] == "P1"]
    groups = {only(group, "112039").TextValue: group for group in children(only(report, "126010"), "125007")}
    assert tuple(groups) == LABELS
    for label, group in groups.items():
        probability = only(group, "122157")
        (measured,) = probability.MeasuredValueSequence
        assert measured.NumericValue == pytest.approx(slices[label].max(), rel=1e-3)
        peak = pydicom.dcmread(root / slices.loc[slices[label].idxmax(), "file"])
        (source,) = only(probability, "121112").ReferencedSOPSequence
        assert source.ReferencedSOPInstanceUID == peak.SOPInstanceUID
        (count,) = only(group, "slices").MeasuredValueSequence
        assert count.NumericValue == slices[f"is_{label}"].sum()
        answer = only(group, "reaches").ConceptCodeSequence[0].CodeMeaning
        assert answer == ("Yes" if slices[f"is_{label}"].any() else "No")
        parameters = [item.TextValue for item in children(group, "111002")]
        assert parameters[0] == "For research only: research software, no medical device."
        assert "mirrored left to right" in parameters[-1]
        assert model.name in only(group, "111001").TextValue


def test_a_report_of_a_scan_with_a_slice_that_cant_be_read_is_partial(reported):
    whole, partial = (pydicom.dcmread(reported[0] / f"1.2.3.{scan}.1.dcm") for scan in (1, 2))
    assert whole.CompletionFlag == "COMPLETE"
    assert partial.CompletionFlag == "PARTIAL"
    assert partial.CompletionFlagDescription == "1 of 3 slices could not be read"


def test_highdicom_reads_a_report_by_its_templates(reported):
    content = hd.sr.srread(reported[0] / "1.2.3.2.1.dcm").content
    assert isinstance(content, hd.sr.MeasurementReport)
    groups = content.get_image_measurement_groups()
    assert [group.tracking_identifier for group in groups] == list(LABELS)
    assert {len(group.get_measurements()) for group in groups} == {2}


def test_the_same_scan_and_model_give_the_same_uids(reported, model, root, tmp_path):
    options = PredictOptions(workers=1, dicom_sr=tmp_path / "sr", tta="flips")
    predict([model], root, tmp_path / "p.csv", options)
    first, again = (pydicom.dcmread(folder / "1.2.3.1.1.dcm") for folder in (reported[0], tmp_path / "sr"))
    assert first.SOPInstanceUID == again.SOPInstanceUID


def test_a_scan_whose_identifiers_are_no_uids_is_said_to_have_no_report(model, tmp_path):
    root = write_rsna(tmp_path / "rsna", patients=2, size=16)
    made = predict([model], root, tmp_path / "p.csv", PredictOptions(workers=1, dicom_sr=tmp_path / "sr"))
    assert made.reports == 0
    (note,) = made.notes
    assert "2 scans without a structured report" in note
    assert "its StudyInstanceUID is 'ID_study0', which is no UID" in note


def test_a_scan_whose_files_name_no_sop_class_is_said_to_have_no_report(model, tmp_path):
    file = tmp_path / "dicom" / "a.dcm"
    file.parent.mkdir()
    write_dicom(file, head((32, 32), 1), StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3.1")
    ds = pydicom.dcmread(file)
    del ds.SOPClassUID
    ds.save_as(file)
    options = PredictOptions(workers=1, dicom_sr=tmp_path / "sr")
    (note,) = predict([model], file.parent, tmp_path / "p.csv", options).notes
    assert "its SOPClassUID is '', which is no UID" in note


def test_a_scan_whose_files_have_the_same_uid_is_said_to_have_no_report(model, tmp_path):
    for number in range(2):
        file = tmp_path / f"{number}.dcm"
        write_dicom(file, head((32, 32), 1), SOPInstanceUID="1.9", ImagePositionPatient=[0, 0, number])
    options = PredictOptions(workers=1, dicom_sr=tmp_path / "sr")
    (note,) = predict([model], tmp_path, tmp_path / "p.csv", options).notes
    assert "2 of its files have the SOPInstanceUID 1.9" in note


def test_reports_are_for_dicom_alone(model, prepared, tmp_path):
    with pytest.raises(InputError, match="has no DICOM files to report on; omit it"):
        predict([model], prepared.path, tmp_path / "p.csv", PredictOptions(dicom_sr=tmp_path / "sr"))
