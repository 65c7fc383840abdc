"""From a source to a slice store: read in parallel, checked, resized, split; a killed run goes on where it was."""

import hashlib
import hmac
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ichtune.data.reading import CHUNK, Reader, read_in_order
from ichtune.data.sources import Source, open_source
from ichtune.data.splits import assign_splits
from ichtune.data.staging import Staging
from ichtune.data.store import COLUMNS, VERSION, SliceStore, StoreInfo, fingerprint, write_info
from ichtune.data.windows import WINDOWS, Window
from ichtune.errors import InputError
from ichtune.labels import LABELS
from ichtune.spreadsheet import csv_text

Progress = Callable[[int, int, int], None]
"""Called with entries done, entries in all, and rejected so far."""


@dataclass(frozen=True)
class PrepareOptions:
    """What a store is made with, besides its source."""

    labels: Path | None = None
    format: str = "auto"
    size: int = 256
    window: Window = WINDOWS["brain"]
    test_fraction: float = 0.2
    folds: int = 5
    seed: int = 0
    workers: int | None = None
    hash_ids: bool = False
    max_rejected: float = 0.05
    overwrite: bool = False


class TooManyRejected(Exception):
    """More of a source was rejected than allowed; what was read is kept for another try."""

    def __init__(self, rejected: pd.DataFrame, total: int, limit: float, kept: Path) -> None:
        self.rejected = rejected
        share = len(rejected) / total
        super().__init__(
            f"{len(rejected):,} of {total:,} slices ({share:.1%}) were rejected, more than --max-rejected {limit:g} "
            f"allows; they are listed in {kept}"
        )


@dataclass(frozen=True)
class Prepared:
    """A new store, what was rejected on the way (`file, reason`, plain names), and what the user should know."""

    store: SliceStore
    rejected: pd.DataFrame
    notes: tuple[str, ...]


def prepare(source: Path, store: Path, options: PrepareOptions, progress: Progress | None = None) -> Prepared:
    """Make a slice store of a source, or go on making it where a killed run stopped.

    Raises:
        InputError: a source, labels file or option that can't be used, or a finished store without `overwrite`.
        TooManyRejected: more than `max_rejected` of the slices can't be used.
        OSError: the disk is full or a folder can't be written; what is done stays for the next run.
    """
    _check_target(store, options.overwrite)
    opened = open_source(source, labels=options.labels, kind=options.format, window=options.window)
    total = len(opened.entries) + len(opened.rejected)
    work = store.with_name(store.name + ".partial")
    _check_rejected(opened.rejected, total, options.max_rejected, work)
    staging = Staging.begin(work, options.size, _plan(opened, options))
    _read_all(opened, staging, options.workers or os.cpu_count() or 1, progress)
    rejected = _all_rejected(opened, staging)
    _check_rejected(rejected, total, options.max_rejected, work)
    _write_tables(opened, staging, rejected, options)
    staging.finish()
    staging.move_to(store)
    return Prepared(SliceStore.open(store), rejected, opened.notes)


def _check_target(store: Path, overwrite: bool) -> None:
    if (store / "store.json").is_file():
        if not overwrite:
            raise InputError(f"{store}: a finished store is already here; --overwrite replaces it")
    elif store.exists() and (not store.is_dir() or any(store.iterdir())):
        raise InputError(f"{store}: exists and is not a slice store; choose another folder")
    parent = next(folder for folder in store.absolute().parents if folder.exists())
    if not os.access(parent, os.W_OK):
        raise InputError(f"{parent}: the folder can't be written; choose another place for the store")


def _check_rejected(rejected: pd.DataFrame, total: int, limit: float, work: Path) -> None:
    if len(rejected) > limit * total:
        work.mkdir(parents=True, exist_ok=True)
        (work / "rejected.csv").write_text(csv_text(rejected), encoding="utf-8")
        raise TooManyRejected(rejected, total, limit, work / "rejected.csv")


def _plan(source: Source, options: PrepareOptions) -> dict[str, object]:
    """Everything that what is read depends on: a run of another plan must not go on with it."""
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
    """Bring every entry that the staging doesn't hold yet into it, in the entries' order."""
    files = source.entries["file"].tolist()
    starts = range(staging.chunks * CHUNK, len(files), CHUNK)
    done, rejected = min(staging.chunks * CHUNK, len(files)), len(source.rejected)
    rejected += done - staging.slices
    if progress:
        progress(done, len(files), rejected)
    needs_patient = source.format == "rsna"
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


def _write_tables(source: Source, staging: Staging, rejected: pd.DataFrame, options: PrepareOptions) -> None:
    slices, digests = _slices(source, staging)
    split, fold = _stable_splits(slices, options)
    slices = slices.assign(split=split, fold=fold.astype(np.int16))
    for label in LABELS:
        slices[label] = slices[label].astype("Int8")
    patients = slices["patient_id"].nunique()
    if options.hash_ids:
        slices, rejected = _hashed(slices, rejected)
    slices = slices[list(COLUMNS)]
    slices.to_parquet(staging.store / "slices.parquet", index=False)
    (staging.store / "rejected.csv").write_text(csv_text(rejected), encoding="utf-8")
    np.save(staging.store / "digests.npy", digests)
    write_info(
        staging.store,
        StoreInfo(
            version=VERSION,
            slices=len(slices),
            patients=patients,
            rejected=len(rejected),
            size=options.size,
            format=source.format,
            window=tuple(source.window) if source.has_images else None,
            test_fraction=options.test_fraction,
            folds=options.folds,
            seed=options.seed,
            hashed_ids=options.hash_ids,
            patients_known=source.patients_known,
            fingerprint=fingerprint(slices, digests),
        ),
    )


def _slices(source: Source, staging: Staging) -> tuple[pd.DataFrame, np.ndarray]:
    """A row a slice with what the labels file and the images' headers told, and the pixels' digests."""
    reads = pd.DataFrame([vars(read) for read in staging.reads() if not read.reason])
    if reads.empty:
        raise InputError(f"{source.root}: not one slice could be read")
    slices = source.entries.iloc[reads["entry"]].reset_index(drop=True)
    for column in ("patient_id", "study_id", "series_id"):
        slices[column] = slices[column].where(slices[column] != "", reads[column])
    slices["patient_id"] = slices["patient_id"].where(slices["patient_id"] != "", slices["slice_id"])
    slices["z_mm"] = slices["z_mm"].fillna(reads["z_mm"].astype(float))
    return slices, reads["digest"].to_numpy(np.uint64)


def _stable_splits(slices: pd.DataFrame, options: PrepareOptions) -> tuple[np.ndarray, np.ndarray]:
    """Splits from rows in the order of their identifiers, so that file names and their order don't matter."""
    order = slices.sort_values(["patient_id", "slice_id"]).index.to_numpy()
    split, fold = np.empty(len(slices), object), np.empty(len(slices), int)
    split[order], fold[order] = assign_splits(
        slices["patient_id"].to_numpy()[order],
        slices[list(LABELS)].to_numpy(float)[order],
        test_fraction=options.test_fraction,
        folds=options.folds,
        seed=options.seed,
    )
    return split, fold


def _hashed(slices: pd.DataFrame, rejected: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Identifiers replaced by keyed hashes; the key is thrown away, unless ICHTUNE_HASH_SALT sets it."""
    salt = os.environ.get("ICHTUNE_HASH_SALT", "").encode() or secrets.token_bytes(32)

    def hashed(value: str) -> str:
        return hmac.new(salt, value.encode(), "sha256").hexdigest()[:16] if value else ""

    ids = ("slice_id", "patient_id", "study_id", "series_id")
    return slices.assign(**{name: slices[name].map(hashed) for name in ids}), rejected.assign(
        file=rejected["file"].map(hashed)
    )
