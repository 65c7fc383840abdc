"""Average precision of all out-of-fold predictions together: what a reader of a whole population's slices meets.

Average precision depends on prevalence. In a fold, a rare label is either absent, and the fold is left out of the
mean, or more common than among all patients; so a mean over folds is too high. Pooled, the prevalence is that of all
patients.

Each fold's model has its own scale, so logits of different folds are not comparable (Forman and Scholz, SIGKDD
Explorations 2010, 12:49). What is comparable is a positive slice's position among the negatives of its own fold, its
placement value (Pepe and Cai, Biometrics 2004, 60:528; standardized by the fold as a covariate is in Janes and Pepe,
Biometrika 2009, 96:371).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from analysis.statistics.averaging import over_partitions
from analysis.statistics.influence import FoldTruth, Measure, Moved, labels_of
from analysis.statistics.levels import MANY, ascending_keys


@dataclass(frozen=True)
class PooledAveragePrecision(Measure):
    """The average precision of out-of-fold ranks, all folds together, and each patient's contribution to it.

    `metric` is `average_precision`, the mean over labels with a positive and a negative slice in some fold, or that of
    one label, e.g. `average_precision_subdural`.

    A positive above all but r of its fold's n negatives has the false-positive rate u = (r + 1/2) / (n + 1): halfway
    between the lowest and highest chance that one more negative would rank above it. Of m positives, T have a rate of
    at most u; with N negatives, T / (T + N u) is the precision, and its mean over positives the score.
    """

    @cached_property
    def carriers(self) -> dict[int, int]:
        """The number of patients positive for each label."""
        return {label: len(self._patients(label)) for label in self._sides}

    @property
    def degrees_of_freedom(self) -> float:
        """Degrees of freedom of the score's error: for one label, its carriers minus one; 0 if no label has two.

        For several, by Satterthwaite (Biometrics Bulletin 1946, 2:110), with variances inverse to a label's carriers,
        so that the rarest labels decide. There, carriers minus one would be too few: 98 % of intervals covered the
        truth in simulations, and they were wide.
        """
        counts = np.array(list(self.carriers.values()), float)
        if not (counts > 1).any():
            return 0.0
        return (
            float((1 / counts).sum() ** 2 / (counts**-3).sum()) if len(counts) > 1 else float(counts[0]) - 1
        )

    def of(self, logits: np.ndarray) -> Moved:
        """The score of logits, taken in half precision, and patients' contributions `[P]`; NaN if undefined.

        Logits are `[N, 6]`, or `[R, N, 6]` of R partitions.

        As in `Measure`, the squares of the contributions of C carriers are scaled by C / (C - 1), and that of a single
        carrier is relative to the mean over the other labels.
        """
        if not self._sides:
            return float("nan"), np.full(self.truth.count, np.nan)
        found = {label: self._one_label(logits, label) for label in self._sides}
        mean = float(np.mean([value for value, _ in found.values()]))
        shares = np.zeros(self.truth.count)
        for label, (value, moved) in found.items():
            count = self.carriers[label]
            if count == 1 and len(found) > 1:
                others = (mean * len(found) - value) / (len(found) - 1)
                (carrier,) = self._patients(label)
                shares[carrier] += (value - others) / len(found)
            shares += np.sqrt(count / max(count - 1, 1)) * moved / len(found)
        return mean, shares

    def _one_label(self, logits: np.ndarray, label: int) -> Moved:
        """The mean over partitions: each pools its own folds, as another's hold the same slices again."""
        by_partition = [
            _pooled(_keys(logits if logits.ndim == 2 else logits[partition], label), sides, self.truth.count)
            for partition, sides in self._sides[label].items()
        ]
        values, moved = zip(*by_partition, strict=True)
        return float(np.mean(values)), over_partitions(np.stack(moved) / len(moved))

    def _patients(self, label: int) -> set[int]:
        every = (side for sides in self._sides[label].values() for side in sides)
        return {int(patient) for side in every for patient in side.positive_patients}

    @cached_property
    def _sides(self) -> dict[int, dict[int, list["Sides"]]]:
        """By label and partition, the folds that have the label's negatives; only where the label is defined."""
        found: dict[int, dict[int, list[Sides]]] = {}
        for label in labels_of(self.metric):
            by_partition: dict[int, list[Sides]] = {}
            for part in self.truth.parts:
                if part.negative[:, label].any():
                    by_partition.setdefault(part.partition, []).append(_sides(part, label))
            kept = {
                partition: sides
                for partition, sides in by_partition.items()
                if any(len(side.positives) for side in sides)
            }
            if kept:
                found[label] = kept
        return found


def _keys(logits: np.ndarray, label: int) -> np.ndarray:
    return ascending_keys(np.ascontiguousarray(logits[:, label]).astype(np.float16, copy=False))


class Sides(NamedTuple):
    """The positive and the negative slices of one label in one fold: their rows in the store, and their patients."""

    positives: np.ndarray
    positive_patients: np.ndarray
    negatives: np.ndarray
    negative_patients: np.ndarray


def _sides(part: FoldTruth, label: int) -> Sides:
    positive, negative = part.positive[:, label], part.negative[:, label]
    return Sides(part.rows[positive], part.patients[positive], part.rows[negative], part.patients[negative])


def _pooled(keys: np.ndarray, sides: Sequence[Sides], patients: int) -> Moved:
    """The pooled average precision of one label, and each patient's contribution `[patients]`."""
    placed = [_Placed.of(keys, side) for side in sides]
    rates, place, counts = np.unique(
        np.concatenate([fold.rates for fold in placed]), return_inverse=True, return_counts=True
    )
    negatives, positives = sum(len(side.negatives) for side in sides), len(place)
    true = counts.cumsum()
    called = true + negatives * rates
    precision = true / called
    value = (counts * precision).sum() / positives

    # One more positive is called at all rates that are as high or higher; one more negative adds to all false
    # positives, and moves the rates of its own fold. That rates move past one another has no effect of first order.
    lift = (counts * (1 - precision) / called)[::-1].cumsum()[::-1]
    by_positive = ((precision - value + lift) / positives)[place]
    by_negative = -(counts * precision * rates / called).sum() / positives
    by_rate = (-precision * negatives / called / positives)[place]

    shares, begin = np.zeros(patients), 0
    for fold, side in zip(placed, sides, strict=True):
        own = slice(begin, begin + len(side.positives))
        moved = by_negative + fold.moved(by_rate[own])
        shares += np.bincount(side.positive_patients, by_positive[own], patients)
        shares += np.bincount(side.negative_patients, moved, patients)
        begin = own.stop
    return float(value), shares


class _Placed(NamedTuple):
    """A fold's positives among its negatives."""

    rates: np.ndarray
    """The false-positive rate at each positive."""
    order: np.ndarray
    """The positives in ascending order."""
    slots: np.ndarray
    """How many positives each negative reaches or exceeds."""

    @classmethod
    def of(cls, keys: np.ndarray, side: Sides) -> "_Placed":
        positives = keys[side.positives]
        order = np.argsort(positives, kind="stable")
        ascending = positives[order]
        slots = _reached(ascending, keys[side.negatives])
        at_least = np.bincount(slots, minlength=len(order) + 1)[::-1].cumsum()[::-1]
        above = np.empty(len(order))
        above[order] = at_least[np.searchsorted(ascending, ascending, "right")]
        return cls((above + 0.5) / (len(slots) + 1), order, slots)

    def moved(self, by_rate: np.ndarray) -> np.ndarray:
        """How much one more slice like each negative moves a score with these derivatives by the positives' rates."""
        reached = np.concatenate([[0.0], by_rate[self.order].cumsum()])
        return (reached[self.slots] - (by_rate * self.rates).sum()) / (len(self.slots) + 1)


def _reached(ascending: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """How many of the ascending int16 values each of the int16 keys reaches or exceeds."""
    if len(keys) <= MANY:
        return np.searchsorted(ascending, keys, "right")
    lowest = np.iinfo(np.int16).min
    counts = np.bincount(ascending.astype(np.intp) - lowest, minlength=2**16)
    return counts.cumsum()[keys.astype(np.intp) - lowest]
