"""Whether finished features are still those that were computed, by the checksum that was written with them."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from ichtune.training.bank import MEND, BankError, BankPart


def verify(parts: Sequence[BankPart]) -> Iterator[BankPart]:
    """Gives each of these finished parts when it was compared with its checksum; once a process, as it reads all.

    Parts that an earlier version computed have no checksum, and are taken as they are.

    Raises:
        BankError: the features of a part were altered.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # hashing leaves other threads alone
        for part, sound in zip(parts, pool.map(_is_sound, parts), strict=True):
            if not sound:
                pool.shutdown(cancel_futures=True)
                raise BankError(f"{part.file}: altered since it was computed (its checksum differs); {MEND}")
            yield part


def checksum_line(digest: str, part: BankPart) -> str:
    """What a part's file of its checksum holds; `sha256sum -c` reads it too."""
    return f"{digest}  {part.file.name}\n"


def _is_sound(part: BankPart) -> bool:
    if not part.checksum.is_file():
        return True
    found = os.stat(part.file)
    digest = _sha256(part.file, found.st_ino, found.st_size, found.st_mtime_ns)
    return part.checksum.read_text() == checksum_line(digest, part)


@cache
def _sha256(file: Path, *_version: int) -> str:
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
