"""RSNA's long label table, `ID,Label` with six rows per slice, as one row per slice."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute

from ichtune.data.columns import label_of, plain
from ichtune.data.csv_files import csv_format
from ichtune.data.label_cells import label_values
from ichtune.data.label_tables import not_a_label, read_csv, require_columns
from ichtune.errors import InputError
from ichtune.labels import ANY, LABELS

pc: Any = pyarrow.compute  # its functions are made at import, which type checkers don't see
_FOREIGN = -1  # the kind of a row whose ID doesn't end in a label


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
    rows = _Rows.of(table["id"], values.to_numpy())
    if not (rows.kind != _FOREIGN).any():
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


@dataclass(frozen=True)
class _Rows:
    """The rows of a long table as numbers.

    `slice` and `kind` count into `slices` (the ids) and LABELS; `word` counts into `words`, the kinds as written.
    """

    slice: np.ndarray
    kind: np.ndarray
    word: np.ndarray
    value: np.ndarray
    slices: np.ndarray
    words: list[str]

    @classmethod
    def of(cls, ids: pd.Series, value: np.ndarray) -> "_Rows":
        """Return the rows of these IDs (`ID_0a1b2c3d4_epidural`) and values."""
        ids = ids.str.strip()
        bare = ~ids.str.contains("_", regex=False)
        if bare.any():
            ids = ids.where(~bare, "_" + ids)
        parts = pc.split_pattern(_array(ids), "_", max_splits=1, reverse=True)
        slices, words = (pc.list_element(parts, k).dictionary_encode() for k in (0, 1))
        names = words.dictionary.to_pylist()
        kinds = np.array([_kind(name) for name in names], np.int8)
        word = words.indices.to_numpy()
        return cls(
            slices.indices.to_numpy(),
            kinds[word],
            word,
            value,
            slices.dictionary.to_pandas().to_numpy(),
            names,
        )

    def cells(self, rows: np.ndarray) -> np.ndarray:
        """Return the positions of rows in a flat table of slices by LABELS."""
        return self.slice[rows].astype(np.int64) * len(LABELS) + self.kind[rows]

    def wide(self) -> np.ndarray:
        """Return the value of each slice and label (float32 [N, 6]), the last one if there are several."""
        wide = np.full(len(self.slices) * len(LABELS), np.nan, np.float32)
        known = self.kind != _FOREIGN
        wide[self.cells(known)] = self.value[known]
        return wide.reshape(-1, len(LABELS))


def _array(text: pd.Series) -> pa.Array:
    array = pa.array(text, type=pa.large_string())
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _kind(word: str) -> int:
    column = label_of(plain(word))
    return LABELS.index(column.label) if column and not column.negated else _FOREIGN


def _wrong_slices(rows: _Rows, wide: np.ndarray, text: pd.Series) -> dict[int, str]:
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


def _foreign(rows: _Rows) -> dict[int, str]:
    return {
        int(rows.slice[row]): f"unknown label {rows.words[rows.word[row]]!r} in the CSV"
        for row in np.flatnonzero(rows.kind == _FOREIGN)
    }


def _incomplete(rows: _Rows) -> dict[int, str]:
    has = np.zeros(len(rows.slices) * len(LABELS), bool)
    foreign = rows.kind == _FOREIGN
    has[rows.cells(~foreign)] = True
    count = has.reshape(-1, len(LABELS)).sum(1)
    others = pd.DataFrame({"slice": rows.slice[foreign], "word": rows.word[foreign]}).drop_duplicates()
    count += np.bincount(others["slice"], minlength=len(count))
    return {
        number: f"incomplete labels: {count[number]} of {len(LABELS)} rows in the CSV"
        for number in np.flatnonzero(count < len(LABELS)).tolist()
    }


def _contradictory(rows: _Rows, wide: np.ndarray) -> dict[int, str]:
    known = np.flatnonzero(rows.kind != _FOREIGN)
    final = wide.reshape(-1)[rows.cells(known)]
    value = rows.value[known]
    differs = (value != final) & ~(np.isnan(value) & np.isnan(final))  # exact duplicates count once
    return {
        int(
            rows.slice[row]
        ): f"contradictory labels: {LABELS[rows.kind[row]]} is in the CSV with different values"
        for row in known[differs]
    }


def _bad_values(rows: _Rows, text: pd.Series) -> dict[int, str]:
    bad = np.flatnonzero(~np.isin(rows.value, (0, 1)))
    last = dict(zip(rows.slice[bad].tolist(), bad.tolist(), strict=True))
    return {
        number: not_a_label(_written(rows, row), text.iat[row], text.index[row])
        for number, row in last.items()
    }


def _written(rows: _Rows, row: int) -> str:
    kind = rows.kind[row]
    return rows.words[rows.word[row]] if kind == _FOREIGN else LABELS[kind]
