"""Building the feature bank: in chunks that any process can take, each computed by one process only."""

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import numpy as np
import torch
from filelock import FileLock, Timeout

from ichtune.arrays import map_array
from ichtune.bank.check import verify
from ichtune.bank.compute import features, open_store
from ichtune.bank.part import (
    BankError,
    BankPart,
    check_key,
    is_finished,
    part_rows,
)
from ichtune.checksums import checksum_line
from ichtune.files import replacing

CHUNK_ROWS: Final = 256
OTHERS_POLL_S: Final = 0.5


class Chunk(NamedTuple):
    """Rows of a part that are computed together: the chunk's number in the part, and the store rows (int64)."""

    index: int
    rows: np.ndarray


Work = Sequence[tuple[BankPart, Chunk]]
Run = Callable[[Work], Iterable[int]]
"""Calls `compute_chunk` for all the work, anywhere and in any order, and yields how many rows each computed."""
Report = Callable[[int, int, str], None]


def compute_in_turn(work: Work) -> Iterator[int]:
    """Compute the work in this process, with as many threads as torch uses here."""
    for part, chunk in work:
        yield compute_chunk(part, chunk, threads=torch.get_num_threads())


def build(
    parts: Sequence[BankPart], *, run: Run = compute_in_turn, progress: Report = lambda *_: None
) -> None:
    """Compute whatever the parts still lack; returns when all are finished.

    Processes that build the same parts at the same time share the work; one that is killed loses only the chunk it
    was computing. Finished parts are first verified against their checksums. `progress` is called with the number of
    finished rows, the total over all parts, and an empty remark.

    Raises:
        BankError: a part is damaged, or the store, weights or libraries no longer match its key.
        InputError: features that float16 can't hold.
    """
    total = sum(part.count for part in parts)
    verify([part for part in parts if is_finished(part)])
    while unfinished := [part for part in parts if not is_finished(part)]:
        work = [(part, chunk) for part in unfinished for chunk in missing_chunks(part)]
        before = done = total - sum(len(chunk.rows) for _, chunk in work)
        for rows in run(work):
            done += rows
            progress(done, total, "")
        for part in unfinished:
            if not missing_chunks(part):
                finish_part(part)
        if work and done == before:
            time.sleep(OTHERS_POLL_S)


def missing_chunks(part: BankPart) -> list[Chunk]:
    """Return the chunks of a part that haven't been computed yet."""
    if is_finished(part):
        return []
    rows = part_rows(open_store(part.store, part.key.store), part.key.level)
    chunks = np.split(rows, range(CHUNK_ROWS, len(rows), CHUNK_ROWS))
    return [Chunk(index, rows) for index, rows in enumerate(chunks) if not _chunk_file(part, index).is_file()]


def compute_chunk(part: BankPart, chunk: Chunk, *, threads: int) -> int:
    """Compute and save one chunk, on the GPU if there is one; return the number of rows computed.

    That is 0 if the chunk exists already or another process is computing it. Sets torch's number of threads in this
    process to `threads`, and renders images in as many others while the network computes.

    Raises:
        BankError: the store, weights or libraries don't match the part's key.
        InputError: features that float16 can't hold.
    """
    if is_finished(part):
        return 0
    _make_folder(part)
    try:
        # The kernel releases the lock when the process that holds it ends, however it ends.
        with FileLock(_chunk_file(part, chunk.index).with_suffix(".lock"), timeout=0):
            if _chunk_file(part, chunk.index).is_file() or is_finished(part):
                return 0
            _write(_chunk_file(part, chunk.index), features(part, chunk.rows, threads))
            return len(chunk.rows)
    except Timeout:
        return 0
    except FileNotFoundError:
        # Another process has just finished the part and removed its folder of chunks.
        if is_finished(part):
            return 0
        raise


def finish_part(part: BankPart) -> None:
    """Join the chunks of a part, all of which must exist, into its features."""
    with FileLock(part.folder / "lock"):
        if not is_finished(part):
            files = [_chunk_file(part, index) for index in range(-(-part.count // CHUNK_ROWS))]
            _write_features(part, np.concatenate([_chunk(file) for file in files]))
        shutil.rmtree(part.folder / "chunks", ignore_errors=True)


def _make_folder(part: BankPart) -> None:
    try:
        (part.folder / "chunks").mkdir(parents=True, exist_ok=True)
    except (PermissionError, FileExistsError, NotADirectoryError) as error:
        raise BankError(
            f"{part.bank}: the feature bank can't be written here ({error.strerror}); choose another folder with --bank"
        ) from None
    with FileLock(part.folder / "lock"):
        if not (part.folder / "key.json").is_file():
            with replacing(part.folder / "key.json") as file:
                file.write_text(part.key.text)
    check_key(part)


def _chunk_file(part: BankPart, index: int) -> Path:
    return part.folder / "chunks" / f"{index:06d}.npy"


def _chunk(file: Path) -> np.ndarray:
    try:
        return map_array(file)
    except (ValueError, EOFError) as error:
        raise BankError(f"{file}: damaged ({error}); delete it to recompute it") from None


class _Hashed:
    """A stream that hashes what is written to it."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream, self.hash = stream, hashlib.sha256()

    def write(self, content: bytes) -> int:
        self.hash.update(content)
        return self.stream.write(content)


def _write_features(part: BankPart, joined: np.ndarray) -> None:
    with replacing(part.file) as beside:
        with open(beside, "wb") as file:
            hashed = _Hashed(file)
            np.save(hashed, joined)
            file.flush()
            os.fsync(file.fileno())
        with replacing(part.checksum) as checksum:
            checksum.write_text(checksum_line(hashed.hash.hexdigest(), part.file))


def _write(path: Path, rows: np.ndarray) -> None:
    with replacing(path) as beside, open(beside, "wb") as file:
        np.save(file, rows)
        file.flush()
        os.fsync(file.fileno())
