"""What can be predicted from a slice's place in its scan alone.

Hemorrhages are not spread evenly over a head, so a slice's place says something about its labels. A model that does not
score more than that has learned the order of anatomy, not what blood looks like.
"""

import numpy as np
from sklearn.linear_model import LogisticRegression

from ichtune.training.batches import Fold


def by_position(places: np.ndarray, labels: np.ndarray, fold: Fold) -> np.ndarray | None:
    """The probability of each label for a fold's validation slices `[n, 6]` by their `places` in the scan `[N]`.

    A logistic regression on the place and its square, fitted on the fold's training slices. Slices of unknown place
    (NaN) get the label's prevalence. None if no training slice has a place.
    """
    known = np.isfinite(places)
    train, valid = fold.train[known[fold.train]], fold.valid
    if not len(train):
        return None
    inputs = np.nan_to_num(np.stack([places, places**2], axis=1))
    columns = [_one_label(inputs, truth, train, valid, known[valid]) for truth in labels.T]
    return np.stack(columns, axis=1)


def _one_label(
    inputs: np.ndarray, truth: np.ndarray, train: np.ndarray, valid: np.ndarray, known: np.ndarray
) -> np.ndarray:
    train = train[np.isfinite(truth[train])]
    positive = truth[train] > 0.5
    prevalence = positive.mean() if len(train) else 0.0
    if not 0 < prevalence < 1:
        return np.full(len(valid), prevalence)
    model = LogisticRegression(C=1e3).fit(inputs[train], positive)
    return np.where(known, model.predict_proba(inputs[valid])[:, 1], prevalence)
