"""NIfTI files that ask for more memory than they have voxels, or that are cut off, are refused before it is taken."""

import gzip

import numpy as np
import pytest

from ichtune.data.formats import nifti
from ichtune.data.formats.nifti import read_plane
from ichtune.data.formats.slice import Rejected
from tests.made_up.nifti import head_volume, write_volume, write_with_header

VALUES = head_volume(2)
pytestmark = pytest.mark.usefixtures("little_memory")


def compressed(path, content):
    path.write_bytes(gzip.compress(content))
    return path


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ((32767, 32767, 32767), "each must be 1 to 4,096"),
        ((4096, 4096, 4096), "bytes of voxels; at most 1,024 MiB"),
    ],
)
def test_the_largest_sizes_a_header_can_declare(tmp_path, size, reason):
    path = write_with_header(tmp_path / "a.nii", VALUES, dim=[3, *size, 1, 1, 1, 1])
    with pytest.raises(Rejected, match=reason):
        read_plane(path, 0)


@pytest.mark.parametrize("suffix", ["nii", "nii.gz"])
def test_a_size_that_could_be_but_without_its_voxels(tmp_path, suffix):
    path = write_with_header(tmp_path / "a.nii", VALUES, dim=[3, 512, 512, 300, 1, 1, 1, 1])
    if suffix == "nii.gz":
        path = compressed(tmp_path / "a.nii.gz", path.read_bytes())
    with pytest.raises(Rejected, match=r"truncated: .* but the header requires 157,286,752"):
        read_plane(path, 0)


def test_a_flipped_bit_in_a_compressed_file(tmp_path):
    content = bytearray(
        gzip.compress(write_volume(tmp_path / "a.nii", VALUES).read_bytes(), 0)
    )  # 0: as it is
    content[-100] ^= 1
    (tmp_path / "a.nii.gz").write_bytes(content)
    with pytest.raises(Rejected, match="the compressed file is truncated or damaged: CRC check failed"):
        read_plane(tmp_path / "a.nii.gz", 0)


def test_a_gzip_bomb_behind_the_voxels_is_not_unpacked(tmp_path):
    content = write_volume(tmp_path / "a.nii", VALUES).read_bytes()
    path = tmp_path / "a.nii.gz"
    with gzip.open(path, "wb") as file:
        file.write(content)
        for _ in range(256):
            file.write(bytes(1 << 20))
    np.testing.assert_array_equal(read_plane(path, 1).hu, VALUES[1])


@pytest.mark.parametrize("offset", [1e9, -1, 0, np.nan, np.inf])
def test_voxels_that_begin_nowhere(tmp_path, offset):
    path = write_with_header(tmp_path / "a.nii", VALUES, vox_offset=offset)
    with pytest.raises(Rejected, match="vox_offset is"):
        read_plane(path, 0)


def test_an_extension_of_two_gigabytes_is_not_read(tmp_path):
    content = bytearray(write_volume(tmp_path / "a.nii", VALUES).read_bytes())
    content[348:352] = b"\1\0\0\0"
    content[352:360] = (0x7FFFFFF0).to_bytes(4, "little") + b"\4\0\0\0"
    (tmp_path / "a.nii").write_bytes(content)
    read_plane(tmp_path / "a.nii", 1)


@pytest.mark.parametrize("kept", [0, 3, 100, 347, 400])
def test_a_file_cut_anywhere(tmp_path, kept):
    content = write_volume(tmp_path / "a.nii", VALUES).read_bytes()
    for path, cut in (
        (tmp_path / "a.nii", content[:kept]),
        (tmp_path / "a.nii.gz", gzip.compress(content)[:kept]),
    ):
        path.write_bytes(cut)
        with pytest.raises(Rejected, match=r"not a NIfTI file|truncated"):
            read_plane(path, 0)


def test_a_stream_that_is_damaged(tmp_path):
    content = bytearray(gzip.compress(write_volume(tmp_path / "a.nii", VALUES).read_bytes()))
    content[200:400] = bytes(200)
    (tmp_path / "a.nii.gz").write_bytes(content)
    with pytest.raises(Rejected, match="truncated or damaged"):
        read_plane(tmp_path / "a.nii.gz", 0)


def test_random_headers_never_break_the_reader(tmp_path):
    rng = np.random.default_rng(3)
    content = write_volume(tmp_path / "a.nii", VALUES).read_bytes()
    for _ in range(300):
        changed = bytearray(content)
        for at in rng.integers(4, 348, 6):
            changed[at] = rng.integers(256)
        (tmp_path / "a.nii").write_bytes(changed)
        nifti._last_volume.cache_clear()
        try:
            read_plane(tmp_path / "a.nii", 0)
        except Rejected:
            continue
