"""A table with all that has to be read beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from analysis.tables.rounding import rounded


@dataclass(frozen=True)
class Table:
    """A table with all that has to stand beside it."""

    name: str
    """Of its files."""
    caption: str
    rows: pd.DataFrame
    below: pd.DataFrame
    """What stands under the rows, as no skill: some of their columns."""
    population: pd.DataFrame
    """The slices and patients behind the scores, a row a label."""
    notes: Sequence[str] = ()
    texts: pd.DataFrame | None = None
    """Rows and what is below as people read them; None is both with every number rounded."""

    @cached_property
    def whole(self) -> pd.DataFrame:
        """Rows and what stands below, in full precision."""
        # As objects, so that whole numbers stay whole beside the cells that are empty below the table.
        both = [frame.astype(object) for frame in (self.rows, self.below)]
        return pd.concat(both, ignore_index=True)[list(self.rows.columns)]

    @cached_property
    def human(self) -> pd.DataFrame:
        return rounded(self.whole) if self.texts is None else self.texts
