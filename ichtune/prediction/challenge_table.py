"""Submissions to the RSNA 2019 challenge: a long table, `ID,Label`, with a probability for six IDs of each slice."""

from collections.abc import Iterable
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from ichtune.data.label_tables import read_csv, require_columns
from ichtune.data.long_rows import LongRows
from ichtune.errors import InputError
from ichtune.labels import LABELS
from ichtune.wording import did_you_mean


class ChallengeTable:
    """A submission, or the sample of one, whose every slice has each of the six labels once."""

    def __init__(self, ids: pd.Series, rows: LongRows) -> None:
        self.ids = ids
        """The IDs as written, in order."""
        self.rows = rows

    @cached_property
    def slices(self) -> pd.Index:
        """The slices, in the order of their first IDs."""
        return pd.Index(self.rows.slices, dtype=str)

    @property
    def probabilities(self) -> np.ndarray:
        """The value of each slice and label, float64 [N, 6]."""
        return self.rows.wide()

    def in_order(self, values: np.ndarray) -> np.ndarray:
        """Return the value of each ID, from those of the slices [N, 6]."""
        return values[self.rows.slice, self.rows.kind]

    def places(self, names: Iterable[str]) -> np.ndarray:
        """Return which slice each name is of, by the last part of its path; -1 if none, int64."""
        bare = ["".join(name.rpartition("/")[2].split()) for name in names]
        return self.slices.get_indexer(pd.Index(bare, dtype=str))

    def refuse_unrelated(self, names: Iterable[str], given: str | Path) -> None:
        """Refuse slices of which none is in the table.

        Raises:
            InputError: the message has a name of each.
        """
        names = iter(names)
        first = ""
        while part := list(islice(names, 100_000)):
            if (self.places(part) >= 0).any():
                return
            first = first or part[0]
        raise InputError(
            f"{given}: no file is named as a slice of the sample submission, which has {self.slices[0]!r}, the input "
            f"{first!r}"
        )


def read_challenge_table(path: Path) -> ChallengeTable:
    """Read a submission or a sample of one.

    Raises:
        InputError: it is missing or no such table, an ID doesn't end in a label or is there twice, a slice lacks one of
            its six, or a value isn't a number from 0 to 1.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such submission")
    table = read_csv(path)
    require_columns(table, ("id", "label"), path)
    rows = LongRows.of(table["id"], pd.to_numeric(table["label"], errors="coerce").to_numpy(np.float64))
    lines = table.index
    if rows.is_foreign.any():
        row = int(np.flatnonzero(rows.is_foreign)[0])
        word = rows.words[rows.word[row]]
        raise InputError(
            f"{path}, line {lines[row]:,}: the ID {table['id'].iat[row]!r} must end in one of {', '.join(LABELS)}"
            f"{did_you_mean(word, LABELS)}"
        )
    cells = rows.cells(np.arange(len(table)))
    if len(np.unique(cells)) < len(cells):
        row = int(np.flatnonzero(pd.Series(cells).duplicated())[0])
        raise InputError(
            f"{path}, line {lines[row]:,}: the ID {table['id'].iat[row]!r} is there twice; give each once"
        )
    bad = ~((rows.value >= 0) & (rows.value <= 1))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"{path}, line {lines[row]:,}: {table['id'].iat[row]} is {table['label'].iat[row]!r}; must be a "
            "probability from 0 to 1"
        )
    if len(cells) < len(rows.slices) * len(LABELS):
        missing = np.isnan(rows.wide())
        number = int(np.flatnonzero(missing.any(axis=1))[0])
        lacking = [label for label, is_missing in zip(LABELS, missing[number], strict=True) if is_missing]
        raise InputError(
            f"{path}: {rows.slices[number]} has no row for {', '.join(lacking)}; every slice needs six"
        )
    return ChallengeTable(table["id"], rows)
