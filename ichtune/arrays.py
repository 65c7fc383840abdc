"""Arrays in untrusted .npy files: numbers only, and no more of them than the file has bytes for."""

import math
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from numpy.lib import format as npy


def map_array(path: Path, mode: Literal["r", "c"] = "r") -> np.ndarray:
    """Memory-map the array in a .npy file: read-only, or (`c`) writable without changing the file.

    Never reads a pickle, and allocates nothing before checking the header against the size of the file.

    Raises:
        ValueError: it isn't a .npy file, holds objects, or differs in size from what its header declares.
        OSError: it can't be read.
    """
    with open(path, "rb") as file:
        shape, fortran, dtype = _header(file)
        start = file.tell()
        declared, size = math.prod(shape) * dtype.itemsize, path.stat().st_size - start
    if declared != size:
        raise ValueError(f"its header declares {declared:,} bytes of numbers, but {size:,} follow")
    if not size:
        return np.empty(shape, dtype)
    return np.memmap(path, dtype, mode, start, shape, "F" if fortran else "C")


def _header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    version = npy.read_magic(file)
    if version not in readers:
        raise ValueError(f"a .npy file of version {version}; must be 1.0 or 2.0")
    try:
        shape, fortran, dtype = readers[version](file)
    except (
        RecursionError,
        MemoryError,
        TypeError,
        OverflowError,
    ) as error:  # a header crafted to break its parser
        raise ValueError(f"its header can't be read ({type(error).__name__})") from None
    if dtype.hasobject:
        raise ValueError("holds Python objects; must be numbers")
    if min(shape, default=0) < 0:
        raise ValueError(f"its shape is {shape}, with a negative length")
    return shape, fortran, dtype
