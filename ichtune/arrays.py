"""Arrays in .npy files that somebody else may have written: numbers only, and as many as the file has bytes for."""

import math
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from numpy.lib import format as npy


def map_array(path: Path, mode: Literal["r", "c"] = "r") -> np.ndarray:
    """The array in a .npy file, memory-mapped: read-only, or (`c`) writable without changing the file.

    No pickle is read, and no memory is taken before the header is known to fit the file.

    Raises:
        ValueError: not a .npy file, one of objects, or of another size than its header declares.
        OSError: it can't be read.
    """
    with open(path, "rb") as file:
        shape, fortran, dtype = _header(file)
        start = file.tell()
        declared, size = math.prod(shape) * dtype.itemsize, path.stat().st_size - start
    if declared != size:
        raise ValueError(f"its header declares {declared:,} bytes of numbers, and {size:,} follow")
    if not size:
        return np.empty(shape, dtype)
    return np.memmap(path, dtype, mode, start, shape, "F" if fortran else "C")


def _header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    version = npy.read_magic(file)
    if version not in readers:
        raise ValueError(f"a .npy file of version {version}, must be 1.0 or 2.0")
    try:
        shape, fortran, dtype = readers[version](file)
    except (
        RecursionError,
        MemoryError,
        TypeError,
        OverflowError,
    ) as error:  # a header made to break its parser
        raise ValueError(f"its header can't be read ({type(error).__name__})") from None
    if dtype.hasobject:
        raise ValueError("holds Python objects, must be numbers")
    if min(shape, default=0) < 0:
        raise ValueError(f"a shape of {shape}")
    return shape, fortran, dtype
