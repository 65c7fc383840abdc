"""Stored values agree with pydicom's decoder, whatever bits a file uses (PS3.5 8.1.1)."""

import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread, dcmwrite
from pydicom.pixels import apply_modality_lut
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from ichtune.data.formats.dicom import read_dicom
from ichtune.data.formats.slice import Rejected
from tests.made_up.dicom import write_dicom


@st.composite
def pixel_files(draw):
    allocated = draw(st.sampled_from([8, 16, 16, 16, 32]))
    bits = draw(st.integers(2, allocated))
    high = draw(st.sampled_from([bits - 1, bits - 1, bits - 1, allocated - 1]))
    rows, columns = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    signed = draw(st.booleans())
    seed, fits = draw(st.integers(0, 2**32 - 1)), draw(st.booleans())
    raw = np.random.default_rng(seed).integers(0, 2**32, (rows, columns))
    raw = raw % 2**bits if fits else raw % 2**allocated  # bits above: an overlay, or a sign
    syntax = draw(st.sampled_from([ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]))
    return allocated, bits, high, signed, raw, syntax, draw(st.sampled_from([0, 0, 2, 16]))


def by_hand(raw: int, bits: int, signed: bool) -> int:
    value = raw % 2**bits
    return value - 2**bits if signed and value >= 2 ** (bits - 1) else value


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(file=pixel_files())
def test_values_are_those_of_pydicom_and_the_standard_or_refused(tmp_path, file):
    allocated, bits, high, signed, raw, syntax, trailing = file
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    pixels = raw.astype(f"{order}u{allocated // 8}").tobytes()
    size = len(pixels)
    pixels += b"\0" * (size % 2)
    if len(pixels) + trailing < 2 * size:  # else pydicom takes it for another frame
        pixels += bytes(trailing)
    path = write_dicom(
        tmp_path / "a.dcm",
        np.zeros(raw.shape, np.int16),
        BitsAllocated=allocated,
        BitsStored=bits,
        HighBit=high,
        PixelRepresentation=int(signed),
        RescaleIntercept=-1024,
        PixelData=pixels,
    )
    ds = dcmread(path)
    ds.file_meta.TransferSyntaxUID = syntax
    ds["PixelData"].VR = "OB" if allocated == 8 and syntax != ImplicitVRLittleEndian else "OW"
    for _element in ds:
        pass  # converted, so that another byte order can be written
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcmwrite(path, ds, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian)
        ds = dcmread(path)
        decoded = ds.pixel_array
    standard = np.array([[by_hand(int(v), bits, signed) for v in row] for row in raw])
    if high != bits - 1:
        with pytest.raises(Rejected, match="HighBit"):
            read_dicom(path)
        return
    np.testing.assert_array_equal(decoded, standard)
    expected = apply_modality_lut(decoded, ds)
    if ((expected < -3100) | (expected > 32000)).any():
        return  # read with the other sign, cut off or refused: tests of their own
    np.testing.assert_array_equal(read_dicom(path).hu, np.rint(expected))


@pytest.mark.parametrize("intercept", [-1024, 0])
def test_a_sign_that_is_not_extended_is_extended(tmp_path, intercept):
    stored = np.array([[0x0FFF, 0x0800, 0x0028]], np.int16)  # -1, -2048 and 40 in 12 bits
    path = write_dicom(tmp_path / "a.dcm", stored, BitsStored=12, HighBit=11, RescaleIntercept=intercept)
    np.testing.assert_array_equal(read_dicom(path).hu, np.array([[-1, -2048, 40]]) + intercept)


def test_overlay_bits_above_the_stored_ones_are_removed(tmp_path):
    stored = np.array([[0xF000 + 1064, 1024]], np.uint16)
    path = write_dicom(tmp_path / "a.dcm", stored, BitsStored=12, HighBit=11, RescaleIntercept=-1024)
    np.testing.assert_array_equal(read_dicom(path).hu, [[40, 0]])
