"""Label tables as people keep them: found, read and checked before any image is opened."""

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from ichtune.errors import InputError
from ichtune.labels import ANY, LABELS, SUBTYPES

_TRUE = {"1", "1.0", "true", "yes"}
_FALSE = {"0", "0.0", "false", "no"}


def plain(name: str) -> str:
    """A column's name without what people vary: case, spaces, underscores, hyphens."""
    return re.sub(r"[\s_\-]+", "", name).lower()


def read_csv(path: Path, *, nrows: int | None = None) -> pd.DataFrame:
    """The table in a CSV file, every value a string, columns named `plain`ly.

    Raises:
        InputError: the file is missing, empty, no text, or has two columns of one name.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such labels file; name it with --labels")
    try:
        table = pd.read_csv(
            path, dtype=str, encoding="utf-8-sig", keep_default_na=False, sep=_separator(path), nrows=nrows
        )
    except pd.errors.EmptyDataError:
        raise InputError(f"{path}: the labels file is empty") from None
    except (UnicodeDecodeError, pd.errors.ParserError) as error:
        raise InputError(f"{path}: not a readable CSV file: {error}") from None
    if table.empty:
        raise InputError(f"{path}: the labels file has a header but no rows")
    table.columns = [plain(str(column)) for column in table.columns]
    if not table.columns.is_unique:
        twice = table.columns[table.columns.duplicated()][0]
        raise InputError(
            f"{path}: two columns are named {twice!r} (case, spaces and underscores don't count)"
        )
    return table


def read_header(path: Path) -> list[str]:
    """The `plain` column names of a CSV file; empty where it isn't one."""
    try:
        return list(read_csv(path, nrows=1).columns)
    except InputError:
        return []


def require_columns(table: pd.DataFrame, needed: Iterable[str], path: Path) -> None:
    """Raises InputError where `table` lacks one of `needed`."""
    if missing := [column for column in needed if column not in table.columns]:
        raise InputError(
            f"{path}: the labels file lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}; "
            f"it has {', '.join(table.columns)}"
        )


def label_values(text: pd.Series) -> pd.Series:
    """0 and 1 as float32, NaN for an empty cell, -1 for what is no label."""
    words = text.str.strip().str.lower()
    values = pd.Series(np.float32(-1), index=text.index)
    values[words.isin(_TRUE)] = 1
    values[words.isin(_FALSE)] = 0
    values[words.isin(("", "nan", "na"))] = np.nan
    return values


def read_long(path: Path) -> tuple[pd.DataFrame, pd.Series]:
    """RSNA's long table (`ID,Label`, six rows a slice) as one row a slice, and what is wrong with the others.

    Returns:
        labels indexed by slice id (float32 columns in LABELS' order), and reasons indexed by slice id.

    Raises:
        InputError: a missing, empty or other kind of CSV.
    """
    table = read_csv(path)
    require_columns(table, ("id", "label"), path)
    parts = table["id"].str.strip().str.rpartition("_")
    rows = pd.DataFrame(
        {"slice_id": parts[0], "kind": parts[2].str.lower(), "value": label_values(table["label"])}
    )
    if not rows["kind"].isin(LABELS).any():
        raise InputError(
            f"{path}: no ID ends in a label such as ID_..._{ANY}; is it RSNA's long label table?"
        )
    # Rows that stand twice with the same value say the same thing once.
    rows = rows.drop_duplicates(ignore_index=True)
    wrong = _wrong_rows(rows)
    wide = rows[~rows["slice_id"].isin(wrong.index)].pivot(index="slice_id", columns="kind", values="value")
    return wide.reindex(columns=list(LABELS)).astype(np.float32), wrong


def read_wide(table: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, pd.Series]:
    """A table with a column a label (or a binary one alone) as LABELS' columns, and what is wrong with which row.

    Raises:
        InputError: there is no label column at all.
    """
    present = {label: label_values(table[label]) for label in SUBTYPES if label in table.columns}
    whole, inverted = _any_column(table)
    if whole:
        values = label_values(table[whole])
        present[ANY] = values.where(values < 0, 1 - values) if inverted else values
    if not present:
        raise InputError(
            f"{path}: no label column; it needs {', '.join(SUBTYPES)} or a binary one named any, "
            f"hemorrhage or label; it has {', '.join(table.columns)}"
        )
    labels = pd.DataFrame(present, index=table.index).reindex(columns=list(LABELS)).astype(np.float32)
    unreadable = (labels == -1).any(axis=1)
    known = labels[list(SUBTYPES)]
    if ANY not in present:
        # A slice without any of the subtypes is negative only if all of them are known.
        labels[ANY] = known.max(axis=1).where((known.max(axis=1) == 1) | known.notna().all(axis=1))
    reasons = pd.Series("", index=table.index)
    reasons[labels.isna().all(axis=1)] = "no label: all its label cells are empty"
    reasons[(known.max(axis=1) == 1) & (labels[ANY] == 0)] = (
        "contradictory labels: a subtype is 1 but any is 0"
    )
    reasons[unreadable] = "a label that is neither 0 nor 1"
    return labels, reasons[reasons != ""]


def _any_column(table: pd.DataFrame) -> tuple[str | None, bool]:
    """The column that tells whether there is any hemorrhage, and whether it says so the other way round."""
    for name in ("any", "anyhemorrhage", "hemorrhage", "haemorrhage", "ich", "label", "target", "class"):
        if name in table.columns:
            return name, False
    for name in ("nohemorrhage", "nohaemorrhage"):
        if name in table.columns:
            return name, True
    return None, False


def _wrong_rows(rows: pd.DataFrame) -> pd.Series:
    """Why a slice's rows of the long table can't be used, by slice id."""
    reasons: dict[str, str] = {}
    foreign = rows[~rows["kind"].isin(LABELS)]
    for slice_id, kind in zip(foreign["slice_id"], foreign["kind"], strict=True):
        reasons[slice_id] = f"unknown label {kind!r} in the CSV"
    complete = rows.groupby("slice_id")["kind"].nunique()
    for slice_id, count in complete[complete < len(LABELS)].items():
        reasons[str(slice_id)] = f"incomplete labels: {count} of {len(LABELS)} rows in the CSV"
    twice = rows[rows.duplicated(["slice_id", "kind"])]
    for slice_id, kind in zip(twice["slice_id"], twice["kind"], strict=True):
        reasons[slice_id] = f"contradictory labels: {kind} stands in the CSV with different values"
    bad = rows[~rows["value"].isin((0, 1))]
    for slice_id, kind in zip(bad["slice_id"], bad["kind"], strict=True):
        reasons[slice_id] = f"a label that is neither 0 nor 1: {kind}"
    subtype = rows[rows["kind"].isin(SUBTYPES) & (rows["value"] == 1)]["slice_id"]
    none = rows[(rows["kind"] == ANY) & (rows["value"] == 0)]["slice_id"]
    for slice_id in set(subtype) & set(none) - set(reasons):
        reasons[slice_id] = "contradictory labels: a subtype is 1 but any is 0"
    return pd.Series(reasons, dtype=str)


def _separator(path: Path) -> str:
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        header = file.readline()
    return max(",;\t", key=header.count)
