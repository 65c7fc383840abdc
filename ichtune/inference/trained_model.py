"""A trained model, opened: slices in, probabilities out."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from scipy.special import expit

from ichtune.averaging import together
from ichtune.data.scans import Scans
from ichtune.inference.about import About
from ichtune.inference.classifier import Classifier
from ichtune.inference.model_folder import read_networks
from ichtune.inference.model_place import ModelPlace
from ichtune.inputs.images import ImageSource
from ichtune.labels import LABELS
from ichtune.training.batches import Batch
from ichtune.training.predict import places, whole_units
from ichtune.training.units import ScanUnits

_BATCH: Final = 32  # larger ones are no faster on a CPU


@dataclass(frozen=True)
class TrainedModel:
    """A model loaded from its folder, on a device, frozen and in evaluation mode; or an ensemble of several.

    Whatever it was trained in, it computes in float32, so that it says the same on every machine and when exported, up
    to rounding (on a GPU, that of TensorFloat-32 in convolutions, which is torch's default).
    """

    about: About
    networks: tuple[Classifier, ...]
    """One, or those of the ensemble's members."""
    device: torch.device

    @classmethod
    def open(cls, place: str | Path, device: torch.device | None = None) -> "TrainedModel":
        """Load the model in a folder or at a URI, onto the GPU if there is one; never runs code from there.

        Raises:
            ModelError: there is no model, a damaged one, or one of another format version.
            InputError: the URI can't be reached.
        """
        about, networks = read_networks(ModelPlace.of(place).folder)
        device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        for network in networks:
            network.backbone.precision = "float32"
        ready = [network.eval().requires_grad_(False).to(device) for network in networks]
        return cls(about, tuple(ready), device)

    @property
    def thresholds(self) -> np.ndarray:
        """The calibrated probability from which each label counts as present, `[6]`."""
        return np.array([self.about.thresholds[label] for label in LABELS])

    def predict(
        self, hu: np.ndarray, rows: np.ndarray | None = None, *, scans: Scans | None = None
    ) -> np.ndarray:
        """Calibrated probabilities `[n, 6]` (float64) of slices in Hounsfield units; see `logits`.

        Those of an ensemble are the mean of its members' calibrated probabilities.

        model = TrainedModel.open("runs/mine/retrain/rank1-all")
        present = model.predict(hu) >= model.thresholds
        """
        return self.raw_and_calibrated(hu, rows, scans=scans)[1]

    def raw_and_calibrated(
        self, hu: np.ndarray, rows: np.ndarray | None = None, *, scans: Scans | None = None
    ) -> np.ndarray:
        """Probabilities as the network gives them and calibrated, in one pass, `[2, n, 6]` (float64); see `logits`."""
        return expit(self.raw_and_calibrated_logits(hu, rows, scans=scans))

    def raw_and_calibrated_logits(
        self, hu: np.ndarray, rows: np.ndarray | None = None, *, scans: Scans | None = None
    ) -> np.ndarray:
        """The logits of `raw_and_calibrated`, `[2, n, 6]` (float64)."""
        each, calibration = self._each(hu, rows, scans).astype(np.float64), self.about.calibration
        raw = together(each)
        of_members = self.about.calibrated == "members"
        calibrated = together(calibration.logits(each)) if of_members else calibration.logits(raw)
        return np.stack([raw, calibrated])

    def logits(
        self, hu: np.ndarray, rows: np.ndarray | None = None, *, scans: Scans | None = None
    ) -> np.ndarray:
        """The network's logits `[n, 6]` (float32), uncalibrated, of slices in Hounsfield units.

        Those of an ensemble are the logits of the mean of its members' uncalibrated probabilities.

        Slices are int16 `[n, S, S]` of any size S.

        With `rows` (int64), only those slices are read and scored, on demand: `hu` may be a memory map. A model that
        reads neighbouring slices needs the `scans` of all slices, e.g. `SliceStore.scans`.

        A model whose head reads scans takes all slices, or `rows`, as one scan from the feet towards the head; with
        `scans`, each slice's own scan is read whole. Memory holds the features of a scan, and a few slices' images.

        Raises:
            ValueError: slices of a wrong type or shape, or no scans where the model needs them.
        """
        return together(self._each(hu, rows, scans))

    @torch.no_grad()
    def _each(self, hu: np.ndarray, rows: np.ndarray | None, scans: Scans | None) -> np.ndarray:
        """Each network's logits, float32 `[M, n, 6]`; see `logits`."""
        if hu.dtype != np.int16 or hu.ndim != 3 or hu.shape[1] != hu.shape[2]:
            raise ValueError(
                f"slices must be Hounsfield units, int16 [n, S, S], got {hu.dtype} {list(hu.shape)}"
            )
        rows = np.arange(len(hu)) if rows is None else rows
        if not len(rows):
            return np.empty((len(self.networks), 0, len(LABELS)), np.float32)
        logits = self._of_slices if not self.about.recipe.head.reads_scans else self._of_scans
        return np.stack(logits(hu, rows, scans))

    def _of_slices(self, hu: np.ndarray, rows: np.ndarray, scans: Scans | None) -> list[np.ndarray]:
        """Each network's logits `[n, 6]`, if heads score slices alone."""
        found: list[list[np.ndarray]] = [[] for _ in self.networks]
        for features in self.features(hu, rows, scans):
            for network, its, logits in zip(self.networks, features, found, strict=True):
                logits.append(network.head(its).cpu().numpy())
        return [np.concatenate(logits) for logits in found]

    def _of_scans(self, hu: np.ndarray, rows: np.ndarray, scans: Scans | None) -> list[np.ndarray]:
        """Each network's logits `[n, 6]`, if heads read whole scans."""
        one = [Batch(rows, np.array([len(rows)]))]
        chunks = one if scans is None else whole_units(ScanUnits.of(scans), rows, _BATCH)
        found: list[list[np.ndarray]] = [[] for _ in self.networks]
        for chunk in chunks:
            features = list(zip(*self.features(hu, chunk.rows, scans), strict=True))
            for network, its, logits in zip(self.networks, features, found, strict=True):
                logits.append(network.head(torch.cat(its), chunk.sizes).cpu().numpy())
        return [np.concatenate(logits)[places(chunks, rows)] for logits in found]

    def features(self, hu: np.ndarray, rows: np.ndarray, scans: Scans | None) -> Iterator[list[torch.Tensor]]:
        """Yield the features `[b, D]` of these slices, a few at a time, by each network's backbone."""
        chunks = np.split(rows, range(_BATCH, len(rows), _BATCH))
        for images in self.images(hu, scans).batches(chunks, None):
            there = images.to(self.device, non_blocking=True)
            yield [network.backbone(there) for network in self.networks]

    def images(self, hu: np.ndarray, scans: Scans | None) -> ImageSource:
        """Return the images that the networks see of slices in Hounsfield units, not augmented."""
        seen = self.about.preprocessing.model_dump()
        model = self.about.recipe.model.model_copy(update=seen)
        threads = torch.get_num_threads()
        return ImageSource(hu, model, "normal", seed=0, views=1, threads=threads, scans=scans)
