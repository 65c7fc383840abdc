"""What a retraining adds to the search's own model, as a table."""

from typing import Final

import pandas as pd

from analysis.tables.rounding import with_intervals
from analysis.tables.table import Table
from ichtune.metric_names import in_words

PAIRED: Final = {"difference (95 %)": "difference"}
"""The numeric columns behind the text columns."""


def paired_table(paired: pd.DataFrame, searched: str, population: pd.DataFrame) -> Table:
    """The retrained model's scores minus those of the `searched` one, one row each of `paired_differences`."""
    texts = paired[["part"]].copy()
    texts["metric"] = [in_words(name) for name in paired["metric"]]
    for name, column in ((searched, "before"), ("retrained", "after")):
        texts[name] = [f"{value:.3f}" if value == value else "undefined" for value in paired[column]]
    texts["difference (95 %)"] = with_intervals(paired["difference"], paired["low"], paired["high"])
    notes = [
        "differences are paired by patient, and intervals are about new patients for these models as trained",
        "both models are uncalibrated, at a threshold of 0.5; validation is slightly optimistic, as each model's best "
        "epoch was chosen on it",
    ]
    caption = f"What the retraining adds to the {searched} model"
    return Table(
        "paired", caption, paired, pd.DataFrame(columns=paired.columns), population, notes, texts.astype(str)
    )
