"""A ranking with its statistics and tables, each computed once: what the commands and the Python API work with."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pandas as pd

from analysis.ranking.certainty import Certainty
from analysis.ranking.order import Ranking
from analysis.ranking.seed_noise import SeedNoise
from analysis.ranking.single_changes import Ablation, ablations, finalists
from analysis.ranking.trial import RankedTrial
from analysis.statistics.cohort import Cohort
from analysis.statistics.influence import Truth
from analysis.statistics.significance import Scores
from analysis.tables import ablation as tables_of_changes
from analysis.tables import by_fold, ranked
from analysis.tables import by_label as tables_by_label
from analysis.tables.digits import Digits
from analysis.tables.promoted import PromotedTables
from analysis.tables.table import Table
from analysis.tables.writers import write_table
from analysis.test_set.held_out import HeldOut
from ichtune.data.store import SliceStore
from ichtune.runs.folder import RunFolder


@dataclass(frozen=True)
class RankedResults:
    """The trials of one run, or of several on one store, best first, with their certainty and all tables."""

    ranking: Ranking

    @classmethod
    def of(
        cls,
        run: RunFolder | str | Path,
        *,
        metric: str | None = None,
        label: str | None = None,
        compare: RunFolder | str | Path | None = None,
        data: str | Path | None = None,
    ) -> "RankedResults":
        """Rank a run by a recorded metric, by default the one that it optimized.

        `label` ranks by that label's metric only, `compare` adds the trials of a second run, and `data` is the store's
        new location if it was moved.

            results = RankedResults.of("runs/first", metric="f1")
            print(results.table.head())

        Raises:
            InputError: there is no run, none of its trials finished an epoch, the metric was not recorded, or the
                second run used another store.
        """
        return cls(Ranking.of(run, metric=metric, label=label, compare=compare, data=data))

    # The order of the trials.

    @property
    def runs(self) -> tuple[RunFolder, ...]:
        return self.ranking.runs

    @property
    def run(self) -> RunFolder:
        return self.ranking.run

    @property
    def metric(self) -> str:
        return self.ranking.metric

    @property
    def maximised(self) -> bool:
        return self.ranking.maximised

    @property
    def trials(self) -> list[RankedTrial]:
        return self.ranking.trials

    @property
    def best(self) -> RankedTrial:
        return self.ranking.best

    @property
    def varying(self) -> list[str]:
        return self.ranking.varying

    @property
    def folder(self) -> Path:
        return self.ranking.folder

    @cached_property
    def ablation(self) -> Ablation:
        """The baseline and the trials that differ from it by one change; empty without a baseline."""
        return ablations(self.ranking.trials)

    # The data behind the scores.

    @cached_property
    def store(self) -> SliceStore:
        return self.run.request.open_store()

    @cached_property
    def cohort(self) -> Cohort:
        return Cohort(self.store, self.ranking.validation)

    @property
    def truth(self) -> Truth:
        return self.cohort.truth

    @property
    def splits(self) -> pd.DataFrame:
        return self.cohort.splits

    @cached_property
    def held_out(self) -> HeldOut:
        """The test set and the predictions made on it."""
        return HeldOut(self.run, self.store)

    # Certainty.

    @cached_property
    def certainty(self) -> Certainty:
        return Certainty(self.ranking, self.truth)

    @property
    def certain(self) -> pd.DataFrame:
        """The certainty of each trial's score and rank, one row per trial: `Certainty.table`."""
        return self.certainty.table

    @property
    def scores(self) -> Scores | None:
        return self.certainty.scores

    @property
    def measured(self) -> list[int]:
        return self.certainty.measured

    @property
    def corrected_best(self) -> float | None:
        """The best score, corrected for selecting the best of all trials; None if it can't be computed."""
        return self.certainty.corrected_best

    @cached_property
    def seeds(self) -> SeedNoise:
        """The scores by training seed: of the search's own repeats, or of reruns with other seeds."""
        return SeedNoise.of(self.ranking)

    @cached_property
    def noise_floor(self) -> float:
        """How much two scores of one recipe may differ by random seed alone (95 %); NaN without several seeds."""
        return self.seeds.floor

    # Tables.

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per trial, with the columns described in docs/tables.md and one for each varying parameter."""
        return ranked.ranked_rows(self.ranking, self.certainty, self.seeds)

    @cached_property
    def no_skill(self) -> pd.DataFrame:
        """What no-skill predictors score on the same folds: one row each, with the metrics' means over folds."""
        return ranked.no_skill_rows(self.metric, self.cohort.no_skill)

    def by_label(self, places: Sequence[int]) -> pd.DataFrame:
        """Each label's AUC and average precision with 95 % intervals by patient, for the trials at these places."""
        measured = set(self.measured)
        return tables_by_label.label_rows(
            self.ranking, self.truth, [place for place in places if place in measured]
        )

    @cached_property
    def digits(self) -> Digits:
        """How many decimals the numbers support."""
        return Digits.of(self.ranking, self.certainty)

    @cached_property
    def ranked_table(self) -> Table:
        table = ranked.ranked_table(
            self.ranking, self.certainty, self.cohort, self.digits, self.seeds, self.table, self.no_skill
        )
        return replace(table, notes=[*table.notes, *self.promoted.missing])

    @cached_property
    def promoted(self) -> PromotedTables:
        """A promoted run's recipes, frozen beside fine-tuned, and how far both orders agree; empty for other runs."""
        return PromotedTables.of(self.ranking, self.cohort, self.digits.score)

    def label_table(self, top: int) -> Table:
        """The best `top` trials by label."""
        top = min(top, len(self.trials))
        return tables_by_label.label_table(self.ranking, self.cohort, self.by_label(range(top)), top)

    @cached_property
    def ablation_table(self) -> Table | None:
        """The baseline and the effect of each single change to it; None if the run has no such trials."""
        return tables_of_changes.ablation_table(self.run, self.cohort, self.held_out, self.ablation)

    @cached_property
    def test_table(self) -> Table | None:
        """The best trial and the baseline on the test set; None until they are scored on it."""
        baseline = self.ablation[:1]
        return tables_of_changes.test_table(self.run, self.cohort, self.held_out, self.best, baseline)

    @cached_property
    def fold_table(self) -> Table | None:
        """Each fold of the finalists in validation and on the test set; None until they are scored on it."""
        return by_fold.fold_table(self.run, self.cohort, self.held_out, finalists(self.best, self.ablation))

    def tables(self, top: int) -> list[Table]:
        """The ranking, top trials by label, ablation, test set, single folds, and frozen beside fine-tuned recipes.

        As far as the run has them.
        """
        if len(self.runs) > 1:
            return [self.ranked_table]
        by_label = self.label_table(top) if self.measured else None
        found = [self.ranked_table, by_label, self.ablation_table, self.test_table, self.fold_table]
        return [*(table for table in found if table is not None), *self.promoted.tables]

    def write(self, top: int) -> list[Path]:
        """Write all tables to the ranking's folder in six formats; returns the files."""
        return [file for table in self.tables(top) for file in write_table(self.folder, table)]
