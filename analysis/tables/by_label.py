"""The best trials by label."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from analysis.ranking.order import Ranking
from analysis.statistics.cohort import Cohort
from analysis.statistics.influence import Measure, Truth
from analysis.statistics.pooled import PooledAveragePrecision
from analysis.statistics.significance import each_alone
from analysis.tables.rounding import column_with_interval
from analysis.tables.table import Table
from ichtune.labels import LABELS

MEASURES: Final = {
    "auc": (Measure, "auc"),
    "average_precision": (Measure, "average_precision"),
    "pooled_average_precision": (PooledAveragePrecision, "average_precision"),
}
"""The columns of a label's scores: how each is measured, and by which metric."""


def label_rows(ranking: Ranking, truth: Truth, places: Sequence[int]) -> pd.DataFrame:
    """Each label's AUC and average precision with 95 % intervals by patient, for the trials at these places.

    Columns `rank, trial, label, positive_patients`, and for each of `MEASURES` as for `auc, auc_low, auc_high`.
    """
    if not places:
        return pd.DataFrame()
    trials = [ranking.trials[place] for place in places]
    kept = [trial.logits for trial in trials]
    logits = [of_trial for of_trial in kept if of_trial is not None]
    found = {
        (label, name): each_alone(measure(f"{metric}_{label}", truth), logits)
        for label in LABELS
        for name, (measure, metric) in MEASURES.items()
    }
    positive = _positive_patients(truth)
    rows = []
    for index, (place, trial) in enumerate(zip(places, trials, strict=True)):
        for label in LABELS:
            row: dict[str, object] = {"rank": place + 1, "trial": trial.name, "label": label}
            row["positive_patients"] = positive[label]
            for name in MEASURES:
                ends = (name, f"{name}_low", f"{name}_high")
                row |= dict(zip(ends, found[label, name][index], strict=True))
            rows.append(row)
    return pd.DataFrame(rows)


def _positive_patients(truth: Truth) -> dict[str, int]:
    searched = truth.codes >= 0
    return {
        label: len(np.unique(truth.codes[searched & (truth.labels[:, column] == 1)]))
        for column, label in enumerate(LABELS)
    }


def label_table(ranking: Ranking, cohort: Cohort, rows: pd.DataFrame, top: int) -> Table:
    """The best trials by label: AUC and average precision with their intervals."""
    return Table(
        name="labels",
        caption=f"Search {ranking.run.name}: the best {top} trials by label, out of fold, 95 % intervals by patient",
        rows=rows,
        below=pd.DataFrame(columns=rows.columns),
        population=cohort.population,
        notes=cohort.notes,
        texts=_texts(ranking, rows),
    )


def _texts(ranking: Ranking, rows: pd.DataFrame) -> pd.DataFrame:
    """The values with their intervals, each with as many digits as it supports."""
    if rows.empty:
        return rows
    return pd.DataFrame(
        {
            "rank": list(map(str, rows["rank"])),
            "trial": [ranking.trials[rank - 1].short_name for rank in rows["rank"]],
            "label": rows["label"],
            "positive patients": list(map(str, rows["positive_patients"])),
            "AUC (95 %)": column_with_interval(rows, "auc"),
            "average precision (95 %)": column_with_interval(rows, "average_precision"),
            "pooled over folds (95 %)": column_with_interval(rows, "pooled_average_precision"),
        }
    )
