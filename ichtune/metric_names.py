"""The metrics that a search records: their names, which way is better, and how a person reads them."""

from dataclasses import dataclass
from typing import Final, Literal

from ichtune.labels import LABELS


@dataclass(frozen=True)
class Metric:
    """A recorded metric."""

    name: str
    words: str
    """As in a sentence."""
    meaning: str
    """A sentence for somebody who meets it for the first time, without its full stop."""
    direction: Literal["max", "min"] = "max"
    averaged: bool = False
    """Whether it is of single labels and stands for their mean where none is named."""
    by_label: bool = False
    """Whether each label's own value is recorded too, as `auc_subdural`."""


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
        "Average precision is how pure the list of slices stays while it is read from the most to the least "
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
        "Precision is the share of true ones among the slices that are called positive at threshold 0.5",
        averaged=True,
    ),
    Metric(
        "recall",
        "recall",
        "Recall (sensitivity) is the share of the positive slices that are called positive at threshold 0.5",
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
"""By name, in the order of tables."""


def named(metric: str) -> tuple[Metric, str]:
    """The metric, and the label that it is of, as `auc_subdural` is of subdural; empty for all of them."""
    label = next((label for label in LABELS if metric.endswith(f"_{label}")), "")
    return METRICS[metric.removesuffix(f"_{label}")], label


def in_words(metric: str) -> str:
    """`AUC`, `AUC of subdural`, `weighted log loss`."""
    found, label = named(metric)
    return f"{found.words} of {label}" if label else found.words


def meaning(metric: str) -> str:
    """A sentence on how to read it."""
    found, label = named(metric)
    over = "; the mean over the labels is taken." if found.averaged and not label else "."
    return found.meaning + over
