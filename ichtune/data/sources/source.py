"""What a layout gives: every slice that is to be read, with its labels, before the first image is opened."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from ichtune.data.images import is_image
from ichtune.data.windows import Window
from ichtune.errors import InputError
from ichtune.labels import LABELS

NO_FILE = "labels without a file: the CSV names it, the folder doesn't have it"
NO_LABELS = "a file without labels: the CSV has no row for it"


@dataclass(frozen=True)
class Source:
    """What is to be read, settled before the first image is opened.

    `entries` has a row a slice, sorted by `file` (relative to `root`): `file, slice_id, patient_id, study_id,
    series_id, z_mm` (empty or NaN where the image's own header tells) and the six labels (float32).
    `rejected` has `file, reason` for what the labels alone rule out.
    """

    format: str
    root: Path
    entries: pd.DataFrame
    rejected: pd.DataFrame
    window: Window
    patients_known: bool = True
    notes: tuple[str, ...] = field(default=())

    @property
    def has_images(self) -> bool:
        """Whether any entry is a windowed 8-bit image rather than a DICOM file."""
        return self.entries["file"].map(is_image).any()


def make_source(
    kind: str,
    root: Path,
    entries: pd.DataFrame,
    reasons: dict[str, str],
    window: Window,
    patients_known: bool = True,
    notes: list[str] | None = None,
) -> Source:
    if entries.empty:
        example = next((f" (the first: {file}: {why})" for file, why in reasons.items()), "")
        raise InputError(f"{root}: no image here has usable labels{example}")
    blank = {"patient_id": "", "study_id": "", "series_id": "", "z_mm": np.nan}
    missing = {name: value for name, value in blank.items() if name not in entries.columns}
    columns = ["file", "slice_id", *blank, *LABELS]
    ordered = entries.assign(**missing)[columns].sort_values("file", ignore_index=True)
    rejected = pd.DataFrame(sorted(reasons.items()), columns=["file", "reason"], dtype=str)
    return Source(kind, root, ordered, rejected, window, patients_known, tuple(notes or ()))
