"""Bringing a volume's axes into the order and direction in which DICOM shows axial slices."""

import numpy as np
from nibabel.orientations import (
    apply_orientation,
    axcodes2ornt,
    inv_ornt_aff,
    io_orientation,
    ornt_transform,
)

from ichtune.data.formats.ct_header import AXIAL_WITHIN
from ichtune.data.formats.slice import Rejected

# Planes from the feet to the head, rows from front to back, columns from the patient's right to left.
AXIAL = axcodes2ornt(("S", "P", "L"))
_WORLD = (2, 1, 0)  # which of the world's axes (right, front, head) planes, rows and columns run along
_NAMES = ("head-foot", "front-back", "left-right")


def to_axial(affine: np.ndarray) -> np.ndarray:
    """Return nibabel's transform of a stored volume into [planes, H, W].

    Raises:
        Rejected: an axis is more than 45 degrees off the body's, so that it isn't clear which one it is.
    """
    found = io_orientation(affine)
    if np.isnan(found).any():
        raise Rejected("its affine is singular: two axes have the same direction, or a voxel has no size")
    transform = ornt_transform(found, AXIAL)
    _refuse_oblique(affine @ inv_ornt_aff(transform, (1, 1, 1)))
    return transform


def axial_affine(affine: np.ndarray, transform: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the affine [4, 4] from plane, row and column to mm towards the patient's right, front and head."""
    return affine @ inv_ornt_aff(transform, shape)


def as_axial(stored: np.ndarray, transform: np.ndarray) -> np.ndarray:
    """Return a view [planes, H, W] of a volume's values in their stored order."""
    return apply_orientation(stored, transform)


def _refuse_oblique(affine: np.ndarray) -> None:
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    for number, (world, name) in enumerate(zip(_WORLD, _NAMES, strict=True)):
        if (cosine := abs(directions[world, number])) <= AXIAL_WITHIN + 1e-3:
            raise Rejected(f"an oblique volume: its {name} axis is {_degrees(cosine)} degrees off the body's")
    normal = np.cross(directions[:, 1], directions[:, 2])
    if (cosine := abs(normal[2]) / np.linalg.norm(normal)) <= AXIAL_WITHIN + 1e-3:
        raise Rejected(f"an oblique volume: its slices are {_degrees(cosine)} degrees off the axial plane")


def _degrees(cosine: float) -> int:
    return round(np.degrees(np.arccos(cosine)))
