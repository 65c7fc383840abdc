"""One CT slice out of one DICOM file: its Hounsfield units and the identifiers that splits need, nothing else."""

import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pydicom
from pydicom import config
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

CT_STORAGE = {
    "1.2.840.10008.5.1.4.1.1.2": "CT image",
    "1.2.840.10008.5.1.4.1.1.2.1": "enhanced CT image",
    "1.2.840.10008.5.1.4.1.1.2.2": "legacy converted enhanced CT image",
}

NO_DICOM = "not a DICOM file (no DICM header, and no image without it)"

# The identifiers of RSNA 2019 (ID_...) are no valid UIDs: pydicom would warn for each file.
config.settings.reading_validation_mode = config.IGNORE


class Rejected(Exception):
    """A file that can't become a slice; the message is the reason, for a person to read."""


@dataclass(frozen=True)
class CTSlice:
    """Hounsfield units (int16 [H, W]) with identifiers; empty where the file has none, `z_mm` NaN likewise."""

    hu: np.ndarray
    patient_id: str = ""
    study_id: str = ""
    series_id: str = ""
    z_mm: float = float("nan")


def read_dicom(path: Path) -> CTSlice:
    """The slice in a DICOM file.

    Raises:
        Rejected: the file is no DICOM, no single grey CT slice, cut short, or in a codec that isn't installed.
        OSError: the file can't be opened.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's remarks on harmless faults would flood the screen
        ds = _dataset(path)
        try:
            return _ct_slice(ds)
        except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
            raise Rejected(f"a value in its header can't be read: {_first_line(error)}") from error


def looks_like_dicom(path: Path) -> bool:
    """Whether the file has the prefix of DICOM's part 10 (`DICM` after 128 bytes)."""
    with open(path, "rb") as file:
        return file.read(132)[128:] == b"DICM"


def _ct_slice(ds: Dataset) -> CTSlice:
    _refuse_what_is_no_ct_slice(ds)
    return CTSlice(
        hu=_hounsfield(_stored_values(ds), ds),
        patient_id=_text(ds, "PatientID"),
        study_id=_text(ds, "StudyInstanceUID"),
        series_id=_text(ds, "SeriesInstanceUID"),
        z_mm=_z_mm(ds),
    )


def _dataset(path: Path) -> Dataset:
    try:
        try:
            return pydicom.dcmread(path)
        except InvalidDicomError:
            return _dataset_without_prefix(path)
    except (OSError, Rejected):
        raise
    except Exception as error:
        raise Rejected(f"not a readable DICOM file: {_first_line(error)}") from error


def _dataset_without_prefix(path: Path) -> Dataset:
    """Old files lack the part 10 header; anything else without it is no DICOM."""
    try:
        ds = pydicom.dcmread(path, force=True)
        is_image = "Rows" in ds and "PixelData" in ds
    except Exception as error:
        raise Rejected(NO_DICOM) from error
    if not is_image:
        raise Rejected(NO_DICOM)
    if "TransferSyntaxUID" not in ds.file_meta:
        implicit, _little_endian = ds.original_encoding
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    return ds


def _refuse_what_is_no_ct_slice(ds: Dataset) -> None:
    modality, storage = _text(ds, "Modality"), _text(ds, "SOPClassUID")
    if modality != "CT" and not (modality == "" and storage in CT_STORAGE):
        raise Rejected(f"not a CT image: Modality is {modality or 'missing'}")
    if "PixelData" not in ds:
        raise Rejected("no pixel data: the file is cut short or holds no image")
    if "LOCALIZER" in _text(ds, "ImageType").upper().split("\\"):
        raise Rejected("a localizer (scout view), not an axial slice")
    colour = _text(ds, "PhotometricInterpretation")
    if (_count(ds, "SamplesPerPixel") or 1) != 1 or colour not in ("MONOCHROME1", "MONOCHROME2"):
        raise Rejected(f"a colour image: PhotometricInterpretation is {colour or 'missing'}")
    if (frames := int(_text(ds, "NumberOfFrames") or 1)) > 1:
        raise Rejected(f"a multi-frame image ({frames} frames), not one slice a file")
    if not _text(ds, "RescaleSlope") or not _text(ds, "RescaleIntercept"):
        raise Rejected("no RescaleSlope and RescaleIntercept: its values can't be told in Hounsfield units")


def _stored_values(ds: Dataset) -> np.ndarray:
    if (plain := _plain_values(ds)) is not None:
        return plain
    try:
        stored = ds.pixel_array
    except Exception as error:
        raise Rejected(_why_not_decoded(ds, error)) from error
    if stored.ndim != 2:
        raise Rejected(f"not one slice: its pixels have the shape {stored.shape}")
    return stored


def _plain_values(ds: Dataset) -> np.ndarray | None:
    """Uncompressed 16-bit values as they lie in the file, in a third of the time that pydicom's decoder takes.

    None for everything else, which is left to pydicom.
    """
    if ds.file_meta.get("TransferSyntaxUID") not in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
        return None
    shape, bits, pixels = (_count(ds, "Rows"), _count(ds, "Columns")), _count(ds, "BitsStored"), ds.PixelData
    if _count(ds, "BitsAllocated") != 16 or bits not in (12, 16) or len(pixels) != shape[0] * shape[1] * 2:
        return None
    values = np.frombuffer(pixels, "<u2" if _count(ds, "PixelRepresentation") == 0 else "<i2").reshape(shape)
    if bits == 12 and (values.min() < -2048 or values.max() > 4095):
        return None  # something else lies in the upper four bits, which pydicom takes away
    return values


def _why_not_decoded(ds: Dataset, error: Exception) -> str:
    syntax = ds.file_meta.TransferSyntaxUID if "TransferSyntaxUID" in ds.file_meta else None
    if syntax is not None and syntax.is_compressed and "missing dependencies" in str(error):
        return f"its codec ({syntax.name}) is not installed: pip install 'ichtune[dicom]'"
    rows, columns, bits = (_count(ds, tag) for tag in ("Rows", "Columns", "BitsAllocated"))
    due, found = rows * columns * bits // 8, len(ds.PixelData or b"")
    if found < due and not (syntax is not None and syntax.is_compressed):
        return f"cut short: {found:,} bytes of pixel data where {due:,} are due"
    return f"pixel data can't be decoded: {_first_line(error)}"


def _hounsfield(stored: np.ndarray, ds: Dataset) -> np.ndarray:
    slope, intercept = float(_text(ds, "RescaleSlope")), float(_text(ds, "RescaleIntercept"))
    bits, unsigned = _count(ds, "BitsStored"), _count(ds, "PixelRepresentation") == 0
    if _text(ds, "PhotometricInterpretation") == "MONOCHROME1":
        stored = (2**bits - 1 if unsigned else -1) - stored.astype(np.int32)
    if bits == 12 and unsigned and intercept > -100:
        stored = unwrap_12_bits(stored.astype(np.int32))
    lowest, highest = int(stored.min()) + intercept, int(stored.max()) + intercept
    limits = np.iinfo(np.int16)
    if slope == 1 and intercept.is_integer() and limits.min <= lowest and highest <= limits.max:
        hu = stored.astype(np.int16)  # the usual case: what wraps around here wraps back by the sum
        hu += np.int16(intercept)
        return hu
    return np.clip(np.rint(stored * slope + intercept), limits.min, limits.max).astype(np.int16)


def unwrap_12_bits(values: np.ndarray) -> np.ndarray:
    """Undo the wrap of 12-bit unsigned slices with an intercept near 0, where -1 was stored as 4095.

    RSNA 2019 has some thousand of them: nothing in a head lies above 3,095 HU, so what is stored there is air.
    """
    return (values + 1000) % 4096 - 1000


def _z_mm(ds: Dataset) -> float:
    try:
        return float(_text(ds, "ImagePositionPatient").split("\\")[2])
    except (IndexError, ValueError):
        return float("nan")


def _text(ds: Dataset, keyword: str) -> str:
    """An element's text, several values parted by backslashes as in the file; empty where there is none."""
    raw = _bytes(ds, keyword)
    if raw is not None and raw.isascii():
        return raw.decode().strip("\0 ")
    value = ds.get(keyword)
    return "\\".join(map(str, value)) if isinstance(value, MultiValue) else str(value or "").strip()


def _count(ds: Dataset, keyword: str) -> int:
    """An element's unsigned 16-bit number; 0 where there is none."""
    raw = _bytes(ds, keyword)
    return int.from_bytes(raw, "little") if raw is not None and len(raw) == 2 else int(ds.get(keyword) or 0)


_tag = cache(Tag)  # a keyword's tag, looked up once


def _bytes(ds: Dataset, keyword: str) -> bytes | None:
    """An element's value as it lies in the file; None where pydicom must make sense of it.

    pydicom's own conversion of all the elements that a slice needs takes nearly as long as reading the file.
    """
    try:
        element = ds.get_item(_tag(keyword))
    except KeyError:
        return None
    plain = isinstance(element, RawDataElement) and element.is_little_endian
    return element.value if plain and isinstance(element.value, bytes) else None


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0].strip() or type(error).__name__
