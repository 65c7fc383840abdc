"""Size limits of files and images, checked before allocating memory for them."""

import os
from pathlib import Path

from ichtune.data.formats.slice import Rejected

MAX_SIDE = 4096  # CT matrices go up to 2048
MAX_BYTES = 256 << 20  # a slice of that size has 64 MiB at 32 bits per pixel


def read_bounded(path: Path) -> bytes:
    """Return a file's bytes.

    Raises:
        Rejected: it is too large for a slice.
        OSError: it can't be opened.
    """
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size > MAX_BYTES:
            raise Rejected(f"a file of more than {MAX_BYTES >> 20} MiB, too large for a CT slice")
        return file.read()


def refuse_size(rows: int, columns: int) -> None:
    """Raise `Rejected` for an image that can't be a CT slice."""
    if rows < 1 or columns < 1:
        raise Rejected(f"an image without pixels: {columns} x {rows}")
    if max(rows, columns) > MAX_SIDE:
        raise Rejected(f"an image of {columns} x {rows} pixels; a CT slice has at most {MAX_SIDE} per side")
