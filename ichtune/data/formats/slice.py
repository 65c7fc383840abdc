"""What every format becomes: one CT slice with its identifiers, or a reason why not."""

from dataclasses import dataclass

import numpy as np


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


def first_line(error: Exception) -> str:
    """What an error says in one line, for a reason."""
    return str(error).split("\n", 1)[0].strip() or type(error).__name__
