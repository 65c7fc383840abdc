"""The tables of a model card, as texts."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd
from scipy.special import logit

from analysis.calibration.scores import Judged
from analysis.statistics.influence import Measure, Truth
from analysis.statistics.significance import each_alone
from analysis.tables.rounding import column_with_interval, with_intervals
from ichtune.data.store import SliceStore
from ichtune.labels import LABELS
from ichtune.metric_names import in_words
from ichtune.training.batches import Fold
from ichtune.wording import plural

_OF_THE_ORDER: Final = ("auc", "average_precision")
_OF_DECISIONS: Final = ("f1", "precision", "recall", "subset_accuracy", "hamming_score")
_OF_PROBABILITIES: Final = ("weighted_log_loss",)


def overall(parts: list[Judged]) -> pd.DataFrame:
    """One row per metric, one column per part: the score with its 95 % interval by patient, as text."""
    metrics = (*_OF_THE_ORDER, *_OF_DECISIONS, *_OF_PROBABILITIES)
    columns = {judged.part: [_scored(judged, metric) for metric in metrics] for judged in parts}
    return pd.DataFrame({"metric": [in_words(metric) for metric in metrics]} | columns)


def by_label(parts: list[Judged]) -> pd.DataFrame:
    """One row per label: the AUC and average precision of each part with their 95 % intervals by patient, as texts."""
    columns = {
        f"{in_words(metric)}, {judged.part}": [_scored(judged, f"{metric}_{label}") for label in LABELS]
        for judged in parts
        for metric in _OF_THE_ORDER
    }
    return pd.DataFrame({"label": LABELS} | columns)


def population(store: SliceStore, rows: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """One row per label (and the totals), one column per part: positive slices and patients, and unknown slices."""
    totals = [
        f"{len(part):,} slices of {plural(len(np.unique(store.patients[part])), 'patient', 'patients')}"
        for part in rows.values()
    ]
    counts = [[_counted(store, part, column) for part in rows.values()] for column in range(len(LABELS))]
    cells = [["all", *totals], *([label, *row] for label, row in zip(LABELS, counts, strict=True))]
    return pd.DataFrame(cells, columns=["", *rows])


def calibration(errors: pd.DataFrame) -> pd.DataFrame:
    """One row per part and label: log loss and calibration error before and after, with 95 % intervals by patient."""
    table = errors[["part", "label"]].drop_duplicates().reset_index(drop=True)
    for error in ("log loss", "calibration error"):
        chosen = errors[errors["error"] == error]
        for name in ("before", "after"):
            table[f"{error} {name}"] = column_with_interval(chosen, name)
    return table


def thresholds(decisions: pd.DataFrame) -> pd.DataFrame:
    """One row per part, label and model: what its threshold does, with 95 % intervals by patient.

    A label that tuning left alone has a single row, as trained.
    """
    table = decisions[["part", "label", "model"]].copy()
    table["threshold"] = [f"{threshold:.4g}" for threshold in decisions["threshold"]]
    for name in ("sensitivity", "specificity", "ppv"):
        table[name] = column_with_interval(decisions, name)
    same = table.drop(columns="model").duplicated()
    return table[~same].rename(columns={"ppv": "PPV"})


def _counted(store: SliceStore, rows: np.ndarray, column: int) -> str:
    labels = store.labels[rows, column]
    unknown = int(np.isnan(labels).sum())
    if unknown == len(rows):
        return "unknown"
    positive = labels == 1
    patients = plural(len(np.unique(store.patients[rows][positive])), "patient", "patients")
    return f"{positive.sum():,} in {patients}{f'; {unknown:,} unknown' if unknown else ''}"


def _scored(judged: Judged, metric: str) -> str:
    rows = np.arange(len(judged.labels))
    truth = Truth(judged.labels, judged.patients, [Fold(0, rows[:0], rows)])
    value, low, high = each_alone(Measure(metric, truth), [_logits(judged, metric)])[0]
    ends = (
        (low, high) if high > low else (np.nan, np.nan)
    )  # what doesn't vary between patients proves nothing
    return with_intervals(*(pd.Series([number]) for number in (value, *ends)))[0]


def _logits(judged: Judged, metric: str) -> np.ndarray:
    """The logits a metric is about: as trained for the order, shifted for decisions so that thresholds are at 0."""
    if metric.startswith(_OF_THE_ORDER):
        return judged.before.logits
    if metric in _OF_PROBABILITIES:
        return judged.after.logits
    with np.errstate(divide="ignore"):  # a threshold of 0 calls everything positive
        return judged.after.logits - logit(judged.after.thresholds)
