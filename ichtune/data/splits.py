"""Test set and folds by patient, stratified on the label combinations, and the tables that show them."""

import warnings
from fractions import Fraction

import numpy as np
import pandas as pd

from ichtune.errors import InputError
from ichtune.labels import LABELS

TRAIN, TEST = "train", "test"


def assign_splits(
    patients: np.ndarray, labels: np.ndarray, *, test_fraction: float, folds: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Which split (`train` or `test`) and which fold (0-based, -1 in the test set) each slice belongs to.

    Split by patient: neighbouring slices of one head leak. The answer depends on the rows' content and the seed
    alone if the rows come in a fixed order.

    Args:
        patients: patient of each slice, [N].
        labels: [N, 6], NaN where unknown.
        test_fraction: of the slices, 0 for no test set; met as closely as whole patients allow.
        folds: number of folds over what is not in the test set.

    Raises:
        InputError: fewer patients than the folds and the test set need.
    """
    combination = _combinations(labels)
    split = np.full(len(patients), TRAIN, dtype=object)
    parts = Fraction(test_fraction).limit_denominator(20)
    if parts > 0:
        groups = _grouped_folds(patients, combination, parts.denominator, seed, what="the test fraction")
        split[groups < parts.numerator] = TEST
    train = split == TRAIN
    fold = np.full(len(patients), -1)
    fold[train] = _grouped_folds(patients[train], combination[train], folds, seed, what="--folds")
    return split, fold


def _grouped_folds(
    patients: np.ndarray, classes: np.ndarray, folds: int, seed: int, *, what: str
) -> np.ndarray:
    # Two seconds to import, which every process that merely opens a store would pay.
    from sklearn.model_selection import StratifiedGroupKFold

    count = len(np.unique(patients))
    if count < folds:
        raise InputError(
            f"{what} needs {folds} groups of patients, but there are only {count} patients; "
            "ask for fewer --folds or another --test-fraction"
        )
    answer = np.full(len(patients), -1)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A combination of fewer slices than folds can't be in each of them; the table shows where it is missing.
        warnings.filterwarnings("ignore", message="The least populated class")
        for number, (_, held_out) in enumerate(splitter.split(patients, _common(classes, folds), patients)):
            answer[held_out] = number
    return answer


def _combinations(labels: np.ndarray) -> np.ndarray:
    """One number for each combination of labels; unknown counts as negative."""
    bits = np.nan_to_num(labels, nan=0.0).astype(np.int64)
    return bits @ (1 << np.arange(bits.shape[1]))


def _common(classes: np.ndarray, folds: int) -> np.ndarray:
    """`classes`, or all one class where none has a slice for every fold (scikit-learn refuses that)."""
    return classes if np.unique(classes, return_counts=True)[1].max() >= folds else np.zeros_like(classes)


def split_table(slices: pd.DataFrame) -> pd.DataFrame:
    """Slices, patients and, for each label, positive slices, their prevalence and positive patients.

    A row for each split and each fold; columns `part, patients, slices` and for each label
    `<label>_slices, <label>_prevalence, <label>_patients` (prevalence over the slices where the label is known).
    """
    parts = {TRAIN: slices["split"] == TRAIN}
    for number in sorted(slices.loc[slices["fold"] >= 0, "fold"].unique()):
        parts[f"fold {number}"] = slices["fold"] == number
    parts[TEST] = slices["split"] == TEST
    return pd.DataFrame([_part_row(name, slices[chosen]) for name, chosen in parts.items() if chosen.any()])


def _part_row(name: str, slices: pd.DataFrame) -> dict[str, object]:
    row: dict[str, object] = {"part": name, "patients": slices["patient_id"].nunique(), "slices": len(slices)}
    for label in LABELS:
        known = slices[slices[label].notna()]
        positive = known[known[label] == 1]
        row[f"{label}_slices"] = len(positive) if len(known) else None
        row[f"{label}_prevalence"] = len(positive) / len(known) if len(known) else np.nan
        row[f"{label}_patients"] = positive["patient_id"].nunique() if len(known) else None
    return row
