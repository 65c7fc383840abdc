import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.pixels import apply_modality_lut

from ichtune.data.formats.dicom import read_dicom
from ichtune.data.formats.slice import Rejected
from tests.made_up.dicom import write_dicom

VALUES = np.array([[-1000, -5, 0], [40, 80, 1500]], np.int16)


def test_signed_values_become_hu_by_slope_and_intercept(tmp_path):
    found = read_dicom(write_dicom(tmp_path / "a.dcm", VALUES + 1024, RescaleIntercept=-1024))
    np.testing.assert_array_equal(found.hu, VALUES)
    assert (found.patient_id, found.study_id, found.series_id, found.z_mm) == ("P1", "1.2.3", "1.2.3.4", 12.5)


def test_a_slope_that_is_no_whole_number_is_rounded_to_the_nearest_hu(tmp_path):
    path = write_dicom(
        tmp_path / "a.dcm", np.array([[3, 5]], np.int16), RescaleSlope="0.5", RescaleIntercept=-10
    )
    np.testing.assert_array_equal(read_dicom(path).hu, [[-8, -8]])  # -8.5 and -7.5 to the even neighbour


@pytest.mark.parametrize("intercept", [0, -1])
def test_wrapped_12_bit_values_come_out_with_their_true_hu(tmp_path, intercept):
    stored = ((VALUES.astype(int) - intercept) % 4096).astype(np.uint16)
    path = write_dicom(tmp_path / "a.dcm", stored, BitsStored=12, HighBit=11, RescaleIntercept=intercept)
    np.testing.assert_array_equal(read_dicom(path).hu, VALUES)


def test_12_bit_values_with_the_usual_intercept_are_left_as_they_are(tmp_path):
    stored = np.array([[0, 1024, 4095]], np.uint16)
    path = write_dicom(tmp_path / "a.dcm", stored, BitsStored=12, HighBit=11, RescaleIntercept=-1024)
    np.testing.assert_array_equal(read_dicom(path).hu, [[-1024, 0, 3071]])


def test_monochrome1_leaves_the_hounsfield_units_as_they_are(tmp_path):
    tags = {
        "BitsStored": 12,
        "HighBit": 11,
        "RescaleIntercept": -1024,
        "PhotometricInterpretation": "MONOCHROME1",
    }
    path = write_dicom(tmp_path / "a.dcm", np.array([[0, 1000, 4095]], np.uint16), **tags)
    ds = dcmread(path)
    np.testing.assert_array_equal(read_dicom(path).hu, [[-1024, -24, 3071]])
    np.testing.assert_array_equal(read_dicom(path).hu, apply_modality_lut(ds.pixel_array, ds))


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"Modality": "MR", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4"}, "not a CT image: Modality is MR"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "a localizer"),
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "a colour image"),
        ({"NumberOfFrames": 7}, r"multi-frame image \(7 frames\)"),
        ({"PixelData": None}, "no pixel data"),
        ({"RescaleIntercept": None}, "no RescaleSlope and RescaleIntercept"),
        ({"PixelData": VALUES.tobytes()[:6]}, "truncated: 6 bytes of pixel data, but the header requires 12"),
    ],
)
def test_what_is_no_ct_slice_is_rejected_with_the_reason(tmp_path, tags, reason):
    with pytest.raises(Rejected, match=reason):
        read_dicom(write_dicom(tmp_path / "a.dcm", VALUES, **tags))


def test_a_file_whose_slope_is_no_number_is_rejected(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", VALUES, RescaleSlope="0.25")
    path.write_bytes(path.read_bytes().replace(b"0.25", b"abcd"))
    with pytest.raises(Rejected, match="RescaleSlope is 'abcd', not a finite number"):
        read_dicom(path)


@pytest.mark.parametrize("content", [b"", b"text\n" * 100, bytes(200)])
def test_a_file_that_is_no_dicom_is_rejected(tmp_path, content):
    (tmp_path / "a.dcm").write_bytes(content)
    with pytest.raises(Rejected, match="not a DICOM file"):
        read_dicom(tmp_path / "a.dcm")


def test_invalid_uids_as_rsna_has_them_warn_of_nothing(tmp_path, recwarn):
    read_dicom(write_dicom(tmp_path / "a.dcm", VALUES, SeriesInstanceUID="ID_123abc"))
    assert not recwarn.list


# What some of pydicom's bundled files are; the HU are those of pydicom's own arithmetic on its own decoding.
BUNDLED_OTHERS = {
    "MR_small.dcm": "not a CT image: Modality is MR",
    "MR_truncated.dcm": "not a CT image: Modality is MR",
    "rtstruct.dcm": "not a DICOM file",
    "rtplan.dcm": "not a CT image: Modality is RTPLAN",
    "JPEG2000.dcm": "not a CT image: Modality is NM",
    "badVR.dcm": "not a CT image: Modality is RTDOSE",
    "no_meta.dcm": "not a DICOM file",
    "SC_rgb_rle.dcm": "not a CT image: Modality is OT",
    "waveform_ecg.dcm": "not a CT image: Modality is ECG",
}


def bundled(name: str) -> Path:
    return Path(str(get_testdata_file(name, download=False)))


@pytest.mark.parametrize("name", ["CT_small.dcm", "693_J2KI.dcm", "J2K_pixelrep_mismatch.dcm"])
def test_pydicoms_own_ct_files_are_read_with_their_hu(name):
    ds = dcmread(bundled(name))
    expected = apply_modality_lut(ds.pixel_array, ds)
    expected[ds.pixel_array <= ds.get("PixelPaddingValue", -9999)] = -1000  # declared padding becomes air
    np.testing.assert_array_equal(read_dicom(bundled(name)).hu, np.rint(expected))


@pytest.mark.parametrize("name", BUNDLED_OTHERS)
def test_pydicoms_other_files_are_rejected_with_a_fitting_reason(name):
    with pytest.raises(Rejected, match=BUNDLED_OTHERS[name]):
        read_dicom(bundled(name))


def test_no_bundled_file_of_pydicom_breaks_the_reader():
    files = sorted(path for path in bundled("CT_small.dcm").parent.rglob("*") if path.is_file())
    assert len(files) > 100
    for path in files:
        try:
            found = read_dicom(path)
        except Rejected:
            continue
        else:
            assert dcmread(path).Modality == "CT"
            assert found.hu.dtype == np.int16


def test_a_missing_codec_is_named_with_the_extra_that_installs_it(tmp_path):
    ds = dcmread(write_dicom(tmp_path / "a.dcm", VALUES))
    ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.80"  # JPEG-LS lossless
    ds.PixelData = b"\xfe\xff\x00\xe0\x00\x00\x00\x00\xfe\xff\x00\xe0\x04\x00\x00\x00\xff\xd8\xff\xd9"
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    ds.save_as(tmp_path / "a.dcm")
    script = (
        "import sys\n"
        "for codec in ('pylibjpeg', 'gdcm', 'jpeg_ls'): sys.modules[codec] = None\n"
        "from pathlib import Path; from ichtune.data.formats.dicom import read_dicom\n"
        f"read_dicom(Path({str(tmp_path / 'a.dcm')!r}))"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert "JPEG-LS" in run.stderr
    assert "is not installed: pip install 'ichtune[dicom]'" in run.stderr
