"""A trained model in a folder: its weights, and everything needed to turn slices into probabilities."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
import torch
from pydantic import Field, ValidationError, model_validator
from torch import nn

from ichtune.averaging import mean_prediction
from ichtune.bank.part import bank_model
from ichtune.checksums import sha256_of
from ichtune.data.scans import Scans
from ichtune.errors import InputError
from ichtune.files import refuse_ways_out, replacing
from ichtune.inference.calibration import Calibration
from ichtune.inputs.images import ImageSource
from ichtune.labels import LABELS
from ichtune.metrics import THRESHOLD
from ichtune.models.backbones import Backbone, build_backbone
from ichtune.models.heads import make_heads
from ichtune.models.network import Network
from ichtune.models.weights_files import WeightsError, load_classifier, write_classifier
from ichtune.recipe import Count, Fraction, Model, Recipe, Section, WholeOrZero, Windows
from ichtune.training.batches import Batch
from ichtune.training.predict import places, whole_units
from ichtune.training.units import ScanUnits
from ichtune.yaml_text import read_yaml, write_yaml

FORMAT: Final = 2
ABOUT, WEIGHTS = "model.yaml", "weights.safetensors"
_BATCH: Final = 32  # larger ones are no faster on a CPU


class ModelError(InputError):
    """A folder that holds no model, a damaged one, or one of another format version."""


class Preprocessing(Section):
    """How Hounsfield units become the network's input, grey values in 0..1."""

    windows: Windows
    """`C/W` in HU, one per channel: 0 at and below the lower edge, 1 at and above the upper, in steps of 1/255."""
    neighbours: WholeOrZero = 0
    """How many slices before and after give further channels, in the order of the scan from feet to head."""
    size: Count
    """Side length in pixels; slices are resized by area when shrinking and linearly when growing."""

    @classmethod
    def of(cls, model: Model) -> "Preprocessing":
        return cls(windows=bank_model(model).windows, neighbours=model.neighbours, size=model.size)


class Origin(Section):
    """Where a model came from."""

    run: str
    rank: int
    trial: str
    fold: WholeOrZero | None
    """The validation fold, the store's other folds were trained on; None if trained on all, or for an ensemble."""
    head: Literal["warm", "fresh"]
    epoch: int | None
    """The best epoch, which the weights are from; None for an ensemble."""
    seed: int
    """Seed of the augmentation and of random weights; the training's own seed is in the recipe."""
    differences: dict[str, str]
    """What differs from the search's training of this recipe, e.g. `model.train`: `frozen -> all`."""


class About(Section):
    """The contents of `model.yaml`."""

    format: Literal[2] = FORMAT
    labels: tuple[str, ...] = LABELS
    """The labels in the order of the network's outputs."""
    calibration: Calibration = Calibration.identity(
        "not calibrated, as nothing was fitted on out-of-fold predictions"
    )
    """How logits become probabilities."""
    thresholds: dict[str, Fraction] = dict.fromkeys(LABELS, THRESHOLD)
    """The calibrated probability from which each label counts as present."""
    thresholds_by: Literal["f1", "sensitivity", "fixed"] = "fixed"
    """What they were chosen for."""
    sensitivity: Annotated[float, Field(gt=0, le=1)] | None = None
    """The wanted sensitivity, if they were chosen for one."""
    thresholds_chosen: str = f"{THRESHOLD} for every label, as nothing was chosen on out-of-fold predictions"
    """On what they were chosen, and which labels kept 0.5, in words."""
    preprocessing: Preprocessing
    recipe: Recipe
    """The recipe as it was trained."""
    fingerprint: str
    """Fingerprint of the store that it was trained on."""
    origin: Origin
    versions: dict[str, str]
    """Versions of the libraries that trained it."""
    weights_sha256: str | None = None
    """None for an ensemble."""
    members: tuple[str, ...] = ()
    """The folders of an ensemble's models: its probability is the mean of theirs before calibration."""

    @model_validator(mode="after")
    def _has_weights_or_members(self) -> "About":
        if (self.weights_sha256 is None) != bool(self.members):
            raise ValueError("weights_sha256 is for a model with weights, members for an ensemble")
        if any(Path(name).name != name or name.startswith(".") for name in self.members):
            raise ValueError("members must be folders inside the ensemble's")
        return self

    @model_validator(mode="after")
    def _labels_are_ours(self) -> "About":
        if self.labels != LABELS or tuple(self.thresholds) != LABELS:
            raise ValueError(f"labels and thresholds must be those of {', '.join(LABELS)}, in this order")
        return self


class Classifier(nn.Module):
    """Logits `[n, 6]` of images `[n, C, S, S]`, float32 in 0..1, with one to three windows as channels.

    If the head reads scans, the images are those of one scan, from the feet towards the head.

    Its state dict is the weights file: `backbone.mean` and `.std` (the normalisation), `backbone.network.*`, and the
    head's parameters as `Heads.export` names them, e.g. a linear head's `head.weight` `[6, D]` and `head.bias` `[6]`.
    """

    def __init__(self, backbone: Backbone, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    @classmethod
    def of(cls, network: Network) -> "Classifier":
        """The classifier made of a backbone and the first of its heads."""
        assert isinstance(network.backbone, Backbone), "a classifier of images has a backbone"
        return cls(network.backbone, network.heads.export(0))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.backbone(images))


@dataclass(frozen=True)
class TrainedModel:
    """A model loaded from its folder, on a device, frozen and in evaluation mode; or an ensemble of several."""

    about: About
    networks: tuple[Classifier, ...]
    """One, or those of the ensemble's members."""
    device: torch.device

    @classmethod
    def open(cls, folder: str | Path, device: torch.device | None = None) -> "TrainedModel":
        """Load the model in a folder, onto the GPU if there is one; never runs code from the folder.

        Raises:
            ModelError: there is no model, a damaged one, or one of another format version.
        """
        folder = Path(folder)
        if folder.is_dir():
            refuse_ways_out(folder)
        about = read_about(folder)
        device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        networks = [
            _network(place, of).eval().requires_grad_(False).to(device) for place, of in _parts(folder, about)
        ]
        return cls(about, tuple(networks), device)

    @property
    def thresholds(self) -> np.ndarray:
        """The calibrated probability from which each label counts as present, `[6]`."""
        return np.array([self.about.thresholds[label] for label in LABELS])

    def predict(
        self, hu: np.ndarray, rows: np.ndarray | None = None, *, scans: Scans | None = None
    ) -> np.ndarray:
        """Calibrated probabilities `[n, 6]` (float64) of slices in Hounsfield units; see `logits`.

        model = TrainedModel.open("runs/mine/retrain/rank1-all")
        present = model.predict(hu) >= model.thresholds
        """
        return self.about.calibration.probabilities(self.logits(hu, rows, scans=scans))

    @torch.no_grad()
    def logits(
        self, hu: np.ndarray, rows: np.ndarray | None = None, *, scans: Scans | None = None
    ) -> np.ndarray:
        """The network's logits `[n, 6]` (float32), uncalibrated, of slices in Hounsfield units.

        Those of an ensemble are the logits of the mean of its members' probabilities.

        Slices are int16 `[n, S, S]` of any size S.

        With `rows` (int64), only those slices are read and scored, on demand: `hu` may be a memory map. A model that
        reads neighbouring slices needs the `scans` of all slices, e.g. `SliceStore.scans`.

        A model whose head reads scans takes all slices, or `rows`, as one scan from the feet towards the head; with
        `scans`, each slice's own scan is read whole. Memory holds the features of a scan, and a few slices' images.

        Raises:
            ValueError: slices of a wrong type or shape, or no scans where the model needs them.
        """
        if hu.dtype != np.int16 or hu.ndim != 3 or hu.shape[1] != hu.shape[2]:
            raise ValueError(
                f"slices must be Hounsfield units, int16 [n, S, S], got {hu.dtype} {list(hu.shape)}"
            )
        rows = np.arange(len(hu)) if rows is None else rows
        if not len(rows):
            return np.empty((0, len(LABELS)), np.float32)
        logits = self._of_slices if not self.about.recipe.head.reads_scans else self._of_scans
        each = np.stack(logits(hu, rows, scans))
        return each[0] if len(each) == 1 else mean_prediction(each).astype(np.float32)

    def _of_slices(self, hu: np.ndarray, rows: np.ndarray, scans: Scans | None) -> list[np.ndarray]:
        """Each network's logits `[n, 6]`, if heads score slices alone."""
        found: list[list[np.ndarray]] = [[] for _ in self.networks]
        for features in self._features(hu, rows, scans):
            for network, its, logits in zip(self.networks, features, found, strict=True):
                logits.append(network.head(its).cpu().numpy())
        return [np.concatenate(logits) for logits in found]

    def _of_scans(self, hu: np.ndarray, rows: np.ndarray, scans: Scans | None) -> list[np.ndarray]:
        """Each network's logits `[n, 6]`, if heads read whole scans."""
        one = [Batch(rows, np.array([len(rows)]))]
        chunks = one if scans is None else whole_units(ScanUnits.of(scans), rows, _BATCH)
        found: list[list[np.ndarray]] = [[] for _ in self.networks]
        for chunk in chunks:
            features = list(zip(*self._features(hu, chunk.rows, scans), strict=True))
            for network, its, logits in zip(self.networks, features, found, strict=True):
                logits.append(network.head(torch.cat(its), chunk.sizes).cpu().numpy())
        return [np.concatenate(logits)[places(chunks, rows)] for logits in found]

    def _features(
        self, hu: np.ndarray, rows: np.ndarray, scans: Scans | None
    ) -> Iterator[list[torch.Tensor]]:
        """Yield the features of these slices, a few at a time, by each network's backbone."""
        chunks = np.split(rows, range(_BATCH, len(rows), _BATCH))
        for images in self._images(hu, scans).batches(chunks, None):
            there = images.to(self.device, non_blocking=True)
            yield [network.backbone(there) for network in self.networks]

    def _images(self, hu: np.ndarray, scans: Scans | None) -> ImageSource:
        seen = self.about.preprocessing.model_dump()
        model = self.about.recipe.model.model_copy(update=seen)
        threads = torch.get_num_threads()
        return ImageSource(hu, model, "normal", seed=0, views=1, threads=threads, scans=scans)


def write_model(folder: Path, network: Classifier, **about: Any) -> About:
    """Write a network and its `About` fields (except hash and format) to an existing folder."""
    write_classifier(folder / WEIGHTS, network)
    written = About(weights_sha256=sha256_of(folder / WEIGHTS), **about)
    write_about(folder, written)
    return written


def write_ensemble(folder: Path, members: Sequence[str], **about: Any) -> About:
    """Write the `About` fields of an ensemble, whose members are models in these folders below."""
    written = About(members=tuple(members), **about)
    write_about(folder, written)
    return written


def write_about(folder: Path, about: About) -> None:
    """Write a model's `model.yaml`, in place of any that is there."""
    with replacing(folder / ABOUT) as file:
        file.write_text(write_yaml(about.model_dump(mode="json")))


def read_about(folder: Path) -> About:
    """Read a model's `model.yaml`; one of format 1 is that of an uncalibrated model.

    Raises:
        ModelError: there is none, it is damaged, or it has another format version.
    """
    file = folder / ABOUT
    if not file.is_file():
        raise ModelError(f"{folder}: no model here (no {ABOUT}); `ichtune retrain RUN` makes one")
    data = read_yaml(file)
    if data.get("format") not in (1, FORMAT):
        raise ModelError(
            f"{file}: has model format {data.get('format')}, this ichtune reads 1 and {FORMAT}; retrain the model"
        )
    try:
        return About.model_validate(data | {"format": FORMAT})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "as a whole"
        raise ModelError(f"{file}: damaged ({place}: {first['msg']}); retrain the model") from None


def _parts(folder: Path, about: About) -> Iterator[tuple[Path, About]]:
    """Yield the folders with weights, and what they hold: the model's own, or those of an ensemble's members."""
    if not about.members:
        yield folder, about
    for name in about.members:
        member = read_about(folder / name)
        if member.members or member.preprocessing != about.preprocessing:
            raise ModelError(f"{folder / name}: not a member of this ensemble; copy the whole folder again")
        yield folder / name, member


def _network(folder: Path, about: About) -> Classifier:
    file = folder / WEIGHTS
    if not file.is_file():
        raise ModelError(f"{folder}: {WEIGHTS} is missing; copy the whole folder, or retrain the model")
    if sha256_of(file) != about.weights_sha256:
        raise ModelError(f"{file}: damaged, or not the weights of {folder / ABOUT}; retrain the model")
    # This only gives the network its shape: all its values come from the file.
    shape = about.recipe.model.model_copy(update={"weights": "random", "train": "frozen"})
    backbone = build_backbone(shape, seed=0, precision=about.recipe.training.precision)
    network = Classifier(backbone, make_heads(about.recipe, backbone.width, [0]).export(0))
    try:
        load_classifier(file, network)
    except WeightsError as error:
        raise ModelError(
            f"{file}: not the weights of a {shape.backbone} ({error}); retrain the model"
        ) from None
    return network
