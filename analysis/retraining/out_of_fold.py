"""Out-of-fold predictions of retrained folds, each at the epoch that the other folds find best."""

import math
from collections.abc import Sequence

import numpy as np

from analysis.retraining.resumable import ResumableTraining
from ichtune.runs.best_epoch import EpochsByOtherFolds


def epochs_by_other_folds(trainings: Sequence[ResumableTraining], metric: str) -> list[int]:
    """The epoch that scores each fold's training, of one seed: the best by the mean of the other folds.

    It is one of the epochs that all of them finished. A fold without others is scored at its own best epoch.
    """
    chosen = EpochsByOtherFolds(metric)
    for place in range(min(training.finished for training in trainings)):
        values = [training.history[place]["validation"][metric] for training in trainings]
        chosen.update(place + 1, [math.nan if value is None else value for value in values])
    return chosen.epochs


def logits_of_folds(
    trainings: Sequence[ResumableTraining], seeds: int, metric: str
) -> tuple[list[np.ndarray], list[int]]:
    """Each fold's logits of its validation slices by its S seeds, `[S, n_f, 6]`, and the epoch of each training.

    Trainings are those of each fold, seed after seed.
    """
    epochs = [0] * len(trainings)
    for seed in range(seeds):
        epochs[seed::seeds] = epochs_by_other_folds(trainings[seed::seeds], metric)
    kept = [training.logits[epoch - 1].numpy() for training, epoch in zip(trainings, epochs, strict=True)]
    return [np.stack(kept[place : place + seeds]) for place in range(0, len(kept), seeds)], epochs
