"""A ranking with all that belongs to it, each part worked out once: what the commands and the Python API hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from analysis.ranking.certainty import Certainty
from analysis.ranking.changes import Ablation, ablations
from analysis.ranking.order import Ranking
from analysis.ranking.seed_noise import SeedNoise
from analysis.ranking.trial import RankedTrial
from analysis.statistics.cohort import Cohort
from analysis.statistics.influence import Truth
from analysis.statistics.significance import Scores
from analysis.tables import ablation as tables_of_changes
from analysis.tables import labels, ranked
from analysis.tables.digits import Digits
from analysis.tables.table import Table
from analysis.tables.writers import write_table
from analysis.test_set.held_out import HeldOut
from ichtune.data.store import SliceStore
from ichtune.runs.folder import RunFolder


@dataclass(frozen=True)
class RankedResults:
    """The trials of a run, or of several over one store, best first, with how sure that is and every table of it."""

    ranking: Ranking

    @classmethod
    def of(
        cls,
        run: RunFolder | str | Path,
        *,
        metric: str | None = None,
        label: str | None = None,
        compare: RunFolder | str | Path | None = None,
    ) -> "RankedResults":
        """The ranking of a run by a recorded metric, by default the one that it searched for.

        `label` ranks by the metric of that label alone; `compare` puts the trials of a second run beside them.

        Raises:
            InputError: there is no run, none of its trials finished an epoch, the metric was not recorded, or the
                second run was scored on another store or other folds.
        """
        return cls(Ranking.of(run, metric=metric, label=label, compare=compare))

    # The order.

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
        """The baseline and what differs from it by one change; empty without such a point."""
        return ablations(self.ranking.trials)

    # The data behind it.

    @cached_property
    def store(self) -> SliceStore:
        return self.run.request.open_store()

    @cached_property
    def cohort(self) -> Cohort:
        return Cohort(self.store, self.ranking.folds)

    @property
    def truth(self) -> Truth:
        return self.cohort.truth

    @property
    def splits(self) -> pd.DataFrame:
        return self.cohort.splits

    @cached_property
    def held_out(self) -> HeldOut:
        """The test set, with what was predicted for it."""
        return HeldOut(self.run, self.store)

    # How sure it is.

    @cached_property
    def certainty(self) -> Certainty:
        return Certainty(self.ranking, self.truth)

    @property
    def certain(self) -> pd.DataFrame:
        """How sure the ranking is, a row a trial: `Certainty.table`."""
        return self.certainty.table

    @property
    def scores(self) -> Scores | None:
        return self.certainty.scores

    @property
    def measured(self) -> list[int]:
        return self.certainty.measured

    @property
    def corrected_best(self) -> float | None:
        """The best score less what choosing the best of so many has added to it; None where nobody can tell."""
        return self.certainty.corrected_best

    @cached_property
    def seeds(self) -> SeedNoise:
        """What other seeds made of the best recipes."""
        return SeedNoise(self.run)

    @cached_property
    def noise_floor(self) -> float:
        """What two trainings of one recipe may differ by, by their seeds alone; NaN before `--seeds` was asked for."""
        return self.seeds.floor(self.metric)

    # Its tables.

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row a trial, with the columns that docs/tables.md describes, and one for each parameter that varies."""
        return ranked.ranked_rows(self.ranking, self.certainty, self.seeds)

    @cached_property
    def no_skill(self) -> pd.DataFrame:
        """What predicting without looking scores on the same folds: a row a way, the metrics' mean over folds."""
        return ranked.no_skill_rows(self.metric, self.cohort.no_skill)

    def by_label(self, places: Sequence[int]) -> pd.DataFrame:
        """The AUC and average precision of each label, with 95 % intervals by patient, for trials by their place."""
        measured = set(self.measured)
        return labels.label_rows(self.ranking, self.truth, [place for place in places if place in measured])

    @cached_property
    def digits(self) -> Digits:
        """How many decimals its numbers support."""
        return Digits.of(self.ranking, self.certainty)

    @cached_property
    def ranked_table(self) -> Table:
        return ranked.ranked_table(
            self.ranking, self.certainty, self.cohort, self.digits, self.table, self.no_skill
        )

    def label_table(self, top: int) -> Table:
        """The best `top` trials label by label."""
        top = min(top, len(self.trials))
        return labels.label_table(self.ranking, self.cohort, self.by_label(range(top)), top)

    @cached_property
    def ablation_table(self) -> Table | None:
        """The baseline and what each one change to it does; None where the run has no such trials."""
        return tables_of_changes.ablation_table(self.run, self.cohort, self.held_out, self.ablation)

    @cached_property
    def test_table(self) -> Table | None:
        """The best trial beside the baseline on the test set; None as long as that was not looked at."""
        baseline = self.ablation[:1]
        return tables_of_changes.test_table(self.run, self.cohort, self.held_out, self.best, baseline)

    def tables(self, top: int) -> list[Table]:
        """The ranking, the `top` trials by label, the ablation and the test set, as far as the run has them."""
        if len(self.runs) > 1:
            return [self.ranked_table]
        by_label = self.label_table(top) if self.measured else None
        found = [self.ranked_table, by_label, self.ablation_table, self.test_table]
        return [table for table in found if table is not None]

    def write(self, top: int) -> list[Path]:
        """Write all tables into the ranking's folder, in six formats; gives the files."""
        return [file for table in self.tables(top) for file in write_table(self.folder, table)]
