"""A model's predictions of slices, scans or patients, with the truth about them."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from analysis.calibration.scores import Judged
from analysis.calibration.tune import Decided
from analysis.statistics.influence import Truth
from ichtune.data.scans import Scans
from ichtune.labels import LABELS
from ichtune.training.batches import Fold

SLICE, SCAN, PATIENT = "slice", "scan", "patient"


@dataclass(frozen=True)
class Predictions:
    """A model's predictions of n units: slices, scans or patients."""

    unit: str
    logits: np.ndarray
    """Calibrated, float64 `[n, 6]`."""
    trained: np.ndarray
    """As trained, before calibration, `[n, 6]`."""
    labels: np.ndarray
    """`[n, 6]`, NaN unknown."""
    patients: np.ndarray
    """The patient of each unit, `[n]`."""
    thresholds: np.ndarray
    """The probability from which each label counts as present, `[6]`."""

    def __len__(self) -> int:
        return len(self.logits)

    @cached_property
    def probabilities(self) -> np.ndarray:
        """Calibrated, `[n, 6]`."""
        return expit(self.logits)

    @property
    def called(self) -> np.ndarray:
        """Which labels count as present, bool `[n, 6]`."""
        return self.probabilities >= self.thresholds

    @property
    def above_threshold(self) -> np.ndarray:
        """How far the logits are above those of the thresholds, `[n, 6]`: from 0 on, a label counts as present."""
        with np.errstate(divide="ignore"):
            return self.logits - logit(self.thresholds)

    @property
    def truth(self) -> Truth:
        """The truth about the units, as a single fold."""
        rows = np.arange(len(self))
        return Truth(self.labels, self.patients, [Fold(0, rows[:0], rows)])

    @property
    def judged(self) -> Judged:
        """The units as trained and as calibrated."""
        thresholds = np.broadcast_to(self.thresholds, self.logits.shape)
        return Judged(
            self.unit,
            self.labels,
            self.patients,
            Decided.as_trained(self.trained),
            Decided(self.logits, thresholds),
            dict(zip(LABELS, self.thresholds.tolist(), strict=True)),
        )

    @property
    def known(self) -> list[int]:
        """The columns of the labels that are known of some unit."""
        return np.flatnonzero(~np.isnan(self.labels).all(axis=0)).tolist()

    @property
    def prevalence(self) -> np.ndarray:
        """The share of positives among the known values of each label, `[6]`; NaN if none is known."""
        known = (~np.isnan(self.labels)).sum(axis=0)
        return np.divide(
            np.nansum(self.labels, axis=0), known, out=np.full(len(LABELS), np.nan), where=known > 0
        )

    def only(self, labels: Collection[str]) -> "Predictions":
        """The same with all other labels unknown."""
        kept = np.isin(LABELS, list(labels))
        return replace(self, labels=np.where(kept, self.labels, np.nan).astype(np.float32))

    def take(self, chosen: np.ndarray) -> "Predictions":
        """Those of some units, by a mask."""
        arrays = {name: getattr(self, name)[chosen] for name in ("logits", "trained", "labels", "patients")}
        return replace(self, **arrays)


def by_unit(slices: Predictions, table: pd.DataFrame, labels: Collection[str] = LABELS) -> list[Predictions]:
    """The predictions of these labels by slice, by scan and by patient, from those by slice and their table.

    Scans have the labels that their source gave them; else a scan or patient has every label that any of its slices
    has, and lacks one if all its slices are known to. A scan's probability of a label is the highest of its slices, and
    so is a patient's. Units of which no label is known, and those that are the same as the ones before, are left out.
    """
    scans = Scans.of(table)
    of_scan = slices.patients[scans.order[scans.starts[:-1]]]
    scanned = _highest(slices, SCAN, scans.of_row, scans.labels, of_scan)
    names, of_row = np.unique(of_scan, return_inverse=True)
    patients = _highest(scanned, PATIENT, of_row, _labels_of(scans.labels, of_row), names)
    found, size = [], 0
    for each in (each.only(labels) for each in (slices, scanned, patients)):
        if each.known and len(each) != size:
            found.append(each)
            size = len(each)
    return found


def _highest(
    units: Predictions, unit: str, group: np.ndarray, labels: np.ndarray, patients: np.ndarray
) -> Predictions:
    """Groups of units (0 to M - 1, `[n]`), each with the highest of their logits."""
    highest = [np.full(labels.shape, -np.inf) for _ in range(2)]
    for into, logits in zip(highest, (units.logits, units.trained), strict=True):
        np.maximum.at(into, group, logits)
    return replace(units, unit=unit, logits=highest[0], trained=highest[1], labels=labels, patients=patients)


def _labels_of(labels: np.ndarray, group: np.ndarray) -> np.ndarray:
    """The labels of groups of units: positive if one is, negative if all are known to be, else NaN."""
    # An unknown label counts as more than a negative one, and as less than a positive one.
    highest = np.full((group.max() + 1, labels.shape[1]), -1.0)
    np.maximum.at(highest, group, np.where(np.isnan(labels), 0.5, labels))
    return np.where(highest == 0.5, np.nan, highest).astype(np.float32)
