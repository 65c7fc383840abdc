"""Everything that a ranking shows, each part computed once: tables, importance, effects, pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from analysis.hyperparameters.branches import Rung
from analysis.hyperparameters.effects import effects
from analysis.hyperparameters.importance import importance
from analysis.pictures.gallery import draw
from analysis.pictures.tensorboard_images import add_to_tensorboard
from analysis.results import RankedResults
from analysis.tables.rounding import decimals_between, decimals_for, rounded
from analysis.tables.table import Table
from analysis.tables.writers import write_table


@dataclass(frozen=True)
class Findings:
    """The contents of `RUN/results` and of the report."""

    results: RankedResults
    top: int = 15
    """How many trials the table by label has."""

    @cached_property
    def rung(self) -> Rung:
        return Rung.of(self.results.ranking)

    @cached_property
    def importance(self) -> pd.DataFrame:
        return importance(self.rung)

    @cached_property
    def effects(self) -> pd.DataFrame:
        return effects(self.rung)

    @cached_property
    def remarks(self) -> list[str]:
        """Notes on how to read importance and effects, or why there are none."""
        return self.rung.notes

    @cached_property
    def tables(self) -> list[Table]:
        """The ranking's tables, then importance and effects if enough trials support them."""
        name, found = self.results.run.name, []
        if len(self.importance):
            certain = decimals_for(float(self.importance["deviation"].median()))
            caption = f"Search {name}: what drives the score"
            found.append(self._table("importance", caption, self.importance, certain))
        if len(self.effects):
            certain = decimals_between(self.effects["low"], self.effects["high"])
            caption = f"Search {name}: the effect of each value"
            found.append(self._table("effects", caption, self.effects, certain))
        return self.results.tables(self.top) + found

    def _table(self, kind: str, caption: str, rows: pd.DataFrame, decimals: int) -> Table:
        cohort = self.results.cohort
        notes = [*self.remarks, *cohort.notes]
        numbers = rows.select_dtypes("float").columns
        texts = rounded(rows, dict.fromkeys(numbers, decimals))
        return Table(kind, caption, rows, pd.DataFrame(columns=rows.columns), cohort.population, notes, texts)

    def write(self) -> Sequence[Path]:
        """Write tables and pictures to the ranking's folder and pictures to TensorBoard; returns the PNG files."""
        folder = self.results.folder
        for table in self.tables:
            write_table(folder, table)
        by_label = next((table.rows for table in self.tables if table.name == "labels"), None)
        files = draw(
            self.results.ranking,
            folder / "pictures",
            truth=self.results.store.labels,
            certain=self.results.certain,
            no_skill=self.results.no_skill,
            importance=self.importance,
            effects=self.effects,
            by_label=by_label,
        )
        pictures = [file for file in files if file.suffix == ".png"]
        add_to_tensorboard(self.results.run, pictures)
        return pictures
