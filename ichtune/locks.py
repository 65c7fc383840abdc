"""Locks between processes, held by the kernel: they end with the process that holds them, however that one ends."""

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from ichtune.errors import InputError

LOOK_S = 0.2
"""Longer than `is_locked`, which holds the lock for a moment, can keep anybody out."""


@contextmanager
def locked(file: Path, refusal: str | None = None) -> Generator[None]:
    """Keep other processes out for as long as the context lasts; `file` is there only meanwhile.

    Raises:
        InputError: another process is in, with `refusal` as its message; without one this waits for it.
    """
    mode = fcntl.LOCK_EX if refusal is None else fcntl.LOCK_EX | fcntl.LOCK_NB
    deadline = time.monotonic() + LOOK_S
    while True:
        with open(file, "w") as stream:
            try:
                fcntl.flock(stream, mode)
            except BlockingIOError:
                if time.monotonic() < deadline:
                    time.sleep(LOOK_S / 10)
                    continue
                raise InputError(refusal or "") from None
            # The one before may have removed the file after it was opened here: then this lock keeps nobody out.
            if not _is_at(stream.fileno(), file):
                continue
            try:
                yield
            finally:
                file.unlink(missing_ok=True)
            return


def is_locked(file: Path) -> bool:
    """Whether a process holds the lock at the moment."""
    try:
        with open(file) as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _is_at(descriptor: int, file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(file))
    except FileNotFoundError:
        return False
