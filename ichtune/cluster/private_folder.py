"""A folder that only this user can look into, for what a local Ray writes while it lives."""

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
"""Bytes in the path of a socket (`sun_path` in unix(7))."""
BELOW = len(f"/{PREFIX}12345678/r/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store")
LONGEST_BASE = LONGEST_SOCKET - BELOW


@contextmanager
def private_folder() -> Generator[Path]:
    """A new folder of mode 700 with a path short enough for Ray's sockets, removed at the end.

    What a search that was killed has left there is removed first.

    Raises:
        InputError: there is no folder for temporary files with such a path.
    """
    base = _base()
    _remove_abandoned(base)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
    try:
        with open(folder / f".{ALIVE}", "w") as alive:
            fcntl.flock(alive, fcntl.LOCK_EX)
            (folder / f".{ALIVE}").rename(folder / ALIVE)  # nobody finds it without its lock
            yield folder
    finally:
        _remove(folder)


def write_token(folder: Path) -> Path:
    """A new token for Ray, in a file that only this user can read whatever the umask."""
    file = folder / "token"
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(secrets.token_hex(32))
    return file


def _base() -> Path:
    """RAY_TMPDIR where it is set; else TMPDIR or, where its path is too long, a usual place for temporary files."""
    asked = os.environ.get("RAY_TMPDIR")
    places = [asked] if asked else [tempfile.gettempdir(), "/tmp", "/var/tmp"]
    for place in map(os.path.abspath, places):
        if len(os.fsencode(place)) <= LONGEST_BASE and os.access(place, os.W_OK | os.X_OK):
            return Path(place)
    raise InputError(
        f"{'RAY_TMPDIR' if asked else 'TMPDIR'}: Ray's sockets need a folder that can be written to, with a path of at "
        f"most {LONGEST_BASE} bytes, got {places[0]}; set RAY_TMPDIR to such a folder"
    )


def _remove_abandoned(base: Path) -> None:
    for folder in base.glob(f"{PREFIX}*"):
        try:
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            with open(folder / ALIVE) as alive:
                fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # another's, or of a search that goes on
            continue


def _remove(folder: Path) -> None:
    """Remove a folder into which a process that is ending may still write."""
    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)
