"""Making a slice store from a source: read in parallel, check, resize, split; a killed run resumes where it stopped."""

import hashlib
import hmac
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.core.util.hashing import hash_pandas_object

from ichtune.data.collection import Collection, open_collection
from ichtune.data.options import PrepareOptions, parse_folds
from ichtune.data.reading import CHUNK, Reader, chunks_of, read_in_order
from ichtune.data.slice_table import SCAN_LABELS, with_all_columns
from ichtune.data.sources import NothingUsable
from ichtune.data.splits import SplitPlan, assign_splits, check_patients
from ichtune.data.staging import Staging, preparing
from ichtune.data.store import VERSION, SliceStore, StoreInfo, fingerprint, write_info
from ichtune.errors import InputError
from ichtune.labels import LABELS
from ichtune.spreadsheet import csv_text

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
    sources: Path | Sequence[Path], store: Path, options: PrepareOptions, progress: Progress | None = None
) -> Prepared:
    """Make a slice store from one or several sources, resuming where a killed run stopped.

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
        return _prepare(roots, store, options, progress)


def _prepare(
    roots: Sequence[Path], store: Path, options: PrepareOptions, progress: Progress | None
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
    staging = Staging.begin(work, options.size, _plan(collection, options))
    _read_all(collection, staging, options.workers or os.cpu_count() or 1, progress)
    rejected = _all_rejected(collection, staging)
    _check_rejected(rejected, total, options.max_rejected, work)
    try:
        notes = _write_tables(collection, staging, rejected, plan, options)
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
    return _write_rejected(rejected, work)


def _write_rejected(rejected: pd.DataFrame, folder: Path) -> Path:
    file = folder / "rejected.csv"
    file.write_text(csv_text(rejected), encoding="utf-8")
    return file


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
            hash_pandas_object(collection.entries, index=False).to_numpy().tobytes()
        ).hexdigest(),
        "size": options.size,
        "window": list(options.grey_window),
        "reading": options.reading,
        "chunk": CHUNK,
    }


def _read_all(collection: Collection, staging: Staging, workers: int, progress: Progress | None) -> None:
    """Read every entry that isn't staged yet into the staging, in order."""
    total, rejected = len(collection.entries), len(collection.rejected)
    done, finished = staging.entries, staging.chunks
    rejected += done - staging.slices
    if progress:
        progress(done, total, rejected)
    first = 0
    for source in collection.sources:
        places = source.places
        chunks = chunks_of(places)
        left, finished = chunks[finished:], max(0, finished - len(chunks))
        reader = Reader(source.root, source.window, staging.size, source.needs_patient, staging.incoming)
        for reads, chunk in read_in_order(reader, places, left, first, workers):
            staging.append(reads, chunk)
            done, rejected = done + len(reads), rejected + sum(bool(read.reason) for read in reads)
            if progress:
                progress(done, total, rejected)
        first += len(places)


def _all_rejected(collection: Collection, staging: Staging) -> pd.DataFrame:
    files = collection.files
    unread = [(files[read.entry], read.reason) for read in staging.reads() if read.reason]
    return pd.concat(
        [collection.rejected, pd.DataFrame(unread, columns=["file", "reason"], dtype=str)]
    ).sort_values("file", ignore_index=True)


def _write_tables(
    collection: Collection, staging: Staging, rejected: pd.DataFrame, plan: SplitPlan, options: PrepareOptions
) -> tuple[str, ...]:
    """Write everything but the pixels; return notes on the patients."""
    slices, digests = _slices(collection, staging)
    patients = collection.settle_patients(slices)
    slices = slices.assign(patient_id=patients.ids)
    slices = slices.assign(**_stable_splits(slices, plan, collection))
    for label in (*LABELS, *SCAN_LABELS.values()):
        slices[label] = slices[label].astype("Int8")
    if options.hash_ids:
        slices, rejected = _hashed(slices, rejected)
    slices = with_all_columns(slices)
    slices.to_parquet(staging.store / "slices.parquet", index=False, write_page_checksum=True)
    _write_rejected(rejected, staging.store)
    if len(collection.series) and not options.hash_ids:
        (staging.store / "series.csv").write_text(csv_text(collection.series), encoding="utf-8")
    np.save(staging.store / "digests.npy", digests)
    write_info(
        staging.store,
        StoreInfo(
            version=VERSION,
            slices=len(slices),
            patients=patients.ids.nunique(),
            rejected=len(rejected),
            size=options.size,
            format=collection.format,
            window=tuple(options.grey_window) if collection.has_images else None,
            test_fraction=plan.test_fraction,
            folds=plan.folds,
            seed=plan.seed,
            hashed_ids=options.hash_ids,
            patients_known=patients.known,
            fingerprint=fingerprint(slices, digests),
            sources=collection.names if collection.is_several else (),
            folds_by_source=plan.by_source,
            keeps_given_split=plan.keeps_given,
            reading=options.reading,
        ),
    )
    return patients.notes


def _slices(collection: Collection, staging: Staging) -> tuple[pd.DataFrame, np.ndarray]:
    """Return a row per slice with what the labels file and the images' headers say, and the pixels' digests."""
    reads = pd.DataFrame([vars(read) for read in staging.reads() if not read.reason])
    if reads.empty:
        raise InputError(f"{', '.join(str(one.root) for one in collection.sources)}: no slice could be read")
    slices = collection.entries.iloc[reads["entry"]].reset_index(drop=True)
    for column in ("patient_id", "study_id", "series_id", "series_description"):
        slices[column] = slices[column].where(slices[column] != "", reads[column])
    slices["z_mm"] = slices["z_mm"].fillna(reads["z_mm"].astype(float))
    for column in ("thickness_mm", "pixel_mm"):
        slices[column] = reads[column].astype(float)
    return slices, reads["digest"].to_numpy(np.uint64)


def _stable_splits(slices: pd.DataFrame, plan: SplitPlan, collection: Collection) -> dict[str, np.ndarray]:
    """Assign `split` and `fold` to rows sorted by identifier, so that file names and their order don't matter."""
    order = slices.sort_values(["patient_id", "slice_id"]).index.to_numpy()
    ordered = slices.iloc[order]
    numbers = {name: number for number, name in enumerate(collection.names)}
    split, fold = np.empty(len(slices), object), np.empty(len(slices), np.int16)
    split[order], fold[order] = assign_splits(
        ordered["patient_id"].to_numpy(),
        _labels_to_stratify(ordered),
        plan,
        ordered["given_split"].to_numpy() if plan.keeps_given else None,
        ordered["source"].map(numbers).to_numpy() if plan.by_source else None,
    )
    return {"split": split, "fold": fold}


def _labels_to_stratify(slices: pd.DataFrame) -> np.ndarray:
    """Return the labels of slices, or where these are unknown those of their scan, [N, 6]."""
    labels, of_scan = (slices[list(names)].to_numpy(float) for names in (LABELS, SCAN_LABELS.values()))
    return np.where(np.isnan(labels), of_scan, labels)


def _hashed(slices: pd.DataFrame, rejected: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Replace identifiers by keyed hashes; the key is discarded unless ICHTUNE_HASH_SALT sets it.

    Descriptions, which are free text, are left out.
    """
    salt = os.environ.get("ICHTUNE_HASH_SALT", "").encode() or secrets.token_bytes(32)

    def hashed(value: str) -> str:
        return hmac.new(salt, value.encode(), "sha256").hexdigest()[:16] if value else ""

    ids = ("slice_id", "patient_id", "study_id", "series_id")
    anonymous = slices.assign(**{name: slices[name].map(hashed) for name in ids}, series_description="")
    return anonymous, rejected.assign(file=rejected["file"].map(hashed))
