"""How a slice lies in its plane: turned as axial slices are shown, and with square pixels."""

import math
from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from ichtune.data.formats.size import refuse_size
from ichtune.data.formats.slice import Rejected

MOST_STRETCH: Final = 3  # pixels further from square aren't those of an axial acquisition


def upright(
    hu: np.ndarray, orientation: Sequence[float], sides_mm: tuple[float, float]
) -> tuple[np.ndarray, tuple[float, float]]:
    """Return a slice [H, W] whose rows run towards the patient's left and columns to the back, and its pixels' sides.

    Args:
        hu: the slice as stored.
        orientation: in which directions a row and a column run (ImageOrientationPatient, PS3.3 C.7.6.2.1.1), of an
            axial slice; empty if unknown, which leaves the slice as it is.
        sides_mm: the distances between rows and between columns, as in the result.
    """
    if not orientation:
        return hu, sides_mm
    row, column = orientation[:3], orientation[3:]
    if abs(row[0]) < abs(row[1]):  # what is stored as a row runs between front and back
        hu, row, column, sides_mm = hu.T, column, row, sides_mm[::-1]
    if row[0] < 0:
        hu = hu[:, ::-1]
    if column[1] < 0:
        hu = hu[::-1]
    return np.ascontiguousarray(hu), sides_mm


def square_pixels(hu: np.ndarray, row_mm: float, column_mm: float) -> tuple[np.ndarray, float]:
    """Return a slice [H, W] with square pixels of the shorter side, so that heads aren't distorted, and that side.

    A slice whose sides aren't both known (NaN) stays as it is.

    Raises:
        Rejected: its pixels can't be those of an axial slice, or it becomes too large.
    """
    if math.isnan(row_mm + column_mm):
        return hu, math.nan
    if math.isclose(row_mm, column_mm, rel_tol=0.01):
        return hu, row_mm
    refuse_stretched(row_mm, column_mm)
    side = min(row_mm, column_mm)
    height, width = (
        max(1, round(n * mm / side)) for n, mm in zip(hu.shape, (row_mm, column_mm), strict=True)
    )
    refuse_size(height, width)
    return cv2.resize(hu, (width, height), interpolation=cv2.INTER_LINEAR), side


def refuse_stretched(row_mm: float, column_mm: float) -> None:
    """Raise `Rejected` for pixels with these sides if they can't be those of an axial slice."""
    if max(row_mm, column_mm) > MOST_STRETCH * min(row_mm, column_mm):
        raise Rejected(
            f"its axial pixels are {column_mm:.3g} x {row_mm:.3g} mm: not those of an axial acquisition"
        )
