"""A table with everything that belongs beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from analysis.tables.rounding import rounded


@dataclass(frozen=True)
class Table:
    """A table with its caption, the rows below it, the population behind it and its notes."""

    name: str
    """The name of its files."""
    caption: str
    rows: pd.DataFrame
    below: pd.DataFrame
    """Rows below the ranked ones, e.g. no skill, with some of their columns."""
    population: pd.DataFrame
    """The slices and patients behind the scores, one row per label."""
    notes: Sequence[str] = ()
    texts: pd.DataFrame | None = None
    """`whole` as texts for people; None rounds every number to four decimals."""

    @classmethod
    def in_texts(
        cls,
        name: str,
        caption: str,
        rows: pd.DataFrame,
        texts: pd.DataFrame,
        population: pd.DataFrame,
        notes: Sequence[str],
    ) -> "Table":
        """A table without rows below, whose columns for people are other ones than those of its numbers."""
        return cls(
            name, caption, rows, pd.DataFrame(columns=rows.columns), population, notes, texts.astype(str)
        )

    @cached_property
    def whole(self) -> pd.DataFrame:
        """The rows and those below, in full precision."""
        # As objects, so that whole numbers stay whole even though some columns are empty below.
        both = [frame.astype(object) for frame in (self.rows, self.below)]
        return pd.concat(both, ignore_index=True)[list(self.rows.columns)]

    @cached_property
    def human(self) -> pd.DataFrame:
        return rounded(self.whole) if self.texts is None else self.texts
