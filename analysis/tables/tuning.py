"""Calibration and thresholds of a model as tables, before and after."""

from typing import Final

import pandas as pd

from analysis.tables.rounding import column_with_interval
from analysis.tables.table import Table
from ichtune.inference.calibration import Calibration

_HOW = (
    "95 % intervals by resampling patients; there is none for a figure that is the same in all resamples, such as "
    "that of a single patient"
)
BEHIND: Final = {
    f"{name} (95 %)": name for name in ("before", "after", "change", "sensitivity", "specificity", "ppv")
} | {"positive slices": "positive"}
"""The numeric columns behind the text columns of both tables."""


def calibration_table(errors: pd.DataFrame, fitted: Calibration, population: pd.DataFrame) -> Table:
    """The errors of a model's probabilities before and after, one row each of `calibration_errors`."""
    texts = errors[["part", "label", "error"]].copy()
    for name in ("before", "after", "change"):
        texts[f"{name} (95 %)"] = column_with_interval(errors, name)
    lines = ", ".join(
        f"{label} {slope:.3g} z {fitted.intercepts[label]:+.3g}" for label, slope in fitted.slopes.items()
    )
    notes = [
        f"calibration: {fitted.chosen}",
        f"calibrated logits, from the network's logit z: {lines}",
        "after calibration, validation slices are scored by what was fitted on the other folds or, with a single "
        "fold, on other patients of it",
        "the calibration error is the expected one, in ten bins of equally many slices; chance raises it where there "
        "are few slices",
        _HOW,
    ]
    caption = "Errors of probabilities, before and after calibration"
    return Table.in_texts("calibration", caption, errors, texts, population, notes)


def thresholds_table(decided: pd.DataFrame, chosen: str, population: pd.DataFrame) -> Table:
    """What a model's thresholds do, one row each of `decisions`; `chosen` says how they were chosen."""
    texts = decided[["part", "label", "model"]].copy()
    texts["threshold"] = [f"{threshold:.4g}" for threshold in decided["threshold"]]
    texts["positive slices"] = [f"{count:,}" for count in decided["positive"]]
    texts["patients"] = [f"{count:,}" for count in decided["patients"]]
    for name in ("sensitivity", "specificity", "ppv"):
        texts[f"{name} (95 %)"] = column_with_interval(decided, name)
    notes = [
        f"thresholds: {chosen}",
        "as trained is the uncalibrated probability at 0.5; in validation, tuned slices are called positive by "
        "thresholds chosen on the other folds or, with a single fold, on other patients of it",
        "a positive predictive value holds for this prevalence; undefined is that of a label that was never called "
        "positive",
        _HOW,
    ]
    return Table.in_texts("thresholds", "What the thresholds do", decided, texts, population, notes)
