"""Files that ask for more memory than any slice needs are refused before it is taken."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from ichtune.data.formats.dicom import read_dicom
from ichtune.data.formats.image import read_image
from ichtune.data.formats.size import MAX_BYTES
from ichtune.data.formats.slice import Rejected
from ichtune.windows import WINDOWS
from tests.made_up.dicom import write_dicom

VALUES = np.arange(16 * 16, dtype=np.int16).reshape(16, 16)


def encapsulated(path, syntax, frame, **tags):
    ds = dcmread(write_dicom(path, VALUES, **tags))
    ds.file_meta.TransferSyntaxUID = syntax
    ds.PixelData = encapsulate([frame])
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    ds.save_as(path)
    return path


@pytest.mark.parametrize("pixels", [b"", b"\0\0"])
def test_the_largest_size_a_header_can_declare(tmp_path, little_memory, pixels):
    path = write_dicom(tmp_path / "a.dcm", VALUES, Rows=65535, Columns=65535, PixelData=pixels)
    with pytest.raises(Rejected, match="65535 x 65535 pixels"):
        read_dicom(path)


def test_a_size_that_could_be_but_without_its_data(tmp_path, little_memory):
    path = write_dicom(tmp_path / "a.dcm", VALUES, Rows=4096, Columns=4096)
    with pytest.raises(Rejected, match="truncated"):
        read_dicom(path)


def test_an_element_that_declares_four_gigabytes(tmp_path, little_memory):
    path = write_dicom(tmp_path / "a.dcm", VALUES)
    content = path.read_bytes()
    at = content.index(struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, VALUES.nbytes))
    path.write_bytes(content[: at + 8] + struct.pack("<I", 0xFFFFFFFE) + content[at + 12 :])
    np.testing.assert_array_equal(read_dicom(path).hu, VALUES)


def test_a_file_larger_than_any_slice(tmp_path, little_memory):
    path = write_dicom(tmp_path / "a.dcm", VALUES)
    with open(path, "r+b") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(Rejected, match="more than 256 MiB"):
        read_dicom(path)
    path.rename(tmp_path / "a.png")
    with pytest.raises(Rejected, match="more than 256 MiB"):
        read_image(tmp_path / "a.png", WINDOWS["brain"])


def deflated(path, trailing_mib: int):
    ds = dcmread(write_dicom(path, VALUES))
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    ds.save_as(path)
    if trailing_mib:
        content = path.read_bytes()
        meta = 144 + int.from_bytes(content[140:144], "little")
        plain = zlib.decompress(content[meta:], -15)
        deflater = zlib.compressobj(9, wbits=-15)
        parts = [
            deflater.compress(plain + struct.pack("<HH2sHI", 0xFFFC, 0xFFFC, b"OB", 0, trailing_mib << 20))
        ]
        parts += [deflater.compress(bytes(1 << 20)) for _mib in range(trailing_mib)]
        path.write_bytes(content[:meta] + b"".join(parts) + deflater.flush())
    return path


def test_a_deflated_file_is_read(tmp_path):
    np.testing.assert_array_equal(read_dicom(deflated(tmp_path / "a.dcm", 0)).hu, VALUES)


def test_a_deflated_bomb(tmp_path, little_memory):
    path = deflated(tmp_path / "a.dcm", 300)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(Rejected, match="deflated data expands to more than 256 MiB"):
        read_dicom(path)


def test_an_rle_slice_is_read_and_a_bomb_refused(tmp_path, little_memory):
    ds = dcmread(write_dicom(tmp_path / "a.dcm", VALUES))
    ds.compress(RLELossless)
    ds.save_as(tmp_path / "a.dcm")
    np.testing.assert_array_equal(read_dicom(tmp_path / "a.dcm").hu, VALUES)
    segment = b"\x81\x00" * 500_000  # 128 zeros for each two bytes
    frame = struct.pack("<16L", 2, 64, 64 + len(segment), *[0] * 13) + segment * 2
    with pytest.raises(Rejected, match="RLE data expands beyond the 256 pixels"):
        read_dicom(encapsulated(tmp_path / "b.dcm", RLELossless, frame))


SOF = b"\xff\xd8\xff\xc0" + struct.pack(">HBHHB3B", 11, 8, 65500, 65500, 1, 1, 0x11, 0) + b"\xff\xd9"
SIZ = b"\xff\x4f\xff\x51" + struct.pack(
    ">HH8LH3B", 41, 0, 60000, 60000, 0, 0, 60000, 60000, 0, 0, 1, 15, 1, 1
)


@pytest.mark.parametrize(
    ("syntax", "frame", "size"),
    [(JPEGBaseline8Bit, SOF, "65500 x 65500"), (JPEG2000Lossless, SIZ, "60000 x 60000")],
)
def test_a_compressed_frame_of_another_size_than_its_header(tmp_path, little_memory, syntax, frame, size):
    with pytest.raises(Rejected, match=f"its compressed frame has {size}, but the header has 16 x 16"):
        read_dicom(encapsulated(tmp_path / "a.dcm", syntax, frame))


@pytest.mark.parametrize("size", [(20000, 20000), (65500, 1), (1, 65500)])
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_an_image_bomb(tmp_path, little_memory, suffix, size):
    path = tmp_path / f"a.{suffix}"
    if suffix == "png":

        def chunk(kind, data):
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

        header = chunk(b"IHDR", struct.pack(">2I5B", *size, 8, 0, 0, 0, 0))
        path.write_bytes(
            b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
        )
    else:
        Image.new("L", (16, 16)).save(path)
        content = path.read_bytes()
        at = content.index(b"\xff\xc0") + 5
        path.write_bytes(content[:at] + struct.pack(">HH", size[1], size[0]) + content[at + 4 :])
    with pytest.raises(Rejected, match=r"pixels; a CT slice has at most|damaged"):
        read_image(path, WINDOWS["brain"])
