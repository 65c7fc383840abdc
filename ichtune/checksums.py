"""SHA-256 checksums of files, by which a flipped bit is noticed; kept in the format of `sha256sum -c`."""

import hashlib
import os
from functools import cache
from pathlib import Path


def sha256_of(file: Path) -> str:
    """Return a file's SHA-256 as hexadecimal digits; computed once per process while the file stays as it is."""
    found = os.stat(file)
    return _sha256(file, found.st_ino, found.st_size, found.st_mtime_ns)


def checksum_line(digest: str, file: Path) -> str:
    """Return the line of a checksum file for a file in the same folder."""
    return f"{digest}  {file.name}\n"


def agrees(file: Path, sums: Path) -> bool:
    """Whether a file has the checksum that `sums` has for it; also true if `sums` is missing or doesn't name it."""
    try:
        lines = sums.read_text(errors="replace").splitlines(keepends=True)
    except FileNotFoundError:
        return True
    named = [line for line in lines if line.endswith(f"  {file.name}\n")]
    return not named or checksum_line(sha256_of(file), file) in named


@cache
def _sha256(file: Path, *_version: int) -> str:
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
