"""Comparing an exported file with the model that it was made of."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from ichtune.data.pixels import resize
from ichtune.data.scans import Scans
from ichtune.data.store import SliceStore
from ichtune.inference.export.formats import Run
from ichtune.inference.trained_model import TrainedModel

SLICES: Final = 32
TOLERANCE: Final = 1e-4
"""The largest difference of a probability, and of a logit relative to its size where that is above 1."""


@dataclass(frozen=True)
class Sample:
    """Slices to compare on, as one scan from the feet towards the head: int16 `[n, S, S]`, in words `source`."""

    hu: np.ndarray
    source: str

    @classmethod
    def made_up(cls, size: int, seed: int = 0) -> "Sample":
        """Noise around levels from below air to metal."""
        rng = np.random.default_rng(seed)
        levels = rng.uniform(-50, 120, (SLICES, 1, 1)) + rng.normal(0, 60, (SLICES, size, size))
        levels[:, :4] = rng.integers(-1024, 3072, (SLICES, 4, size))
        return cls(np.rint(levels).astype(np.int16), f"{SLICES} made-up slices")

    @classmethod
    def of(cls, store: SliceStore) -> "Sample":
        """The first slices of the store's longest scan."""
        longest = int(np.diff(store.scans.starts).argmax())
        rows = store.scans.rows(longest)[:SLICES]
        return cls(np.stack([store.hu[row] for row in rows]), f"{len(rows)} slices of {store.place}")

    def take(self, count: int) -> "Sample":
        return Sample(self.hu[:count], self.source)

    @property
    def scans(self) -> Scans:
        """The slices as one scan."""
        ids = dict.fromkeys(("source", "patient_id", "study_id", "series_id"), "sample")
        return Scans.of(pd.DataFrame(ids | {"fold": 0, "z_mm": np.arange(len(self.hu), dtype=float)}))

    def inputs(self, size: int, neighbours: int) -> np.ndarray:
        """The same as inputs of an exported file, float32 `[n, K, size, size]`."""
        rows = self.scans.neighbours(np.arange(len(self.hu)), neighbours)
        resized = np.stack([resize(hu, size) for hu in self.hu])
        return resized[rows].astype(np.float32)


def deviation(run: Run, model: TrainedModel, sample: Sample) -> float:
    """Return by how much a file differs from its model on a sample, and on parts of it.

    The sample is also taken in part, so that a number of slices that the export froze would show.
    """
    seen = model.about.preprocessing
    worst = 0.0
    for count in (len(sample.hu), max(len(sample.hu) // 3, 1)):
        part = sample.take(count)
        logits, probabilities = run(part.inputs(seen.size, seen.neighbours))
        differences = np.abs(probabilities - model.predict(part.hu, scans=part.scans))
        if logits is not None:
            own = model.logits(part.hu, scans=part.scans)
            differences = np.maximum(differences, np.abs(logits - own) / np.maximum(np.abs(own), 1))
        worst = float(np.maximum(worst, differences.max()))  # keeps NaN
    return worst
