"""The size that a compressed DICOM frame declares, read before a decoder allocates memory for it.

Decoders trust the frame rather than the DICOM header, so a frame of a few bytes can request gigabytes.
"""

import re

from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import JPEG2000TransferSyntaxes, JPEGLSTransferSyntaxes, JPEGTransferSyntaxes, RLELossless

from ichtune.data.formats.elements import count
from ichtune.data.formats.slice import Rejected

# Start-of-frame markers of JPEG and JPEG-LS; C4, C8 and CC are not (ITU-T T.81 table B.1, T.87 C.1.1).
_FRAME_STARTS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_SLACK = 1024  # bytes by which an RLE segment may exceed its size


def refuse_other_size(ds: Dataset) -> None:
    """Raise `Rejected` if the size of a compressed frame differs from Rows and Columns."""
    syntax = ds.file_meta.get("TransferSyntaxUID")
    if syntax is None or not syntax.is_encapsulated:
        return
    rows, columns = count(ds, "Rows"), count(ds, "Columns")
    frame = next(generate_frames(ds.PixelData, number_of_frames=1))
    if syntax == RLELossless:
        _refuse_rle_bomb(frame, rows * columns)
        return
    if syntax in JPEGTransferSyntaxes or syntax in JPEGLSTransferSyntaxes:
        size = jpeg_size(frame)
    elif syntax in JPEG2000TransferSyntaxes:
        size = jpeg2000_size(frame)
    else:
        raise Rejected(f"its codec ({syntax.name}) is not supported")
    if size != (rows, columns):
        found = "no size" if size is None else f"{size[1]} x {size[0]}"
        raise Rejected(f"its compressed frame has {found}, but the header has {columns} x {rows}")


def jpeg_size(frame: bytes) -> tuple[int, int] | None:
    """Return rows and columns of a JPEG or JPEG-LS stream; None if it declares none."""
    at = 2
    while at + 9 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in _FRAME_STARTS:
            return int.from_bytes(frame[at + 5 : at + 7]), int.from_bytes(frame[at + 7 : at + 9])
        else:
            at += 2 + int.from_bytes(frame[at + 2 : at + 4])
    return None


def jpeg2000_size(frame: bytes) -> tuple[int, int] | None:
    """Return rows and columns of a JPEG 2000 codestream, also inside a JP2 file; None if it has none or several."""
    sizes = set()
    for start in re.finditer(b"\xff\x4f\xff\x51", frame):  # SOC and SIZ (ITU-T T.800 A.5.1)
        fields = frame[start.end() + 4 :]
        width, height, left, top = (int.from_bytes(fields[k : k + 4]) for k in (0, 4, 8, 12))
        sizes.add((height - top, width - left))
    return sizes.pop() if len(sizes) == 1 else None


def _refuse_rle_bomb(frame: bytes, pixels: int) -> None:
    """Raise `Rejected` for an RLE bomb: a byte can become 64, so measure every segment first (PS3.5 annex G)."""
    segments = int.from_bytes(frame[:4], "little")
    offsets = [int.from_bytes(frame[4 * k : 4 * k + 4], "little") for k in range(1, min(segments, 15) + 1)]
    for start, end in zip(offsets, [*offsets[1:], len(frame)], strict=True):
        if _rle_grows_beyond(frame[start:end], pixels + _SLACK):
            raise Rejected(f"its RLE data expands beyond the {pixels:,} pixels of its header")


def _rle_grows_beyond(segment: bytes, limit: int) -> bool:
    at, length = 0, 0
    while at < len(segment) and length <= limit:
        head = segment[at]
        literal = head < 128
        length += head + 1 if literal else 257 - head if head > 128 else 0
        at += head + 2 if literal else 2 if head > 128 else 1
    return length > limit
