"""A folder that only this user can access, for a local Ray's files."""

import fcntl
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from ichtune.errors import InputError

PREFIX, ALIVE = "ich-", "alive"
LONGEST_SOCKET = 103 if sys.platform == "darwin" else 107
"""Longest path of a socket in bytes (`sun_path` in unix(7))."""
BELOW = len(f"/{PREFIX}12345678/r/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store")
LONGEST_BASE = LONGEST_SOCKET - BELOW


@contextmanager
def private_folder() -> Generator[Path]:
    """Create a folder of mode 700 whose path is short enough for Ray's sockets; it is removed at the end.

    Folders left by searches that were killed are removed first.

    Raises:
        InputError: there is no temporary folder with such a path.
    """
    base = _base()
    _remove_abandoned(base)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
    try:
        with open(folder / f".{ALIVE}", "w") as alive:
            fcntl.flock(alive, fcntl.LOCK_EX)
            (folder / f".{ALIVE}").rename(folder / ALIVE)  # never visible without its lock
            yield folder
    finally:
        _remove(folder)


def write_token(folder: Path) -> Path:
    """Write a new token for Ray to a file that only this user can read, whatever the umask."""
    file = folder / "token"
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(secrets.token_hex(32))
    return file


def _base() -> Path:
    """RAY_TMPDIR if set; otherwise TMPDIR or, if that path is too long, a standard temporary folder."""
    requested = os.environ.get("RAY_TMPDIR")
    places = [requested] if requested else [tempfile.gettempdir(), "/tmp", "/var/tmp"]
    for place in map(os.path.abspath, places):
        if len(os.fsencode(place)) <= LONGEST_BASE and os.access(place, os.W_OK | os.X_OK):
            return Path(place)
    raise InputError(
        f"{'RAY_TMPDIR' if requested else 'TMPDIR'}: Ray's sockets need a writable folder whose path has at most "
        f"{LONGEST_BASE} bytes, got {places[0]}; set RAY_TMPDIR to such a folder"
    )


def _remove_abandoned(base: Path) -> None:
    for folder in base.glob(f"{PREFIX}*"):
        try:
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            with open(folder / ALIVE) as alive:
                fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # another user's, or in use by a running search
            continue


def _remove(folder: Path) -> None:
    """Remove a folder to which an ending process may still be writing."""
    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)
