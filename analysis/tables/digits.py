"""How many decimals a ranking's numbers support."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from analysis.ranking.certainty import Certainty
from analysis.ranking.order import Ranking
from analysis.tables.rounding import decimals_between, decimals_for

BESIDE: Final = ("average_precision", "subset_accuracy", "weighted_log_loss")
"""The metrics shown beside the score."""


@dataclass(frozen=True)
class Digits:
    """The decimals of a ranking's columns."""

    score: int
    """From the standard errors of the scores."""
    difference: int
    """From the errors of paired differences, which are often smaller."""
    beside: dict[str, int]
    """For the other metrics shown, from their spread over folds."""

    @classmethod
    def of(cls, ranking: Ranking, certainty: Certainty) -> "Digits":
        return cls(
            score=decimals_for(certainty.typical_error),
            difference=decimals_between(
                certainty.table["difference_low"], certainty.table["difference_high"]
            ),
            beside={name: _beside(ranking, name) for name in BESIDE if name != ranking.metric},
        )


def _beside(ranking: Ranking, metric: str) -> int:
    spreads = [trial.scores.std[metric] for trial in ranking.trials]
    known = [spread for spread in spreads if spread == spread]
    return decimals_for(float(np.median(known)) / ranking.validation.folds**0.5) if known else 4
