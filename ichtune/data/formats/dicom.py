"""Reading one CT slice from a DICOM file: its Hounsfield units and the identifiers needed for splits."""

import math
import warnings
import zlib
from io import BytesIO
from pathlib import Path

import pydicom
from pydicom import config
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_dataset, read_partial
from pydicom.tag import BaseTag, Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from ichtune.data.formats.ct_header import orientation, refuse_what_is_no_ct_slice
from ichtune.data.formats.elements import finite, text
from ichtune.data.formats.hounsfield import hounsfield
from ichtune.data.formats.in_plane import square_pixels, upright
from ichtune.data.formats.size import MAX_BYTES, read_bounded
from ichtune.data.formats.slice import CTSlice, Rejected, first_line
from ichtune.data.formats.stored_values import stored_values

NO_DICOM = "not a DICOM file (no DICM prefix, and not readable as an image without it)"
_DEFLATED = DeflatedExplicitVRLittleEndian.encode()
LONGEST_TEXT = 64  # characters of a description (PS3.5 6.2, VR LO)
_META_BYTES = 1 << 16  # larger than any file meta information, which names the transfer syntax

# The identifiers of RSNA 2019 (ID_...) aren't valid UIDs: pydicom would warn about each file.
config.settings.reading_validation_mode = config.IGNORE


def read_dicom(path: Path) -> CTSlice:
    """Return the slice in a DICOM file.

    Raises:
        Rejected: the file isn't DICOM or isn't a single grey axial CT slice in Hounsfield units, is too large or
            truncated, or needs a codec that isn't installed.
        OSError: the file can't be opened.
    """
    return dicom_slice(read_bounded(path))


def dicom_slice(content: bytes) -> CTSlice:
    """Return the slice in a DICOM file's bytes.

    Raises:
        Rejected: as `read_dicom` does.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's warnings about harmless faults would flood the screen
        ds = dataset(content)
        try:
            return _ct_slice(ds)
        except Rejected:
            raise
        except Exception as error:  # whatever pydicom raises on a damaged value
            raise Rejected(f"a value in its header can't be read: {first_line(error)}") from error


def looks_like_dicom(path: Path) -> bool:
    """Whether the file has the prefix of DICOM part 10 (`DICM` after 128 bytes)."""
    with open(path, "rb") as file:
        return file.read(132)[128:] == b"DICM"


def sop_instance_uid(path: Path) -> str:
    """Return a file's SOPInstanceUID; empty if there is none. Errors are left to `read_dicom`."""
    return element(path, "SOPInstanceUID")


def element(path: Path, keyword: str) -> str:
    """Return the text of an element of a file's header; empty if there is none. Errors are left to `read_dicom`."""
    return elements(path, [keyword])[0]


def elements(path: Path, keywords: list[str]) -> list[str]:
    """Return the texts of elements of a file's header, in one look; see `element`."""
    try:
        with warnings.catch_warnings(), open(path, "rb") as file:
            warnings.simplefilter("ignore")
            if _DEFLATED in file.read(_META_BYTES):
                ds = dataset(read_bounded(path))
            else:
                # Nothing behind the last of them is read, which halves the time.
                tags: list[BaseTag | int] = [Tag(keyword) for keyword in keywords]
                file.seek(0)
                last = max(tags)
                ds = read_partial(file, stop_when=lambda tag, _vr, _length: tag > last, specific_tags=tags)
            return [text(ds, keyword) for keyword in keywords]
    except Exception:
        return [""] * len(keywords)


def _ct_slice(ds: Dataset) -> CTSlice:
    refuse_what_is_no_ct_slice(ds)
    hu, sides_mm = upright(hounsfield(stored_values(ds), ds), orientation(ds), _sides_mm(ds))
    hu, pixel_mm = square_pixels(hu, *sides_mm)
    return CTSlice(
        hu=hu,
        patient_id=text(ds, "PatientID"),
        study_id=text(ds, "StudyInstanceUID"),
        series_id=text(ds, "SeriesInstanceUID"),
        z_mm=z_mm(text(ds, "ImagePositionPatient")),
        series_description=text(ds, "SeriesDescription")[:LONGEST_TEXT],
        thickness_mm=millimetres(text(ds, "SliceThickness")),
        pixel_mm=pixel_mm,
    )


def dataset(content: bytes) -> Dataset:
    """Return what a DICOM file's bytes hold, its pixels still encoded.

    Raises:
        Rejected: they aren't DICOM, or a deflate bomb.
    """
    try:
        if _DEFLATED in content[: _meta_end(content)]:
            _refuse_deflate_bomb(content)
        try:
            return pydicom.dcmread(BytesIO(content))
        except InvalidDicomError:
            return _dataset_without_prefix(content)
    except Rejected:
        raise
    except Exception as error:
        raise Rejected(f"not a readable DICOM file: {first_line(error)}") from error


def _dataset_without_prefix(content: bytes) -> Dataset:
    """Read an old file without the part 10 prefix, if it has an image; anything else isn't DICOM."""
    try:
        ds = pydicom.dcmread(BytesIO(content), force=True)
        is_image = "Rows" in ds and "PixelData" in ds
    except Exception as error:
        raise Rejected(NO_DICOM) from error
    if not is_image:
        raise Rejected(NO_DICOM)
    if "TransferSyntaxUID" not in ds.file_meta:
        implicit, _little_endian = ds.original_encoding
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    return ds


def _meta_end(content: bytes) -> int:
    """Return where the file meta information ends (PS3.10 7.1); the whole length if it is malformed.

    Searching the pixels for a transfer syntax as well would take as long as reading them.
    """
    at = 132 if content[128:132] == b"DICM" else 0
    while content[at : at + 2] == b"\x02\0":
        vr = content[at + 4 : at + 6]
        if not (vr.isalpha() and vr.isupper()):
            return len(content)
        if vr in (b"OB", b"OW", b"UN", b"UT", b"SQ"):
            at += 12 + int.from_bytes(content[at + 8 : at + 12], "little")
        else:
            at += 8 + int.from_bytes(content[at + 6 : at + 8], "little")
    return at


def _refuse_deflate_bomb(content: bytes) -> None:
    """Raise `Rejected` for a deflate bomb, which pydicom would inflate completely (PS3.5 A.5)."""
    file = BytesIO(content)
    file.seek(132 if content[128:132] == b"DICM" else 0)
    meta = read_dataset(file, False, True, stop_when=lambda tag, _vr, _length: tag.group != 2)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    deflated, size = file.read(), 0
    while deflated and not inflater.eof:
        size += len(inflater.decompress(deflated, 1 << 20))
        deflated = inflater.unconsumed_tail
        if size > MAX_BYTES:
            raise Rejected(
                f"its deflated data expands to more than {MAX_BYTES >> 20} MiB, too large for a CT slice"
            )


def z_mm(position: str) -> float:
    """Return the height in mm that an ImagePositionPatient states; NaN if it doesn't."""
    parts = position.split("\\")
    z = finite(parts[2]) if len(parts) == 3 else None
    return math.nan if z is None else z


def _sides_mm(ds: Dataset) -> tuple[float, float]:
    """Return the distances between rows and between columns (PS3.3 10.7.1.3); NaN if unknown."""
    sides = [millimetres(side) for side in text(ds, "PixelSpacing").split("\\")]
    return (sides[0], sides[1]) if len(sides) == 2 else (math.nan, math.nan)


def millimetres(written: str) -> float:
    """Return a length above 0 that an element states; NaN if it doesn't."""
    length = finite(written)
    return length if length is not None and length > 0 else math.nan
