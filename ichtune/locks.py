"""Locks between processes, held by the kernel: they are released when the process ends, however it ends."""

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from ichtune.errors import InputError

LOOK_S = 0.2
"""How long to retry: longer than `is_locked`, which holds the lock for a moment, can block anyone."""


@contextmanager
def locked(file: Path, refusal: str | None = None) -> Generator[None]:
    """Keep other processes out while the context lasts; `file` exists only during that time.

    Raises:
        InputError: another process holds the lock, with `refusal` as the message. Without `refusal`, waits instead.
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
            # The previous holder may have removed the file after it was opened here: then this lock keeps nobody out.
            if not _is_at(stream.fileno(), file):
                continue
            try:
                yield
            finally:
                file.unlink(missing_ok=True)
            return


def is_locked(file: Path) -> bool:
    """Whether a process holds the lock right now."""
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
