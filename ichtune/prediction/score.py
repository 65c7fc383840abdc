"""The score of a submission to the RSNA 2019 challenge against labels."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ichtune.data.long_tables import read_long
from ichtune.errors import InputError
from ichtune.labels import LABELS
from ichtune.metrics import log_losses, weighted_log_loss
from ichtune.prediction.challenge_table import read_challenge_table
from ichtune.wording import plural


@dataclass(frozen=True)
class Score:
    """The challenge's weighted log loss, and the log loss of each label alone."""

    weighted_log_loss: float
    by_label: dict[str, float]
    slices: int


def score(submission: str | Path, labels: str | Path) -> Score:
    """Return the weighted log loss of a submission, as the challenge computes it, with labels in its long format.

    From the challenge's evaluation page: the log loss of each of the six probabilities of a slice, their mean weighted
    by 2 for `any` and 1 for the others, and the mean over slices; probabilities are clipped to 1e-15 from 0 and 1.

    Raises:
        InputError: a table can't be used, or they are not about the same slices.
    """
    given = read_challenge_table(Path(submission))
    if not Path(labels).is_file():
        raise InputError(f"{labels}: no such labels file")
    truth, wrong = read_long(Path(labels))
    if len(wrong):
        count = plural(len(wrong), "slice", "slices")
        raise InputError(f"{labels}: {count} can't be scored (the first: {wrong.index[0]}: {wrong.iloc[0]})")
    _refuse_other_slices(given.slices, truth.index, submission, labels)
    positive = truth.loc[given.slices, list(LABELS)].to_numpy() > 0.5
    losses = log_losses(given.probabilities, positive).mean(axis=0)
    total = weighted_log_loss(given.probabilities, positive, np.ones_like(positive))
    return Score(total, dict(zip(LABELS, losses.tolist(), strict=True)), len(positive))


def _refuse_other_slices(
    given: pd.Index, known: pd.Index, submission: str | Path, labels: str | Path
) -> None:
    unknown, missing = given.difference(known), known.difference(given)
    if len(unknown):
        raise InputError(
            f"{submission}: {len(unknown):,} of its {len(given):,} slices are not in {labels} (the first: "
            f"{unknown[0]}); a score needs the labels of every ID"
        )
    if len(missing):
        raise InputError(
            f"{submission}: lacks {len(missing):,} of the {len(known):,} slices of {labels} (the first: {missing[0]}); "
            "the challenge needs every ID"
        )
