"""The metrics that every table of a ranking has, and what their columns are called."""

from typing import Final

TABLE_METRICS: Final = (
    "auc",
    "average_precision",
    "subset_accuracy",
    "hamming_score",
    "f1",
    "precision",
    "recall",
    "weighted_log_loss",
    "loss",
)


def column(metric: str) -> str:
    """A metric's column in tables; `loss` is the name of a parameter there."""
    return "valid_loss" if metric == "loss" else metric
