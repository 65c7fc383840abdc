"""How each patient moves a score: the linear form of every metric, from which errors and differences follow.

A metric is a function of how much weight each slice has. Its derivative by a slice's weight, summed over the slices
of a patient, is what that patient adds to the score (the infinitesimal jackknife: Efron, Technometrics 1981, 23:
"Nonparametric estimates of standard error"). For an area under the ROC curve this is the clustered variance of
Obuchowski (Biometrics 1997, 53:567).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit

from ichtune.labels import CHALLENGE_WEIGHTS, LABELS
from ichtune.training.batches import Fold
from ichtune.training.metrics import THRESHOLD, log_losses

Moved = tuple[float, np.ndarray]
"""A score of n slices, and its derivative by each slice's weight `[n]`, which sums to 0."""


@dataclass(frozen=True)
class Truth:
    """What predictions are measured by: labels `[N, 6]` (NaN unknown), the patient of each slice, and the folds."""

    labels: np.ndarray
    patients: np.ndarray
    folds: Sequence[Fold]

    @cached_property
    def codes(self) -> np.ndarray:
        """The patient of each slice as a number from 0, `[N]`; -1 for slices that no fold validates on."""
        rows = np.concatenate([fold.valid for fold in self.folds])
        codes = np.full(len(self.patients), -1)
        codes[rows] = np.unique(self.patients[rows], return_inverse=True)[1]
        return codes

    @cached_property
    def count(self) -> int:
        """How many patients the folds validate on."""
        return int(self.codes.max()) + 1

    @cached_property
    def parts(self) -> list["Part"]:
        """The validation part of each fold."""
        labels = [self.labels[fold.valid] for fold in self.folds]
        return [
            Part(fold.valid, self.codes[fold.valid], known > 0.5, known <= 0.5)
            for fold, known in zip(self.folds, labels, strict=True)
        ]


class Part(NamedTuple):
    """The truth of n slices: their rows and patients, and which labels are known to be there or not, `[n, 6]`."""

    rows: np.ndarray
    patients: np.ndarray
    positive: np.ndarray
    negative: np.ndarray


def influence(metric: str, logits: np.ndarray, truth: Truth) -> Moved:
    """A metric of out-of-fold logits `[N, 6]`, the mean over folds, and what each patient adds to it `[P]`.

    The logits are taken in half precision, in which runs keep them. `metric` is one of `evaluate`'s, also of a
    single label as `auc_subdural`; a fold in which it is undefined leaves the mean, and with none left it is NaN.
    """
    values, rows = [], []
    for part in truth.parts:
        value, slices = _of_part(metric, logits[part.rows].astype(np.float16), part.positive, part.negative)
        if np.isfinite(value):
            values.append(value)
            rows.append(np.bincount(part.patients, slices, truth.count))
    if not values:
        return float("nan"), np.full(truth.count, np.nan)
    return float(np.mean(values)), np.mean(rows, axis=0)


def is_measurable(metric: str) -> bool:
    """Whether a metric follows from predictions alone; the loss depends on the recipe besides."""
    return metric in _OVERALL or _split(metric)[0] in _PER_LABEL


def _split(metric: str) -> tuple[str, list[int]]:
    """A metric's own name, and the columns of the labels that it is of."""
    for column, label in enumerate(LABELS):
        if metric.endswith(f"_{label}"):
            return metric.removesuffix(f"_{label}"), [column]
    return metric, list(range(len(LABELS)))


def _of_part(metric: str, logits: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> Moved:
    if metric in _OVERALL:
        return _ratio(*_OVERALL[metric](logits, positive, negative))
    name, columns = _split(metric)
    defined = [k for k in columns if positive[:, k].any() and negative[:, k].any()]
    if not defined:
        return float("nan"), np.zeros(len(logits))
    moved = [
        _PER_LABEL[name](*(np.ascontiguousarray(of[:, k]) for of in (logits, positive, negative)))
        for k in defined
    ]
    return float(np.mean([value for value, _ in moved])), np.mean([slices for _, slices in moved], axis=0)


def _ratio(part: np.ndarray, whole: np.ndarray) -> Moved:
    """Of two sums over slices; 0 over nothing, as in `evaluate`."""
    total = whole.sum()
    if not total:
        return 0.0, np.zeros(len(part))
    value = part.sum() / total
    return float(value), (part - value * whole) / total


def _area(scores: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> Moved:
    """The area under the ROC curve: the share of pairs on the right side, ties counting half."""
    level, positives, negatives = _levels(scores, positive, negative)
    m, n = positives.sum(), negatives.sum()
    right_of_positive = ((negatives.cumsum() - negatives / 2) / n)[level]
    right_of_negative = 1 - ((positives.cumsum() - positives / 2) / m)[level]
    area = (right_of_positive @ positive) / m
    return float(area), positive * (right_of_positive - area) / m + negative * (right_of_negative - area) / n


def _average_precision(scores: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> Moved:
    """The mean over positives of the precision at their score."""
    level, positives, negatives = _levels(scores, positive, negative)
    m = positives.sum()
    true, called = _from_top(positives), _from_top(positives + negatives)
    precision = true / np.maximum(called, 1)
    value = (precision @ positives) / m
    # One more positive lifts the precision at its own score and at all below; one more negative lowers them.
    lift = (positives * (1 - precision) / np.maximum(called, 1)).cumsum()[level] / m
    drop = (positives * precision / np.maximum(called, 1)).cumsum()[level] / m
    return float(value), positive * ((precision[level] - value) / m + lift) - negative * drop


def _levels(
    scores: np.ndarray, positive: np.ndarray, negative: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The place of each score among the different ones, from the lowest, and how many of each kind stand there."""
    # The bits of a half as a whole number sort as it does, once those below 0 are turned round; 16 bits sort fast.
    bits = scores.view(np.int16)
    keys = np.where(bits < 0, np.int16(-(2**15)) - bits, bits)
    order = np.argsort(keys, kind="stable")
    ascending = keys[order]
    level = np.empty(len(scores), np.intp)
    level[order] = np.concatenate([[0], (ascending[1:] != ascending[:-1]).cumsum()])
    count = level[order[-1]] + 1
    return level, np.bincount(level, positive, count), np.bincount(level, negative, count)


def _from_top(counts: np.ndarray) -> np.ndarray:
    return counts[::-1].cumsum()[::-1]


def _f1(scores: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> Moved:
    called = _called(scores)
    return _ratio(2.0 * (called & positive), 1.0 * (called & (positive | negative)) + positive)


def _precision(scores: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> Moved:
    called = _called(scores)
    return _ratio(1.0 * (called & positive), 1.0 * (called & (positive | negative)))


def _recall(scores: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> Moved:
    return _ratio(1.0 * (_called(scores) & positive), 1.0 * positive)


def _called(logits: np.ndarray) -> np.ndarray:
    return logits >= logit(THRESHOLD)


def _subset_accuracy(
    logits: np.ndarray, positive: np.ndarray, negative: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    known = positive | negative
    right = np.where(_called(logits), positive, negative) | ~known
    return 1.0 * (right.all(axis=1) & known.any(axis=1)), 1.0 * known.any(axis=1)


def _hamming_score(
    logits: np.ndarray, positive: np.ndarray, negative: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    right = np.where(_called(logits), positive, negative)
    return right.sum(axis=1), (positive | negative).sum(axis=1)


def _weighted_log_loss(
    logits: np.ndarray, positive: np.ndarray, negative: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    weights = (positive | negative) * np.array(CHALLENGE_WEIGHTS)
    return (log_losses(expit(logits.astype(np.float32)), positive) * weights).sum(axis=1), weights.sum(axis=1)


_PER_LABEL: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], Moved]] = {
    "auc": _area,
    "average_precision": _average_precision,
    "f1": _f1,
    "precision": _precision,
    "recall": _recall,
}
_OVERALL: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]] = {
    "subset_accuracy": _subset_accuracy,
    "hamming_score": _hamming_score,
    "weighted_log_loss": _weighted_log_loss,
}
