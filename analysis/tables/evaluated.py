"""What a model is worth on a store, as tables."""

from typing import Final

import pandas as pd

from analysis.tables.rounding import column_with_interval, shown
from analysis.tables.table import Table
from ichtune.metric_names import METRICS, in_words

BEHIND: Final = (
    {f"{in_words(name)} (95 %)": name for name in METRICS}
    | {
        f"{name} (95 %)": name
        for name in ("sensitivity", "specificity", "precision", "npv", "before", "after", "change")
    }
    | {
        "mean AUC (95 %)": "auc",
        "AUC of any (95 %)": "auc_any",
        "sensitivity of any (95 %)": "sensitivity_any",
        "specificity of any (95 %)": "specificity_any",
        "slices": "count",
        "any positive": "positive",
    }
)
"""The numeric columns behind the text columns."""
_BY_PATIENT: Final = "95 % intervals by patient, about new patients for this model as trained"
_RESAMPLED: Final = (
    "95 % intervals by resampling patients; there is none for a figure that is the same in all resamples, such as "
    "that of a single patient"
)
_HIGHEST: Final = "the probability of a scan or patient is the highest of its slices"
_THRESHOLDS: Final = "the model's thresholds, which were chosen for slices, apply to scans and patients too"


def overall_table(
    rows: pd.DataFrame, no_skill: pd.DataFrame, caption: str, notes: list[str], population: pd.DataFrame
) -> Table:
    """Every metric by slice, scan and patient, one row each of `overall_scores`, with no skill below."""
    metrics = [name for name in METRICS if name in rows]
    texts = pd.DataFrame(
        {"by": rows["by"], "count": _counts(rows["count"]), "patients": _counts(rows["patients"])}
    )
    below = pd.DataFrame({"by": no_skill["by"]}).assign(count="", patients="")
    for metric in metrics:
        head = f"{in_words(metric)} (95 %)"
        texts[head] = column_with_interval(rows, metric)
        below[head] = [shown(value, 3) for value in no_skill[metric]]
    explained = [
        f"averaged metrics are means over the labels with positives and negatives; {_BY_PATIENT}",
        f"F1, precision, recall, subset accuracy and Hamming score are at the model's thresholds; {_HIGHEST}",
        "no skill: always negative, and the prevalence among these units, both at a threshold of 0.5",
    ]
    return Table(
        "scores",
        caption,
        rows,
        no_skill.reindex(columns=rows.columns),
        population,
        [*notes, *explained],
        pd.concat([texts, below], ignore_index=True).astype(str),
    )


def by_label_table(rows: pd.DataFrame, caption: str, population: pd.DataFrame) -> Table:
    """AUC and average precision of each label, one row each of `label_scores`."""
    texts = _about(rows)
    for metric in ("auc", "average_precision"):
        texts[f"{in_words(metric)} (95 %)"] = column_with_interval(rows, metric)
    notes = [f"{_BY_PATIENT}; undefined without positives or without negatives", _HIGHEST]
    return Table.in_texts("labels", caption, rows, texts, population, notes)


def decisions_table(rows: pd.DataFrame, chosen: str, caption: str, population: pd.DataFrame) -> Table:
    """The confusion matrix of each label and what follows from it, one row each of `decisions_at_thresholds`."""
    texts = _about(rows)
    texts["threshold"] = [f"{value:.4g}" for value in rows["threshold"]]
    for cell in ("true_positive", "false_positive", "false_negative", "true_negative"):
        texts[cell.replace("_", " ")] = _counts(rows[cell])
    for rate in ("sensitivity", "specificity", "precision", "npv", "f1"):
        texts[f"{METRICS[rate].words if rate in METRICS else rate} (95 %)"] = column_with_interval(rows, rate)
    notes = [
        f"thresholds: {chosen}",
        f"{_THRESHOLDS}; {_HIGHEST}",
        "precision and npv (negative predictive value) hold for this prevalence; undefined is the precision of a label "
        "that was never called positive",
        _RESAMPLED,
    ]
    return Table.in_texts("decisions", caption, rows, texts, population, notes)


def subgroups_table(rows: pd.DataFrame, caption: str, population: pd.DataFrame) -> Table:
    """How a model does on subgroups of slices, one row each of `subgroups`."""
    texts = pd.DataFrame(
        {
            "group": rows["group"],
            "value": rows["value"],
            "slices": _counts(rows["count"]),
            "patients": _counts(rows["patients"]),
            "any positive": _counts(rows["positive"]),
            "mean AUC (95 %)": [
                "" if group == "label" else text
                for group, text in zip(rows["group"], column_with_interval(rows, "auc"), strict=True)
            ],
            **{
                f"{name.replace('auc', 'AUC').replace('_', ' of ')} (95 %)": column_with_interval(rows, name)
                for name in ("auc_any", "sensitivity_any", "specificity_any")
            },
        }
    )
    notes = [
        "by slice; those of a label are the slices with it and the slices without any hemorrhage, for which there is "
        "no mean over labels",
        "differences between subgroups are not corrected for looking at several",
        _BY_PATIENT,
    ]
    return Table.in_texts("subgroups", caption, rows, texts, population, notes)


def errors_table(rows: pd.DataFrame, chosen: str, caption: str, population: pd.DataFrame) -> Table:
    """The errors of probabilities before and after calibration, one row each of `calibration_errors`."""
    rows = rows.rename(columns={"part": "by"})
    texts = rows[["by", "label", "error"]].copy()
    for name in ("before", "after", "change"):
        texts[f"{name} (95 %)"] = column_with_interval(rows, name)
    notes = [
        f"calibration: {chosen}",
        "the calibration error is the expected one, in ten bins of equally many units; chance raises it where there "
        "are few units",
        "probabilities are calibrated for slices; the highest of a scan's slices is above what the scan's own would be",
        _RESAMPLED,
    ]
    return Table.in_texts("calibration", caption, rows, texts, population, notes)


def _about(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "by": rows["by"],
            "label": rows["label"],
            "positive": [
                f"{positive:,} of {count:,}"
                for positive, count in zip(rows["positive"], rows["count"], strict=True)
            ],
            "positive patients": _counts(rows["positive_patients"]),
        }
    )


def _counts(values: pd.Series) -> list[str]:
    return [f"{value:,}" for value in values]
