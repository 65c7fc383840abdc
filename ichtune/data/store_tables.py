"""Everything of a new store but its pixels: its table of slices, what was rejected, digests, and `store.json`."""

import hmac
import os
import re
import secrets
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from ichtune.data.collection import Collection
from ichtune.data.copies import contradicting_copies, describe_contradicting_copies
from ichtune.data.options import PrepareOptions
from ichtune.data.patients import describe_divided_patients
from ichtune.data.reading import Read
from ichtune.data.slice_table import SCAN_LABELS, with_all_columns
from ichtune.data.splits import SplitPlan, assign_splits
from ichtune.data.store import VERSION, StoreInfo, fingerprint, write_info
from ichtune.errors import InputError
from ichtune.labels import LABELS
from ichtune.spreadsheet import csv_text

_QUOTED: Final = re.compile(r"""'[^']*'|"[^"]*\"""")


def write_tables(
    collection: Collection,
    reads: list[Read],
    folder: Path,
    rejected: pd.DataFrame,
    plan: SplitPlan,
    options: PrepareOptions,
) -> tuple[str, ...]:
    """Write everything of a store but its pixels; return notes on the patients, and on copies with other labels.

    Args:
        reads: what reading made of each entry of the collection.
        folder: the store's.
        rejected: `file, reason`.

    Raises:
        InputError: no slice was read, or there are too few patients for the splits.
    """
    slices, digests, divided = _slices(collection, reads)
    patients = collection.settle_patients(slices)
    slices = slices.assign(patient_id=patients.ids, study_id=collection.study_ids(slices))
    slices = slices.assign(**_stable_splits(slices, plan, collection))
    copies = describe_contradicting_copies(contradicting_copies(slices, digests))
    for label in (*LABELS, *SCAN_LABELS.values()):
        slices[label] = slices[label].astype("Int8")
    if options.hash_ids:
        slices, rejected = _hashed(slices, rejected)
    slices = with_all_columns(slices)
    slices.to_parquet(folder / "slices.parquet", index=False, write_page_checksum=True)
    write_rejected(rejected, folder)
    if len(collection.series) and not options.hash_ids:
        (folder / "series.csv").write_text(csv_text(collection.series), encoding="utf-8")
    np.save(folder / "digests.npy", digests)
    write_info(
        folder,
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
    return (*patients.notes, *divided, *copies)


def _slices(collection: Collection, reads: list[Read]) -> tuple[pd.DataFrame, np.ndarray, list[str]]:
    """Return a row per slice with what the labels file and the headers say, the pixels' digests, and notes."""
    found = pd.DataFrame([vars(read) for read in reads if not read.reason])
    if found.empty:
        raise InputError(f"{', '.join(str(one.root) for one in collection.sources)}: no slice could be read")
    slices = collection.entries.iloc[found["entry"]].reset_index(drop=True)
    divided = describe_divided_patients(slices, found["patient_id"])
    for column in ("patient_id", "study_id", "series_id", "series_description"):
        slices[column] = slices[column].where(slices[column] != "", found[column])
    slices["z_mm"] = slices["z_mm"].fillna(found["z_mm"].astype(float))
    for column in ("thickness_mm", "pixel_mm"):
        slices[column] = found[column].astype(float)
    return slices, found["digest"].to_numpy(np.uint64), divided


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

    Descriptions, which are free text, are left out, and so are the names that reasons quote.
    """
    salt = os.environ.get("ICHTUNE_HASH_SALT", "").encode() or secrets.token_bytes(32)

    def hashed(value: str) -> str:
        return hmac.new(salt, value.encode(), "sha256").hexdigest()[:16] if value else ""

    ids = ("slice_id", "patient_id", "study_id", "series_id")
    anonymous = slices.assign(**{name: slices[name].map(hashed) for name in ids}, series_description="")
    reasons = rejected["reason"].str.replace(_QUOTED, "'...'", regex=True)
    return anonymous, rejected.assign(file=rejected["file"].map(hashed), reason=reasons)


def write_rejected(rejected: pd.DataFrame, folder: Path) -> Path:
    """Write `rejected.csv` (`file, reason`) and return its path."""
    file = folder / "rejected.csv"
    file.write_text(csv_text(rejected), encoding="utf-8")
    return file
