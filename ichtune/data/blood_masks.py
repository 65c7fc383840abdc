"""Where the blood is in a slice: a folder of masks `SLICE_ID.png`, with 0 for none and 1 to 5 for the kinds of blood.

The numbers are those of the labels in their order, from 1 for epidural to 5 for subdural.
"""

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from ichtune.errors import InputError
from ichtune.labels import ANY, SUBTYPES


def write_blood_mask(folder: Path, slice_id: str, blood: Mapping[str, np.ndarray]) -> None:
    """Write a slice's mask, from the share of blood `[S, S]` of each kind; most of a pixel must be blood."""
    mask = None
    for kind, share in blood.items():
        mask = np.zeros(share.shape, np.uint8) if mask is None else mask
        mask[share > 0.5] = SUBTYPES.index(kind) + 1
    if mask is not None and mask.any():
        cv2.imwrite(str(folder / f"{slice_id}.png"), mask)


def read_blood_mask(folder: Path, slice_id: str, label: str, size: int) -> np.ndarray | None:
    """Where a slice has a label's blood (any kind for `any`), bool `[size, size]`; None without a mask.

    Raises:
        InputError: the file is no square image of these numbers.
    """
    file = folder / f"{slice_id}.png"
    if not file.is_file():
        return None
    mask = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    if mask is None or mask.ndim != 2 or mask.shape[0] != mask.shape[1] or mask.max() > len(SUBTYPES):
        raise InputError(f"{file}: must be a square image with the numbers 0 to {len(SUBTYPES)}, one channel")
    blood = mask > 0 if label == ANY else mask == SUBTYPES.index(label) + 1
    return cv2.resize(blood.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA) >= 0.5
