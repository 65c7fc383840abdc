"""How large a file and an image may be, checked before memory is taken for them."""

import os
from pathlib import Path

from ichtune.data.formats.slice import Rejected

MAX_SIDE = 4096  # CT matrices end at 2048
MAX_BYTES = 256 << 20  # a slice of that side has 64 MiB at 32 bits a pixel


def read_bounded(path: Path) -> bytes:
    """A file's bytes.

    Raises:
        Rejected: it is larger than any slice.
        OSError: it can't be opened.
    """
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size > MAX_BYTES:
            raise Rejected(f"a file of more than {MAX_BYTES >> 20} MiB, which no CT slice has")
        return file.read()


def refuse_size(rows: int, columns: int) -> None:
    """Raise `Rejected` for an image that no CT slice can be."""
    if rows < 1 or columns < 1:
        raise Rejected(f"an image without pixels: {columns} x {rows}")
    if max(rows, columns) > MAX_SIDE:
        raise Rejected(f"an image of {columns} x {rows} pixels; a side of a CT slice has at most {MAX_SIDE}")
