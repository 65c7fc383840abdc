"""What a metric is called in a sentence, and what it means to somebody who meets it for the first time."""

from typing import Final

from ichtune.labels import LABELS

MEANINGS: Final = {
    "auc": "The AUC is how often a slice with the hemorrhage is scored above one without it: 0.5 is guessing, 1 is "
    "perfect",
    "average_precision": "Average precision is how pure the list of slices stays while it is read from the most to the "
    "least suspicious; guessing scores the prevalence, 1 is perfect",
    "subset_accuracy": "Subset accuracy is the share of slices with every known label right at threshold 0.5; where "
    "hemorrhages are rare, calling everything negative scores high",
    "hamming_score": "The Hamming score is the share of labels that are right at threshold 0.5; where hemorrhages are "
    "rare, calling everything negative scores high",
    "f1": "F1 is the harmonic mean of precision and recall at threshold 0.5; 1 is perfect",
    "precision": "Precision is the share of true ones among the slices that are called positive at threshold 0.5",
    "recall": "Recall (sensitivity) is the share of the positive slices that are called positive at threshold 0.5",
    "weighted_log_loss": "The weighted log loss is that of the RSNA 2019 challenge: it punishes confident mistakes, "
    "and “any” weighs twice; 0 is perfect, lower is better",
    "loss": "The loss is what each recipe was trained to lower; recipes with other losses are on other scales",
}
AVERAGED: Final = ("auc", "average_precision", "f1", "precision", "recall")
"""Metrics of single labels, which stand for the mean over labels where none is named."""


def metric_words(metric: str) -> str:
    """`AUC`, `AUC of subdural`, `weighted log loss`."""
    name, label = _split(metric)
    words = name.replace("auc", "AUC").replace("f1", "F1").replace("_", " ")
    return f"{words} of {label}" if label else words


def metric_meaning(metric: str) -> str:
    """A sentence on how to read it."""
    name, label = _split(metric)
    over = "; the mean over the labels is taken." if name in AVERAGED and not label else "."
    return MEANINGS[name] + over


def _split(metric: str) -> tuple[str, str]:
    found = next((label for label in LABELS if metric.endswith(f"_{label}")), "")
    return metric.removesuffix(f"_{found}"), found
