"""The metrics that a search records: their names, which direction is better, and how to read them."""

from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

from ichtune.labels import LABELS


@dataclass(frozen=True)
class Metric:
    """A recorded metric."""

    name: str
    words: str
    """Its name in a sentence."""
    meaning: str
    """A sentence that explains it to a newcomer, without its full stop."""
    direction: Literal["max", "min"] = "max"
    averaged: bool = False
    """Whether it is computed per label, and is the mean over labels when none is named."""
    by_label: bool = False
    """Whether each label's own value is recorded too, such as `auc_subdural`."""


_ALL: Final = (
    Metric(
        "auc",
        "AUC",
        "The AUC is how often a slice with the hemorrhage is scored above one without it: 0.5 is guessing, 1 is "
        "perfect",
        averaged=True,
        by_label=True,
    ),
    Metric(
        "average_precision",
        "average precision",
        "Average precision is how pure the list of slices stays when read from the most to the least "
        "suspicious; guessing scores the prevalence, 1 is perfect",
        averaged=True,
        by_label=True,
    ),
    Metric(
        "subset_accuracy",
        "subset accuracy",
        "Subset accuracy is the share of slices with every known label right at threshold 0.5; where hemorrhages are "
        "rare, calling everything negative scores high",
    ),
    Metric(
        "hamming_score",
        "hamming score",
        "The Hamming score is the share of labels that are right at threshold 0.5; where hemorrhages are rare, "
        "calling everything negative scores high",
    ),
    Metric(
        "f1",
        "F1",
        "F1 is the harmonic mean of precision and recall at threshold 0.5; 1 is perfect",
        averaged=True,
    ),
    Metric(
        "precision",
        "precision",
        "Precision is the share of slices called positive at threshold 0.5 that really are",
        averaged=True,
    ),
    Metric(
        "recall",
        "recall",
        "Recall (sensitivity) is the share of positive slices that are called positive at threshold 0.5",
        averaged=True,
    ),
    Metric(
        "weighted_log_loss",
        "weighted log loss",
        "The weighted log loss is that of the RSNA 2019 challenge: it punishes confident mistakes, and “any” weighs "
        "twice; 0 is perfect, lower is better",
        direction="min",
    ),
    Metric(
        "loss",
        "loss",
        "The loss is what each recipe was trained to lower; recipes with other losses are on other scales",
        direction="min",
    ),
)
METRICS: Final = {metric.name: metric for metric in _ALL}
"""By name, in the order in which tables list them."""


@cache
def named(metric: str) -> tuple[Metric, str]:
    """Return the metric and its label: `auc_subdural` is AUC of subdural. The label is empty for all of them."""
    label = next((label for label in LABELS if metric.endswith(f"_{label}")), "")
    return METRICS[metric.removesuffix(f"_{label}")], label


def in_words(metric: str) -> str:
    """Return a metric's name in words: `AUC`, `AUC of subdural`, `weighted log loss`."""
    found, label = named(metric)
    return f"{found.words} of {label}" if label else found.words


def meaning(metric: str) -> str:
    """Return a sentence on how to read a metric."""
    found, label = named(metric)
    over = "; the mean over the labels is taken." if found.averaged and not label else "."
    return found.meaning + over
