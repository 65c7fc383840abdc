"""DICOM headers that lie, are damaged, or are those of something else than an axial CT slice."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from pydicom import config, dcmread
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.pixels import apply_modality_lut
from pydicom.tag import Tag
from pydicom.uid import ImplicitVRLittleEndian

from ichtune.data.formats.dicom import read_dicom
from ichtune.data.formats.slice import Rejected
from tests.made_up.dicom import write_dicom

VALUES = np.array([[-1000, -5, 0], [40, 80, 1500]], np.int16)


@pytest.fixture(autouse=True)
def _odd_values_can_be_written(monkeypatch):
    monkeypatch.setattr(config.settings, "_writing_validation_mode", config.IGNORE)


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"RescaleSlope": "0"}, "RescaleSlope is 0; must be above zero"),
        ({"RescaleSlope": "-1"}, "RescaleSlope is -1; must be above zero"),
        ({"RescaleIntercept": "1e400"}, "RescaleIntercept is '1e400', not a finite number"),
        ({"RescaleType": "US"}, "RescaleType is US"),
        ({"RescaleType": "HU_MOD"}, "RescaleType is HU_MOD"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "a secondary capture"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7.2"}, "a secondary capture"),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "a derived screen image.*SCREEN SAVE"),
        ({"ImageType": ["ORIGINAL", "SECONDARY", "OTHER", "DOSE_INFO"]}, "a derived screen image.*DOSE_INFO"),
        ({"ImageType": ["DERIVED", "SECONDARY", "AXIAL", "MIP"]}, "a projection.*MIP"),
        (
            {"ImageType": ["DERIVED", "SECONDARY", "REFORMATTED"]},
            "a reformatted image of unknown orientation",
        ),
        ({"ImageOrientationPatient": [1, 0, 0, 0, 0, -1]}, "a coronal image"),
        ({"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}, "a sagittal image"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "not two perpendicular directions"),
        ({"ImageOrientationPatient": [1, 0, 0, 0]}, "not six finite numbers"),
        ({"HighBit": 13, "BitsStored": 12}, "HighBit is 13, but BitsStored 12 requires 11"),
        ({"PixelRepresentation": 2}, "PixelRepresentation is 2, neither"),
        ({"PixelRepresentation": None}, "no PixelRepresentation"),
        ({"BitsStored": 17, "HighBit": 16}, "BitsAllocated 16 with BitsStored 17"),
        ({"BitsAllocated": 0}, "BitsAllocated 0"),
        ({"Rows": 0}, "an image without pixels"),
        ({"Rows": 65535, "Columns": 65535}, "an image of 65535 x 65535 pixels"),
        ({"Rows": 1, "Columns": 65535}, "an image of 65535 x 1 pixels"),
    ],
)
def test_a_header_of_no_axial_slice_in_hu_is_rejected_with_the_reason(tmp_path, tags, reason):
    with pytest.raises(Rejected, match=reason):
        read_dicom(write_dicom(tmp_path / "a.dcm", VALUES, **tags))


@pytest.mark.parametrize("written", [b"nan", b"inf", b"1,5", b"1_0", b"1\\2"])
@pytest.mark.parametrize("keyword", ["RescaleSlope", "RescaleIntercept"])
def test_a_slope_or_intercept_that_is_no_finite_number_is_rejected(tmp_path, keyword, written):
    path = write_dicom(tmp_path / "a.dcm", VALUES, **{keyword: "0.12345678"})
    path.write_bytes(path.read_bytes().replace(b"0.12345678", written.ljust(10)))
    with pytest.raises(Rejected, match=f"{keyword} is .*, not a finite number"):
        read_dicom(path)


@pytest.mark.parametrize(
    "tags",
    [
        {"ImageType": ["DERIVED", "SECONDARY", "AXIAL"]},
        {"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "AVERAGE"]},
        {
            "ImageType": ["DERIVED", "SECONDARY", "REFORMATTED"],
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        },
        {"ImageOrientationPatient": [1, 0, 0, 0, 0.9272, -0.3746]},  # a gantry tilt of 22 degrees
        {"ImageOrientationPatient": ""},
        {"ImageType": None, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "RescaleType": "HU"},
        {"NumberOfFrames": 1},
    ],
)
def test_axial_slices_of_every_description_are_read(tmp_path, tags):
    np.testing.assert_array_equal(read_dicom(write_dicom(tmp_path / "a.dcm", VALUES, **tags)).hu, VALUES)


@pytest.mark.parametrize(
    ("orientation", "stored"),
    [
        ([1, 0, 0, 0, 0.97, -0.24], VALUES),  # a tilted gantry
        ([-1, 0, 0, 0, 1, 0], VALUES[:, ::-1]),  # mirrored
        ([1, 0, 0, 0, -1, 0], VALUES[::-1]),  # upside down, as some converters write it
        ([-1, 0, 0, 0, -1, 0], VALUES[::-1, ::-1]),  # lying on the face
        ([0, 1, 0, 1, 0, 0], VALUES.T),
        ([0, 1, 0, -1, 0, 0], VALUES[:, ::-1].T),  # rows run to the back, columns to the patient's right
    ],
)
def test_left_is_on_the_right_and_the_front_on_top_however_a_slice_is_stored(tmp_path, orientation, stored):
    stored = np.ascontiguousarray(stored)
    path = write_dicom(tmp_path / "a.dcm", stored, ImageOrientationPatient=orientation)
    np.testing.assert_array_equal(read_dicom(path).hu, VALUES)


@pytest.mark.parametrize("turned", [False, True])
def test_pixels_that_are_not_square_are_made_so(tmp_path, turned):
    round_head = np.full((20, 40), -1000, np.int16)
    round_head[5:15, 10:30] = 40  # 10 mm x 10 mm
    tags = {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "PixelSpacing": [1, 0.5]}
    if turned:
        round_head = np.ascontiguousarray(round_head.T)
        tags = {"ImageOrientationPatient": [0, 1, 0, 1, 0, 0], "PixelSpacing": [0.5, 1]}
    found = read_dicom(write_dicom(tmp_path / "a.dcm", round_head, **tags))
    assert (found.hu.shape, found.pixel_mm) == ((40, 40), 0.5)
    inside = found.hu > -480
    assert (inside.any(axis=0).sum(), inside.any(axis=1).sum()) == (20, 20)


def test_pixels_of_no_axial_acquisition_are_rejected(tmp_path):
    with pytest.raises(Rejected, match=r"its axial pixels are 0\.5 x 5 mm"):
        read_dicom(write_dicom(tmp_path / "a.dcm", VALUES, PixelSpacing=[5, 0.5]))


def disc(fill: int, dtype: type = np.int16) -> np.ndarray:
    """A 40 x 40 slice of 1,000 to 1,040 with `fill` outside the scanner's circle."""
    y, x = np.mgrid[:40, :40]
    return np.where((y - 20) ** 2 + (x - 20) ** 2 < 300, 1000 + y, fill).astype(dtype)


def expected_disc() -> np.ndarray:
    y, x = np.mgrid[:40, :40]
    return np.where((y - 20) ** 2 + (x - 20) ** 2 < 300, y - 24, -1000)


@pytest.mark.parametrize(
    ("stored", "tags"),
    [
        (disc(-2000), {"PixelPaddingValue": -2000}),
        (disc(-32768), {"PixelPaddingValue": -32768}),
        (disc(-32768), {}),
        (disc(63536, np.uint16), {"PixelPaddingValue": 63536}),
        (disc(-2000), {"PixelPaddingValue": -2000, "PixelPaddingRangeLimit": -1900}),
    ],
)
def test_padding_becomes_air(tmp_path, stored, tags):
    found = read_dicom(write_dicom(tmp_path / "a.dcm", stored, RescaleIntercept=-1024, **tags))
    np.testing.assert_array_equal(found.hu, expected_disc())


def test_padding_is_known_in_implicit_files_too(tmp_path):
    ds = dcmread(
        write_dicom(tmp_path / "a.dcm", disc(-2000), RescaleIntercept=-1024, PixelPaddingValue=-2000)
    )
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    ds.save_as(tmp_path / "b.dcm", implicit_vr=True, little_endian=True)
    np.testing.assert_array_equal(read_dicom(tmp_path / "b.dcm").hu, expected_disc())


def test_padding_of_a_tissues_value_makes_no_holes(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", VALUES, PixelPaddingValue=0)
    np.testing.assert_array_equal(read_dicom(path).hu, VALUES)


def test_signed_values_declared_unsigned_are_read_as_signed(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", VALUES.view(np.uint16))
    np.testing.assert_array_equal(read_dicom(path).hu, VALUES)


def test_a_slice_of_values_that_no_ct_has_is_rejected(tmp_path):
    stored = np.random.default_rng(0).integers(0, 65535, (16, 16)).astype(np.uint16)
    with pytest.raises(Rejected, match="of its values are impossible in CT"):
        read_dicom(write_dicom(tmp_path / "a.dcm", stored))


def test_a_few_stray_values_are_cut_off(tmp_path):
    stored = np.zeros((40, 40), np.uint16)
    stored[0, 0] = 40000
    stored[1, 1] = 10000
    found = read_dicom(write_dicom(tmp_path / "a.dcm", stored, RescaleIntercept=-1024)).hu
    assert (found[0, 0], found[1, 1], found[2, 2]) == (32767, 8976, -1024)


HEADER_FIELDS = [
    "Modality", "SOPClassUID", "ImageType", "ImageOrientationPatient", "ImagePositionPatient", "SamplesPerPixel",
    "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "RescaleSlope", "RescaleIntercept", "RescaleType", "PixelPaddingValue",
    "PixelPaddingRangeLimit", "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "PixelData",
]  # fmt: skip
ODD = [
    b"",
    b"\xff\xff",
    b"\x00\x00",
    b"\x00\x80",
    b"-1",
    b"1\\2\\3",
    b"\xff" * 6,
    b"nan ",
    b"\\\\\\\\",
    b"9" * 40,
]


def expected_of(path: Path) -> np.ndarray:
    """pydicom's own HU; those written where it refuses what is harmless (an empty NumberOfFrames, say)."""
    ds = dcmread(path)
    try:
        hu = apply_modality_lut(ds.pixel_array, ds)
    except Exception:
        return VALUES
    return np.clip(np.rint(hu), -32768, 32767)


@pytest.mark.parametrize("keyword", HEADER_FIELDS)
def test_no_value_of_a_header_field_breaks_the_reader_or_falsifies_the_hu(tmp_path, keyword):
    ds = dcmread(write_dicom(tmp_path / "a.dcm", VALUES, PixelPaddingValue=-2000))
    tag, path = Tag(keyword), tmp_path / "odd.dcm"
    vr = dictionary_VR(tag).split()[0]
    reasons = []
    for odd in ODD:
        raw = RawDataElement(tag, vr, len(odd), odd, 0, False, True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ds._dict[tag] = raw
            ds.save_as(path)
            try:
                found = read_dicom(path).hu
            except Rejected as why:
                reasons.append(str(why))
                continue
            expected = VALUES if keyword == "PixelRepresentation" else expected_of(path)
        np.testing.assert_array_equal(found, expected, err_msg=repr(odd))
    assert all(reasons)
