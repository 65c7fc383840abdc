"""Reading a source's files into slices of one size, by several processes, with results in order.

Imports are kept small, because every worker process repeats them.
"""

import os
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path

import numpy as np

from ichtune.data.formats.dicom import read_dicom
from ichtune.data.formats.image import is_image, read_image
from ichtune.data.formats.slice import CTSlice, Rejected
from ichtune.data.pixels import digest, resize, square
from ichtune.windows import Window

CHUNK = 32  # slices that a worker reads at a time: 4 MiB at 256 x 256
AHEAD = 3  # chunks in flight per worker, which limits memory


@dataclass(frozen=True)
class Read:
    """The result of one entry: a slice's identifiers and the digest of its pixels, or the reason for rejecting it."""

    entry: int
    reason: str = ""
    patient_id: str = ""
    study_id: str = ""
    series_id: str = ""
    z_mm: float | None = None
    digest: int = 0


@dataclass(frozen=True)
class Reader:
    """Reads a chunk of files into slices of `size`; small, since it is sent to the workers with every chunk.

    Pixels are passed through a file in the folder `chunks`, which is three times as fast as sending them between
    processes.
    """

    root: Path
    window: Window
    size: int
    needs_patient: bool
    chunks: Path

    def __call__(self, first: int, files: list[str]) -> tuple[list[Read], Path]:
        """Return the result of each file, from entry `first` on, and a file with the slices' HU (<i2 [n, S, S])."""
        reads = []
        pixels, count = np.empty((len(files), self.size, self.size), "<i2"), 0
        for entry, file in enumerate(files, first):
            try:
                reads.append(self._read(entry, file, pixels[count]))
                count += 1
            except Rejected as why:
                reads.append(Read(entry, reason=str(why)))
            except OSError as error:
                reads.append(Read(entry, reason=f"can't be read: {error.strerror or error}"))
        chunk = self.chunks / f"{first}.hu"
        chunk.write_bytes(pixels[:count].data)
        return reads, chunk

    def _read(self, entry: int, file: str, pixels: np.ndarray) -> Read:
        found = read_file(self.root / file, self.window)
        if self.needs_patient and not (found.patient_id or found.study_id or found.series_id):
            raise Rejected(
                "no PatientID, study or series, at least one of which is needed to split by patient"
            )
        pixels[:] = resize(square(found.hu), self.size)
        z_mm = None if np.isnan(found.z_mm) else found.z_mm
        return Read(entry, "", found.patient_id, found.study_id, found.series_id, z_mm, digest(pixels))


def read_file(path: Path, window: Window) -> CTSlice:
    """Return the slice in a DICOM file, or in an image made with `window`; see `read_dicom` and `read_image`."""
    return read_image(path, window) if is_image(path.name) else read_dicom(path)


def read_in_order(
    reader: Reader, files: list[str], starts: range, workers: int
) -> Iterator[tuple[list[Read], Path]]:
    """Yield the chunks of `files` that begin at `starts`, read by up to `workers` processes.

    Raises:
        OSError: a worker was killed from outside.
    """
    chunks = ((start, files[start : start + CHUNK]) for start in starts)
    if workers == 1 or len(starts) < 2:
        yield from (reader(start, chunk) for start, chunk in chunks)
        return
    pool = ProcessPoolExecutor(min(workers, len(starts)), get_context("spawn"), initializer=_end_with_parent)
    try:
        pending: deque[Future[tuple[list[Read], Path]]] = deque()
        for start, chunk in chunks:
            pending.append(pool.submit(reader, start, chunk))
            if len(pending) >= AHEAD * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool as error:
        raise OSError("a reading process was killed (out of memory?); run the same command again") from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _end_with_parent() -> None:
    """Make this worker exit with its parent; if the parent is killed, it would otherwise wait for work forever."""
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
