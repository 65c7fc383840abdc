"""Stored values to Hounsfield units."""

import numpy as np
from pydicom.dataset import Dataset

from ichtune.data.formats.elements import count, text


def hounsfield(stored: np.ndarray, ds: Dataset) -> np.ndarray:
    slope, intercept = float(text(ds, "RescaleSlope")), float(text(ds, "RescaleIntercept"))
    bits, unsigned = count(ds, "BitsStored"), count(ds, "PixelRepresentation") == 0
    if text(ds, "PhotometricInterpretation") == "MONOCHROME1":
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
