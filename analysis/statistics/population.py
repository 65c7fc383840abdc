"""The slices and patients behind the scores, and what no-skill predictors score on them."""

import numpy as np
import pandas as pd

from analysis.statistics.position import by_position
from ichtune.data.splits import TEST, TRAIN, split_table
from ichtune.data.store import SliceStore
from ichtune.labels import LABELS
from ichtune.metrics import evaluate, no_skill
from ichtune.training.batches import Fold

POSITION = "position"
"""The no-skill predictor that knows a slice's place in its scan."""


def splits(store: SliceStore) -> pd.DataFrame:
    """The store's `split_table`, indexed by part."""
    return split_table(store.table).set_index("part")


def population(parts: pd.DataFrame, defined_folds: np.ndarray) -> pd.DataFrame:
    """One row per label: how often it occurs in each split, in how many patients, and in how many folds it is defined.

    Columns: `label`; `train_positive`, `train_prevalence`, `train_patients` (positive ones), and the same as `test_` if
    there is a test set; `defined_folds` (`[6]`), how many folds have both a positive and a negative. `parts` is the
    result of `splits`.
    """
    rows = []
    for label, defined in zip(LABELS, defined_folds.tolist(), strict=True):
        row: dict[str, object] = {"label": label}
        for split in (TRAIN, TEST):
            if split in parts.index:
                row[f"{split}_positive"] = parts.at[split, f"{label}_slices"]
                row[f"{split}_prevalence"] = parts.at[split, f"{label}_prevalence"]
                row[f"{split}_patients"] = parts.at[split, f"{label}_patients"]
        rows.append(row | {"defined_folds": defined})
    return pd.DataFrame(rows)


def population_notes(parts: pd.DataFrame) -> list[str]:
    """The slices and patients of each split and the prevalence of each label in it, in words."""
    names = [split for split in (TRAIN, TEST) if split in parts.index]
    counts = [
        f"{split}: {parts.at[split, 'slices']:,} slices of {parts.at[split, 'patients']:,} patients"
        for split in names
    ]
    shares = [f"{label} {' / '.join(_share(parts.loc[split], label) for split in names)}" for label in LABELS]
    return ["; ".join(counts), f"prevalence in {' / '.join(names)} (positive patients): {', '.join(shares)}"]


def _share(part: pd.Series, label: str) -> str:
    if pd.isna(part[f"{label}_slices"]):
        return "unknown"
    return f"{part[f'{label}_prevalence']:.1%} ({part[f'{label}_patients']:.0f})"


def no_skill_rows(store: SliceStore, folds: list[Fold]) -> dict[str, dict[str, float]]:
    """What no-skill predictors score, by name: each metric's mean over the folds that define it.

    `position` is there only if the store knows where slices are in their scan.
    """
    by_fold = [_no_skill(store, fold) for fold in folds]
    ways: dict[str, dict[str, float]] = {}
    for way, scores in by_fold[0].items():
        values = {metric: np.array([fold[way][metric] for fold in by_fold]) for metric in scores}
        ways[way] = {metric: _mean(array) for metric, array in values.items()}
    return ways


def _no_skill(store: SliceStore, fold: Fold) -> dict[str, dict[str, float]]:
    train, valid = store.labels[fold.train], store.labels[fold.valid]
    positives, known = (train == 1).sum(axis=0), (~np.isnan(train)).sum(axis=0)
    ways = no_skill(valid, positives / np.maximum(known, 1))
    by_place = by_position(store.scans.places, store.labels, fold)
    return ways if by_place is None else ways | {POSITION: evaluate(by_place, valid)}


def _mean(values: np.ndarray) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")
