"""How much each patient contributes to a score: the linearization of every metric, the basis of errors and tests.

A metric is a function of the weights of the slices. Its derivatives by these weights, summed over a patient's slices,
are the patient's contribution (the infinitesimal jackknife: Efron, Biometrika 1981, 68:589). For the area under the ROC
curve this gives the clustered variance of Obuchowski (Biometrics 1997, 53:567).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
from scipy.special import expit, logit

from analysis.statistics.averaging import over_partitions
from analysis.statistics.levels import from_top, levels
from ichtune.labels import CHALLENGE_WEIGHTS, LABELS
from ichtune.metrics import THRESHOLD, log_losses
from ichtune.training.batches import Fold

Moved = tuple[float, np.ndarray]
"""A score, and how much each slice or patient contributes to it."""
_MOST: Final = float(np.finfo(np.float16).max)
EVERY: Final = -1
"""Stands in for a label in metrics of whole slices."""


@dataclass(frozen=True)
class Truth:
    """What predictions are compared with: labels `[N, 6]` (NaN unknown), each slice's patient, and the folds.

    In repeated cross-validation these are the folds of all rounds, each of which holds the same patients.
    """

    labels: np.ndarray
    patients: np.ndarray
    folds: Sequence[Fold]

    @cached_property
    def codes(self) -> np.ndarray:
        """The patient of each slice as a number from 0, `[N]`; -1 for slices that are in no validation part."""
        rows = np.concatenate([fold.valid for fold in self.folds])
        codes = np.full(len(self.patients), -1)
        codes[rows] = np.unique(self.patients[rows], return_inverse=True)[1]
        return codes

    @cached_property
    def count(self) -> int:
        """The number of patients in the validation parts."""
        return int(self.codes.max()) + 1

    @cached_property
    def parts(self) -> list["FoldTruth"]:
        """The validation part of each fold."""
        labels = [self.labels[fold.valid] for fold in self.folds]
        return [
            FoldTruth(
                fold.valid, self.codes[fold.valid], known > 0.5, known <= 0.5, fold.partition, fold.round
            )
            for fold, known in zip(self.folds, labels, strict=True)
        ]

    @property
    def partitions(self) -> int:
        """How many partitions the folds belong to."""
        return 1 + max(fold.partition for fold in self.folds)

    @property
    def folds_once(self) -> list[Fold]:
        """The folds of every partition, each once, whatever the number of training seeds."""
        return [fold for fold in self.folds if fold.round == fold.partition]

    @property
    def defined_folds(self) -> np.ndarray:
        """In how many folds each label has both a positive and a negative, int64 `[6]`."""
        once = [part for part in self.parts if part.round == part.partition]
        return np.sum([part.positive.any(axis=0) & part.negative.any(axis=0) for part in once], axis=0)


class FoldTruth(NamedTuple):
    """The truth about n slices: their rows and patients, which labels are known present or absent, `[n, 6]`, and the
    partition and round that the fold belongs to."""

    rows: np.ndarray
    patients: np.ndarray
    positive: np.ndarray
    negative: np.ndarray
    partition: int
    round: int

    def predicted(self, logits: np.ndarray) -> np.ndarray:
        """Return the fold's logits `[n, 6]` from those of all folds, `[N, 6]` or, by round, `[R, N, 6]`."""
        return (logits if logits.ndim == 2 else logits[self.round])[self.rows]


@dataclass(frozen=True)
class Measure:
    """A metric of out-of-fold logits, averaged over folds, and each patient's contribution to it.

    `metric` is one of `evaluate`'s, or that of a single label, e.g. `auc_subdural`. Folds in which it is undefined are
    left out of the mean; without any it is NaN.
    """

    metric: str
    truth: Truth

    @cached_property
    def carriers(self) -> dict[int, int]:
        """The number of patients positive for each label, who carry its score; all of them for whole-slice metrics."""
        if self.metric in _OVERALL:
            return {EVERY: self.truth.count}
        patients = {
            label: [
                part.patients[part.positive[:, label]] for part in self.truth.parts if _defined(part, label)
            ]
            for label in labels_of(self.metric)
        }
        return {label: len(set(np.concatenate(of).tolist())) for label, of in patients.items() if of}

    @property
    def degrees_of_freedom(self) -> float:
        """Degrees of freedom of the score's error: the mean number of carriers minus one.

        In simulated searches on 49 patients, with labels carried by 1 to 22 of them, 95 % intervals covered the truth
        in 92 % of searches this way, and in 72 % when counting every patient.
        """
        return float(np.mean(list(self.carriers.values()))) - 1 if self.carriers else 0.0

    def of(self, logits: np.ndarray) -> Moved:
        """The metric of logits (taken in half precision, as runs keep them) and patients' contributions `[P]`.

        Logits are `[N, 6]`, or `[R, N, 6]` of R rounds: the score is the mean over all their folds. Patients'
        contributions are added up over seeds, and over partitions as in `over_partitions`.

        A fold has few patients with a rare label, often one, so their spread can't be estimated within it.
        Contributions are therefore relative to the label's mean over folds, and the squares of C carriers are scaled
        by C / (C - 1). For a label with a single carrier, they are relative to the mean over the other labels.
        """
        cells = [
            cell for fold, part in enumerate(self.truth.parts) for cell in self._cells(fold, part, logits)
        ]
        if not cells:
            return float("nan"), np.full(self.truth.count, np.nan)
        in_fold = Counter(cell.fold for cell in cells)
        centres = self._centres(cells)
        value, shares = 0.0, np.zeros((self.truth.partitions, self.truth.count))
        for cell in cells:
            weight = 1 / (in_fold[cell.fold] * len(in_fold))
            carried = (cell.value - centres[cell.label]) * cell.carried
            count = self.carriers[cell.label]
            part = self.truth.parts[cell.fold]
            patients = np.bincount(part.patients, cell.slices + carried, self.truth.count)
            value += weight * cell.value
            shares[part.partition] += weight * np.sqrt(count / max(count - 1, 1)) * patients
        return value, over_partitions(shares)

    def of_each(self, logits: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """The metric of each trial's logits, `[T]`, and each patient's contributions, `[T, P]`; computed one by one."""
        values, shares = zip(*map(self.of, logits), strict=True)
        return np.array(values), np.stack(shares)

    def _cells(self, fold: int, part: FoldTruth, logits: np.ndarray) -> Iterator["Cell"]:
        halves = np.clip(part.predicted(logits), -_MOST, _MOST).astype(np.float16)
        if self.metric in _OVERALL:
            sums = _OVERALL[self.metric](halves, part.positive, part.negative)
            if sums[1].sum():
                yield Cell(fold, EVERY, *_ratio(*sums), sums[1] / sums[1].sum())
            return
        name, labels = _split(self.metric)
        for label in labels:
            if _defined(part, label):
                columns = (halves[:, label], part.positive[:, label], part.negative[:, label])
                scores, positive, negative = map(np.ascontiguousarray, columns)
                moved = _PER_LABEL[name](scores, positive, negative)
                yield Cell(fold, label, *moved, positive / positive.sum())

    def _centres(self, cells: Sequence["Cell"]) -> dict[int, float]:
        means = {
            label: float(np.mean([cell.value for cell in cells if cell.label == label]))
            for label in dict.fromkeys(cell.label for cell in cells)
        }
        others = {label: [mean for other, mean in means.items() if other != label] for label in means}
        return {
            label: float(np.mean(others[label])) if self.carriers[label] == 1 and others[label] else mean
            for label, mean in means.items()
        }


class Cell(NamedTuple):
    """A label's score in a fold (label `EVERY` for a metric of whole slices)."""

    fold: int
    label: int
    value: float
    slices: np.ndarray
    """The derivative of the score by the weight of each slice."""
    carried: np.ndarray
    """Which slices the score is about, as weights that sum to 1."""


def _defined(part: FoldTruth, label: int) -> bool:
    return bool(part.positive[:, label].any() and part.negative[:, label].any())


def is_measurable(metric: str) -> bool:
    """Whether a metric depends on predictions only; the loss also depends on the recipe."""
    return metric in _OVERALL or _split(metric)[0] in _PER_LABEL


def _split(metric: str) -> tuple[str, list[int]]:
    """A metric's base name, and the columns of its labels."""
    for column, label in enumerate(LABELS):
        if metric.endswith(f"_{label}"):
            return metric.removesuffix(f"_{label}"), [column]
    return metric, list(range(len(LABELS)))


def labels_of(metric: str) -> list[int]:
    """The columns of the labels that a metric is about."""
    return _split(metric)[1]


def _ratio(part: np.ndarray, whole: np.ndarray) -> Moved:
    """The ratio of two sums over slices; 0 if the denominator is 0, as in `evaluate`."""
    total = whole.sum()
    if not total:
        return 0.0, np.zeros(len(part))
    value = part.sum() / total
    return float(value), (part - value * whole) / total


def _area(scores: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> Moved:
    """The area under the ROC curve: the share of correctly ordered pairs, with ties counting half."""
    level, positives, negatives = levels(scores, positive, negative)
    m, n = positives.sum(), negatives.sum()
    right_of_positive = ((negatives.cumsum() - negatives / 2) / n)[level]
    right_of_negative = 1 - ((positives.cumsum() - positives / 2) / m)[level]
    area = right_of_positive[positive].sum() / m
    return float(area), positive * (right_of_positive - area) / m + negative * (right_of_negative - area) / n


def _average_precision(scores: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> Moved:
    """The mean over positives of the precision at their score."""
    level, positives, negatives = levels(scores, positive, negative)
    m = positives.sum()
    true, called = from_top(positives), from_top(positives + negatives)
    precision = true / np.maximum(called, 1)
    value = (precision * positives).sum() / m
    # One more positive raises the precision at its own score and below; one more negative lowers it.
    lift = (positives * (1 - precision) / np.maximum(called, 1)).cumsum()[level] / m
    drop = (positives * precision / np.maximum(called, 1)).cumsum()[level] / m
    return float(value), positive * ((precision[level] - value) / m + lift) - negative * drop


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
