"""What the numbers of a ranking are about, in words."""

import numpy as np
import pandas as pd

from analysis.ranking.order import Ranking
from analysis.tables.rounding import interval, with_intervals

AS_TRAINED = "intervals are about new patients for these models as trained"
MEAN_OVER_FOLDS = (
    "the average precision ranked by is the mean over folds, which is too high for rare labels: in the folds that have "
    "one, it is commoner than among all patients"
)


def part_note(ranking: Ranking) -> list[str]:
    """A note on the part of the cross-validation that counts, where runs differ in it; empty where they don't."""
    if not ranking.cut:
        return []
    whole = " and ".join(f"{run.name} has {run.request.validation}" for run in ranking.cut)
    on = (
        "on the fold"
        if ranking.validation.trainings == 1
        else f"the mean over the {ranking.validation} folds"
    )
    return [f"scores are {on} that both runs have ({whole})"]


def epoch_note(ranking: Ranking, decimals: int) -> list[str]:
    """A note on how much scores change at epochs that were chosen on the patients that they are about."""
    if not ranking.usable:
        return []
    of_one = [run.name for run in ranking.runs if run.request.validation.folds == 1]
    if len(of_one) == len(ranking.runs):
        return [
            "with one fold, the epoch is chosen on the patients that the score is about, so scores are somewhat too "
            "good; search on more folds to avoid it"
        ]
    if of_one:
        return [
            f"{of_one[0]} has one fold, so its epochs were chosen on the patients that its scores are about, which "
            "makes them somewhat too good beside the others, whose epochs other folds chose"
        ]
    gains = [trial.searched_score - trial.score for trial in ranking.trials]
    return [
        "each fold is scored at the epoch that is best for the other folds; at the epoch best for all folds, as the "
        f"search saw it, the best score would change by {gains[0]:+.{decimals}f} (median of all trials: "
        f"{np.nanmedian(gains):+.{decimals}f})"
    ]


def anew_note(ranking: Ranking, rows: pd.DataFrame, decimals: int) -> list[str]:
    """What intervals are about, and the best recipe's interval if trained anew; empty without intervals."""
    if not len(rows) or pd.isna(rows["score_low"]).all():
        return []
    ends = interval(rows["anew_low"].iloc[0], rows["anew_high"].iloc[0], decimals)
    if not ends:
        return [f"{AS_TRAINED}, not about models trained anew on other patients{_why_not(ranking)}"]
    return [f"{AS_TRAINED}; for the best recipe trained anew on other patients: {ends}"]


def _why_not(ranking: Ranking) -> str:
    """Why there is no interval for models trained anew, if that is because nothing shows how much they vary."""
    return ", which takes several folds or --seeds to know" if ranking.validation.folds < 2 else ""


def pooled_note(ranking: Ranking, rows: pd.DataFrame) -> list[str]:
    """Which average precision is ranked by, and the best trial's other one; empty for other metrics."""
    if not ranking.metric.startswith("average_precision") or np.isnan(
        rows["pooled_average_precision"].iloc[0]
    ):
        return []
    (value,) = with_intervals(
        *(rows[f"pooled_average_precision{end}"].iloc[:1] for end in ("", "_low", "_high"))
    )
    return [f"{MEAN_OVER_FOLDS}; of all folds pooled by rank, the best trial's is {value}"]
