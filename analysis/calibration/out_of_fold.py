"""Predictions of slices by models that were not trained on them: what calibration and thresholds are chosen on."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np

from ichtune.data.splits import patient_folds
from ichtune.wording import plural

FEWEST: Final = 5
"""The fewest patients with a label, and without it, from which its calibration and threshold are chosen."""
_PARTS: Final = 5
"""Parts of the patients of a single fold, for cross-fitting."""


@dataclass(frozen=True)
class OutOfFold:
    """The out-of-fold logits of n slices and their labels, `[n, 6]` (NaN unknown).

    Logits are those of one model, `[n, 6]`, or of M models whose calibrated probabilities are averaged, `[M, n, 6]`.
    """

    logits: np.ndarray
    labels: np.ndarray
    patients: np.ndarray
    """The patient of each slice, `[n]`."""
    folds: np.ndarray
    """The validation fold of each slice, int `[n]`."""
    remark: str = ""
    """What to know about these predictions, in words, e.g. that they are optimistic."""

    def __post_init__(self) -> None:
        if not np.isfinite(self.logits).all():
            raise ValueError("out-of-fold logits must be finite; leave out slices without a prediction")

    def take(self, chosen: np.ndarray) -> "OutOfFold":
        """Those of some slices, by a mask or by numbers."""
        return replace(
            self,
            logits=self.logits[..., chosen, :],
            labels=self.labels[chosen],
            patients=self.patients[chosen],
            folds=self.folds[chosen],
        )

    @cached_property
    def enough(self) -> np.ndarray:
        """Which labels have at least `FEWEST` patients with and without them, bool `[6]`."""
        return np.array([min(map(self._patients_where, sides)) >= FEWEST for sides in self._sides])

    @cached_property
    def parts(self) -> np.ndarray:
        """The part of each slice, `[n]`, for cross-fitting: its fold or, with a single fold, a group of patients.

        Of a single patient, all slices are one part, as there is nothing to fit on others.
        """
        if len(np.unique(self.folds)) > 1:
            return self.folds
        parts = min(_PARTS, len(np.unique(self.patients)))
        if parts < 2:
            return np.zeros_like(self.folds)
        return patient_folds(self.patients, self.labels, parts, seed=0)

    def __str__(self) -> str:
        folds = np.unique(self.folds)
        of = plural(len(np.unique(self.patients)), "patient", "patients")
        place = f"fold {folds[0]}" if len(folds) == 1 else f"{len(folds)} folds"
        remark = f", {self.remark}" if self.remark else ""
        return f"out-of-fold predictions of {len(self.labels):,} slices of {of} ({place}{remark})"

    @property
    def _sides(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """The slices with and without each label."""
        return [(known > 0.5, known <= 0.5) for known in self.labels.T]

    def _patients_where(self, chosen: np.ndarray) -> int:
        return len(np.unique(self.patients[chosen]))
