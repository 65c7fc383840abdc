"""Making a slice store from a source: read in parallel, check, resize, split; a killed run resumes where it stopped."""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ichtune.data.collection import Collection, open_collection
from ichtune.data.options import PrepareOptions, parse_folds
from ichtune.data.reading import CHUNK, ChunkReading, Place, Read, Reader, chunks_of
from ichtune.data.sources import NothingUsable
from ichtune.data.splits import SplitPlan, check_patients
from ichtune.data.staging import Staging, preparing
from ichtune.data.store import VERSION, SliceStore
from ichtune.data.store_tables import write_rejected, write_tables
from ichtune.data.workers import Workers
from ichtune.errors import InputError

Progress = Callable[[int, int, int], None]
"""Called with the number of finished entries, their total, and the number rejected so far."""


class NotPrepared(InputError):
    """No store can be made from a source; `rejected` (`file, reason`) has the slices rejected so far."""

    def __init__(self, message: str, rejected: pd.DataFrame, kept: Path) -> None:
        self.rejected = rejected
        listed = (
            f"; the {len(rejected):,} slices rejected so far are listed in {kept}" if len(rejected) else ""
        )
        super().__init__(f"{message}{listed}")


class TooManyRejected(Exception):
    """Too much of a source was rejected; what has been read is kept for another attempt."""

    def __init__(self, rejected: pd.DataFrame, total: int, limit: float, kept: Path) -> None:
        self.rejected = rejected
        share = len(rejected) / total
        super().__init__(
            f"{len(rejected):,} of {total:,} slices ({share:.1%}) were rejected, more than --max-rejected {limit:g} "
            f"allows; they are listed in {kept}"
        )


@dataclass(frozen=True)
class Prepared:
    """A new store, the rejected slices (`file, reason`, with plain names), and notes for the user."""

    store: SliceStore
    rejected: pd.DataFrame
    notes: tuple[str, ...]


def prepare(
    sources: Path | Sequence[Path],
    store: Path,
    options: PrepareOptions,
    progress: Progress | None = None,
    read: ChunkReading | None = None,
) -> Prepared:
    """Make a slice store from one or several sources, resuming where a killed run stopped.

    Files are read by `read`, for instance on other machines, or else by processes of this one; the store is the same.

    Raises:
        InputError: a source, labels file or an option can't be used, the store is finished and `overwrite` not set,
            or another process is preparing it.
        NotPrepared: an InputError after rejecting slices: none are left, or too few patients for the splits.
        TooManyRejected: more than `max_rejected` of the slices were rejected.
        OSError: the disk is full or a folder can't be written; finished work is kept for the next run.
    """
    _check_target(store, options.overwrite)
    roots = [sources] if isinstance(sources, Path) else list(sources)
    with preparing(store):
        _check_target(store, options.overwrite)  # another process may have just finished it
        if read:
            return _prepare(roots, store, options, progress, read)
        with Workers(options.workers or os.cpu_count() or 1) as workers:
            return _prepare(roots, store, options, progress, workers.in_order)


def _prepare(
    roots: Sequence[Path],
    store: Path,
    options: PrepareOptions,
    progress: Progress | None,
    read: ChunkReading,
) -> Prepared:
    work = store.with_name(store.name + ".partial")
    try:
        collection = open_collection(roots, options)
    except NothingUsable as error:
        raise _not_prepared(error, error.rejected, work) from None
    plan = _split_plan(options, collection)
    total = len(collection.entries) + len(collection.rejected)
    _check_rejected(collection.rejected, total, options.max_rejected, work)
    _check_named_patients(collection, plan, work)
    readers = _readers(collection, options.size, Staging.incoming_below(work))
    staging = Staging.begin(
        work, options.size, _plan(collection, options), lambda entry: _can_read(entry, collection, readers)
    )
    _read_all(collection, readers, staging, read, progress)
    reads = list(staging.reads())
    rejected = _all_rejected(collection, reads)
    _check_rejected(rejected, total, options.max_rejected, work)
    try:
        notes = write_tables(collection, reads, staging.store, rejected, plan, options)
    except InputError as error:
        raise _not_prepared(error, rejected, work) from None
    staging.finish()
    staging.move_to(store)
    return Prepared(SliceStore.open(store), rejected, (*notes, *collection.notes))


def _check_target(store: Path, overwrite: bool) -> None:
    if (store / "store.json").is_file():
        if not overwrite:
            raise InputError(f"{store}: a finished store is already here; replace it with --overwrite")
    elif store.exists() and (not store.is_dir() or any(store.iterdir())):
        raise InputError(f"{store}: exists and is not a slice store; choose another folder")
    parent = next(folder for folder in store.absolute().parents if folder.exists())
    if not os.access(parent, os.W_OK):
        raise InputError(f"{parent}: this folder is not writable; choose another place for the store")


def _check_rejected(rejected: pd.DataFrame, total: int, limit: float, work: Path) -> None:
    if len(rejected) > limit * total:
        raise TooManyRejected(rejected, total, limit, _keep_rejected(rejected, work))


def _check_named_patients(collection: Collection, plan: SplitPlan, work: Path) -> None:
    """Refuse splits with too few patients named in the tables, before reading any image."""
    entries = collection.entries
    if (entries["patient_id"] == "").any():
        return
    try:
        check_patients(collection.settle_patients(entries).ids.nunique(), plan)
    except InputError as error:
        raise _not_prepared(error, collection.rejected, work) from None


def _not_prepared(error: InputError, rejected: pd.DataFrame, work: Path) -> NotPrepared:
    kept = _keep_rejected(rejected, work) if len(rejected) else work
    return NotPrepared(str(error), rejected, kept)


def _keep_rejected(rejected: pd.DataFrame, work: Path) -> Path:
    work.mkdir(parents=True, exist_ok=True)
    return write_rejected(rejected, work)


def _split_plan(options: PrepareOptions, collection: Collection) -> SplitPlan:
    if options.all_test:
        return SplitPlan.all_test(options.seed)
    folds = parse_folds(options.folds)
    if isinstance(folds, int):
        return SplitPlan(options.test_fraction, folds, options.seed, options.keep_split)
    if not collection.is_several:
        raise InputError(f"--folds {folds} holds out one source after another, so give at least two sources")
    return SplitPlan(
        options.test_fraction, len(collection.sources), options.seed, options.keep_split, by_source=True
    )


def _plan(collection: Collection, options: PrepareOptions) -> dict[str, object]:
    """Return everything that affects reading: a run with another plan must not resume."""
    return {
        "version": VERSION,
        "roots": [str(source.root.resolve()) for source in collection.sources],
        "entries": hashlib.sha256(
            pd.util.hash_pandas_object(collection.entries, index=False).to_numpy().tobytes()  # ty: ignore
        ).hexdigest(),
        "size": options.size,
        "window": list(options.grey_window),
        "reading": options.reading,
        "chunk": CHUNK,
    }


def _readers(collection: Collection, size: int, incoming: Path) -> list[Reader]:
    """Return what reads each source's files into slices of `size`."""
    return [
        Reader(source.root, source.window, size, source.needs_patient, incoming)
        for source in collection.sources
    ]


def _can_read(entry: int, collection: Collection, readers: Sequence[Reader]) -> bool:
    """Whether an entry that was rejected can be read now: its file may be repaired, or a codec installed."""
    for source, reader in zip(collection.sources, readers, strict=True):
        if entry < len(source.entries):
            return reader.can_read(Place(*source.entries[["file", "plane"]].iloc[entry]))
        entry -= len(source.entries)
    return False


def _read_all(
    collection: Collection,
    readers: Sequence[Reader],
    staging: Staging,
    read: ChunkReading,
    progress: Progress | None,
) -> None:
    """Read every entry that isn't staged yet into the staging, in order."""
    total, rejected = len(collection.entries), len(collection.rejected)
    done, finished = staging.entries, staging.chunks
    rejected += done - staging.slices
    if progress:
        progress(done, total, rejected)
    first = 0
    for source, reader in zip(collection.sources, readers, strict=True):
        places = source.places
        chunks = chunks_of(places)
        left, finished = chunks[finished:], max(0, finished - len(chunks))
        for reads, chunk in read(reader, places, left, first):
            staging.append(reads, chunk)
            done, rejected = done + len(reads), rejected + sum(bool(one.reason) for one in reads)
            if progress:
                progress(done, total, rejected)
        first += len(places)


def _all_rejected(collection: Collection, reads: list[Read]) -> pd.DataFrame:
    files = collection.files
    unread = [(files[read.entry], read.reason) for read in reads if read.reason]
    return pd.concat(
        [collection.rejected, pd.DataFrame(unread, columns=["file", "reason"], dtype=str)]
    ).sort_values("file", ignore_index=True)
