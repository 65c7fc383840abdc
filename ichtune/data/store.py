"""A slice store on disk: Hounsfield units and a table, opened in milliseconds however many slices it has."""

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from ichtune.arrays import map_array
from ichtune.data.scans import Scans
from ichtune.data.slice_table import REQUIRED, SCAN_LABELS, StoreError, count_slices, read_slices
from ichtune.data.splits import TEST, fold_rows
from ichtune.files import refuse_ways_out
from ichtune.json_text import read_json
from ichtune.labels import LABELS
from ichtune.remote import Remote, is_uri

VERSION: Final = 2
READABLE: Final = (1, VERSION)
ABOUT: Final = "store.json"


@dataclass(frozen=True)
class StoreInfo:
    """What `store.json` holds."""

    version: int
    slices: int
    patients: int
    rejected: int
    size: int
    format: str
    window: tuple[float, float] | None
    test_fraction: float
    folds: int
    seed: int
    hashed_ids: bool
    patients_known: bool
    fingerprint: str
    sources: tuple[str, ...] = ()
    """Names of the sources, if there are several; version 1 had only one."""
    folds_by_source: bool = False
    """Whether each fold holds out a whole source, in the order of `sources`."""
    keeps_given_split: bool = False
    """Whether the test set is the one that the source has, instead of one that was drawn."""
    reading: dict[str, str] = field(default_factory=dict)
    """Options that the source was read with, apart from their defaults, by name (see `PrepareOptions.reading`)."""


class SliceStore:
    """N slices of S x S pixels with their labels and splits, memory-mapped and read-only."""

    def __init__(self, path: Path, info: StoreInfo, hu: np.ndarray, uri: str | None = None) -> None:
        self.path = path
        """Its folder on this machine."""
        self.place = uri or path
        """Where any machine opens it: its folder, or the URI that the folder is a copy of."""
        self.info = info
        self.hu = hu
        """Hounsfield units, int16 [N, S, S]."""

    @staticmethod
    def is_at(place: str | Path) -> bool:
        """Whether there is a finished store in a folder or at a URI.

        Raises:
            InputError: the URI can't be reached.
        """
        return Remote(str(place)).has(ABOUT) if is_uri(place) else (Path(place) / ABOUT).is_file()

    @classmethod
    def open(cls, path: str | Path) -> "SliceStore":
        """Open the store in a folder, without reading its pixels or its table; one at a URI is copied here first.

        Raises:
            InputError: the URI can't be reached, or there is no room for the copy.
            StoreError: there is no finished store, it has another version, or its files don't match.
        """
        uri = str(path) if is_uri(path) else None
        if uri:
            from ichtune.data.node_copy import node_copy  # which checks a copy by opening it

            path = node_copy(uri)
        path = Path(path)
        if (path / ABOUT).exists():  # no look through a folder that is something else
            refuse_ways_out(path)
        info = _read_info(path)
        hu = _map_hu(path, info)
        _check_table(path, info)
        return cls(path, info, hu, uri)

    def __len__(self) -> int:
        return self.info.slices

    def __repr__(self) -> str:
        return f"SliceStore({str(self.path)!r}, {len(self):,} slices of {self.size} x {self.size})"

    @property
    def size(self) -> int:
        """Pixels along a side."""
        return self.info.size

    @property
    def fingerprint(self) -> str:
        """Identifies the content: pixels, labels, identifiers and splits."""
        return self.info.fingerprint

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row per slice, in the order of `hu`; labels are nullable integers, `fold` is -1 in the test set.

        Raises:
            StoreError: the file is damaged.
        """
        return read_slices(self.path / "slices.parquet")

    @cached_property
    def digests(self) -> np.ndarray:
        """Digests of the slices' pixels when they were prepared, uint64 [N].

        Raises:
            StoreError: the file is missing, damaged, or belongs to another store.
        """
        file = self.path / "digests.npy"
        try:
            digests = map_array(file)
        except (OSError, ValueError, EOFError) as error:
            raise StoreError(f"{file}: damaged or missing ({error}); prepare the store again") from None
        if digests.shape != (len(self),) or digests.dtype != np.uint64:
            raise StoreError(
                f"{file}: holds {digests.dtype} {digests.shape}, must be uint64 {(len(self),)}; prepare the store again"
            )
        return digests

    @cached_property
    def labels(self) -> np.ndarray:
        """Labels, float32 [N, 6] in the order of LABELS, NaN if unknown."""
        return self.table[list(LABELS)].to_numpy(np.float32, na_value=np.nan)

    @cached_property
    def scans(self) -> Scans:
        """The store's scans: their slices in order, and each slice's neighbours."""
        return Scans.of(self.table)

    @cached_property
    def patients(self) -> np.ndarray:
        """The patient of each slice, [N]."""
        return self.table["patient_id"].to_numpy()

    @cached_property
    def train(self) -> np.ndarray:
        """Rows outside the test set, int64."""
        return np.flatnonzero(self.table["split"] != TEST)

    @cached_property
    def test(self) -> np.ndarray:
        """Rows of the test set, int64."""
        return np.flatnonzero(self.table["split"] == TEST)

    def fold_indices(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return each fold's training rows and validation rows, int64; the test set is in neither."""
        return fold_rows(self.table["fold"].to_numpy(), self.info.folds)


def fingerprint(table: pd.DataFrame, digests: np.ndarray) -> str:
    """Return a short hash of a store's table and its slices' digests (uint64 [N]).

    Columns that version 1 didn't have count only where they say something, so that the same data keep their hash.
    """
    content = hashlib.sha256(digests.astype("<u8").tobytes())
    known = [name for name in SCAN_LABELS.values() if name in table.columns and table[name].notna().any()]
    several = ["source"] if "source" in table.columns and table["source"].nunique() > 1 else []
    for column in (*REQUIRED, *several, *known):
        content.update(table[column].to_csv(index=False, float_format="%.6g").encode())
    return content.hexdigest()[:16]


def write_info(path: Path, info: StoreInfo) -> None:
    """Write `store.json`, the last file of a store, without which it can't be opened."""
    (path / ABOUT).write_text(json.dumps(asdict(info), indent=2) + "\n")


def _read_info(path: Path) -> StoreInfo:
    file = path / ABOUT
    if not path.is_dir():
        raise StoreError(f"{path}: no such store; create one with `ichtune prepare SOURCE {path}`")
    if not file.is_file():
        raise StoreError(
            f"{path}: not a finished slice store (no store.json); create one with `ichtune prepare SOURCE {path}`"
        )
    try:
        content = read_json(file)
        version = content["version"]
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{file}: damaged, not a store's description ({error}); prepare the store again"
        ) from None
    if version not in READABLE:
        raise StoreError(
            f"{path}: a store of version {version}, but this ichtune reads versions up to {VERSION}; "
            "prepare the store again"
        )
    try:
        info = StoreInfo(**content)
        reading = {str(name): str(value) for name, value in dict(info.reading).items()}
        return replace(info, sources=tuple(info.sources), reading=reading)  # JSON has no tuples
    except (TypeError, ValueError) as error:
        raise StoreError(f"{file}: damaged, {error}; prepare the store again") from None


def _map_hu(path: Path, info: StoreInfo) -> np.ndarray:
    file, shape = path / "hu.npy", (info.slices, info.size, info.size)
    try:
        hu = map_array(file)
    except (OSError, ValueError) as error:
        raise StoreError(f"{file}: damaged or missing ({error}); prepare the store again") from None
    if hu.shape != shape or hu.dtype != np.int16:
        raise StoreError(
            f"{file}: holds {hu.dtype} {hu.shape}, store.json says int16 {shape}; prepare the store again"
        )
    return hu


def _check_table(path: Path, info: StoreInfo) -> None:
    file = path / "slices.parquet"
    try:
        rows = count_slices(file)
    except (OSError, ValueError) as error:
        raise StoreError(f"{file}: damaged or missing ({error}); prepare the store again") from None
    if rows != info.slices:
        raise StoreError(
            f"{file}: has {rows:,} rows, store.json says {info.slices:,} slices; prepare the store again"
        )
