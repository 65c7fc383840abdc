"""The numbers that a DICOM file stores, before they become Hounsfield units."""

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from ichtune.data.formats.elements import count
from ichtune.data.formats.slice import Rejected, first_line


def stored_values(ds: Dataset) -> np.ndarray:
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
    shape, bits, pixels = (count(ds, "Rows"), count(ds, "Columns")), count(ds, "BitsStored"), ds.PixelData
    if count(ds, "BitsAllocated") != 16 or bits not in (12, 16) or len(pixels) != shape[0] * shape[1] * 2:
        return None
    values = np.frombuffer(pixels, "<u2" if count(ds, "PixelRepresentation") == 0 else "<i2").reshape(shape)
    if bits == 12 and (values.min() < -2048 or values.max() > 4095):
        return None  # something else lies in the upper four bits, which pydicom takes away
    return values


def _why_not_decoded(ds: Dataset, error: Exception) -> str:
    syntax = ds.file_meta.TransferSyntaxUID if "TransferSyntaxUID" in ds.file_meta else None
    if syntax is not None and syntax.is_compressed and "missing dependencies" in str(error):
        return f"its codec ({syntax.name}) is not installed: pip install 'ichtune[dicom]'"
    rows, columns, bits = (count(ds, tag) for tag in ("Rows", "Columns", "BitsAllocated"))
    due, found = rows * columns * bits // 8, len(ds.PixelData or b"")
    if found < due and not (syntax is not None and syntax.is_compressed):
        return f"cut short: {found:,} bytes of pixel data where {due:,} are due"
    return f"pixel data can't be decoded: {first_line(error)}"
