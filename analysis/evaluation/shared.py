"""Whether the slices that a model is evaluated on share patients or pixels with those that it was trained on."""

from collections.abc import Iterator

import numpy as np

from ichtune.data.store import SliceStore
from ichtune.inference.training_data import TrainingData, patients_of
from ichtune.wording import plural

UNKNOWN = (
    "whether this store shares patients or pixels with the training can't be checked, as the model's folder, which an "
    "earlier version wrote, doesn't say what it was trained on"
)


def shared(store: SliceStore, rows: np.ndarray, seen: TrainingData) -> Iterator[str]:
    """Yield what evaluated slices share with those that a model was trained on."""
    patients, digests = patients_of(store, rows), store.digests[rows]
    if same := np.isin(patients, seen.patients).sum():
        yield (
            f"{same:,} of {plural(len(patients), 'patient', 'patients')} have the identifier of a patient that the "
            "model was trained on; if they are the same people, the scores are too good"
        )
    if copies := np.isin(digests, seen.pixels.get(store.size, ())).sum():
        yield (
            f"{copies:,} of {plural(len(digests), 'slice', 'slices')} have exactly the pixels of a slice that the "
            "model was trained on, so the scores are too good"
        )


def incomparable(store: SliceStore, seen: TrainingData) -> Iterator[str]:
    """Yield what of another store can't be compared with what a model was trained on."""
    if not store.info.patients_known or not len(seen.patients):
        yield "patients can't be compared with those of the training, as not all of them are identified"
    elif store.info.hashed_ids or seen.salted:
        yield "patients can't be compared with those of the training, as identifiers are salted hashes"
    if store.size not in seen.pixels:
        sizes = ", ".join(map(str, sorted(seen.pixels)))
        yield (
            f"pixels can't be compared with those of the training, which had slices of {sizes} pixels, not {store.size}"
        )
