"""Label tables in their many forms: found, read and checked before any image is opened."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from ichtune.data.columns import LabelColumn, label_columns, label_of, plain
from ichtune.errors import InputError
from ichtune.labels import ANY, LABELS, SUBTYPES

_TRUE = {"true", "yes"}
_FALSE = {"false", "no"}
_UNKNOWN = {"", "nan", "na", "n/a", "null"}
_NO_LABEL = -1  # a cell that means neither yes nor no


def read_csv(path: Path, *, nrows: int | None = None) -> pd.DataFrame:
    """Return the table in a CSV file, with string values and `plain` column names; row `i` is line `i + 2`.

    Raises:
        InputError: the file is missing, empty or not text, or two columns have the same name.
    """
    table = _parsed(path, nrows)
    if (table.iloc[:, 0] == "").any():
        table = table[(table != "").any(axis=1)]
    if table.empty:
        raise InputError(f"{path}: the labels file has a header but no rows")
    names = pd.Index([plain(str(column)) for column in table.columns])
    if not names.is_unique:
        twice = names[names.duplicated()][0]
        raise InputError(f"{path}: two columns are named {twice!r} (ignoring case, spaces and underscores)")
    return table.set_axis(names, axis=1)


def _parsed(path: Path, nrows: int | None) -> pd.DataFrame:
    if not path.is_file():
        raise InputError(f"{path}: no such labels file; pass it with --labels")
    try:
        table = pd.read_csv(
            path,
            dtype=str,
            encoding="utf-8-sig",
            keep_default_na=False,
            sep=_separator(path),
            nrows=nrows,
            skip_blank_lines=False,  # else line numbers in messages would be wrong
        )
    except pd.errors.EmptyDataError:
        raise InputError(f"{path}: the labels file is empty") from None
    except (UnicodeDecodeError, pd.errors.ParserError) as error:
        raise InputError(f"{path}: not a readable CSV file: {error}") from None
    return table.fillna("")


def read_header(path: Path) -> list[str]:
    """Return the `plain` column names of a CSV file; empty if it isn't one."""
    try:
        return list(read_csv(path, nrows=1).columns)
    except InputError:
        return []


def original_names(path: Path) -> dict[str, str]:
    """Return a CSV file's own column names by `plain` name."""
    return {plain(str(name)): str(name).strip() for name in _parsed(path, nrows=0).columns}


def require_columns(table: pd.DataFrame, needed: Iterable[str], path: Path) -> None:
    """Raise an InputError if `table` lacks one of `needed`."""
    if missing := [column for column in needed if column not in table.columns]:
        raise InputError(
            f"{path}: the labels file lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}; "
            f"it has {', '.join(table.columns)}"
        )


def label_values(text: pd.Series) -> pd.Series:
    """Return 0 and 1 as float32, NaN for an empty cell, -1 for anything else."""
    meaning = {word: _label_value(word) for word in text.unique()}
    return text.map(meaning).astype(np.float32)


def _label_value(word: str) -> float:
    word = word.strip().lower()
    if word in _UNKNOWN:
        return np.nan
    if word in _TRUE or word in _FALSE:
        return float(word in _TRUE)
    try:
        number = float(word)
    except ValueError:
        return _NO_LABEL
    return number if number in (0, 1) else _NO_LABEL


def read_long(path: Path) -> tuple[pd.DataFrame, pd.Series]:
    """Return RSNA's long table (`ID,Label`, six rows per slice) as one row per slice, and what is wrong with others.

    Returns:
        labels indexed by slice id (float32 columns in LABELS' order), and reasons indexed by slice id.

    Raises:
        InputError: the CSV is missing, empty or of another kind.
    """
    table = read_csv(path)
    require_columns(table, ("id", "label"), path)
    parts = table["id"].str.strip().str.rpartition("_")
    rows = pd.DataFrame(
        {"slice_id": parts[0], "kind": _kinds(parts[2]), "value": label_values(table["label"])}
    )
    if not rows["kind"].isin(LABELS).any():
        raise InputError(
            f"{path}: no ID ends in a label such as ID_..._{ANY}; is it RSNA's long label table?"
        )
    # Exact duplicates of a row count once.
    rows = rows.drop_duplicates()
    wrong = _wrong_rows(rows, table["label"])
    wide = rows[~rows["slice_id"].isin(wrong.index)].pivot(index="slice_id", columns="kind", values="value")
    return wide.reindex(columns=list(LABELS)).astype(np.float32), wrong


def _kinds(words: pd.Series) -> pd.Series:
    """Return the labels of a long table's rows; a word that isn't a label stays as it is."""
    found = {word: label_of(plain(word)) for word in words.unique()}
    return words.map(
        {word: column.label if column and not column.negated else word for word, column in found.items()}
    )


def read_wide(table: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, pd.Series]:
    """Return a table with a column per label (or only a binary one) as LABELS' columns, and what is wrong with rows.

    Raises:
        InputError: there is no label column.
    """
    columns = label_columns(table.columns)
    if not columns:
        raise InputError(
            f"{path}: no label column; it needs {', '.join(SUBTYPES)} or a binary one named any, "
            f"hemorrhage or label; it has {', '.join(table.columns)}"
        )
    values = {column: _column_values(table, column) for column in columns}
    labels, reasons = _merged(values, table.index)
    known = labels[list(SUBTYPES)]
    if all(column.label != ANY for column in columns):
        # A slice without a positive subtype is negative only if all subtypes are known.
        labels[ANY] = known.max(axis=1).where((known.max(axis=1) == 1) | known.notna().all(axis=1))
    reasons[labels.isna().all(axis=1) & (reasons == "")] = "no label: all its label cells are empty"
    reasons[(known.max(axis=1) == 1) & (labels[ANY] == 0)] = (
        "contradictory labels: a subtype is 1 but any is 0"
    )
    for column, found in values.items():
        for row in found.index[found == _NO_LABEL]:
            reasons[row] = _not_a_label(column.name, table[column.name][row], row)
    return labels, reasons[reasons != ""]


def _column_values(table: pd.DataFrame, column: LabelColumn) -> pd.Series:
    values = label_values(table[column.name])
    return values.where(values < 0, 1 - values) if column.negated else values


def _merged(values: dict[LabelColumn, pd.Series], index: pd.Index) -> tuple[pd.DataFrame, pd.Series]:
    """Return LABELS' columns, merging several columns of a label, and the rows where they disagree."""
    labels = pd.DataFrame(np.nan, index=index, columns=list(LABELS), dtype=np.float32)
    reasons = pd.Series("", index=index, dtype=object)
    first: dict[str, LabelColumn] = {}
    for column, found in values.items():
        before = labels[column.label]
        differ = before.notna() & found.notna() & (before != found)
        labels[column.label] = before.fillna(found)
        if differ.any():
            other = first[column.label].name
            reasons[differ] = f"contradictory labels: {other} and {column.name} disagree"
        first.setdefault(column.label, column)
    return labels, reasons


def _not_a_label(column: str, value: str, row: int) -> str:
    return f"a label that is neither 0 nor 1: {column} is {value!r} (line {row + 2:,})"


def _wrong_rows(rows: pd.DataFrame, text: pd.Series) -> pd.Series:
    """Return why slices in the long table can't be used, by slice id; `text` has the labels as written."""
    reasons: dict[str, str] = {}
    foreign = rows[~rows["kind"].isin(LABELS)]
    for slice_id, kind in zip(foreign["slice_id"], foreign["kind"], strict=True):
        reasons[slice_id] = f"unknown label {kind!r} in the CSV"
    complete = rows.groupby("slice_id")["kind"].nunique()
    for slice_id, count in complete[complete < len(LABELS)].items():
        reasons[str(slice_id)] = f"incomplete labels: {count} of {len(LABELS)} rows in the CSV"
    twice = rows[rows.duplicated(["slice_id", "kind"])]
    for slice_id, kind in zip(twice["slice_id"], twice["kind"], strict=True):
        reasons[slice_id] = f"contradictory labels: {kind} is in the CSV with different values"
    bad = rows[~rows["value"].isin((0, 1))]
    for row, slice_id, kind in zip(bad.index, bad["slice_id"], bad["kind"], strict=True):
        reasons[slice_id] = _not_a_label(kind, text[row], row)
    subtype = rows[rows["kind"].isin(SUBTYPES) & (rows["value"] == 1)]["slice_id"]
    none = rows[(rows["kind"] == ANY) & (rows["value"] == 0)]["slice_id"]
    for slice_id in set(subtype) & set(none) - set(reasons):
        reasons[slice_id] = "contradictory labels: a subtype is 1 but any is 0"
    return pd.Series(reasons, dtype=str)


def _separator(path: Path) -> str:
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        header = file.readline()
    return max(",;\t", key=header.count)
