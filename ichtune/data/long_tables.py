"""RSNA's long label table, `ID,Label` with six rows per slice, as one row per slice."""

from pathlib import Path

import numpy as np
import pandas as pd

from ichtune.data.csv_files import csv_format
from ichtune.data.label_cells import label_values
from ichtune.data.label_tables import not_a_label, read_csv, require_columns
from ichtune.data.long_rows import FOREIGN, LongRows
from ichtune.errors import InputError
from ichtune.labels import ANY, LABELS


def read_long(path: Path) -> tuple[pd.DataFrame, pd.Series]:
    """Return RSNA's long table (`ID,Label`, six rows per slice) as one row per slice, and what is wrong with others.

    Returns:
        labels indexed by slice id (float32 columns in LABELS' order), and reasons indexed by slice id.

    Raises:
        InputError: the CSV is missing, empty or of another kind.
    """
    table = read_csv(path)
    require_columns(table, ("id", "label"), path)
    values = label_values(table["label"], decimal_comma=csv_format(path).decimal_comma)
    rows = LongRows.of(table["id"], values.to_numpy())
    if not (rows.kind != FOREIGN).any():
        raise InputError(
            f"{path}: no ID ends in a label such as ID_..._{ANY}; is it RSNA's long label table?"
        )
    wide = rows.wide()
    wrong = _wrong_slices(rows, wide, table["label"])
    usable = np.ones(len(rows.slices), bool)
    usable[list(wrong)] = False
    labels = pd.DataFrame(
        wide[usable],
        index=pd.Index(rows.slices[usable], dtype=str, name="slice_id"),
        columns=list(LABELS),
    )
    reasons = pd.Series({str(rows.slices[number]): why for number, why in wrong.items()}, dtype=str)
    return labels.sort_index(), reasons


def _wrong_slices(rows: LongRows, wide: np.ndarray, text: pd.Series) -> dict[int, str]:
    """Return why slices can't be used, by their number; `text` has the labels as written, by line."""
    none_but_subtype = (wide[:, LABELS.index(ANY)] == 0) & (np.delete(wide, LABELS.index(ANY), 1) == 1).any(1)
    return {
        **dict.fromkeys(
            np.flatnonzero(none_but_subtype).tolist(), "contradictory labels: a subtype is 1 but any is 0"
        ),
        **_foreign(rows),
        **_incomplete(rows),
        **_contradictory(rows, wide),
        **_bad_values(rows, text),
    }


def _foreign(rows: LongRows) -> dict[int, str]:
    return {
        int(rows.slice[row]): f"unknown label {rows.words[rows.word[row]]!r} in the CSV"
        for row in np.flatnonzero(rows.kind == FOREIGN)
    }


def _incomplete(rows: LongRows) -> dict[int, str]:
    has = np.zeros(len(rows.slices) * len(LABELS), bool)
    foreign = rows.kind == FOREIGN
    has[rows.cells(~foreign)] = True
    count = has.reshape(-1, len(LABELS)).sum(1)
    others = pd.DataFrame({"slice": rows.slice[foreign], "word": rows.word[foreign]}).drop_duplicates()
    count += np.bincount(others["slice"], minlength=len(count))
    return {
        number: f"incomplete labels: {count[number]} of {len(LABELS)} rows in the CSV"
        for number in np.flatnonzero(count < len(LABELS)).tolist()
    }


def _contradictory(rows: LongRows, wide: np.ndarray) -> dict[int, str]:
    known = np.flatnonzero(rows.kind != FOREIGN)
    final = wide.reshape(-1)[rows.cells(known)]
    value = rows.value[known]
    differs = (value != final) & ~(np.isnan(value) & np.isnan(final))  # exact duplicates count once
    return {
        int(
            rows.slice[row]
        ): f"contradictory labels: {LABELS[rows.kind[row]]} is in the CSV with different values"
        for row in known[differs]
    }


def _bad_values(rows: LongRows, text: pd.Series) -> dict[int, str]:
    bad = np.flatnonzero(~np.isin(rows.value, (0, 1)))
    last = dict(zip(rows.slice[bad].tolist(), bad.tolist(), strict=True))
    return {
        number: not_a_label(_written(rows, row), text.iat[row], text.index[row])
        for number, row in last.items()
    }


def _written(rows: LongRows, row: int) -> str:
    kind = rows.kind[row]
    return rows.words[rows.word[row]] if kind == FOREIGN else LABELS[kind]
