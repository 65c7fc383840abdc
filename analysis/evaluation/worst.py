"""The slices that a model is most wrong about."""

import numpy as np
import pandas as pd

from analysis.evaluation.evaluate import Evaluation
from analysis.explaining.choose import spread
from analysis.pictures.worst_slices import EACH, Error
from ichtune.labels import LABELS

MISSED, FALSE = "present", "absent"
"""Whether the label is there: those that are there have the lowest probabilities, the others the highest."""


def worst(made: Evaluation) -> pd.DataFrame:
    """The slices with the largest errors, the largest first, each of another patient as far as there are such.

    Columns `label, truth, probability, slice_id, patient_id, row` (of the store). Empty if no slice has known labels.
    """
    rows = [
        row
        for column in made.slices.known
        for truth in (MISSED, FALSE)
        for row in _of_label(made, column, truth)
    ]
    return pd.DataFrame(rows, columns=["label", "truth", "probability", "slice_id", "patient_id", "row"])


def _of_label(made: Evaluation, column: int, truth: str) -> list[dict[str, object]]:
    slices, table = made.slices, made.plan.table
    probs = slices.probabilities[:, column]
    places = np.flatnonzero(slices.labels[:, column] == (truth == MISSED))
    chosen = spread(places, probs if truth == MISSED else -probs, slices.patients)[:EACH]
    return [
        {
            "label": LABELS[column],
            "truth": truth,
            "probability": float(probs[place]),
            "slice_id": table.at[place, "slice_id"],
            "patient_id": table.at[place, "patient_id"],
            "row": int(made.plan.chosen.rows[place]),
        }
        for place in chosen
    ]


def errors_of(made: Evaluation, found: pd.DataFrame, truth: str) -> dict[str, list[Error]]:
    """The slices of one kind by label, with their Hounsfield units."""
    return {
        str(label): [
            Error(np.asarray(made.plan.store.hu[row]), probability)
            for row, probability, kind in zip(rows["row"], rows["probability"], rows["truth"], strict=True)
            if kind == truth
        ]
        for label, rows in found.groupby("label", sort=False)
    }
