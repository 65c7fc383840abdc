"""The interval of each ranked recipe's score if its models were trained anew."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from analysis.ranking.certainty import Certainty
from analysis.ranking.seed_noise import SeedNoise
from analysis.statistics.anew import Variance, anew_intervals, of_training_sets, validation_share


@dataclass(frozen=True)
class TrainedAnew:
    """What the spread over folds, and reruns with other seeds, add to the scores' errors by patient."""

    certainty: Certainty
    seeds: SeedNoise

    @cached_property
    def table(self) -> pd.DataFrame:
        """`anew_low` and `anew_high`, one row per trial; NaN for trials without predictions.

        NaN too with a single fold and no reruns with other seeds.
        """
        ranking, certainty = self.certainty.ranking, self.certainty
        table = pd.DataFrame(np.nan, index=range(len(ranking.trials)), columns=["anew_low", "anew_high"])
        if certainty.scores is not None:
            scores = [ranking.trials[place].scores for place in certainty.measured]
            spreads = np.array([score.std[ranking.metric] for score in scores])
            folds = np.array([np.isfinite(score.folds[ranking.metric]).sum() for score in scores])
            folds = (
                folds // ranking.validation.rounds
            )  # another partition's folds are no further training sets
            sets = of_training_sets(spreads, folds, validation_share(certainty.truth))
            table.loc[certainty.measured] = anew_intervals(certainty.scores, sets, self._by_seed)
        return table

    @property
    def _by_seed(self) -> Variance | None:
        """The variance of a score by seed, the same for all recipes; None before `--seeds`."""
        variance, degrees = self.seeds.variance(self.certainty.ranking.metric)
        return Variance(np.full(len(self.certainty.measured), variance), degrees) if degrees else None
