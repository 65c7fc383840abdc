"""Columns of whole numbers, such as those of patients and slices."""

from pathlib import Path

import numpy as np
import pandas as pd

from ichtune.errors import InputError


def whole_numbers(text: pd.Series, path: Path) -> pd.Series:
    """Return a column of a table as int64.

    Raises:
        InputError: a cell isn't a whole number.
    """
    numbers = pd.to_numeric(text, errors="coerce")
    if len(rows := numbers.index[~(np.isfinite(numbers) & (numbers % 1 == 0) & (numbers.abs() < 1e9))]):
        raise InputError(
            f"{path}: line {rows[0]}: patient and slice must be whole numbers, got {text[rows[0]]!r}"
        )
    return numbers.astype(int)
