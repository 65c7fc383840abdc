"""The numbers stored in a DICOM file, before conversion to Hounsfield units."""

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels import get_decoder
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from ichtune.data.formats.compressed import refuse_other_size
from ichtune.data.formats.elements import count
from ichtune.data.formats.slice import Rejected, first_line


def stored_values(ds: Dataset) -> np.ndarray:
    """Return a file's stored values [H, W] as pydicom decodes them, without bits beyond BitsStored, signs extended.

    The header must have passed `refuse_what_is_no_ct_slice`.

    Raises:
        Rejected: the pixel data is truncated, damaged, larger than declared, or needs a codec that isn't installed.
    """
    if (plain := _plain_values(ds)) is not None:
        return plain
    if (lacking := missing_codec(ds) or _cut_short(ds)) is not None:
        raise Rejected(lacking)
    try:
        refuse_other_size(ds)
        stored = ds.pixel_array
    except Rejected:
        raise
    except Exception as error:
        raise Rejected(f"pixel data can't be decoded: {first_line(error)}") from error
    if stored.ndim != 2 or stored.shape != (count(ds, "Rows"), count(ds, "Columns")):
        raise Rejected(f"not a single slice: its pixels have the shape {stored.shape}")
    return stored


def _plain_values(ds: Dataset) -> np.ndarray | None:
    """Return uncompressed 16-bit values straight from the file, three times as fast as pydicom's decoder.

    None for everything else, which is left to pydicom, including values that don't fit in BitsStored: their upper
    bits hold an overlay, or a sign that isn't extended (PS3.5 8.1.1).
    """
    if ds.file_meta.get("TransferSyntaxUID") not in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
        return None
    shape, bits, pixels = (count(ds, "Rows"), count(ds, "Columns")), count(ds, "BitsStored"), ds.PixelData
    if count(ds, "BitsAllocated") != 16 or len(pixels) != shape[0] * shape[1] * 2:
        return None
    unsigned = count(ds, "PixelRepresentation") == 0
    values = np.frombuffer(pixels, "<u2" if unsigned else "<i2").reshape(shape)
    lowest, highest = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    if bits < 16 and (values.min() < lowest or values.max() > highest):
        return None
    return values


def _cut_short(ds: Dataset) -> str | None:
    """Return why uncompressed pixel data is too short, before allocating an array of the declared size; else None."""
    syntax = ds.file_meta.get("TransferSyntaxUID")
    if syntax is not None and syntax.is_compressed and not syntax.is_deflated:
        return None
    due = count(ds, "Rows") * count(ds, "Columns") * count(ds, "BitsAllocated") // 8
    found = len(ds.PixelData or b"")
    return (
        f"truncated: {found:,} bytes of pixel data, but the header requires {due:,}" if found < due else None
    )


def missing_codec(ds: Dataset) -> str | None:
    """Return which codec is missing, if the pixel data needs one that isn't installed; else None."""
    syntax = ds.file_meta.get("TransferSyntaxUID")
    if syntax is None or not syntax.is_encapsulated:
        return None
    try:
        installed = get_decoder(syntax).is_available
    except NotImplementedError:
        return f"its codec ({syntax.name}) is not supported"
    return None if installed else f"its codec ({syntax.name}) is not installed: pip install 'ichtune[dicom]'"
