"""The scores of single folds, in validation and on the test set, with their mean and standard deviation."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from scipy.special import expit

from analysis.ranking.trial import RankedTrial
from analysis.statistics.cohort import Cohort
from analysis.tables.ablation import METRICS, TEST, VALIDATION
from analysis.tables.table import Table
from analysis.test_set.held_out import HeldOut
from ichtune.metrics import evaluate, nan_mean, nan_std
from ichtune.runs.folder import RunFolder

_NOTE: Final = (
    "validation: each fold's own patients, at the epoch that is best for the other folds; test: the model that the "
    "search kept of each fold, at probabilities of 0.5; SD: the standard deviation over folds"
)


def fold_table(
    run: RunFolder, cohort: Cohort, held_out: HeldOut, trials: Sequence[RankedTrial]
) -> Table | None:
    """Each fold's scores of these trials, and their mean and SD; None until any of them is scored on the test set."""
    scored = [(trial, logits) for trial in trials if (logits := held_out.by_fold(trial)) is not None]
    if not scored:
        return None
    return Table(
        name="folds",
        caption=f"Search {run.name}: the models of single folds",
        rows=pd.concat([_rows(trial, logits, held_out) for trial, logits in scored], ignore_index=True),
        below=pd.DataFrame(columns=["trial", "fold"]),
        population=cohort.population,
        notes=[_NOTE, *cohort.notes],
    )


def _rows(trial: RankedTrial, logits: np.ndarray, held_out: HeldOut) -> pd.DataFrame:
    labels = held_out.store.labels[held_out.store.test]
    on_test = [evaluate(expit(of_fold.astype(np.float64)), labels) for of_fold in logits]
    columns = {
        f"{VALIDATION}_{metric}": np.asarray(trial.scores.folds[metric], float) for metric in METRICS
    } | {f"{TEST}_{metric}": np.array([scores[metric] for scores in on_test]) for metric in METRICS}
    folds = [str(fold) for fold in range(len(logits))]
    # Rounding errors of equal scores aren't a deviation.
    over_folds = {
        name: [*values, nan_mean(values), round(nan_std(values), 12)] for name, values in columns.items()
    }
    return pd.DataFrame({"trial": trial.name, "fold": [*folds, "mean", "SD"]} | over_folds)
