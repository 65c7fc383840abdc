"""Label tables in their many forms: found, read and checked before any image is opened."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ichtune.data.columns import (
    CLASS_COLUMNS,
    GENERIC,
    LabelColumn,
    describe_columns,
    label_columns,
    plain,
)
from ichtune.data.csv_files import csv_format, read_cells
from ichtune.data.label_cells import (
    NOT_UNDERSTOOD,
    class_values,
    describe_class_names,
    label_values,
    names_classes,
    only_yes_or_no,
)
from ichtune.errors import InputError
from ichtune.labels import ANY, LABELS, SUBTYPES

_ENOUGH = 1000  # rows that show whether a column without a name is empty


def read_csv(path: Path, *, nrows: int | None = None) -> pd.DataFrame:
    """Return the table in a CSV file, with string values, `plain` column names, and an index of line numbers.

    Raises:
        InputError: the file is missing, empty or not text, or two columns have the same name.
    """
    table = read_cells(path, nrows=nrows)
    if table.shape[1] and (table.iloc[:, 0] == "").any():
        table = table[(table != "").any(axis=1)]
    if table.empty:
        raise InputError(f"{path}: the table has a header but no rows")
    names = pd.Index([plain(column) for column in table.columns])
    if not names.is_unique:
        twice = names[names.duplicated()][0]
        raise InputError(f"{path}: two columns are named {twice!r} (ignoring case, spaces and underscores)")
    return table.set_axis(names, axis=1)


def read_header(path: Path) -> list[str]:
    """Return the `plain` column names of a CSV file; empty if it isn't one."""
    try:
        return list(read_csv(path, nrows=1).columns)
    except InputError:
        return []


def original_names(path: Path) -> dict[str, str]:
    """Return a CSV file's own column names by `plain` name."""
    return {plain(name): name.strip() for name in read_cells(path, nrows=_ENOUGH).columns}


def require_columns(table: pd.DataFrame, needed: Iterable[str], path: Path) -> None:
    """Raise an InputError if `table` lacks one of `needed`."""
    if missing := [column for column in needed if column not in table.columns]:
        raise InputError(
            f"{path}: the table lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}; "
            f"it has {', '.join(table.columns)}"
        )


@dataclass(frozen=True)
class LabelSources:
    """The columns that labels are read from: one for each label, or with names of classes."""

    by_label: tuple[LabelColumn, ...]
    of_names: tuple[str, ...]


def label_sources(table: pd.DataFrame) -> LabelSources:
    """Return the columns of a table that have labels, by their names and, for columns such as `type`, their cells.

    Names of classes count where no column has a label's own name; beside an `any` they would be a second opinion.
    """
    own = label_columns(name for name in table.columns if name not in GENERIC)
    if any(column.label == ANY for column in own):
        return LabelSources(tuple(own), ())
    of_names: list[str] = []
    for name in GENERIC if own else CLASS_COLUMNS:
        if name in table.columns and names_classes(table[name], throughout=bool(of_names)):
            of_names.append(name)
    others = [name for name in table.columns if name not in of_names]
    if of_names:
        others = [name for name in others if name not in GENERIC or only_yes_or_no(table[name])]
    return LabelSources(tuple(label_columns(others)), tuple(of_names))


def describe_labels(table: pd.DataFrame, path: Path, used: Iterable[str]) -> list[str]:
    """Return notes on how a table with a row per slice was read; `used` are its other columns that were read."""
    found, original = label_sources(table), original_names(path)
    return [
        *csv_format(path).notes,
        *describe_columns(original, found.by_label, (*used, *found.of_names), complete=bool(found.of_names)),
        *(describe_class_names(original.get(name, name), table[name]) for name in found.of_names),
    ]


def read_wide(table: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, pd.Series]:
    """Return a table with a row per slice as LABELS' columns, and what is wrong with rows.

    It has a column per label, or only a binary one, or one with the names of classes.

    Raises:
        InputError: there is no label column.
    """
    sources = label_sources(table)
    if not (sources.by_label or sources.of_names):
        raise InputError(
            f"{path}: no label column; it needs {', '.join(SUBTYPES)}, a binary one named any, hemorrhage or "
            f"label, or one named class, type or diagnosis with their names; it has {', '.join(table.columns)}"
        )
    values = _values(table, sources, decimal_comma=csv_format(path).decimal_comma)
    labels, reasons = _merged(values, table.index)
    known = labels[list(SUBTYPES)]
    if all(column.label != ANY for column in values):
        # A slice without a positive subtype is negative only if all subtypes are known.
        labels[ANY] = known.max(axis=1).where((known.max(axis=1) == 1) | known.notna().all(axis=1))
    labels[ANY] = labels[ANY].mask(labels[ANY].isna() & (known.max(axis=1) == 1), 1)
    reasons[labels.isna().all(axis=1) & (reasons == "")] = "no label: all its label cells are empty"
    reasons[(known.max(axis=1) == 1) & (labels[ANY] == 0)] = (
        "contradictory labels: a subtype is 1 but any is 0"
    )
    for column, found in values.items():
        wrong = not_a_name if column.name in sources.of_names else not_a_label
        for line in found.index[found == NOT_UNDERSTOOD]:
            reasons[line] = wrong(column.name, table[column.name][line], line)
    return labels, reasons[reasons != ""]


def not_a_label(column: str, value: str, line: int) -> str:
    """Return the reason for rejecting a row whose label is neither 0 nor 1."""
    return f"a label that is neither 0 nor 1: {column} is {value!r} (line {line:,})"


def not_a_name(column: str, value: str, line: int) -> str:
    """Return the reason for rejecting a row whose class isn't understood."""
    return f"a label that is not understood: {column} is {value!r} (line {line:,})"


def _values(
    table: pd.DataFrame, sources: LabelSources, *, decimal_comma: bool
) -> dict[LabelColumn, pd.Series]:
    values = {
        column: _column_values(table[column.name], column, decimal_comma) for column in sources.by_label
    }
    for name in sources.of_names:
        six = class_values(table[name])
        values |= {LabelColumn(name, label): six[label] for label in LABELS}
    return values


def _column_values(text: pd.Series, column: LabelColumn, decimal_comma: bool) -> pd.Series:
    values = label_values(text, decimal_comma=decimal_comma)
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
