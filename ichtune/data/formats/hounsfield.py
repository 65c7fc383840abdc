"""Conversion of stored values to Hounsfield units."""

import numpy as np
from pydicom.dataset import Dataset

from ichtune.data.formats.elements import count, decimal
from ichtune.data.formats.slice import Rejected
from ichtune.data.pixels import AIR_HU

# The range of a CT slice: outside their field of view scanners store down to -2,000 below an intercept of
# -1,024, and extended scales end below 32,000.
LOWEST_HU, HIGHEST_HU = -3100, 32000
STRAY = 0.01  # share of a slice outside this range that is clipped rather than refused
NONE = 2**32  # not a 16-bit number
TOP_OF_CT = 3095  # the limit of 12 bits; padding is above it, or no higher than air


def hounsfield(stored: np.ndarray, ds: Dataset) -> np.ndarray:
    """Return HU (int16, the shape of `stored`): stored value x slope + intercept (PS3.3 C.11.1.1.2).

    This also holds for MONOCHROME1, which is about displaying values after windowing. Padding becomes air; values
    that don't fit in int16 are clipped.

    Raises:
        Rejected: slope or intercept is impossible, or the values can't come from CT.
    """
    slope, intercept = decimal(ds, "RescaleSlope"), decimal(ds, "RescaleIntercept")
    if slope <= 0:
        raise Rejected(f"RescaleSlope is {slope:g}; must be above zero")
    padding = _padding(stored, ds, slope, intercept)
    bits, unsigned = count(ds, "BitsStored"), count(ds, "PixelRepresentation") == 0
    if bits == 12 and unsigned and intercept > -100:
        stored = unwrap_12_bits(stored.astype(np.int32))
    hu = to_hounsfield(stored, slope, intercept, padding, full_width=bits == 16 == stored.itemsize * 8)
    if padding is not None:
        hu[padding] = AIR_HU
    return hu


def to_hounsfield(
    stored: np.ndarray,
    slope: float,
    intercept: float,
    padding: np.ndarray | None = None,
    *,
    full_width: bool = False,
) -> np.ndarray:
    """Return stored value x slope + intercept, rounded (int16); `full_width` means that all 16 bits are stored.

    Raises:
        Rejected: the values can't come from CT.
    """
    lowest, highest = (end.item() * slope + intercept for end in (stored.min(), stored.max()))
    if lowest < LOWEST_HU or highest > HIGHEST_HU:
        return _unusual(stored, padding, slope, intercept, full_width=full_width)
    if slope == 1 and abs(intercept) < 2**15 and intercept == int(intercept) and stored.dtype.kind in "iu":
        # The usual case, in one pass over the pixels: values that wrap around here wrap back in the sum.
        native = stored.dtype in (np.int16, np.uint16)
        values = stored.view(np.int16) if native else stored.astype(np.int16)
        return values + np.int16(intercept)
    return np.rint(stored * slope + intercept).astype(np.int16)


def unwrap_12_bits(values: np.ndarray) -> np.ndarray:
    """Undo the wraparound of 12-bit unsigned slices with an intercept near 0, where -1 was stored as 4095.

    RSNA 2019 has about a thousand of them: nothing in a head exceeds 3,095 HU, so larger values are air.
    """
    return (values + 1000) % 4096 - 1000


def _padding(stored: np.ndarray, ds: Dataset, slope: float, intercept: float) -> np.ndarray | None:
    """Return a mask of the padding that the header declares (PS3.3 C.7.5.1.1.2); None if there is none.

    Ignores a declared value that tissue can have too (such as 0 with an intercept of 0): it would make holes.
    """
    if (value := count(ds, "PixelPaddingValue", missing=NONE)) == NONE:
        return None
    limit = count(ds, "PixelPaddingRangeLimit", missing=value)
    low, high = sorted((_as_stored(value, ds), _as_stored(limit, ds)))
    if high * slope + intercept <= AIR_HU:
        return stored <= high  # lossy compression scatters padding downwards too
    return (stored >= low) & (stored <= high) if low * slope + intercept > TOP_OF_CT else None


def _as_stored(value: int, ds: Dataset) -> int:
    """Return a padding value as stored in the pixels, with their bits and sign rather than those of its element."""
    bits = count(ds, "BitsStored")
    value %= 2**bits
    return value - 2**bits if count(ds, "PixelRepresentation") == 1 and value >= 2 ** (bits - 1) else value


def _unusual(
    stored: np.ndarray, padding: np.ndarray | None, slope: float, intercept: float, *, full_width: bool
) -> np.ndarray:
    """Return the HU of a slice with values outside the range of CT; `full_width` means all 16 bits are stored."""
    hu = stored * slope + intercept
    beyond = _beyond(hu, padding)
    fill = np.unique(hu[beyond])
    if len(fill) == 1 and fill[0] < LOWEST_HU and beyond.mean() <= 0.5:
        # A single value far below all others is padding that the header doesn't declare.
        hu[beyond] = AIR_HU
        beyond = _beyond(hu, padding)
    elif full_width and (stored.dtype.kind == "u" or beyond.mean() > 0.5):
        # Signed values declared unsigned, or the reverse. Certain only if reinterpreting makes all of them possible.
        reread = stored.astype(np.int16 if stored.dtype.kind == "u" else np.uint16) * slope + intercept
        if not _beyond(reread, padding).any():
            hu, beyond = reread, np.zeros_like(beyond)
    if beyond.mean() > STRAY:
        low, high = hu[beyond].min(), hu[beyond].max()
        raise Rejected(
            f"{beyond.mean():.0%} of its values are impossible in CT ({low:,.0f} to {high:,.0f} HU): "
            "its pixel format, slope or intercept is wrong"
        )
    limits = np.iinfo(np.int16)
    return np.clip(np.rint(hu), limits.min, limits.max).astype(np.int16)


def _beyond(hu: np.ndarray, padding: np.ndarray | None) -> np.ndarray:
    beyond = (hu < LOWEST_HU) | (hu > HIGHEST_HU)
    return beyond if padding is None else beyond & ~padding
