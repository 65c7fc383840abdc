"""The average precision of each ranked trial's out-of-fold predictions, all folds together."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from analysis.ranking.certainty import Certainty
from analysis.statistics.pooled import PooledAveragePrecision
from analysis.statistics.significance import each_alone

AVERAGE_PRECISION = "average_precision"
POOLED = f"pooled_{AVERAGE_PRECISION}"
COLUMNS = (POOLED, f"{POOLED}_low", f"{POOLED}_high")


@dataclass(frozen=True)
class PooledScores:
    """The trials' pooled average precision: of one label if they are ranked by its average precision, or of all."""

    certainty: Certainty

    @property
    def asked(self) -> bool:
        """Whether the ranking is by average precision, so that its two kinds must be told apart."""
        return self.certainty.ranking.metric.startswith(AVERAGE_PRECISION)

    @cached_property
    def table(self) -> pd.DataFrame:
        """`pooled_average_precision` and its 95 % interval by patient, one row per trial.

        NaN for trials without predictions.
        """
        certainty, metric = self.certainty, self.certainty.ranking.metric
        table = pd.DataFrame(np.nan, index=range(len(certainty.ranking.trials)), columns=list(COLUMNS))
        if certainty.measured:
            measure = PooledAveragePrecision(metric if self.asked else AVERAGE_PRECISION, certainty.truth)
            table.loc[certainty.measured] = each_alone(measure, certainty.logits())
        return table
