"""What a model was trained on, as hashes beside it, by which patients and slices can be recognized."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ichtune.data.store import SliceStore
from ichtune.files import replacing
from ichtune.inference.about import ModelError
from ichtune.labels import LABELS

FILE: Final = "training_data.safetensors"
_PATIENTS, _PIXELS = "patients", "pixels_"


@dataclass(frozen=True)
class TrainingData:
    """The patients, slices and labels that a model was trained on or chosen by: all but the test set of its store."""

    patients: np.ndarray
    """A hash of each patient's identifier, uint64; empty if the source identified none."""
    pixels: Mapping[int, np.ndarray]
    """The stores' digests of slices, uint64, by the side length in pixels."""
    labels: tuple[str, ...]
    """Those known of some slice."""
    salted: bool
    """Whether identifiers are salted hashes, which differ from store to store."""

    @classmethod
    def of(cls, store: SliceStore) -> "TrainingData":
        known = ~np.isnan(store.labels[store.train]).all(axis=0)
        return cls(
            patients_of(store, store.train),
            {store.size: np.unique(store.digests[store.train])},
            tuple(label for label, is_known in zip(LABELS, known, strict=True) if is_known),
            store.info.hashed_ids,
        )

    def and_of(self, other: "TrainingData") -> "TrainingData":
        """What a model was trained on that was trained on both."""
        sizes = {*self.pixels, *other.pixels}
        none = np.empty(0, np.uint64)
        return TrainingData(
            np.union1d(self.patients, other.patients),
            {
                size: np.union1d(self.pixels.get(size, none), other.pixels.get(size, none))
                for size in sorted(sizes)
            },
            tuple(label for label in LABELS if label in self.labels or label in other.labels),
            self.salted or other.salted,
        )

    def write(self, folder: Path) -> None:
        """Write it to a model's folder."""
        arrays = {_PATIENTS: self.patients} | {
            f"{_PIXELS}{size}": digests for size, digests in self.pixels.items()
        }
        about = {"labels": ",".join(self.labels), "salted": str(self.salted).lower()}
        with replacing(folder / FILE) as file:
            save_file(arrays, file, about)


def read_training_data(folder: Path) -> TrainingData | None:
    """What the model in a folder was trained on; None if it was made before that was kept.

    Raises:
        ModelError: the file is damaged.
    """
    file = folder / FILE
    if not file.is_file():
        return None
    try:
        with safe_open(file, "numpy") as opened:
            about = opened.metadata()
            arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        labels = tuple(about["labels"].split(","))
        pixels = {int(name.removeprefix(_PIXELS)): arrays[name] for name in arrays if name != _PATIENTS}
        if not set(labels) <= set(LABELS) or any(each.dtype != np.uint64 for each in arrays.values()):
            raise ValueError("not hashes of patients and slices")
        return TrainingData(arrays[_PATIENTS], pixels, labels, about["salted"] == "true")
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise ModelError(
            f"{file}: damaged ({error}); copy the whole folder again, or delete this file"
        ) from None


def patients_of(store: SliceStore, rows: np.ndarray) -> np.ndarray:
    """A hash of the identifier of each patient of these rows, uint64, sorted; empty if the source identified none."""
    if not store.info.patients_known:
        return np.empty(0, np.uint64)
    return np.unique(np.array([_hash(name) for name in np.unique(store.patients[rows])], np.uint64))


def _hash(patient: str) -> int:
    digest = hashlib.blake2b(str(patient).encode(), digest_size=8, person=b"ichtune patient")
    return int.from_bytes(digest.digest(), "little")
