"""Numbers for people: with as many decimals as their errors support."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

UNSURE = 2
"""Decimals of a number with unknown error."""


def shown(value: Any, decimals: int = 4) -> str:
    """A value for people: decimals, or powers of ten if it is small; empty if missing."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    if isinstance(value, float | np.floating):
        return f"{value:.{decimals}f}" if value == 0 or 1e-3 <= abs(value) < 1e5 else f"{value:.2e}"
    return str(value)


def decimals_for(error: float) -> int:
    """How many decimals a standard error supports: those of its first two digits (4 without an error).

    Two is the most that the Guide to the Expression of Uncertainty in Measurement (JCGM 100:2008, 7.2.6) recommends.
    """
    if not np.isfinite(error) or error <= 0:
        return 4
    return min(max(1 - math.floor(math.log10(error)), 0), 6)


def decimals_between(lows: pd.Series, highs: pd.Series) -> int:
    """How many decimals 95 % intervals support, at most four; a quarter of the width is about one standard error.

    Uses the median width, without intervals of zero width (values that don't vary).
    """
    widths = (highs.astype(float) - lows.astype(float)).replace(0, np.nan)
    return min(decimals_for(float(widths.median()) / 4), 4)


def interval(low: Any, high: Any, decimals: int) -> str:
    """`0.61 to 0.72`, or a single number if both ends are the same; empty if missing."""
    if low != low or low is None:
        return ""
    ends = f"{low:.{decimals}f}", f"{high:.{decimals}f}"
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)


def rough(count: float) -> str:
    """A count with two digits, e.g. `1,300`."""
    places = 1 - math.floor(math.log10(max(count, 1)))
    return f"{round(count, places):,.0f}"


def all_shown(values: pd.Series, decimals: int = 4) -> list[str]:
    """A column's values as texts for people."""
    return [shown(value, decimals) for value in values.tolist()]


def intervals(lows: pd.Series, highs: pd.Series, decimals: int) -> list[str]:
    """Intervals as texts for people."""
    return [interval(low, high, decimals) for low, high in zip(lows, highs, strict=True)]


def with_intervals(values: pd.Series, lows: pd.Series, highs: pd.Series) -> list[str]:
    """`0.79 (0.72 to 0.87)`, each with the digits that its own interval supports.

    Without parentheses if the error is unknown; `undefined` if there is no value.
    """
    texts = []
    for value, low, high in zip(values.tolist(), lows.tolist(), highs.tolist(), strict=True):
        decimals = decimals_for((high - low) / 4) if high > low else UNSURE
        ends = interval(low, high, decimals)
        texts.append(f"{shown(value, decimals) or 'undefined'}{f' ({ends})' if ends else ''}")
    return texts


def column_with_interval(rows: pd.DataFrame, name: str) -> list[str]:
    """`with_intervals` of a column whose ends are those named `<name>_low` and `<name>_high`."""
    return with_intervals(rows[name], rows[f"{name}_low"], rows[f"{name}_high"])


def rounded(table: pd.DataFrame, decimals: Mapping[str, int] | None = None) -> pd.DataFrame:
    """The table as texts, with four decimals unless `decimals` says otherwise; whole numbers stay whole."""
    places = {name: (decimals or {}).get(name, 4) for name in table.columns}
    texts = {name: [shown(value, count) for value in table[name]] for name, count in places.items()}
    return pd.DataFrame(texts, dtype=str)
