"""A trained model in a folder: its weights, and all that is needed to put slices in and read probabilities out."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
import torch
from pydantic import Field, ValidationError, field_validator, model_validator
from scipy.special import expit
from torch import nn

from ichtune.bank.part import bank_model
from ichtune.errors import InputError
from ichtune.files import refuse_ways_out, replacing
from ichtune.inputs.images import ImageSource
from ichtune.labels import LABELS
from ichtune.models.backbones import Backbone, build_backbone
from ichtune.models.heads import make_heads
from ichtune.models.network import Network
from ichtune.models.weights_files import WeightsError, load_classifier, write_classifier
from ichtune.recipe import Count, Fraction, Model, Recipe, Section, WholeOrZero
from ichtune.windows import Window
from ichtune.yaml_text import read_yaml, write_yaml

FORMAT: Final = 1
ABOUT, WEIGHTS = "model.yaml", "weights.safetensors"
_BATCH: Final = 32  # larger ones are no faster on a CPU


class ModelError(InputError):
    """A folder that holds no model, a damaged one, or one of another version."""


class Preprocessing(Section):
    """How Hounsfield units become what the network sees, grey values in 0..1."""

    windows: Annotated[tuple[str, ...], Field(min_length=1, max_length=3)]
    """`C/W` in HU, one a channel: 0 at the lower edge and below, 1 at the upper and above, in steps of 1/255."""
    size: Count
    """Pixels along a side, by area when the slice shrinks and linearly when it grows."""

    @field_validator("windows")
    @classmethod
    def _windows_parse(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            Window.parse(text)
        return value

    @classmethod
    def of(cls, model: Model) -> "Preprocessing":
        return cls(windows=bank_model(model).windows, size=model.size)


class Origin(Section):
    """Where a model comes from."""

    run: str
    rank: int
    trial: str
    fold: WholeOrZero
    """Validated on; the store's other folds were trained on."""
    head: Literal["warm", "fresh"]
    epoch: int
    """The best one, whose weights these are."""
    seed: int
    """Of augmentation and of random weights; that of the training stands in the recipe."""
    differences: dict[str, str]
    """To the training of the recipe in the search, as `frozen -> all` by what differs."""


class About(Section):
    """What `model.yaml` holds."""

    format: Literal[1] = FORMAT
    labels: tuple[str, ...] = LABELS
    """In the order of the network's outputs."""
    thresholds: dict[str, Fraction]
    """From which probability on a label counts as present."""
    thresholds_chosen: str
    preprocessing: Preprocessing
    recipe: Recipe
    """As it was trained."""
    fingerprint: str
    """Of the store that it was trained on."""
    origin: Origin
    versions: dict[str, str]
    """Of the libraries that trained it."""
    weights_sha256: str

    @model_validator(mode="after")
    def _labels_are_ours(self) -> "About":
        if self.labels != LABELS or tuple(self.thresholds) != LABELS:
            raise ValueError(f"labels and thresholds must be those of {', '.join(LABELS)}, in this order")
        return self


class Classifier(nn.Module):
    """Logits `[n, 6]` of images `[n, C, S, S]`, float32 in 0..1, with one to three windows as channels.

    Its state dict is the file of weights: `backbone.mean` and `.std` (the normalisation), `backbone.network.*`,
    and the head's as `Heads.export` names them, a linear one's `head.weight` `[6, D]` and `head.bias` `[6]`.
    """

    def __init__(self, backbone: Backbone, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    @classmethod
    def of(cls, network: Network) -> "Classifier":
        """The classifier that a backbone makes with the first of its heads."""
        assert isinstance(network.backbone, Backbone), "a classifier of images has a backbone"
        return cls(network.backbone, network.heads.export(0))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.backbone(images))


@dataclass(frozen=True)
class TrainedModel:
    """A model as its folder holds it, on a device and in evaluation mode, with nothing left to train."""

    about: About
    network: Classifier
    device: torch.device

    @classmethod
    def open(cls, folder: str | Path, device: torch.device | None = None) -> "TrainedModel":
        """The model in a folder, on the GPU if there is one; no code in it is run.

        Raises:
            ModelError: no model there, a damaged one, or one of another version.
        """
        folder = Path(folder)
        if folder.is_dir():
            refuse_ways_out(folder)
        about = _read_about(folder)
        network = _network(folder, about)
        device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return cls(about, network.eval().requires_grad_(False).to(device), device)

    @property
    def thresholds(self) -> np.ndarray:
        """From which probability on each label counts as present, `[6]`."""
        return np.array([self.about.thresholds[label] for label in LABELS])

    def predict(self, hu: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Probabilities `[n, 6]` (float64) of slices in Hounsfield units; see `logits`."""
        return expit(self.logits(hu, rows).astype(np.float64))

    @torch.no_grad()
    def logits(self, hu: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Logits `[n, 6]` (float32) of slices in Hounsfield units, int16 `[n, S, S]` of any size S.

        With `rows` (int64) of those slices alone, which are read as they are needed: `hu` may be a memory map.

        Raises:
            ValueError: slices of another type or shape.
        """
        if hu.dtype != np.int16 or hu.ndim != 3 or hu.shape[1] != hu.shape[2]:
            raise ValueError(
                f"slices must be Hounsfield units, int16 [n, S, S], got {hu.dtype} {list(hu.shape)}"
            )
        rows = np.arange(len(hu)) if rows is None else rows
        chunks = np.split(rows, range(_BATCH, len(rows), _BATCH)) if len(rows) else []
        batches = (
            images.to(self.device, non_blocking=True) for images in self._images(hu).batches(chunks, None)
        )
        logits = [self.network(images).cpu().numpy() for images in batches]
        return np.concatenate([np.empty((0, len(LABELS)), np.float32), *logits])

    def _images(self, hu: np.ndarray) -> ImageSource:
        seen = self.about.preprocessing.model_dump()
        model = self.about.recipe.model.model_copy(update=seen)
        return ImageSource(hu, model, "normal", seed=0, views=1, threads=torch.get_num_threads())


def write_model(folder: Path, network: Classifier, **about: Any) -> About:
    """Write a network and what `About` tells of it (its hash and format excepted) into a folder that is there."""
    write_classifier(folder / WEIGHTS, network)
    told = About(weights_sha256=_sha256(folder / WEIGHTS), **about)
    with replacing(folder / ABOUT) as file:
        file.write_text(write_yaml(told.model_dump(mode="json")))
    return told


def _read_about(folder: Path) -> About:
    file = folder / ABOUT
    if not file.is_file():
        raise ModelError(f"{folder}: no model here (no {ABOUT}); `ichtune retrain RUN` makes one")
    data = read_yaml(file)
    if data.get("format") != FORMAT:
        raise ModelError(
            f"{file}: a model of format {data.get('format')}, this ichtune reads {FORMAT}; retrain it"
        )
    try:
        return About.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "as a whole"
        raise ModelError(f"{file}: damaged ({place}: {first['msg']}); retrain the model") from None


def _network(folder: Path, about: About) -> Classifier:
    file = folder / WEIGHTS
    if not file.is_file():
        raise ModelError(f"{folder}: its {WEIGHTS} is missing; copy the whole folder, or retrain the model")
    if _sha256(file) != about.weights_sha256:
        raise ModelError(f"{file}: damaged, or not the weights of {folder / ABOUT}; retrain the model")
    # The shape of the network alone: all its numbers come from the file.
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


def _sha256(file: Path) -> str:
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
