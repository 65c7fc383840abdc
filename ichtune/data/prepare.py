"""Making a slice store from a source: read in parallel, check, resize, split; a killed run resumes where it stopped."""

import hashlib
import hmac
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ichtune.data.options import PrepareOptions
from ichtune.data.patients import settle_patients
from ichtune.data.reading import CHUNK, Reader, read_in_order
from ichtune.data.sources import NothingUsable, Source, open_source
from ichtune.data.splits import SplitPlan, assign_splits, check_patients
from ichtune.data.staging import Staging, preparing
from ichtune.data.store import COLUMNS, VERSION, SliceStore, StoreInfo, fingerprint, write_info
from ichtune.errors import InputError
from ichtune.labels import LABELS
from ichtune.spreadsheet import csv_text
from ichtune.windows import Window

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


def prepare(source: Path, store: Path, options: PrepareOptions, progress: Progress | None = None) -> Prepared:
    """Make a slice store from a source, resuming where a killed run stopped.

    Raises:
        InputError: the source, labels file or an option can't be used, the store is finished and `overwrite` not set,
            or another process is preparing it.
        NotPrepared: an InputError after rejecting slices: none are left, or too few patients for the splits.
        TooManyRejected: more than `max_rejected` of the slices were rejected.
        OSError: the disk is full or a folder can't be written; finished work is kept for the next run.
    """
    _check_target(store, options.overwrite)
    with preparing(store):
        _check_target(store, options.overwrite)  # another process may have just finished it
        return _prepare(source, store, options, progress)


def _prepare(source: Path, store: Path, options: PrepareOptions, progress: Progress | None) -> Prepared:
    work = store.with_name(store.name + ".partial")
    try:
        opened = open_source(
            source, labels=options.labels, kind=options.format, window=Window.parse(options.window)
        )
    except NothingUsable as error:
        raise _not_prepared(error, error.rejected, work) from None
    total = len(opened.entries) + len(opened.rejected)
    _check_rejected(opened.rejected, total, options.max_rejected, work)
    _check_named_patients(opened, _split_plan(options), work)
    staging = Staging.begin(work, options.size, _plan(opened, options))
    _read_all(opened, staging, options.workers or os.cpu_count() or 1, progress)
    rejected = _all_rejected(opened, staging)
    _check_rejected(rejected, total, options.max_rejected, work)
    try:
        notes = _write_tables(opened, staging, rejected, options)
    except InputError as error:
        raise _not_prepared(error, rejected, work) from None
    staging.finish()
    staging.move_to(store)
    return Prepared(SliceStore.open(store), rejected, (*notes, *opened.notes))


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


def _check_named_patients(source: Source, plan: SplitPlan, work: Path) -> None:
    """Refuse splits with too few patients named in the table, before reading any image."""
    patients = source.entries["patient_id"]
    if (patients == "").any():
        return
    try:
        check_patients(settle_patients(source.entries).ids.nunique(), plan)
    except InputError as error:
        raise _not_prepared(error, source.rejected, work) from None


def _not_prepared(error: InputError, rejected: pd.DataFrame, work: Path) -> NotPrepared:
    kept = _keep_rejected(rejected, work) if len(rejected) else work
    return NotPrepared(str(error), rejected, kept)


def _keep_rejected(rejected: pd.DataFrame, work: Path) -> Path:
    work.mkdir(parents=True, exist_ok=True)
    return _write_rejected(rejected, work)


def _write_rejected(rejected: pd.DataFrame, folder: Path) -> Path:
    file = folder / "rejected.csv"
    file.write_text(csv_text(rejected), encoding="utf-8")
    return file


def _split_plan(options: PrepareOptions) -> SplitPlan:
    if options.all_test:
        return SplitPlan.all_test(options.seed)
    return SplitPlan(options.test_fraction, options.folds, options.seed)


def _plan(source: Source, options: PrepareOptions) -> dict[str, object]:
    """Return everything that affects reading: a run with another plan must not resume."""
    entries = hashlib.sha256(source.entries.to_csv(index=False).encode()).hexdigest()
    return {
        "version": VERSION,
        "root": str(source.root.resolve()),
        "entries": entries,
        "size": options.size,
        "window": list(source.window),
        "chunk": CHUNK,
    }


def _read_all(source: Source, staging: Staging, workers: int, progress: Progress | None) -> None:
    """Read every entry that isn't staged yet into the staging, in order."""
    files = source.entries["file"].tolist()
    starts = range(staging.chunks * CHUNK, len(files), CHUNK)
    done, rejected = min(staging.chunks * CHUNK, len(files)), len(source.rejected)
    rejected += done - staging.slices
    if progress:
        progress(done, len(files), rejected)
    needs_patient = source.format == "rsna" and not source.has_images
    reader = Reader(source.root, source.window, staging.size, needs_patient, staging.incoming)
    for reads, chunk in read_in_order(reader, files, starts, workers):
        staging.append(reads, chunk)
        done, rejected = done + len(reads), rejected + sum(bool(read.reason) for read in reads)
        if progress:
            progress(done, len(files), rejected)


def _all_rejected(source: Source, staging: Staging) -> pd.DataFrame:
    files = source.entries["file"].to_numpy()
    unread = [(files[read.entry], read.reason) for read in staging.reads() if read.reason]
    return pd.concat(
        [source.rejected, pd.DataFrame(unread, columns=["file", "reason"], dtype=str)]
    ).sort_values("file", ignore_index=True)


def _write_tables(
    source: Source, staging: Staging, rejected: pd.DataFrame, options: PrepareOptions
) -> tuple[str, ...]:
    """Write everything but the pixels; return notes on the patients."""
    slices, digests = _slices(source, staging)
    patients = settle_patients(slices)
    slices = slices.assign(patient_id=patients.ids)
    plan = _split_plan(options)
    split, fold = _stable_splits(slices, plan)
    slices = slices.assign(split=split, fold=fold.astype(np.int16))
    for label in LABELS:
        slices[label] = slices[label].astype("Int8")
    if options.hash_ids:
        slices, rejected = _hashed(slices, rejected)
    slices = slices[list(COLUMNS)]
    slices.to_parquet(staging.store / "slices.parquet", index=False, write_page_checksum=True)
    _write_rejected(rejected, staging.store)
    np.save(staging.store / "digests.npy", digests)
    write_info(
        staging.store,
        StoreInfo(
            version=VERSION,
            slices=len(slices),
            patients=patients.ids.nunique(),
            rejected=len(rejected),
            size=options.size,
            format=source.format,
            window=tuple(source.window) if source.has_images else None,
            test_fraction=plan.test_fraction,
            folds=plan.folds,
            seed=plan.seed,
            hashed_ids=options.hash_ids,
            patients_known=patients.known,
            fingerprint=fingerprint(slices, digests),
        ),
    )
    return patients.notes


def _slices(source: Source, staging: Staging) -> tuple[pd.DataFrame, np.ndarray]:
    """Return a row per slice with what the labels file and the images' headers say, and the pixels' digests."""
    reads = pd.DataFrame([vars(read) for read in staging.reads() if not read.reason])
    if reads.empty:
        raise InputError(f"{source.root}: no slice could be read")
    slices = source.entries.iloc[reads["entry"]].reset_index(drop=True)
    for column in ("patient_id", "study_id", "series_id"):
        slices[column] = slices[column].where(slices[column] != "", reads[column])
    slices["z_mm"] = slices["z_mm"].fillna(reads["z_mm"].astype(float))
    return slices, reads["digest"].to_numpy(np.uint64)


def _stable_splits(slices: pd.DataFrame, plan: SplitPlan) -> tuple[np.ndarray, np.ndarray]:
    """Assign splits to rows sorted by identifier, so that file names and their order don't matter."""
    order = slices.sort_values(["patient_id", "slice_id"]).index.to_numpy()
    split, fold = np.empty(len(slices), object), np.empty(len(slices), int)
    split[order], fold[order] = assign_splits(
        slices["patient_id"].to_numpy()[order], slices[list(LABELS)].to_numpy(float)[order], plan
    )
    return split, fold


def _hashed(slices: pd.DataFrame, rejected: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Replace identifiers by keyed hashes; the key is discarded unless ICHTUNE_HASH_SALT sets it."""
    salt = os.environ.get("ICHTUNE_HASH_SALT", "").encode() or secrets.token_bytes(32)

    def hashed(value: str) -> str:
        return hmac.new(salt, value.encode(), "sha256").hexdigest()[:16] if value else ""

    ids = ("slice_id", "patient_id", "study_id", "series_id")
    return slices.assign(**{name: slices[name].map(hashed) for name in ids}), rejected.assign(
        file=rejected["file"].map(hashed)
    )
