"""Retrained models side by side, as a table."""

from collections.abc import Sequence
from typing import Final

import pandas as pd

from analysis.tables.rounding import column_with_interval
from analysis.tables.table import Table
from ichtune.metric_names import in_words

COMPARED: Final = ("auc", "hamming_score", "subset_accuracy", "f1", "precision", "recall")
"""The metrics by which published studies compare fine-tuned models."""


def compared_table(
    rows: pd.DataFrame, names: Sequence[str], caption: str, notes: Sequence[str], population: pd.DataFrame
) -> Table:
    """Models by part, one row each of `compared`: scores with intervals, and differences to the first model."""
    texts = rows[["part", "model"]].copy()
    for metric in COMPARED:
        texts[f"{in_words(metric)} (95 %)"] = column_with_interval(rows, metric)
    for metric in COMPARED:
        changes = column_with_interval(rows, f"{metric}_difference")
        first = rows["model"] == names[0]
        texts[f"{in_words(metric)}, difference"] = [
            "" if is_first else text for is_first, text in zip(first, changes, strict=True)
        ]
    explained = [
        f"differences are to {names[0]}, paired by patient; intervals are about new patients for these models as "
        "trained, without correction for several comparisons",
        "all models are uncalibrated, at a threshold of 0.5",
        *notes,
    ]
    return Table(
        "compared",
        caption,
        rows,
        pd.DataFrame(columns=rows.columns),
        population,
        explained,
        texts.astype(str),
    )
