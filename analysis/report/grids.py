"""Tables for a page: texts to read, each with the full value that it sorts by."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis.tables.rounding import rounded
from analysis.tables.table import Table
from analysis.tables.writers import WIDE

ABSENT = "–"
"""Shown if there can't be a value."""


class Cell(NamedTuple):
    """A cell's text, and the number behind it; empty if there is none."""

    text: str
    value: str = ""


@dataclass(frozen=True)
class Grid:
    """A table of cells: sortable rows, and rows that stay below them."""

    caption: str
    heads: list[str]
    rows: list[list[Cell]]
    below: list[list[Cell]]
    notes: list[str]

    @classmethod
    def of(cls, table: Table, values: Mapping[str, str] | None = None, known: Collection[str] = ()) -> "Grid":
        """A table's texts with the numbers behind them.

        `values` maps a text column to its numeric column if their names differ; notes that are already `known` to the
        reader are left out.
        """
        behind = {head: (values or {}).get(head, head.replace(" ", "_")) for head in table.human.columns}
        cells = _cells(table.human, table.whole, behind)
        count = len(table.rows)
        notes = [note for note in table.notes if note not in known]
        return cls(table.caption, _heads(table.human), cells[:count], cells[count:], notes)

    @classmethod
    def plain(cls, caption: str, frame: pd.DataFrame, notes: Collection[str] = ()) -> "Grid":
        """A grid of a data frame without a table around it."""
        same = {name: name for name in frame.columns}
        return cls(caption, _heads(frame), _cells(rounded(frame), frame, same), [], list(notes))

    @cached_property
    def numeric(self) -> list[bool]:
        """Which columns are numeric, and so right-aligned."""
        rows = [*self.rows, *self.below]
        return [
            any(row[place].value for row in rows)
            and all(row[place].value or row[place].text in ("", ABSENT) for row in rows)
            for place in range(len(self.heads))
        ]

    @property
    def wide(self) -> bool:
        return len(self.heads) >= WIDE


def _heads(frame: pd.DataFrame) -> list[str]:
    return [str(name).replace("_", " ") for name in frame.columns]


def _cells(texts: pd.DataFrame, whole: pd.DataFrame, behind: Mapping[str, str]) -> list[list[Cell]]:
    columns = [
        [
            Cell(text, _sortable(value))
            for text, value in zip(
                texts[head], whole[name] if name in whole else [None] * len(texts), strict=True
            )
        ]
        for head, name in behind.items()
    ]
    return [list(row) for row in zip(*columns, strict=True)]


def _sortable(value: Any) -> str:
    """A number in full precision; empty for texts and missing values."""
    if isinstance(value, bool | np.bool_):
        return str(int(value))
    number = isinstance(value, int | float | np.number) and not np.isnan(value)
    return repr(value.item() if isinstance(value, np.number) else value) if number else ""
