"""The result of reading any format: one CT slice with its identifiers, or the reason for rejecting it."""

import math
from dataclasses import dataclass

import numpy as np


class Rejected(Exception):
    """A file that can't become a slice; the message is a reason for people to read."""


@dataclass(frozen=True)
class CTSlice:
    """Hounsfield units (int16 [H, W]) with identifiers and geometry; missing texts are empty, numbers NaN.

    If its file says how the slice lies in the patient, rows run towards the patient's left and columns to the back.
    """

    hu: np.ndarray
    patient_id: str = ""
    study_id: str = ""
    series_id: str = ""
    z_mm: float = math.nan
    """Position along the body's axis, increasing towards the head."""
    series_description: str = ""
    thickness_mm: float = math.nan
    pixel_mm: float = math.nan
    """Side of a pixel, which is square if its sides are known."""


def first_line(error: Exception) -> str:
    """Return an error's message in one line, to use as a reason."""
    return str(error).split("\n", 1)[0].strip() or type(error).__name__
