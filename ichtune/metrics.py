"""Scores of predicted probabilities against known labels, and the scores of a model without skill."""

from typing import Final

import numpy as np

from ichtune.labels import CHALLENGE_WEIGHTS, LABELS
from ichtune.metric_names import METRICS, named

THRESHOLD: Final = 0.5
# Higher than any loss in a sane training, and still a number that can be plotted.
_WORST_LOSS: Final = 1e6
# The challenge's score clips probabilities, so that a confident error is expensive but not infinitely so.
_CLIP: Final = 1e-15
_BY_LABEL: Final = [name for name, metric in METRICS.items() if metric.by_label]


def evaluate(
    probs: np.ndarray, labels: np.ndarray, thresholds: np.ndarray | float = THRESHOLD
) -> dict[str, float]:
    """Return all metrics of probabilities `[N, 6]` against labels `[N, 6]` (NaN = unknown, ignored).

    - `auc`, `average_precision`: area under the ROC curve, and scikit-learn's average precision, of each label
      (`auc_epidural`, ...) and as their mean; ties count half.
    - `f1`, `precision`, `recall` at the thresholds: mean over labels; precision is 0 if nothing is called
      positive.
    - `subset_accuracy`: share of slices whose known labels are all right. `hamming_score`: share of known labels
      that are right (1 - Hamming loss).
    - `weighted_log_loss`: that of the RSNA 2019 challenge, with "any" counted twice, over the known labels.
    - `defined_labels`: the number of labels with a positive and a negative. The others are NaN and left out
      of means; if none is defined, the mean is NaN.

    `thresholds` are those from which a label counts as present: one for all, per label `[6]`, or `[N, 6]`.

    Non-finite probabilities make every metric except `defined_labels` NaN.
    """
    positive, negative = labels > 0.5, labels <= 0.5
    defined = positive.any(axis=0) & negative.any(axis=0)
    if np.isfinite(probs).all():
        called = probs >= thresholds
        per_label = _per_label(probs, called, positive, negative)
        overall = _overall(probs, called, positive, negative)
    else:
        per_label, overall = (
            dict.fromkeys(_PER_LABEL, np.full(len(LABELS), np.nan)),
            dict.fromkeys(_OVERALL, np.nan),
        )
    scores = {name: _mean(values[defined]) for name, values in per_label.items()}
    for name in _BY_LABEL:
        values = np.where(defined, per_label[name], np.nan).tolist()
        scores |= {f"{name}_{label}": value for label, value in zip(LABELS, values, strict=True)}
    return (
        scores
        | {name: float(value) for name, value in overall.items()}
        | {"defined_labels": float(defined.sum())}
    )


_PER_LABEL: Final = ("auc", "average_precision", "f1", "precision", "recall")
_OVERALL: Final = ("subset_accuracy", "hamming_score", "weighted_log_loss")


def no_skill(labels: np.ndarray, train_prevalence: np.ndarray) -> dict[str, dict[str, float]]:
    """Return the scores to beat: every slice called negative, and each label's training prevalence `[6]` predicted."""
    rows = {"always negative": np.zeros(len(LABELS)), "prevalence": train_prevalence}
    return {name: evaluate(np.broadcast_to(row, labels.shape), labels) for name, row in rows.items()}


def higher_is_better(metric: str) -> bool:
    """Whether a higher value of a metric is better."""
    return named(metric)[0].direction == "max"


def is_defined(metric: str, labels: np.ndarray) -> bool:
    """Whether a metric is defined for these labels `[N, 6]`, whatever the predictions."""
    if metric == "loss":
        return not np.isnan(labels).all()
    return bool(np.isfinite(evaluate(np.full(labels.shape, 0.5), labels)[metric]))


def worst(metric: str) -> float:
    """Return the worst finite value of a metric, to report in place of a non-finite one."""
    return 0.0 if higher_is_better(metric) else _WORST_LOSS


def _per_label(
    probs: np.ndarray, called: np.ndarray, positive: np.ndarray, negative: np.ndarray
) -> dict[str, np.ndarray]:
    auc, average_precision = _ranking(probs, positive, negative)
    true, false = (called & positive).sum(axis=0), (called & negative).sum(axis=0)
    missed = positive.sum(axis=0) - true
    # The guards only affect undefined labels, and precision where nothing is called positive.
    return {
        "auc": auc,
        "average_precision": average_precision,
        "f1": 2 * true / np.maximum(2 * true + false + missed, 1),
        "precision": true / np.maximum(true + false, 1),
        "recall": true / np.maximum(true + missed, 1),
    }


def _overall(
    probs: np.ndarray, called: np.ndarray, positive: np.ndarray, negative: np.ndarray
) -> dict[str, float]:
    known = positive | negative
    right = np.where(called, positive, negative)
    return {
        "subset_accuracy": _mean((right | ~known).all(axis=1)[known.any(axis=1)]),
        "hamming_score": _mean(right[known]),
        "weighted_log_loss": weighted_log_loss(probs, positive, known),
    }


def weighted_log_loss(probs: np.ndarray, positive: np.ndarray, known: np.ndarray) -> float:
    """Return the RSNA 2019 challenge's score of probabilities `[N, 6]`: their mean log loss, with "any" counted twice.

    Over the known labels; NaN if there are none.
    """
    weights = known * np.array(CHALLENGE_WEIGHTS)
    return float((log_losses(probs, positive) * weights).sum() / weights.sum()) if known.any() else np.nan


def log_losses(probs: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Return the log loss of each probability, in the same shape; clipped, so that no error costs infinitely much."""
    clipped = np.clip(probs.astype(np.float64), _CLIP, 1 - _CLIP)
    return -np.log(np.where(positive, clipped, 1 - clipped))


def _ranking(probs: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return AUC and average precision of each label `[6]` from one sort per label, ignoring unknown entries."""
    scores = np.ascontiguousarray(probs.T)
    order = np.argsort(-scores, axis=1)
    true = np.take_along_axis(positive.T, order, axis=1).cumsum(axis=1)
    false = np.take_along_axis(negative.T, order, axis=1).cumsum(axis=1)
    scores = np.take_along_axis(scores, order, axis=1)
    # The curves have a point only where a run of equal scores ends.
    ends = np.ones(scores.shape, dtype=bool)
    ends[:, :-1] = scores[:, 1:] != scores[:, :-1]
    true_before, false_before = _at_last_end(true, ends), _at_last_end(false, ends)
    positives, negatives = np.maximum(positive.sum(axis=0), 1), np.maximum(negative.sum(axis=0), 1)

    area = np.where(ends, (false - false_before) * (true + true_before) / 2, 0.0).sum(axis=1)
    precision = true / np.maximum(true + false, 1)
    gain = np.where(ends, (true - true_before) * precision, 0.0).sum(axis=1)
    return area / (positives * negatives), gain / positives


def _at_last_end(counts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return the running counts at the last end of a run before each position; they never decrease."""
    before = np.zeros_like(counts)
    np.maximum.accumulate(np.where(ends, counts, 0)[:, :-1], axis=1, out=before[:, 1:])
    return before


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else np.nan


def nan_mean(values: np.ndarray) -> float:
    """Return the mean over the folds where a value is defined; NaN if there are none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")


def nan_std(values: np.ndarray) -> float:
    """Return the standard deviation over the folds where a value is defined; NaN if there are fewer than two."""
    defined = values[~np.isnan(values)].astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # in a trial that diverges
        return float(defined.std(ddof=1)) if len(defined) > 1 else float("nan")
