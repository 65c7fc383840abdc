"""The interval of each ranked recipe's score if its models were trained anew."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from analysis.ranking.certainty import Certainty
from analysis.ranking.seed_noise import SeedNoise
from analysis.statistics.anew import Variance, anew_intervals, of_training_sets, validation_share
from ichtune.metrics import nan_std
from ichtune.runs.fold_scores import FoldScores


@dataclass(frozen=True)
class TrainedAnew:
    """What the spread over folds, and trainings with several seeds, add to the scores' errors by patient."""

    certainty: Certainty
    seeds: SeedNoise

    @cached_property
    def table(self) -> pd.DataFrame:
        """`anew_low` and `anew_high`, one row per trial; NaN for trials without predictions.

        NaN too with a single fold and a single seed.
        """
        ranking, certainty = self.certainty.ranking, self.certainty
        table = pd.DataFrame(np.nan, index=range(len(ranking.trials)), columns=["anew_low", "anew_high"])
        if certainty.scores is not None:
            by_fold = [self._by_fold(ranking.trials[place].scores) for place in certainty.measured]
            spreads = np.array(list(map(nan_std, by_fold)))
            # Another partition's folds are no further training sets.
            sets = np.array([np.isfinite(of).sum() for of in by_fold]) // ranking.validation.partitions
            spread = of_training_sets(spreads, sets, validation_share(certainty.truth))
            table.loc[certainty.measured] = anew_intervals(certainty.scores, spread, self._by_seed)
        return table

    def _by_fold(self, scores: FoldScores) -> np.ndarray:
        """The score of each fold, the mean over seeds, whose models have the same training set."""
        ranking = self.certainty.ranking
        return scores.folds[ranking.metric].reshape(ranking.validation.seeds, -1).mean(axis=0)

    @property
    def _by_seed(self) -> Variance | None:
        """The variance of a score by seed, the same for all recipes; None without several seeds."""
        variance, degrees = self.seeds.variance
        return Variance(np.full(len(self.certainty.measured), variance), degrees) if degrees else None
