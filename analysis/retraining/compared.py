"""Retrained models that differ in a few settings, side by side on the same slices."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from analysis.pictures.retraining_curves import retraining_curves
from analysis.pictures.style import save
from analysis.retraining.describe import OUT_OF_FOLD, Retrained
from analysis.retraining.plan import RetrainPlan
from analysis.statistics.cohort import Cohort
from analysis.statistics.influence import Measure, Truth
from analysis.statistics.significance import Scores
from analysis.tables.compared import COMPARED, compared_table
from analysis.tables.table import Table
from analysis.tables.writers import write_table
from ichtune.cross_validation import CrossValidation
from ichtune.data.store import SliceStore
from ichtune.json_text import read_json
from ichtune.training.batches import Fold

CURVES: Final = "trainings"


def compare(plans: Sequence[RetrainPlan], made: Sequence[Retrained], folder: Path) -> Table:
    """Write the table of all models, each with its paired difference to the first, and their curves to a folder."""
    first = plans[0]
    models = [each for each in made if each.folder in [plan.folder for plan in plans]]
    rows = compared([each.folder for each in models], first.store, first.folds)
    names = [each.folder.name for each in models]
    behind = Cohort(first.store, CrossValidation(first.experiment.validation.folds)).population
    on = f"fold {first.folds[0].index}" if len(first.folds) == 1 else f"{len(first.folds)} folds"
    caption = f"{first.run.name}, rank {first.options.rank} ({first.trial}): {len(names)} trainings on {on}"
    table = compared_table(rows, names, caption, first.notes, behind)
    folder.mkdir(parents=True, exist_ok=True)
    write_table(folder, table)
    histories = {
        name: [list(read_json(each.folder / "metrics.json")["history"].values())[-1]]
        for name, each in zip(names, models, strict=True)
    }
    save(retraining_curves(histories), folder, CURVES)
    return table


def compared(folders: Sequence[Path], store: SliceStore, folds: Sequence[Fold]) -> pd.DataFrame:
    """One row per part and model: `part, model`, and for each metric its value, `_low` and `_high`, and `_difference`,
    `_difference_low` and `_difference_high`: its score minus that of the first model, paired by patient."""
    kept = [dict(np.load(folder / OUT_OF_FOLD)) for folder in folders]
    valid = [_spread(store, each["rows"], each["logits"]) for each in kept]
    rows = list(_rows("validation", Truth(store.labels, store.patients, folds), valid, folders))
    if len(store.test):
        test = [_spread(store, store.test, each["test"]) for each in kept]
        truth = Truth(store.labels, store.patients, [Fold(0, store.train, store.test)])
        rows += _rows("test", truth, test, folders)
    return pd.DataFrame(rows)


def _spread(store: SliceStore, rows: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Logits `[N, 6]` of a store's slices, NaN except for these rows."""
    spread = np.full(store.labels.shape, np.nan, np.float32)
    spread[rows] = logits
    return spread


def _rows(
    part: str, truth: Truth, logits: Sequence[np.ndarray], folders: Sequence[Path]
) -> Iterator[dict[str, object]]:
    found: list[dict[str, object]] = [{"part": part, "model": folder.name} for folder in folders]
    for metric in COMPARED:
        scores = Scores.of(Measure(metric, truth), logits)
        ends, differences = scores.intervals(), scores.differences(0)
        for row, value, (low, high), difference in zip(found, scores.values, ends, differences, strict=True):
            names = ("difference", "difference_low", "difference_high")
            row |= {metric: value, f"{metric}_low": low, f"{metric}_high": high}
            row |= {f"{metric}_{name}": number for name, number in zip(names, difference, strict=True)}
    yield from found
