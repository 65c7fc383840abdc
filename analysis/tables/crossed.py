"""Several models on several stores, as tables."""

from collections.abc import Mapping, Sequence
from typing import Final

import pandas as pd

from analysis.tables.rounding import column_with_interval, with_intervals
from analysis.tables.table import Table
from ichtune.metric_names import METRICS, in_words

SHOWN: Final = ("auc", "average_precision", "subset_accuracy", "f1", "weighted_log_loss")
"""The metrics of the cross table on the screen and in print; the csv has all."""
BEFORE_AND_AFTER: Final = ("the first model", "this model")
_BY_PATIENT: Final = "95 % intervals by patient, about new patients for these models as trained"


def cross_table(
    rows: pd.DataFrame, trained_on: Mapping[str, str], notes: Sequence[str], population: pd.DataFrame
) -> Table:
    """What models (rows) score on stores (columns), by unit and metric, from the rows of `cross_rows`.

    `trained_on` says on what each model was trained, in words.
    """
    stores = list(dict.fromkeys(rows["store"]))
    texts = []
    for by in dict.fromkeys(rows["by"]):
        for metric in SHOWN:
            for model in dict.fromkeys(rows["model"]):
                here = rows[(rows["by"] == by) & (rows["model"] == model)]
                cells = dict.fromkeys((f"on {store}" for store in stores), "not scored")
                scores = column_with_interval(here, metric)
                cells |= {f"on {store}": score for store, score in zip(here["store"], scores, strict=True)}
                texts.append(
                    {"by": by, "metric": in_words(metric), "model": f"{model} ({trained_on[model]})", **cells}
                )
    explained = [
        f"rows are models, with the store that they were trained on, columns are stores; {_BY_PATIENT}",
        "on a store, all models are scored on the same slices, and on the labels that all of them know",
        "averaged metrics are means over the labels with positives and negatives; these and the prevalence differ",
    ]
    caption = "Trained on one store, evaluated on another"
    return Table.in_texts("cross", caption, rows, pd.DataFrame(texts), population, [*notes, *explained])


def paired_models_table(rows: pd.DataFrame, population: pd.DataFrame) -> Table:
    """Models minus the first on the same patients, one row each of `paired_rows`."""
    texts = rows[["store", "by", "label", "model"]].copy()
    texts.insert(3, "metric", [METRICS[name].words for name in rows["metric"]])
    for name, column in zip(BEFORE_AND_AFTER, ("before", "after"), strict=True):
        texts[name] = [f"{value:.3f}" if value == value else "undefined" for value in rows[column]]
    texts["difference (95 %)"] = with_intervals(rows["difference"], rows["low"], rows["high"])
    texts["all models at once (95 %)"] = with_intervals(rows["difference"], rows["all_low"], rows["all_high"])
    notes = [
        f"each model minus {rows['first'].iloc[0]} on the same slices, paired by patient; {_BY_PATIENT}",
        "intervals for all models at once hold for every model of a row's store and metric together with 95 % "
        "confidence; over several metrics and stores nothing is corrected",
    ]
    return Table.in_texts("paired", "Models on the same patients", rows, texts, population, notes)
