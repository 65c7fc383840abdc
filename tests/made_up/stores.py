"""Stores without pixels, of any size: what ranking is measured and tested on."""

from pathlib import Path

import numpy as np
import pandas as pd

from ichtune.data.store import SliceStore, StoreInfo, write_info
from ichtune.labels import LABELS

PREVALENCE = (0.02, 0.06, 0.05, 0.06, 0.08)


def made_up_store(
    path: Path, slices: int, *, per_patient: int = 35, folds: int = 5, seed: int = 0
) -> SliceStore:
    """A store without pixels (a file of zeros that takes no disk), with hemorrhages in neighbouring slices."""
    rng = np.random.default_rng(seed)
    path.mkdir(parents=True)
    patient = np.arange(slices) // per_patient
    patients = int(patient[-1]) + 1
    share = np.minimum(1, 3 * np.array(PREVALENCE))  # of patients; a third of whose slices show it
    has = rng.random((patients, 5)) < share
    labels = has[patient] & (rng.random((slices, 5)) < 1 / 3)
    six = np.column_stack([labels, labels.any(axis=1)]).astype(int)
    fold = rng.permutation(np.arange(patients) % (folds + 1))[patient] - 1  # -1 is the test set
    identifiers = ("patient_id", "study_id", "series_id")
    table = pd.DataFrame({name: [f"{name[:2]}{n}" for n in patient] for name in identifiers})
    table.insert(0, "slice_id", [f"s{n}" for n in range(slices)])
    table["z_mm"] = 5.0 * (np.arange(slices) % per_patient)
    table[list(LABELS)] = pd.DataFrame(six).astype("Int8").to_numpy()
    table = table.astype(dict.fromkeys(LABELS, "Int8"))
    table["split"], table["fold"] = np.where(fold < 0, "test", "train"), fold
    table.to_parquet(path / "slices.parquet")
    np.lib.format.open_memmap(path / "hu.npy", mode="w+", dtype=np.int16, shape=(slices, 32, 32))
    about = StoreInfo(
        version=1,
        slices=slices,
        patients=patients,
        rejected=0,
        size=32,
        format="images",
        window=None,
        test_fraction=1 / (folds + 1),
        folds=folds,
        seed=seed,
        hashed_ids=False,
        patients_known=True,
        fingerprint=f"made-up-{slices}-{seed}",
    )
    write_info(path, about)
    return SliceStore.open(path)
