"""Axial slices of a CT volume in a NIfTI file, in Hounsfield units, as DICOM shows them."""

import math
from functools import lru_cache
from io import BufferedIOBase
from pathlib import Path
from typing import Final

import numpy as np
from nibabel.volumeutils import array_from_file

from ichtune.data.formats.hounsfield import to_hounsfield
from ichtune.data.formats.in_plane import refuse_stretched, square_pixels
from ichtune.data.formats.nifti_header import VolumeHeader, opened_volume, read_header
from ichtune.data.formats.orientation import as_axial
from ichtune.data.formats.size import refuse_size
from ichtune.data.formats.slice import CTSlice, Rejected

SUFFIXES: Final = (".nii", ".nii.gz")
_MOST_BEHIND: Final = 16 << 20  # bytes behind the voxels that are unpacked
_BLOCK: Final = 1 << 16


def is_volume(name: str) -> bool:
    """Whether a file's name is that of a NIfTI volume."""
    return name.lower().endswith(SUFFIXES)


def without_volume_suffix(name: str) -> str:
    """Return a path or name without `.nii` or `.nii.gz`."""
    return next((name[: -len(suffix)] for suffix in SUFFIXES if name.lower().endswith(suffix)), name)


def read_values(path: Path, header: VolumeHeader) -> np.ndarray:
    """Return the stored values as a view [planes, H, W]; the header must be this file's.

    Raises:
        Rejected: the file is truncated or damaged.
        OSError: the file can't be opened.
    """
    with opened_volume(path) as (file, packed):
        stored = array_from_file(header.stored_shape, header.dtype, file, header.offset, mmap=False)
        if packed:
            _reach_end(file)
        return as_axial(stored, header.transform)


def read_plane(path: Path, plane: int) -> CTSlice:
    """Return a volume's axial slice, counted from the feet, as DICOM shows it; the last volume is kept in memory.

    Raises:
        Rejected: the volume isn't readable, or not in Hounsfield units.
        OSError: the file can't be opened.
    """
    about = path.stat()
    found = _last_volume(path, about.st_mtime_ns, about.st_size)
    if isinstance(found, str):
        raise Rejected(found)
    header, values = found
    if not 0 <= plane < len(values):
        raise Rejected(f"the volume has {len(values)} slices, but its slice {plane + 1} is asked for")
    _thickness, row_mm, column_mm = header.voxel_mm
    hu, pixel_mm = square_pixels(_hu(values[plane], header), row_mm, column_mm)
    return CTSlice(
        hu=hu,
        z_mm=float((header.affine @ (plane, 0, 0, 1))[2]),
        thickness_mm=header.voxel_mm[0],
        pixel_mm=pixel_mm,
    )


def refuse_no_ct(header: VolumeHeader) -> None:
    """Raise `Rejected` for a header that can't be that of a CT volume."""
    if header.dtype.itemsize == 1 and header.slope == 1:
        raise Rejected("8-bit values without a slope: a windowed image or a mask, not Hounsfield units")
    if header.slope < 0:
        raise Rejected(f"scl_slope is {header.slope:g}; must be above zero")
    _planes, rows, columns = header.shape
    refuse_size(rows, columns)
    _thickness, row_mm, column_mm = header.voxel_mm
    refuse_stretched(row_mm, column_mm)


def _reach_end(file: BufferedIOBase) -> None:
    """Read on to the end of a gzip stream, where its checksum is compared: most flipped bits break nothing before."""
    for _ in range(_MOST_BEHIND // _BLOCK):
        if not file.read(_BLOCK):
            return


@lru_cache(maxsize=1)
def _last_volume(path: Path, _changed: int, _size: int) -> tuple[VolumeHeader, np.ndarray] | str:
    """Return a volume's header and values, or why it is rejected, so that a bad one is opened only once too."""
    try:
        header = read_header(path)
        refuse_no_ct(header)
        values = read_values(path, header)
        _refuse_other_units(values, header)
        return header, values
    except Rejected as why:
        return str(why)


def _refuse_other_units(values: np.ndarray, header: VolumeHeader) -> None:
    """Refuse values that can't be HU: no head is without air or fat, nor without bone."""
    lowest, highest = (end.item() * header.slope + header.intercept for end in (values.min(), values.max()))
    if lowest < 0 or not math.isfinite(lowest + highest):
        return
    if highest <= 255:
        raise Rejected(f"its values are {lowest:g} to {highest:g}: a windowed image, not Hounsfield units")
    soft = [(level - header.intercept) / header.slope for level in (924, 1124)]
    if (share := np.mean((values > soft[0]) & (values < soft[1]))) > 0.1:
        raise Rejected(
            f"no value is below 0 and {share:.0%} are near 1,024, where soft tissue is when the intercept of -1,024 "
            "is missing: write it to scl_inter"
        )


def _hu(stored: np.ndarray, header: VolumeHeader) -> np.ndarray:
    native = np.ascontiguousarray(stored, header.dtype.newbyteorder("="))
    if native.dtype.kind == "f" and (bad := np.count_nonzero(~np.isfinite(native))):
        raise Rejected(f"{bad:,} of its values are not finite")
    return to_hounsfield(native, header.slope, header.intercept, full_width=native.itemsize == 2)
