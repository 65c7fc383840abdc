"""The slices and patients that scores are about, each fact about them worked out once."""

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from analysis.statistics.influence import Truth
from analysis.statistics.population import no_skill_rows, population, population_notes, splits
from ichtune.data.store import SliceStore
from ichtune.training.experiment import folds_of


@dataclass(frozen=True)
class Cohort:
    """A store as a search used it, with so many folds."""

    store: SliceStore
    folds: int

    @cached_property
    def truth(self) -> Truth:
        """What out-of-fold predictions are measured by."""
        return Truth(self.store.labels, self.store.patients, folds_of(self.store, self.folds))

    @cached_property
    def splits(self) -> pd.DataFrame:
        """The slices and patients of the store's splits and folds, by the name of the part."""
        return splits(self.store)

    @cached_property
    def population(self) -> pd.DataFrame:
        """How often each label occurs, and in how many patients and folds; a row a label."""
        return population(self.splits, self.folds)

    @cached_property
    def notes(self) -> list[str]:
        """The splits' slices, patients and prevalence in words."""
        return population_notes(self.splits)

    @cached_property
    def no_skill(self) -> dict[str, dict[str, float]]:
        """What predicting without looking scores on the folds, by its name and then by metric."""
        return no_skill_rows(self.store, list(self.truth.folds))
