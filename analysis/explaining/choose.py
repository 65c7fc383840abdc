"""Which slices explain a model: right ones, false alarms and misses of a label."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.inference.trained_model import TrainedModel
from ichtune.labels import LABELS
from ichtune.wording import not_one_of


class Outcome(StrEnum):
    """How a slice was classified by its label's threshold; true negatives have no evidence to show."""

    RIGHT = "right"
    FALSE_ALARM = "false alarm"
    MISSED = "missed"


@dataclass(frozen=True)
class Part:
    """The slices of a store that examples are taken from."""

    rows: np.ndarray
    """int64 `[n]`."""
    words: str

    @classmethod
    def of(cls, model: TrainedModel, store: SliceStore) -> "Part":
        """The test set of the store that the model was trained on; all slices of any other store."""
        if store.fingerprint not in model.about.fingerprints:
            return cls(np.arange(len(store)), "all slices, as the model was trained on another store")
        if len(store.test):
            return cls(store.test, "the test set of the model's own store")
        return cls(
            np.arange(len(store)), "all slices of the model's own store, most of which it was trained on"
        )


def check_label(store: SliceStore, part: Part, label: str) -> None:
    """Raise an InputError if the label is unknown, or no slice of the part has it."""
    if label not in LABELS:
        raise InputError(f"--label: {not_one_of(label, LABELS)}")
    known = store.labels[part.rows]
    if np.isnan(known).all():
        raise InputError(
            f"{store.path}: no slice has known labels ({part.words}), so none is known to be right or wrong"
        )
    if not (known[:, LABELS.index(label)] == 1).any():
        there = [name for name, found in zip(LABELS, (known == 1).any(axis=0), strict=True) if found]
        mend = f"there are {', '.join(there)}" if there else "no other label is there either"
        raise InputError(f"--label {label}: no slice has it ({part.words}); {mend}")


def choose(
    truth: np.ndarray,
    probabilities: np.ndarray,
    threshold: float,
    patients: np.ndarray,
    counts: dict[Outcome, int],
) -> dict[Outcome, np.ndarray]:
    """Places of up to `counts` slices of each outcome, the clearest first: one of each patient before any second one.

    Clearest are the highest probabilities of right slices and false alarms, and the lowest of missed ones. `truth`
    (NaN if unknown), `probabilities` and `patients` are `[n]`, of one label.
    """
    present = probabilities >= threshold
    found = {
        Outcome.RIGHT: (truth == 1) & present,
        Outcome.FALSE_ALARM: (truth == 0) & present,
        Outcome.MISSED: (truth == 1) & ~present,
    }
    return {
        outcome: spread(
            np.flatnonzero(found[outcome]),
            probabilities if outcome is Outcome.MISSED else -probabilities,
            patients,
        )[:count]
        for outcome, count in counts.items()
    }


def spread(places: np.ndarray, order: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """Places in ascending order of `order`, in rounds that take one of each patient."""
    places = places[np.argsort(order[places], kind="stable")]
    seen: dict[object, int] = {}
    rounds = []
    for patient in patients[places]:
        seen[patient] = seen.get(patient, -1) + 1
        rounds.append(seen[patient])
    return places[np.argsort(rounds, kind="stable")]
