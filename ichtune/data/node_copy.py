"""A store at a URI, copied once to this machine's disk for all processes on it.

The copies are in the user's cache, by fingerprint, and together they have at most ICHTUNE_CACHE_GB: those unused for
longest make room, but never one that a process has open.
"""

import fcntl
import json
import os
import re
import shutil
from pathlib import Path

from platformdirs import user_cache_path
from rich.console import Console

from ichtune.data.inspect.integrity import damage
from ichtune.data.slice_table import StoreError
from ichtune.data.store import ABOUT, SliceStore
from ichtune.errors import InputError
from ichtune.locks import locked
from ichtune.progress import progress
from ichtune.remote import Remote, refuse_credentials
from ichtune.wording import disk_size

LIMIT, DEFAULT_GB = "ICHTUNE_CACHE_GB", 50.0
FILES = (ABOUT, "hu.npy", "slices.parquet", "digests.npy", "rejected.csv")
IN_USE = ".in-use"
"""A process that uses a copy holds a shared lock on this file in it, and its time is that of the last use."""

_held: dict[Path, int] = {}
"""The descriptors of the files that this process has locked until it ends."""


def node_copy(uri: str) -> Path:
    """Return this machine's copy of the store at a URI, after downloading it if there is none.

    Of several processes that ask at once, one downloads it and the others wait. The copy appears once its pixels and
    table agree with its fingerprint.

    Raises:
        InputError: there is no store, the URI can't be reached, the store is damaged, or there is no room for it.
    """
    refuse_credentials("--data", uri)
    remote, root = Remote(uri), user_cache_path("ichtune") / "stores"
    copy = root / _fingerprint(remote) / remote.name
    if copy not in _held:
        root.mkdir(parents=True, exist_ok=True)
        with locked(root / ".lock"):
            if not copy.is_dir():
                _download(remote, copy, root)
            _held[copy] = _use(copy)
    return copy


def _fingerprint(remote: Remote) -> str:
    if not remote.has(ABOUT):
        raise StoreError(f"{remote.uri}: not a finished slice store (no {ABOUT}); check the URI")
    try:
        found = json.loads(remote.read(ABOUT))["fingerprint"]
    except (ValueError, KeyError, TypeError):
        found = None
    if not isinstance(found, str) or not re.fullmatch("[0-9a-f]{16}", found):
        raise StoreError(f"{remote.uri}/{ABOUT}: damaged, not a store's description; upload the store again")
    return found


def _download(remote: Remote, copy: Path, root: Path) -> None:
    size = sum(info.size for name, info in remote.files().items() if name in FILES)
    partial = root / f"{copy.parent.name}.partial" / copy.name  # what broke off goes on
    here = sum(file.stat().st_size for file in partial.glob("*")) if partial.is_dir() else 0
    _make_room(size, size - here, root, remote.uri)
    console = Console(stderr=True)
    with progress(f"copying {copy.name}", "B", console) as report:
        remote.pull(partial, FILES.__contains__, last=ABOUT, report=report)
    try:
        with progress(f"checking {copy.name}", "slices", console) as report:
            wrong = damage(SliceStore.open(partial), report)
    except StoreError as error:
        wrong = str(error)
    if wrong:
        shutil.rmtree(partial.parent)
        raise StoreError(f"{remote.uri}: damaged, or not fully uploaded ({wrong}); upload the store again")
    copy.parent.mkdir(exist_ok=True)
    os.rename(partial, copy)
    partial.parent.rmdir()


def _make_room(size: int, missing: int, root: Path, uri: str) -> None:
    """Delete the copies unused for longest until another has room, within the limit and on the disk."""
    most = _limit()
    if size > most:
        raise InputError(
            f"{uri}: has {disk_size(size)}, more than {LIMIT} allows ({disk_size(most)}); raise it"
        )
    copies = sorted(root.glob(f"*/*/{IN_USE}"), key=lambda file: file.stat().st_mtime)
    while _total(root) + missing > most or shutil.disk_usage(root).free < missing:
        free = next((file for file in copies if file.is_file() and not _is_used(file)), None)
        if free is None:
            raise InputError(
                f"{root}: no room for {disk_size(missing)} of {uri} beside the stores in use: {LIMIT} allows "
                f"{disk_size(most)}, and the disk has {disk_size(shutil.disk_usage(root).free)} free; raise the one, "
                "or free some space"
            )
        shutil.rmtree(free.parents[1])


def _limit() -> int:
    text = os.environ.get(LIMIT, str(DEFAULT_GB))
    if not re.fullmatch(r"\d+(\.\d+)?", text):
        raise InputError(f"{LIMIT}: must be a number of gigabytes, got {text!r}")
    return int(float(text) * 1e9)


def _total(root: Path) -> int:
    return sum(file.stat().st_size for file in root.rglob("*") if file.is_file())


def _use(copy: Path) -> int:
    descriptor = os.open(copy / IN_USE, os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    os.utime(copy / IN_USE)
    return descriptor


def _is_used(file: Path) -> bool:
    with open(file) as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
