"""CT volumes and masks as NIfTI files, written on the spot."""

from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform


def axial_image(
    axial: np.ndarray, spacing: tuple[float, float, float], codes: str = "RAS"
) -> nib.Nifti1Image:
    """A volume of axial slices [planes, H, W] as DICOM shows them, planes from the feet up, stored along `codes`.

    Spacing of planes, rows and columns in mm; the lowest slice is at z = 3 mm.
    """
    ras = np.ascontiguousarray(axial[:, ::-1, ::-1].transpose(2, 1, 0))
    affine = np.diag([spacing[2], spacing[1], spacing[0], 1.0])
    affine[:3, 3] = (-10, -20, 3)
    transform = ornt_transform(io_orientation(affine), axcodes2ornt(codes))
    return nib.Nifti1Image(ras, affine).as_reoriented(transform)


def write_volume(
    path: Path, axial: np.ndarray, codes: str = "RAS", spacing: tuple[float, float, float] = (5, 0.5, 0.5)
) -> Path:
    """A file with these axial slices [planes, H, W]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(axial_image(axial, spacing, codes), path)
    return path


def change_header(path: Path, **fields: object) -> Path:
    """The same file with other values in its NIfTI-1 header."""
    content = path.read_bytes()
    header = nib.Nifti1Header(content[:348], check=False)
    for name, value in fields.items():
        header[name] = value
    path.write_bytes(header.binaryblock + content[348:])
    return path


def write_with_header(path: Path, axial: np.ndarray, **fields: object) -> Path:
    """A file with these axial slices and other values in its header."""
    return change_header(write_volume(path, axial), **fields)


def head_volume(planes: int, side: int = 16, seed: int = 0) -> np.ndarray:
    """A noisy cylinder of 30 HU in air with a bone in a corner, int16 [planes, side, side]."""
    rng = np.random.default_rng([5, seed])
    y, x = np.mgrid[:side, :side] - side / 2
    volume = np.where(y**2 + x**2 < (0.4 * side) ** 2, 30 + rng.normal(0, 5, (planes, side, side)), -1000)
    volume[:, 0, 0] = 900
    return volume.astype(np.int16)
