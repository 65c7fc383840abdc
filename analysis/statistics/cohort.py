"""The slices and patients behind the scores, each fact computed once."""

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from analysis.statistics.influence import Truth
from analysis.statistics.population import no_skill_rows, population, population_notes, splits
from ichtune.cross_validation import CrossValidation
from ichtune.data.store import SliceStore
from ichtune.training.experiment import folds_of


@dataclass(frozen=True)
class Cohort:
    """A store as a search used it, with its cross-validation."""

    store: SliceStore
    validation: CrossValidation

    @cached_property
    def truth(self) -> Truth:
        """The truth that out-of-fold predictions are compared with."""
        return Truth(self.store.labels, self.store.patients, folds_of(self.store, self.validation))

    @cached_property
    def splits(self) -> pd.DataFrame:
        """The slices and patients of the store's splits and folds, by part."""
        return splits(self.store)

    @cached_property
    def population(self) -> pd.DataFrame:
        """How often each label occurs, and in how many patients and folds; one row per label."""
        return population(self.splits, self.truth.defined_folds)

    @cached_property
    def notes(self) -> list[str]:
        """The slices, patients and prevalence of each split, in words."""
        return population_notes(self.splits)

    @cached_property
    def no_skill(self) -> dict[str, dict[str, float]]:
        """What no-skill predictors score on the folds, by predictor and metric."""
        return no_skill_rows(self.store, self.truth.folds_once)
