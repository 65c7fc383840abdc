"""The models that predict together."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from ichtune.data.scans import Scans
from ichtune.data.slice_table import with_all_columns
from ichtune.inference.about import ABOUT
from ichtune.inference.model_place import ModelPlace
from ichtune.inference.trained_model import TrainedModel
from ichtune.intended_use import RESEARCH_ONLY
from ichtune.labels import LABELS
from ichtune.prediction.algorithm import Algorithm
from ichtune.prediction.inputs import Chunk
from ichtune.prediction.listing import ALONE
from ichtune.prediction.views import View
from ichtune.runs.request import installed


@dataclass(frozen=True)
class Panel:
    """Models whose probabilities are averaged, each fed slices of its own size, in all views."""

    models: Sequence[TrainedModel]
    views: Sequence[View]
    digest: str
    """Identifies the models: of a resumed run they must be the same."""
    names: tuple[str, ...] = ()
    """The names of the models' folders."""

    @classmethod
    def open(cls, places: Sequence[str | Path], views: Sequence[View]) -> "Panel":
        """Load the models in these folders or at these URIs.

        Raises:
            ModelError: there is no model, a damaged one, or one of another format version.
            InputError: a URI can't be reached.
        """
        found = [ModelPlace.of(place) for place in places]
        folders = [place.folder for place in found]
        models = [TrainedModel.open(folder) for folder in folders]
        return cls(models, views, _digest(folders), tuple(place.name for place in found))

    @property
    def sizes(self) -> list[int]:
        """The sides in pixels of the slices that the models see, each once."""
        return sorted({model.about.preprocessing.size for model in self.models})

    @property
    def reads_scans(self) -> bool:
        """Whether a model must have all slices of a scan at once."""
        return any(
            model.about.recipe.head.reads_scans or model.about.preprocessing.neighbours
            for model in self.models
        )

    @cached_property
    def thresholds(self) -> np.ndarray:
        """The probability from which each label counts as present, [6]: the mean of the models'."""
        return np.mean([model.thresholds for model in self.models], axis=0)

    def algorithm(self, remarks: Iterable[str]) -> Algorithm:
        """Return the models' identification in a structured report, with remarks on how they are used."""
        thresholds = ", ".join(
            f"{label} {value:.6g}" for label, value in zip(LABELS, self.thresholds.tolist(), strict=True)
        )
        return Algorithm(
            name=f"ichtune: {', '.join(self.names)}",
            version=f"ichtune {installed(('ichtune',))['ichtune']}, models {self.digest[:16]}",
            parameters=(f"For research only: {RESEARCH_ONLY}.", f"thresholds: {thresholds}", *remarks),
            digest=self.digest,
        )

    def predict(self, chunk: Chunk) -> tuple[np.ndarray, np.ndarray]:
        """Return uncalibrated and calibrated probabilities of the slices that were read, float64 [n, 6] each.

        If `reads_scans`, scans are whole in the chunk.
        """
        scans = _scans(chunk.read) if self.reads_scans else None
        count = len(chunk.hu[self.sizes[0]])
        both = np.zeros((2, count, len(LABELS)))
        if count:
            for model in self.models:
                for view in self.views:
                    seen = view(chunk.hu[model.about.preprocessing.size])
                    both += model.raw_and_calibrated(seen, scans=scans)
        uncalibrated, calibrated = both / (len(self.models) * len(self.views))
        return uncalibrated, calibrated


def _scans(slices: pd.DataFrame) -> Scans:
    """Return the scans of slices; one that is in none has no position, as it has no neighbours."""
    z_mm = slices["z_mm"].where(slices["scan"] != ALONE)
    blank = {**dict.fromkeys(LABELS, np.nan), "split": "test", "fold": 0}
    return Scans.of(with_all_columns(slices.assign(z_mm=z_mm, **blank)))


def _digest(folders: Sequence[Path]) -> str:
    """Return a digest of what the folders say of their models, including the digests of all weights."""
    content = hashlib.sha256()
    for folder in folders:
        for file in sorted(folder.rglob(ABOUT)):
            content.update(file.read_bytes() + b"\0")
    return content.hexdigest()
