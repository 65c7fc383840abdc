"""The header of a NIfTI volume, read and checked before memory is taken for its voxels."""

import gzip
import math
import os
import zlib
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BufferedIOBase
from pathlib import Path
from typing import Final

import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header

from ichtune.data.formats.orientation import axial_affine, to_axial
from ichtune.data.formats.slice import Rejected, first_line

MOST_BYTES: Final = 1 << 30  # a thin-slice head of 1024 x 1024 x 500 voxels has 1 GiB
MOST_PLANES: Final = 4096
MOST_OFFSET: Final = 16 << 20  # where the voxels begin: behind the header and its extensions
_HEADERS: Final = {348: (Nifti1Header, slice(344, 348), b"n+1\0"), 540: (Nifti2Header, slice(4, 8), b"n+2\0")}
# By the header's xyzt_units; 0, unknown, is mm in practice.
_MILLIMETRES: Final = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
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


def read_header(path: Path, over: VolumeHeader | None = None) -> VolumeHeader:
    """Return a volume's header, without reading its voxels.

    With `over`, the file's own affine is ignored: its voxels are taken to be in the places of that volume's.

    Raises:
        Rejected: it isn't a single grey NIfTI volume of known orientation, or is too large.
        OSError: the file can't be opened.
    """
    with opened_volume(path) as (file, packed):
        block = file.read(540)
        header = _checked(_parsed(block), over)
        _refuse_cut_short(header, path, packed)
        return header


@contextmanager
def opened_volume(path: Path) -> Generator[tuple[BufferedIOBase, bool]]:
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
