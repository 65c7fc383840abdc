"""What a model's folder says of it, `model.yaml`: everything but its weights."""

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, ValidationError, model_validator

from ichtune.bank.part import bank_model
from ichtune.errors import InputError
from ichtune.files import replacing
from ichtune.inference.calibration import Calibration
from ichtune.labels import LABELS
from ichtune.metrics import THRESHOLD
from ichtune.recipe import Count, Fraction, Model, Recipe, Section, WholeOrZero, Windows
from ichtune.yaml_text import read_yaml, write_yaml

FORMAT: Final = 3
ABOUT: Final = "model.yaml"


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
    """The best epoch, which the weights are from; None for an ensemble, or an average of weights."""
    seed: int
    """Seed of the augmentation and of random weights; the training's own seed is in the recipe."""
    differences: dict[str, str]
    """What differs from the search's training of this recipe, e.g. `model.train`: `frozen -> all`."""


class About(Section):
    """The contents of `model.yaml`."""

    format: Literal[3] = FORMAT
    labels: tuple[str, ...] = LABELS
    """The labels in the order of the network's outputs."""
    calibration: Calibration = Calibration.identity(
        "not calibrated, as nothing was fitted on out-of-fold predictions"
    )
    """How logits become probabilities."""
    calibrated: Literal["members", "mean"] = "members"
    """What of an ensemble is calibrated: each member's prediction or, before format 3, their mean."""
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
    """The folders of an ensemble's models: its probability is the mean of theirs; see `calibrated`."""

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


def write_about(folder: Path, about: About) -> None:
    """Write a model's `model.yaml`, in place of any that is there."""
    with replacing(folder / ABOUT) as file:
        file.write_text(write_yaml(about.model_dump(mode="json")))


def read_about(folder: Path) -> About:
    """Read a model's `model.yaml`; formats 1 (uncalibrated) and 2 (the mean of members calibrated) predict as they did.

    Raises:
        ModelError: there is none, it is damaged, or it has another format version.
    """
    file = folder / ABOUT
    if not file.is_file():
        raise ModelError(f"{folder}: no model here (no {ABOUT}); `ichtune retrain RUN` makes one")
    data = read_yaml(file)
    if data.get("format") not in range(1, FORMAT + 1):
        raise ModelError(
            f"{file}: has model format {data.get('format')}, this ichtune reads 1 to {FORMAT}; retrain the model"
        )
    earlier = {} if data["format"] == FORMAT else {"format": FORMAT, "calibrated": "mean"}
    try:
        return About.model_validate(data | earlier)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "as a whole"
        raise ModelError(f"{file}: damaged ({place}: {first['msg']}); retrain the model") from None
