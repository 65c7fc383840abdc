"""`reads.csv` of CQ500: what three radiologists saw in each scan, and what follows for its labels."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from ichtune.data.columns import label_of
from ichtune.data.label_tables import label_values, original_names, read_csv, read_header
from ichtune.errors import InputError
from ichtune.labels import ANY, LABELS, SUBTYPES

READS: Final = "reads.csv"
_READ: Final = re.compile(r"(r\d+):(.+)")
_SCAN: Final = re.compile(r"CQ500[\W_]*CT[\W_]*(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Reads:
    """The scans of the table: `labels` by name (float32, NaN if unknown), and the names by number."""

    labels: pd.DataFrame
    names: dict[int, str]
    notes: tuple[str, ...]


def is_reads(table: Path) -> bool:
    """Whether a file has the columns of CQ500's reads."""
    header = read_header(table)
    return "name" in header and bool(_columns(header))


def scan_number(text: str) -> int | None:
    """Return the number of the scan that a name or path has, such as 427 of `CQ500CT427 CQ500CT427`."""
    found = _SCAN.search(text)
    return int(found[1]) if found else None


def read_reads(path: Path, readers: str) -> Reads:
    """Read the table; a scan has a label if `readers` (any, a majority or all of them) saw it.

    A label that depends on a read that is missing is unknown.

    Raises:
        InputError: the file can't be used, a cell is neither 0 nor 1, or a scan has two rows that differ.
    """
    table = read_csv(path)
    columns = _columns(table.columns)
    if "name" not in table.columns or not columns:
        raise InputError(
            f"{path}: not CQ500's reads, which have the columns name and R1:ICH, R1:IPH, ...; it has "
            f"{', '.join(original_names(path).values())}"
        )
    votes = table[["name", *columns]].apply(lambda column: column.str.strip())
    votes = votes.drop_duplicates()
    numbers = _numbers(votes["name"], path)
    reads = pd.DataFrame({column: _values(votes[column], path) for column in columns}).set_index(
        votes["name"]
    )
    labels = pd.DataFrame(index=reads.index, columns=list(LABELS), dtype=np.float32)
    for label in LABELS:
        own = [column for column, of in columns.items() if of == label]
        labels[label] = _agreed(reads[own], readers)
    names = dict(zip(numbers, votes["name"], strict=True))
    conflicting = _settle_any(labels)
    return Reads(labels, names, tuple(_notes(reads, labels, conflicting, readers)))


def _columns(header: "list[str] | pd.Index") -> dict[str, str]:
    """Return the label of each column that has a reader's opinion on one."""
    found = {}
    for name in header:
        parts = _READ.fullmatch(name)
        column = label_of(parts[2]) if parts else None
        if column and not column.negated:
            found[name] = column.label
    return found


def _numbers(names: pd.Series, path: Path) -> list[int]:
    numbers = names.map(scan_number)
    if (wrong := numbers.isna()).any():
        row = numbers.index[wrong][0]
        raise InputError(f"{path}: line {row}: name must be like CQ500-CT-427, got {names[row]!r}")
    if (twice := numbers.duplicated()).any():
        row = numbers.index[twice][0]
        raise InputError(f"{path}: line {row}: {names[row]} has another row with other reads; keep one")
    return numbers.astype(int).tolist()


def _values(text: pd.Series, path: Path) -> np.ndarray:
    values = label_values(text)
    if (wrong := values < 0).any():
        row = values.index[wrong][0]
        raise InputError(
            f"{path}: line {row}: {str(text.name).upper()} must be 0 or 1, or empty, got {text[row]!r}"
        )
    return values.to_numpy()


def _agreed(reads: pd.DataFrame, readers: str) -> pd.Series:
    """Return what so many readers agree on; NaN if missing reads could turn it."""
    needed = {"any": 1, "majority": reads.shape[1] // 2 + 1, "all": reads.shape[1]}[readers]
    positive = (reads == 1).sum(axis=1)
    possible = positive + reads.isna().sum(axis=1)
    known = positive.ge(needed).astype(np.float32).where(positive.ge(needed) | possible.lt(needed))
    return known if reads.shape[1] else pd.Series(np.nan, index=reads.index)


def _settle_any(labels: pd.DataFrame) -> pd.Index:
    """Fit `any` and the subtypes to each other, in place; return the scans that have a subtype but not any."""
    subtypes = labels[list(SUBTYPES)]
    some = subtypes.max(axis=1) == 1
    conflicting = labels.index[some & (labels[ANY] == 0)]
    labels[ANY] = labels[ANY].where(~some, 1).astype(np.float32)
    none = labels[ANY] == 0
    labels.loc[none, list(SUBTYPES)] = np.float32(0)
    return conflicting


def _notes(reads: pd.DataFrame, labels: pd.DataFrame, conflicting: pd.Index, readers: str) -> list[str]:
    counts = ", ".join(f"{label} {int((labels[label] == 1).sum()):,}" for label in reversed(LABELS))
    seen = {"any": "any reader", "majority": "most readers", "all": "all readers"}[readers]
    notes = [
        f"Positive scans, of {len(labels):,} in the table, as {seen} saw it (--readers {readers}): {counts}."
    ]
    if missing := int(reads.isna().any(axis=1).sum()):
        unknown = int(labels.isna().any(axis=1).sum())
        notes.append(
            f"Scans that lack reads: {missing:,}; scans with labels that are unknown, as missing reads could turn "
            f"them: {unknown:,}."
        )
    if len(conflicting):
        notes.append(
            f"Scans with a subtype by --readers {readers} but no hemorrhage, which count as positive: "
            f"{len(conflicting):,}, such as {conflicting[0]}."
        )
    return notes
