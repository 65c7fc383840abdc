"""How certain a ranking is: errors, ties and rank intervals by patient, from the trials' kept predictions."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
import pandas as pd

from analysis.ranking.order import Ranking
from analysis.ranking.simplest import Simplest, simplest
from analysis.statistics.comparisons import Comparisons
from analysis.statistics.influence import EVERY, Measure, Truth, is_measurable
from analysis.statistics.selection import Winner
from analysis.statistics.significance import Scores
from ichtune.labels import LABELS

DIFFERENCE: Final = 0.02
"""A difference in score that would matter to many readers."""
COLUMNS: Final = (
    "score_low",
    "score_high",
    "difference",
    "difference_low",
    "difference_high",
    "simultaneous_low",
    "simultaneous_high",
    "p_value",
    "p_best",
    "tied_with_best",
    "rank_low",
    "rank_high",
)


@dataclass(frozen=True)
class Certainty:
    """The statistics of a ranking, each computed once."""

    ranking: Ranking
    truth: Truth

    @cached_property
    def measured(self) -> list[int]:
        """The places of the trials whose scores can be recomputed from their predictions."""
        if not is_measurable(self.ranking.metric):
            return []
        return [
            place
            for place, trial in enumerate(self.ranking.trials)
            if np.isfinite(trial.score) and trial.logits is not None
        ]

    @cached_property
    def scores(self) -> Scores | None:
        """The scores of the `measured` trials with their errors by patient; None if there are none.

        The values are the recorded ones; their errors come from the kept predictions, which have half precision.
        """
        if not self.measured:
            return None
        found = Scores.of(self._measure, self.logits())
        return replace(found, values=np.array([self.ranking.trials[place].score for place in self.measured]))

    @cached_property
    def _measure(self) -> Measure:
        return Measure(self.ranking.metric, self.truth)

    def logits(self) -> Iterator[np.ndarray]:
        """Yield the predictions of the measured trials one at a time, to keep only one in memory."""
        for place in self.measured:
            logits = self.ranking.trials[place].logits
            assert logits is not None
            yield logits

    @cached_property
    def comparisons(self) -> Comparisons | None:
        """The measured trials compared with one another; None if there are none."""
        return None if self.scores is None else Comparisons(self.scores)

    @cached_property
    def winner(self) -> Winner | None:
        """What the best score is worth, corrected for its selection; None if it can't be computed."""
        return None if self.scores is None else Winner(self.scores)

    @cached_property
    def table(self) -> pd.DataFrame:
        """The certainty of the ranking, one row per trial; empty for trials without predictions.

        `score_low` and `score_high` are the 95 % interval by patient, `difference` the difference to the first trial,
        with its paired interval `difference_low`, `difference_high`. `simultaneous_low` and `simultaneous_high` are
        that interval corrected for all pairs, to which `p_value` belongs. `p_best` is the p-value of being the best,
        from which `tied_with_best` follows. `rank_low` and `rank_high` are the range of ranks that the trial may have.
        """
        table = pd.DataFrame(index=range(len(self.ranking.trials)), columns=list(COLUMNS), dtype=object)
        if self.scores is not None and self.comparisons is not None:
            scores, compared = self.scores, self.comparisons
            columns = [
                *scores.intervals().T,
                *scores.differences(0).T,
                *compared.simultaneous.T,
                compared.p_values,
                compared.p_best,
                compared.tied_with_best,
                *compared.rank_intervals.T,
            ]
            for name, values in zip(COLUMNS, columns, strict=True):
                table.loc[self.measured, name] = values.astype(object)
        return table

    @cached_property
    def best_set(self) -> list[int]:
        """The places of the trials that hold the truly best one with 95 % confidence."""
        if self.comparisons is None:
            return []
        return [
            place for place, tied in zip(self.measured, self.comparisons.tied_with_best, strict=True) if tied
        ]

    @cached_property
    def simplest(self) -> Simplest | None:
        """The recipe in that set with the fewest changes to the baseline; None without a baseline."""
        return simplest(self.ranking.trials, self.best_set)

    @cached_property
    def patients_needed(self) -> float:
        """How many patients would exclude a recipe worse by `DIFFERENCE` from that set; NaN if that is unknown."""
        return float("nan") if self.comparisons is None else self.comparisons.patients_for(DIFFERENCE)

    @property
    def others(self) -> int:
        """How many trials were compared with the best."""
        return max(len(self.measured) - 1, 0)

    @property
    def tied(self) -> int:
        """How many of the others may be the best."""
        return max(len(self.best_set) - 1, 0)

    @cached_property
    def typical_error(self) -> float:
        """The median standard error of the scores; NaN if there are none."""
        return float("nan") if self.scores is None else float(np.median(self.scores.errors))

    @cached_property
    def corrected_best(self) -> float | None:
        """The best score, corrected for selecting the best of all trials; None if it can't be computed."""
        return None if self.winner is None else self.winner.corrected

    @cached_property
    def carriers(self) -> dict[str, int]:
        """How many patients are positive for each label, and so carry its score; empty for whole-slice metrics."""
        if self.scores is None:
            return {}
        return {LABELS[label]: count for label, count in self._measure.carriers.items() if label != EVERY}
