"""Test set and folds by patient, stratified by label combinations, and a table of them."""

import warnings
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pandas as pd

from ichtune.errors import InputError
from ichtune.labels import LABELS

TRAIN, TEST = "train", "test"


@dataclass(frozen=True)
class SplitPlan:
    """How to split slices: a test set of whole patients, and folds of the others."""

    test_fraction: float
    folds: int
    seed: int
    keeps_given: bool = False
    """Whether the test set is the one that the source has, instead of one that is drawn."""
    by_source: bool = False
    """Whether each fold holds out a whole source."""

    @classmethod
    def all_test(cls, seed: int) -> "SplitPlan":
        """Return a plan that puts everything in the test set, without folds."""
        return cls(1.0, 0, seed)

    @property
    def is_all_test(self) -> bool:
        """Whether there is nothing to train on."""
        return self.folds == 0


def assign_splits(
    patients: np.ndarray,
    labels: np.ndarray,
    plan: SplitPlan,
    given: np.ndarray | None = None,
    sources: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return each slice's split (`train` or `test`) and fold (0-based, -1 in the test set).

    Split by patient: neighbouring slices of one head leak. For rows in a fixed order, the result depends only
    on their content and the seed. The test fraction is of slices, met as closely as whole patients allow.

    Args:
        patients: patient of each slice, [N].
        labels: [N, 6], NaN where unknown.
        plan: test fraction (0 for no test set), folds and seed.
        given: the split in the source (`train`, `test` or empty), [N], if the plan keeps it.
        sources: the number of each slice's source (int [N]), if each fold is to hold out a source.

    Raises:
        InputError: there are fewer patients than the folds and the test set need, the given split has a patient on
            both sides or no test slices, or a source has no slices outside the test set.
    """
    fold = np.full(len(patients), -1)
    if plan.is_all_test:
        return np.full(len(patients), TEST, dtype=object), fold
    check_patients(len(np.unique(patients)), plan)
    combination = _combinations(labels)
    split = _given_split(patients, given) if given is not None else _drawn_split(patients, combination, plan)
    train = split == TRAIN
    if sources is not None:
        fold[train] = _source_folds(patients[train], sources[train], plan.folds)
        return split, fold
    if (left := len(np.unique(patients[train]))) < plan.folds:
        raise InputError(
            f"--folds {plan.folds} needs {plan.folds} patients, but only {left} of {len(np.unique(patients))} are "
            f"outside the test set; {_fewer(len(np.unique(patients)), plan)}"
        )
    fold[train] = _grouped_folds(patients[train], combination[train], plan.folds, plan.seed)
    return split, fold


def _drawn_split(patients: np.ndarray, combination: np.ndarray, plan: SplitPlan) -> np.ndarray:
    split = np.full(len(patients), TRAIN, dtype=object)
    parts = _test_parts(plan)
    if parts > 0:
        groups = _grouped_folds(patients, combination, parts.denominator, plan.seed)
        split[groups < parts.numerator] = TEST
    return split


def _given_split(patients: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Return the source's own split, in which slices without one are for training."""
    test = given == TEST
    if not test.any():
        raise InputError("--keep-split: no slice lies in a folder named test; omit it to draw a test set")
    if not (~test).any():
        raise InputError("--keep-split: all slices lie in a test folder; use --all-test instead")
    if len(both := np.intersect1d(patients[test], patients[~test])):
        raise InputError(
            f"--keep-split: {len(both):,} patients are in the test folder and outside it, such as {both[0]!r}, so the "
            "test set would leak; omit --keep-split to draw one by patient"
        )
    return np.where(test, TEST, TRAIN).astype(object)


def _source_folds(patients: np.ndarray, sources: np.ndarray, count: int) -> np.ndarray:
    """Return each slice's source as its fold; a patient of several sources is held out with the first of them."""
    first = pd.Series(sources).groupby(patients).transform("min").to_numpy()
    if missing := sorted(set(range(count)) - set(first.tolist())):
        raise InputError(
            f"--folds by-source: source {missing[0] + 1} has no patient of its own outside the test set; use a number "
            "of folds, or a smaller test set"
        )
    return first


def check_patients(count: int, plan: SplitPlan) -> None:
    """Raise an InputError if there are too few patients for this test set and these folds."""
    if plan.is_all_test:
        return
    if count == 1:
        raise InputError(
            "there is only one patient, and folds need at least two; make a store of only test slices with --all-test"
        )
    needed = {
        f"--folds {plan.folds}": 0 if plan.by_source else plan.folds,
        f"--test-fraction {plan.test_fraction:g}": _test_parts(plan).denominator if _draws_test(plan) else 0,
    }
    for option, patients in needed.items():
        if count < patients:
            raise InputError(
                f"{option} needs {patients} patients, but there are only {count} patients; {_fewer(count, plan)}"
            )


def _draws_test(plan: SplitPlan) -> bool:
    return plan.test_fraction > 0 and not plan.keeps_given


def _test_parts(plan: SplitPlan) -> Fraction:
    return Fraction(plan.test_fraction).limit_denominator(20)


def _fewer(count: int, plan: SplitPlan) -> str:
    """Return what to do with so few patients."""
    without_test = f"--test-fraction 0 --folds {min(plan.folds, count)}"
    alone = "or --all-test if they are a test set"
    if count < 3 or not plan.test_fraction:
        return f"use fewer --folds, such as {without_test}, {alone}"
    one_patient = f"--test-fraction {1 / count:.4f} --folds {min(plan.folds, count - 1)}"
    return f"use fewer --folds or another --test-fraction, such as {one_patient} or {without_test}, {alone}"


def patient_folds(patients: np.ndarray, labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Return a fold for each slice, `[N]`: a patient's slices share one, and labels `[N, 6]` are balanced over them."""
    return _grouped_folds(patients, _combinations(labels), folds, seed)


def _grouped_folds(patients: np.ndarray, classes: np.ndarray, folds: int, seed: int) -> np.ndarray:
    # Takes two seconds to import, which processes that only open a store shouldn't pay.
    from sklearn.model_selection import StratifiedGroupKFold

    answer = np.full(len(patients), -1)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A combination with fewer slices than folds can't be in every fold; the table shows where it is missing.
        warnings.filterwarnings("ignore", message="The least populated class")
        for number, (_, held_out) in enumerate(splitter.split(patients, _common(classes, folds), patients)):
            answer[held_out] = number
    return answer


def _combinations(labels: np.ndarray) -> np.ndarray:
    """Return a number for each combination of labels; unknown counts as negative."""
    bits = np.nan_to_num(labels, nan=0.0).astype(np.int64)
    return bits @ (1 << np.arange(bits.shape[1]))


def _common(classes: np.ndarray, folds: int) -> np.ndarray:
    """Return `classes`, or a single class if none has a slice for every fold (which scikit-learn refuses)."""
    return classes if np.unique(classes, return_counts=True)[1].max() >= folds else np.zeros_like(classes)


def fold_rows(fold: np.ndarray, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the training rows and validation rows (int64) of the first `count` folds, from each slice's fold `[N]`.

    The test set, where `fold` is -1, is in neither.
    """
    return [
        (np.flatnonzero((fold != number) & (fold >= 0)), np.flatnonzero(fold == number))
        for number in range(count)
    ]


def split_table(slices: pd.DataFrame) -> pd.DataFrame:
    """Return counts of slices, patients and, for each label, positive slices, their prevalence and positive patients.

    One row per split and fold; columns `part, patients, slices` and for each label `<label>_slices,
    <label>_prevalence, <label>_patients` (prevalence over slices with a known label).
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
