"""Other partitions of a store's training patients into folds, for repeated cross-validation.

What one partition happens to put together is luck; the mean over several partitions has less of it (Burman, Biometrika
1989, 76:503; Kim, Computational Statistics & Data Analysis 2009, 53:3735).
"""

from functools import lru_cache
from typing import Final

import numpy as np

from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.labels import LABELS

BLUR: Final = 0.6
"""Patients are ordered by their number of slices times lognormal noise with this standard deviation of the logarithm.

On CT-ICH folds are then as even as the store's, and of the pairs of positive patients in one fold 25 % are in one fold
again (17 % by chance; 90 % with another seed of `StratifiedGroupKFold`). With less noise more pairs stay together, with
more the folds of large stores are less even.
"""


@lru_cache(maxsize=1)
def partitions(store: SliceStore, count: int) -> np.ndarray:
    """Return `count` partitions of the training patients: each slice's fold, int16 `[R, N]`, -1 in the test set.

    The first is the store's own; the others follow from the store's seed alone, so more partitions begin with fewer.

    Raises:
        InputError: each fold of the store holds out a source, or the patients can't be parted in so many ways.
    """
    own, train = store.table["fold"].to_numpy(np.int16), store.train
    if count > 1 and store.info.folds_by_source:
        raise InputError(
            f"--repeats-cv {count}: each fold of {store.path} holds out a whole source, so there is only one way to "
            "part it; use --repeats-cv 1, or prepare the store with a number of --folds"
        )
    found = np.tile(own, (count, 1))
    for number in range(1, count):
        rng = np.random.default_rng([*b"partition", store.info.seed, number])
        found[number, train] = draw_folds(store.patients[train], store.labels[train], store.info.folds, rng)
    if (distinct := len({_same_for_any_order(row) for row in found})) < count:
        raise InputError(
            f"--repeats-cv {count}: {len(np.unique(store.patients[train]))} patients in {store.info.folds} folds gave "
            f"only {distinct} different partitions; use fewer --repeats-cv, or a store with fewer --folds"
        )
    found.flags.writeable = False
    return found


def draw_folds(patients: np.ndarray, labels: np.ndarray, folds: int, rng: np.random.Generator) -> np.ndarray:
    """Return each slice's fold (0-based, int64 `[n]`), by patient and stratified on the labels `[n, 6]`, at random.

    Iterative stratification (Sechidis et al., ECML PKDD 2011): from the rarest label to the commonest, its patients go
    to the fold that lacks most of its slices, roughly in order of how many they have. scikit-learn's
    `StratifiedGroupKFold`, which splits a store, serves patients in exact order of their labels' variance, and its seed
    only decides between equals: with another seed nearly all positive patients stay together. Unknown labels count as
    negative.

    No fold is empty if there are as many patients as folds.
    """
    _, patient = np.unique(patients, return_inverse=True)
    slices = np.zeros((patient.max() + 1, len(LABELS) + 1))
    np.add.at(slices, patient, np.column_stack([labels == 1, np.ones(len(labels))]))
    lacking = np.tile(slices.sum(axis=0) / folds, (folds, 1))
    fold = np.full(len(slices), -1)
    for column in np.argsort((slices > 0).sum(axis=0), kind="stable"):
        waiting = np.flatnonzero((fold < 0) & (slices[:, column] > 0))
        blurred = slices[waiting, column] * rng.lognormal(0, BLUR, len(waiting))
        for one in waiting[np.argsort(-blurred)]:
            # Ties go to the fold with the fewest slices, then to any.
            fold[one] = np.lexsort((rng.random(folds), lacking[:, -1], lacking[:, column]))[-1]
            lacking[fold[one]] -= slices[one]
    return fold[patient]


def _same_for_any_order(fold: np.ndarray) -> bytes:
    """Return the partition with its folds numbered in order of their first slice."""
    held = fold[fold >= 0]
    _, first, inverse = np.unique(held, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int16).tobytes()
