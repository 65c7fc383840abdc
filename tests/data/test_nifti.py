"""Axial slices of NIfTI volumes, whatever the order of the file."""

from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest

from ichtune.data.formats.dicom import read_dicom
from ichtune.data.formats.nifti import read_plane
from ichtune.data.formats.nifti_header import read_header
from ichtune.data.formats.slice import Rejected
from tests.made_up.dicom import write_dicom
from tests.made_up.nifti import axial_image, change_header, head_volume, write_volume, write_with_header

VALUES = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4) * 40 - 300
CODES = [
    "".join(pair[axis][end] for axis, end in zip(order, ends, strict=True))
    for pair in [("LR", "PA", "IS")]
    for order in permutations(range(3))
    for ends in product((0, 1), repeat=3)
]
"""All 48 orders and directions of the axes."""


@pytest.mark.parametrize("codes", CODES)
def test_every_order_of_the_axes_gives_the_same_slices(tmp_path, codes):
    path = write_volume(tmp_path / "a.nii", VALUES, codes)
    for plane in (0, 1):
        found = read_plane(path, plane)
        np.testing.assert_array_equal(found.hu, VALUES[plane])
        assert found.z_mm == pytest.approx(3 + 5 * plane)
        assert (found.thickness_mm, found.pixel_mm) == pytest.approx((5, 0.5))


def test_a_slice_looks_as_its_dicom_file_does(tmp_path):
    # Rows run to the patient's back and columns to the left: x and y of DICOM grow to the left and to the back, those
    # of NIfTI to the right and to the front. The voxel of row r, column c lies at x = 7 - c/2, y = 9 - r/2 in NIfTI.
    tags = {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "ImagePositionPatient": [-7, -9, 13]}
    dicom = write_dicom(tmp_path / "a.dcm", VALUES[0], PixelSpacing=[0.5, 0.5], SliceThickness=5, **tags)
    affine = [[0, -0.5, 0, 7], [-0.5, 0, 0, 9], [0, 0, 5, 13], [0, 0, 0, 1]]  # of row, column and plane
    nib.save(nib.Nifti1Image(VALUES.transpose(1, 2, 0), np.array(affine, float)), tmp_path / "a.nii.gz")
    expected, found = read_dicom(dicom), read_plane(tmp_path / "a.nii.gz", 0)
    np.testing.assert_array_equal(found.hu, expected.hu)
    assert (found.z_mm, found.thickness_mm, found.pixel_mm) == pytest.approx((13, 5, 0.5))
    assert (expected.z_mm, expected.thickness_mm, expected.pixel_mm) == (13, 5, 0.5)


def test_the_qform_counts_where_there_is_no_sform(tmp_path):
    image = axial_image(VALUES, (5, 0.5, 0.5), "LPI")
    image.set_qform(image.affine, code=1)
    nib.save(image, tmp_path / "a.nii")
    change_header(tmp_path / "a.nii", sform_code=0, srow_x=0, srow_y=0, srow_z=0)
    np.testing.assert_array_equal(read_plane(tmp_path / "a.nii", 1).hu, VALUES[1])


def test_slope_and_intercept_are_applied_and_rounded(tmp_path):
    path = write_with_header(tmp_path / "a.nii", VALUES, scl_slope=0.5, scl_inter=-10)
    # -300, -260, -220, -180 halved, less 10
    assert read_plane(path, 0).hu[0].tolist() == [-160, -140, -120, -100]


def test_values_between_whole_numbers_go_to_the_nearest(tmp_path):
    path = write_volume(tmp_path / "a.nii", np.array([[[-1000.4, 29.6], [40.5, 900]]], np.float32))
    assert read_plane(path, 0).hu.tolist() == [[-1000, 30], [40, 900]]


@pytest.mark.parametrize("dtype", [">i2", "<i4", ">f4", "<f8", "<u4"])
def test_every_plain_type_in_either_byte_order(tmp_path, dtype):
    image = axial_image(VALUES.clip(0).astype(dtype), (5, 0.5, 0.5))
    big = nib.Nifti1Image(np.asarray(image.dataobj), image.affine, nib.Nifti1Header(endianness=dtype[0]))
    big.set_data_dtype(np.dtype(dtype))
    nib.save(big, tmp_path / "a.nii")
    np.testing.assert_array_equal(read_plane(tmp_path / "a.nii", 1).hu, VALUES[1].clip(0))


def test_nifti_2_and_a_compressed_file_under_a_plain_name(tmp_path):
    image = axial_image(VALUES, (5, 0.5, 0.5), "PIR")
    nib.save(nib.Nifti2Image.from_image(image), tmp_path / "a.nii.gz")
    (tmp_path / "a.nii.gz").rename(tmp_path / "b.nii")
    np.testing.assert_array_equal(read_plane(tmp_path / "b.nii", 1).hu, VALUES[1])


def test_pixels_that_are_not_square_are_made_so(tmp_path):
    round_head = np.full((1, 20, 40), -1000, np.int16)
    round_head[0, 5:15, 10:30] = 40  # 10 mm x 10 mm
    found = read_plane(write_volume(tmp_path / "a.nii", round_head, spacing=(5, 1, 0.5)), 0)
    assert found.hu.shape == (40, 40)
    assert found.pixel_mm == pytest.approx(0.5)
    inside = found.hu > -480
    assert (inside.any(axis=0).sum(), inside.any(axis=1).sum()) == (20, 20)


def test_a_tilted_gantry_is_fine(tmp_path):
    tilt = np.radians(25)
    image = axial_image(VALUES, (5, 0.5, 0.5))
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]]
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), turn @ image.affine), tmp_path / "a.nii")
    np.testing.assert_array_equal(read_plane(tmp_path / "a.nii", 1).hu, VALUES[1])


@pytest.mark.parametrize("angle", [45, 50, 130])
@pytest.mark.parametrize("plane", [(0, 1), (0, 2), (1, 2)])
def test_an_oblique_volume_is_refused_where_its_axes_are_ambiguous(tmp_path, angle, plane):
    turn, (a, b) = np.eye(4), plane
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turn[[a, a, b, b], [a, b, a, b]] = [cos, -sin, sin, cos]
    image = axial_image(VALUES, (0.5, 0.5, 0.5))
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), turn @ image.affine), tmp_path / "a.nii")
    if angle == 45:
        with pytest.raises(Rejected, match=r"oblique volume: its .* axis is 45 degrees off"):
            read_plane(tmp_path / "a.nii", 0)
    else:  # 5 degrees on, it is clear again: another axis is the closest
        read_header(tmp_path / "a.nii")


def test_a_header_without_orientation_is_refused(tmp_path):
    path = write_with_header(tmp_path / "a.nii", VALUES, sform_code=0, qform_code=0)
    with pytest.raises(Rejected, match="neither sform nor qform"):
        read_plane(path, 0)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"dim": [4, 4, 3, 2, 5, 1, 1, 1]}, "not one volume: its dimensions are 4 x 3 x 2 x 5"),
        ({"dim": [2, 4, 3, 1, 1, 1, 1, 1]}, "not one volume: its dimensions are 4 x 3;"),
        ({"dim": [3, 4, 3, 0, 1, 1, 1, 1]}, "its dimensions are 4 x 3 x 0"),
        ({"dim": [3, -4, 3, 2, 1, 1, 1, 1]}, "its dimensions are -4 x 3 x 2"),
        ({"datatype": 128, "bitpix": 24}, "its voxels are colour"),
        ({"datatype": 32, "bitpix": 64}, "its voxels are complex numbers"),
        ({"datatype": 1536, "bitpix": 128}, "not plain numbers"),
        ({"datatype": 77}, "datatype 77 is unknown"),
        ({"scl_slope": np.nan}, "scl_slope is nan"),
        ({"scl_slope": 1, "scl_inter": np.inf}, "scl_inter inf"),
        ({"scl_slope": -1}, "scl_slope is -1"),
        ({"srow_x": [np.nan, 0, 0, 0]}, "affine has values that are not finite"),
        ({"srow_x": [0, 0, 0, 0]}, "its voxels are 0 x"),
        ({"srow_x": [0.5, 0.5, 0, 0], "srow_y": [0.5, 0.5, 0, 0]}, "an oblique volume"),
        ({"magic": b"ni1"}, "not a single NIfTI file"),
    ],
)
def test_what_is_no_volume_is_refused_with_the_reason(tmp_path, fields, reason):
    path = write_with_header(tmp_path / "a.nii", VALUES, **fields)
    with pytest.raises(Rejected, match=reason):
        read_plane(path, 0)


def test_one_frame_of_time_is_no_harm(tmp_path):
    path = write_with_header(tmp_path / "a.nii", VALUES, dim=[4, 4, 3, 2, 1, 1, 1, 1])
    np.testing.assert_array_equal(read_plane(path, 1).hu, VALUES[1])


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.full((1, 4, 4), 200, np.uint8), "8-bit values without a slope"),
        (np.arange(16, dtype=np.int16).reshape(1, 4, 4) * 15, "0 to 225: a windowed image"),
        (head_volume(1) + np.int16(1024), "intercept of -1,024 is missing"),
        (np.full((1, 4, 4), 1e6, np.float32), "impossible in CT"),
        (np.where(np.arange(16) == 3, np.nan, -5.0).reshape(1, 4, 4), "1 of its values are not finite"),
    ],
)
def test_values_that_are_not_hounsfield_units_are_refused(tmp_path, values, reason):
    with pytest.raises(Rejected, match=reason):
        read_plane(write_volume(tmp_path / "a.nii", values), 0)


def test_a_coronal_acquisition_is_refused(tmp_path):
    path = write_volume(tmp_path / "a.nii", VALUES, spacing=(0.5, 5, 0.5))
    with pytest.raises(Rejected, match=r"pixels are 0\.5 x 5 mm"):
        read_plane(path, 0)


def test_a_volume_is_decompressed_once_for_all_its_slices(tmp_path, monkeypatch):
    from ichtune.data.formats import nifti

    path = write_volume(tmp_path / "a.nii.gz", head_volume(5))
    opened = []
    read = nifti.array_from_file
    monkeypatch.setattr(
        nifti, "array_from_file", lambda *args, **more: opened.append(1) or read(*args, **more)
    )
    for plane in range(5):
        read_plane(path, plane)
    assert len(opened) == 1
