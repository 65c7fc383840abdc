"""The rows of RSNA's long tables, `ID,Label`: the slice and the label that each ID names."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute

from ichtune.data.columns import label_of, plain
from ichtune.labels import LABELS

pc: Any = pyarrow.compute  # its functions are made at import, which type checkers don't see
FOREIGN: Final = -1
"""The kind of a row whose ID doesn't end in a label."""


@dataclass(frozen=True)
class LongRows:
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
    def of(cls, ids: pd.Series, value: np.ndarray) -> "LongRows":
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

    @property
    def is_foreign(self) -> np.ndarray:
        """Whether a row's ID doesn't end in a label."""
        return self.kind == FOREIGN

    def cells(self, rows: np.ndarray) -> np.ndarray:
        """Return the positions of rows in a flat table of slices by LABELS."""
        return self.slice[rows].astype(np.int64) * len(LABELS) + self.kind[rows]

    def wide(self) -> np.ndarray:
        """Return the value of each slice and label [N, 6], the last one if there are several; NaN if there is none."""
        wide = np.full(len(self.slices) * len(LABELS), np.nan, self.value.dtype)
        known = self.kind != FOREIGN
        wide[self.cells(known)] = self.value[known]
        return wide.reshape(-1, len(LABELS))


def _array(text: pd.Series) -> pa.Array:
    array = pa.array(text, type=pa.large_string())
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _kind(word: str) -> int:
    column = label_of(plain(word))
    return LABELS.index(column.label) if column and not column.negated else FOREIGN
