"""Reading a CT volume from a NIfTI file: its header first, within limits, then one axial slice after another."""

import gzip
import math
import os
import zlib
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from io import BufferedIOBase
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from nibabel.volumeutils import array_from_file

from ichtune.data.formats.hounsfield import to_hounsfield
from ichtune.data.formats.orientation import as_axial, axial_affine, to_axial
from ichtune.data.formats.size import refuse_size
from ichtune.data.formats.slice import CTSlice, Rejected, first_line

SUFFIXES: Final = (".nii", ".nii.gz")
MOST_BYTES: Final = 1 << 30  # a thin-slice head of 1024 x 1024 x 500 voxels has 1 GiB
MOST_PLANES: Final = 4096
MOST_OFFSET: Final = 16 << 20  # where the voxels begin: behind the header and its extensions
MOST_STRETCH: Final = 3  # pixels further from square aren't those of an axial acquisition
_HEADERS: Final = {348: (Nifti1Header, slice(344, 348), b"n+1\0"), 540: (Nifti2Header, slice(4, 8), b"n+2\0")}
_MILLIMETRES: Final = {
    0: 1.0,
    1: 1000.0,
    2: 1.0,
    3: 0.001,
}  # by xyzt_units; 0, unknown, is always mm in practice
_MOST_GZIP: Final = 1032  # deflate makes no more of a byte


@dataclass(frozen=True)
class VolumeHeader:
    """What a NIfTI header says about a volume, checked; `affine` is that of its axial slices (see `axial_affine`)."""

    shape: tuple[int, int, int]
    """Of the axial slices: planes, H, W."""
    stored_shape: tuple[int, int, int]
    dtype: np.dtype
    offset: int
    slope: float
    intercept: float
    transform: np.ndarray
    affine: np.ndarray

    @property
    def voxel_mm(self) -> tuple[float, float, float]:
        """Voxel sizes along plane, row and column."""
        a, b, c = np.linalg.norm(self.affine[:3, :3], axis=0).tolist()
        return a, b, c

    @property
    def stored_from_head(self) -> bool:
        """Whether the file has its planes from the head down."""
        return bool(self.transform[self.transform[:, 0] == 0, 1][0] < 0)

    @property
    def unscaled(self) -> bool:
        """Whether the stored values are meant as they are."""
        return (self.slope, self.intercept) == (1, 0)

    def same_place(self, other: "VolumeHeader") -> bool:
        """Whether two volumes have the same voxels in the same place, to less than half a voxel."""
        if self.shape != other.shape:
            return False
        corners = np.array([[i, j, k, 1] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) * (*self.shape, 1)
        apart = np.linalg.norm((corners @ (self.affine - other.affine).T)[:, :3], axis=1)
        return bool(apart.max() < min(self.voxel_mm) / 2)


def is_volume(name: str) -> bool:
    """Whether a file's name is that of a NIfTI volume."""
    return name.lower().endswith(SUFFIXES)


def without_volume_suffix(name: str) -> str:
    """Return a path or name without `.nii` or `.nii.gz`."""
    return next((name[: -len(suffix)] for suffix in SUFFIXES if name.lower().endswith(suffix)), name)


def read_header(path: Path, over: VolumeHeader | None = None) -> VolumeHeader:
    """Return a volume's header, without reading its voxels.

    With `over`, the file's own affine is ignored: its voxels are taken to be in the places of that volume's.

    Raises:
        Rejected: it isn't a single grey NIfTI volume of known orientation, or is too large.
        OSError: the file can't be opened.
    """
    with _reading(path) as (file, packed):
        block = file.read(540)
        header = _checked(_parsed(block), over)
        _refuse_cut_short(header, path, packed)
        return header


def read_values(path: Path, header: VolumeHeader) -> np.ndarray:
    """Return the stored values as a view [planes, H, W]; the header must be this file's.

    Raises:
        Rejected: the file is truncated or damaged.
        OSError: the file can't be opened.
    """
    with _reading(path) as (file, _packed):
        stored = array_from_file(header.stored_shape, header.dtype, file, header.offset, mmap=False)
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
    hu, pixel_mm = _square_pixels(_hu(values[plane], header), row_mm, column_mm)
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
    if max(row_mm, column_mm) > MOST_STRETCH * min(row_mm, column_mm):
        raise Rejected(
            f"its axial pixels are {column_mm:.3g} x {row_mm:.3g} mm: not the volume of an axial acquisition"
        )


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


def _square_pixels(hu: np.ndarray, row_mm: float, column_mm: float) -> tuple[np.ndarray, float]:
    """Return a slice [H, W] with square pixels of the shorter side, so that heads aren't distorted, and that side."""
    if math.isclose(row_mm, column_mm, rel_tol=0.01):
        return hu, row_mm
    side = min(row_mm, column_mm)
    height, width = (
        max(1, round(n * mm / side)) for n, mm in zip(hu.shape, (row_mm, column_mm), strict=True)
    )
    refuse_size(height, width)
    return cv2.resize(hu, (width, height), interpolation=cv2.INTER_LINEAR), side


@contextmanager
def _reading(path: Path) -> Generator[tuple[BufferedIOBase, bool]]:
    """Open a file, and say whether it is compressed, whatever its name; what is damaged in it becomes a reason."""
    with open(path, "rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        try:
            yield (gzip.GzipFile(fileobj=raw), True) if packed else (raw, False)
        except Rejected:
            raise
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise Rejected(f"the compressed file is truncated or damaged: {first_line(error)}") from error
        except OSError as error:
            if error.errno is not None:  # the disk's fault rather than the file's
                raise
            raise Rejected(f"truncated: {first_line(error)}") from error


def _parsed(block: bytes) -> Nifti1Header:
    sizes = {int.from_bytes(block[:4], order) for order in ("little", "big")} & set(_HEADERS)
    if not sizes or len(block) < (size := sizes.pop()):
        raise Rejected("not a NIfTI file")
    kind, where, magic = _HEADERS[size]
    if block[where] != magic:
        raise Rejected(
            f"not a single NIfTI file: its magic is {block[where]!r}; convert .hdr and .img to one .nii file"
        )
    try:
        return kind(block[:size], check=False)
    except Exception as error:  # whatever nibabel raises on a damaged value
        raise Rejected(f"its header can't be read: {first_line(error)}") from error


def _checked(header: Nifti1Header, over: VolumeHeader | None) -> VolumeHeader:
    stored_shape = _shape(header)
    dtype = _dtype(header)
    if (size := math.prod(stored_shape) * dtype.itemsize) > MOST_BYTES:
        raise Rejected(f"{size:,} bytes of voxels; at most {MOST_BYTES >> 20:,} MiB are read")
    offset = _offset(header)
    slope, intercept = _scale(header)
    if over is not None:
        if stored_shape != over.stored_shape:
            raise Rejected(f"it has {_by(stored_shape)} voxels, its volume {_by(over.stored_shape)}")
        return replace(over, dtype=dtype, offset=offset, slope=slope, intercept=intercept)
    stored_affine = _affine(header)
    transform = to_axial(stored_affine)
    planes, rows, columns = (stored_shape[int(axis)] for axis in np.argsort(transform[:, 0]))
    affine = axial_affine(stored_affine, transform, stored_shape)
    return VolumeHeader(
        (planes, rows, columns), stored_shape, dtype, offset, slope, intercept, transform, affine
    )


def _shape(header: Nifti1Header) -> tuple[int, int, int]:
    count, *dims = (int(number) for number in header["dim"])
    if not 3 <= count <= 7 or any(size != 1 for size in dims[3:count]):
        found = _by(dims[: max(0, min(count, 7))]) or "none"
        raise Rejected(f"not one volume: its dimensions are {found}; it needs three")
    if min(dims[:3]) < 1 or max(dims[:3]) > MOST_PLANES:
        raise Rejected(
            f"its dimensions are {dims[0]} x {dims[1]} x {dims[2]}; each must be 1 to {MOST_PLANES:,}"
        )
    return dims[0], dims[1], dims[2]


def _dtype(header: Nifti1Header) -> np.dtype:
    try:
        dtype = header.get_data_dtype()
    except Exception as error:  # whatever nibabel raises on an unknown code
        raise Rejected(f"its datatype {int(header['datatype'])} is unknown") from error
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        kind = {"V": "colour", "c": "complex numbers"}.get(dtype.kind, str(dtype))
        raise Rejected(f"its voxels are {kind} (datatype {int(header['datatype'])}), not plain numbers")
    return dtype


def _offset(header: Nifti1Header) -> int:
    offset = float(header["vox_offset"])
    if not int(header["sizeof_hdr"]) <= offset <= MOST_OFFSET:
        raise Rejected(f"vox_offset is {offset:g}; must be from the header's end to {MOST_OFFSET:,}")
    return int(offset)


def _scale(header: Nifti1Header) -> tuple[float, float]:
    """Return slope and intercept; a slope of 0 means that there is no scaling (nifti1.h, scl_slope)."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0:
        return 1.0, 0.0
    if not math.isfinite(slope) or not math.isfinite(intercept):
        raise Rejected(f"scl_slope is {slope:g} and scl_inter {intercept:g}; both must be finite")
    return slope, intercept


def _affine(header: Nifti1Header) -> np.ndarray:
    """Return the affine in mm: the sform, else the qform (nifti1.h, methods 3 and 2)."""
    try:
        affine = header.get_sform(coded=True)[0]
        affine = header.get_qform(coded=True)[0] if affine is None else affine
    except Exception as error:  # whatever nibabel raises on an impossible quaternion
        raise Rejected(f"its qform can't be read: {first_line(error)}") from error
    if affine is None:
        raise Rejected("neither sform nor qform: which side is left, and where the head is, is unknown")
    if not (np.abs(affine) < 1e6).all():
        raise Rejected("its affine has values that are not finite, or beyond a kilometre")
    affine = np.asarray(affine, float).copy()
    affine[:3] *= _MILLIMETRES.get(int(header["xyzt_units"]) & 7, 1.0)
    voxels = np.linalg.norm(affine[:3, :3], axis=0)
    if voxels.min() < 0.01 or voxels.max() > 100:
        raise Rejected(f"its voxels are {_by(voxels)} mm; must be 0.01 to 100")
    return affine


def _refuse_cut_short(header: VolumeHeader, path: Path, packed: bool) -> None:
    """Refuse a file that can't hold its voxels, before memory is taken for them."""
    due = header.offset + math.prod(header.shape) * header.dtype.itemsize
    found = os.path.getsize(path) * (_MOST_GZIP if packed else 1)
    if found < due:
        raise Rejected(f"truncated: {os.path.getsize(path):,} bytes, but the header requires {due:,}")


def _by(sizes: Iterable[float]) -> str:
    return " x ".join(f"{size:.4g}" for size in sizes)
