"""Which side of the patient is where on a slice."""

from typing import Final

import numpy as np

from ichtune.data.formats.elements import finite

# DICOM's axes run to the patient's left, back and head (PS3.3 C.7.6.2.1.1).
_TOWARDS: Final = (("R", "L"), ("A", "P"), ("F", "H"))


def sides(orientation: str) -> tuple[str, str, str, str] | None:
    """Return what is at a slice's left, top, right and bottom edge, e.g. `R, A, L, P`; None if it isn't known.

    Each is the nearest of right, left, anterior, posterior, feet and head. `orientation` is ImageOrientationPatient:
    the directions in which a row and a column run.
    """
    cosines = [finite(part) for part in orientation.split("\\")]
    numbers = [number for number in cosines if number is not None]
    if len(cosines) != 6 or len(numbers) != 6:
        return None
    (left, right), (top, bottom) = _ends(np.array(numbers[:3])), _ends(np.array(numbers[3:]))
    return left, top, right, bottom


def _ends(direction: np.ndarray) -> tuple[str, str]:
    """Return where a line in this direction begins and ends."""
    axis = int(np.abs(direction).argmax())
    low, high = _TOWARDS[axis]
    return (low, high) if direction[axis] > 0 else (high, low)
