"""Which slices of a store a model is evaluated on: by default, none that it was trained on."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from analysis.evaluation.options import Split
from ichtune.data.splits import TEST, TRAIN
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.inference.about import About

VALIDATION: Final = "validation"
ALL: Final = "all"


@dataclass(frozen=True)
class Chosen:
    """Slices of a store, why they were taken, and what makes their scores too good."""

    split: Split
    rows: np.ndarray
    """int64 `[n]`"""
    why: str
    warning: str = ""


def choose(store: SliceStore, about: About, split: Split | None) -> Chosen:
    """Choose slices by the split asked for.

    None takes a store's test set (without one, the model's validation fold) if the model was trained on that store,
    and all slices of any other store.

    Raises:
        InputError: there are no such slices, or the default would have been training slices.
    """
    own = store.fingerprint in about.fingerprints
    if split is None:
        return (
            _default(store, about) if own else Chosen(ALL, np.arange(len(store)), "another store: all of it")
        )
    if split == VALIDATION:
        return _validation(store, about)
    if split == ALL:
        return Chosen(ALL, np.arange(len(store)), "as asked for", _TRAINED if own else "")
    rows = store.test if split == TEST else store.train
    if not len(rows):
        raise InputError(f"--split {split}: {store.path} has no such slices; leave out --split")
    seen = own and split == TRAIN
    return Chosen(split, rows, "as asked for", _TRAINED if seen else "")


_TRAINED: Final = "the model was trained on these slices, or chosen on them, so the scores are far too good"
_VALIDATED: Final = (
    "the epoch, calibration and thresholds were chosen on these slices, which makes scores optimistic"
)


def _default(store: SliceStore, about: About) -> Chosen:
    if len(store.test):
        return Chosen(TEST, store.test, "the test set of the store that the model was trained on")
    if _fold(store, about) is not None:
        return _validation(store, about)
    raise InputError(
        f"{store.path}: the model was trained on all of this store, which has no test set, so its scores there would "
        "mean nothing; evaluate it on another store, or give --split train"
    )


def _validation(store: SliceStore, about: About) -> Chosen:
    fold = _fold(store, about)
    if fold is None:
        raise InputError(
            f"--split {VALIDATION}: only a model of a single fold has validation slices, in the store that it was "
            "trained on; use --split test"
        )
    rows = np.flatnonzero(store.table["fold"].to_numpy() == fold)
    return Chosen(VALIDATION, rows, f"fold {fold}, which the model was not trained on", _VALIDATED)


def _fold(store: SliceStore, about: About) -> int | None:
    """The model's validation fold, if it is one of this store."""
    return about.origin.fold if store.fingerprint == about.fingerprint else None
