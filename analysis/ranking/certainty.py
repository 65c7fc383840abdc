"""How certain a ranking is: errors, ties and rank intervals by patient, from the trials' kept predictions."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
import pandas as pd

from analysis.ranking.order import Ranking
from analysis.statistics.influence import EVERY, Measure, Truth, is_measurable
from analysis.statistics.significance import Scores
from ichtune.labels import LABELS

COLUMNS: Final = (
    "score_low",
    "score_high",
    "difference",
    "difference_low",
    "difference_high",
    "p_value",
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
        found = Scores.of(self._measure, self._logits())
        return replace(found, values=np.array([self.ranking.trials[place].score for place in self.measured]))

    @cached_property
    def _measure(self) -> Measure:
        return Measure(self.ranking.metric, self.truth)

    def _logits(self) -> Iterator[np.ndarray]:
        """Yield the predictions of the measured trials one at a time, to keep only one in memory."""
        for place in self.measured:
            logits = self.ranking.trials[place].logits
            assert logits is not None
            yield logits

    @cached_property
    def table(self) -> pd.DataFrame:
        """The certainty of the ranking, one row per trial; empty for trials without predictions.

        `score_low` and `score_high` are the 95 % interval by patient, `difference` the difference to the first trial,
        with its paired interval `difference_low`, `difference_high`. `p_value` is Holm-corrected over all pairs, and
        `tied_with_best` follows from it. `rank_low` and `rank_high` are the range of ranks that the trial may have.
        """
        table = pd.DataFrame(index=range(len(self.ranking.trials)), columns=list(COLUMNS), dtype=object)
        if self.scores is not None:
            numbers = np.hstack([self.scores.intervals(), self.scores.differences(0)])
            table.iloc[self.measured, :5] = numbers.astype(object)
            table.iloc[self.measured, 5] = self.scores.adjusted[0].astype(object)
            table.iloc[self.measured, 6] = self._tied_with_best.astype(object)
            table.iloc[self.measured, 7:] = self.scores.rank_intervals().astype(object)
        return table

    @cached_property
    def _tied_with_best(self) -> np.ndarray:
        return np.empty(0, bool) if self.scores is None else self.scores.tied_with(0)

    @property
    def others(self) -> int:
        """How many trials were compared with the best."""
        return max(len(self.measured) - 1, 0)

    @property
    def tied(self) -> int:
        """How many of the others are indistinguishable from the best."""
        return max(int(self._tied_with_best.sum()) - 1, 0)

    @cached_property
    def typical_error(self) -> float:
        """The median standard error of the scores; NaN if there are none."""
        return float("nan") if self.scores is None else float(np.median(self.scores.errors))

    @cached_property
    def corrected_best(self) -> float | None:
        """The best score, corrected for selecting the best of all trials; None if it can't be computed."""
        return None if self.scores is None else self.scores.corrected_best()

    @cached_property
    def carriers(self) -> dict[str, int]:
        """How many patients are positive for each label, and so carry its score; empty for whole-slice metrics."""
        if self.scores is None:
            return {}
        return {LABELS[label]: count for label, count in self._measure.carriers.items() if label != EVERY}
