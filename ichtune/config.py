"""A recipe as one typed value: model, loss, optimizer, schedule, sampler, augmentation and training."""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from ichtune.data.windows import Window
from ichtune.errors import InputError
from ichtune.labels import LABELS
from ichtune.schema import refusals
from ichtune.wording import shown


def _no_truth_value(value: object) -> object:
    if isinstance(value, bool):  # Python and pydantic take true for 1
        raise ValueError(f"must be a number, got {shown(value)}")
    return value


def _not_all_zero(weights: tuple[float, ...]) -> tuple[float, ...]:
    if not any(weights):
        raise ValueError(f"must be above 0 for a label at least, got {shown(list(weights))}")
    return weights


Number = Annotated[float, BeforeValidator(_no_truth_value)]
Whole = Annotated[int, BeforeValidator(_no_truth_value)]
Positive = Annotated[Number, Field(gt=0)]
NonNegative = Annotated[Number, Field(ge=0)]
Fraction = Annotated[Number, Field(ge=0, lt=1)]
Count = Annotated[Whole, Field(ge=1)]
WholeOrZero = Annotated[Whole, Field(ge=0)]
Level = Literal["normal", "moderate", "aggressive"]
"""Augmentation level."""
LEVELS: tuple[Level, ...] = get_args(Level)
Precision = Literal["bfloat16", "float32"]
PerLabel = Annotated[tuple[NonNegative, ...], Field(min_length=len(LABELS), max_length=len(LABELS))]
LabelWeights = Annotated[PerLabel, AfterValidator(_not_all_zero)]

# The scores that a search may go by, and which way is better; `ichtune.metrics` computes them.
METRIC_DIRECTIONS: Final[dict[str, Literal["max", "min"]]] = {
    "auc": "max",
    "average_precision": "max",
    "subset_accuracy": "max",
    "hamming_score": "max",
    "f1": "max",
    "precision": "max",
    "recall": "max",
    "weighted_log_loss": "min",
    "loss": "min",
}


class RecipeError(InputError):
    """A recipe that the types refuse; the message has a line for every problem."""


class Section(BaseModel):
    """What all parts of a recipe share: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Model(Section):
    backbone: str = "resnet18"
    """Any torchvision classification backbone by its name."""
    weights: str = "imagenet"
    """`imagenet`, `random`, or the path of a weights file."""
    dropout: Fraction = 0.0
    windows: Annotated[tuple[str, ...], Field(min_length=1, max_length=3)] = ("brain",)
    """Names or `C/W`, one a channel; a single one is repeated for three-channel backbones."""
    size: Annotated[Whole, Field(ge=32, le=1024)] = 224
    train: Literal["frozen", "last", "all"] = "frozen"
    """`frozen` trains the head alone, `last` the last stage and the head, `all` everything."""

    @field_validator("windows", mode="before")
    @classmethod
    def _one_window_is_a_list(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("windows")
    @classmethod
    def _windows_parse(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            Window.parse(text)
        return value


class BCE(Section):
    name: Literal["bce"] = "bce"
    pos_weight: Literal["balanced"] | PerLabel | None = None
    """`balanced` is negatives/positives of each label in the fold's training part."""
    label_weights: LabelWeights | None = None


class Focal(Section):
    name: Literal["focal"] = "focal"
    gamma: NonNegative = 2.0
    alpha: Annotated[Number, Field(ge=0, le=1)] | None = 0.25
    """Weight of the positives; the negatives' is 1 - alpha."""
    label_weights: LabelWeights | None = None


class MSE(Section):
    name: Literal["mse"] = "mse"
    label_weights: LabelWeights | None = None


Loss = Annotated[BCE | Focal | MSE, Field(discriminator="name")]


class Adam(Section):
    name: Literal["adam"] = "adam"
    lr: Positive = 1e-3
    weight_decay: NonNegative = 0.0


class AdamW(Section):
    name: Literal["adamw"] = "adamw"
    lr: Positive = 1e-3
    weight_decay: NonNegative = 1e-2


class RAdam(Section):
    name: Literal["radam"] = "radam"
    lr: Positive = 1e-3
    weight_decay: NonNegative = 0.0


class SGD(Section):
    name: Literal["sgd"] = "sgd"
    lr: Positive = 1e-2
    weight_decay: NonNegative = 0.0
    momentum: Fraction = 0.9
    nesterov: bool = False

    @model_validator(mode="after")
    def _nesterov_looks_ahead_along_the_momentum(self) -> Self:
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs a momentum above 0, got momentum=0")
        return self


class RMSprop(Section):
    name: Literal["rmsprop"] = "rmsprop"
    lr: Positive = 1e-3
    weight_decay: NonNegative = 0.0
    momentum: Fraction = 0.0


Optimizer = Annotated[Adam | AdamW | RAdam | SGD | RMSprop, Field(discriminator="name")]


class Constant(Section):
    name: Literal["constant"] = "constant"


class Step(Section):
    name: Literal["step"] = "step"
    every: Count = 3
    """Epochs between two drops."""
    factor: Annotated[Number, Field(gt=0, lt=1)] = 0.1


class Plateau(Section):
    name: Literal["plateau"] = "plateau"
    factor: Annotated[Number, Field(gt=0, lt=1)] = 0.1
    patience: WholeOrZero = 3
    """Epochs without a better validation loss before a drop."""


class Cosine(Section):
    name: Literal["cosine"] = "cosine"
    warmup_epochs: WholeOrZero = 0


class OneCycle(Section):
    name: Literal["onecycle"] = "onecycle"
    warmup: Annotated[Number, Field(gt=0, lt=1)] = 0.3
    """Fraction of all batches in which the rate rises to the optimizer's lr."""


class FlatCosine(Section):
    name: Literal["flat_cosine"] = "flat_cosine"
    flat: Fraction = 0.7
    """Fraction of all batches before the cosine decay begins."""


Schedule = Annotated[Constant | Step | Plateau | Cosine | OneCycle | FlatCosine, Field(discriminator="name")]


class Training(Section):
    epochs: Count = 10
    batch_size: Count = 64
    patience: Count | None = None
    """Epochs without a better score before the trial stops itself."""
    seed: Annotated[Whole, Field(ge=0, lt=2**32)] = 0
    precision: Precision | Literal["auto"] = "auto"
    """What the backbone computes in (autocast), `auto` by the machine; heads and losses are always float32."""


class Recipe(Section):
    """Everything that makes a training what it is, apart from the data."""

    model: Model = Model()
    loss: Loss = BCE()
    optimizer: Optimizer = Adam()
    schedule: Schedule = Constant()
    sampler: Literal["shuffle", "oversample"] = "shuffle"
    augmentation: Level = "normal"
    training: Training = Training()

    @classmethod
    def parse(cls, data: Mapping[str, object], where: str) -> Self:
        """The recipe that nested plain values describe; `where` names their place in messages.

        Raises:
            RecipeError: a line for every problem, with place, rule, value and mend.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            lines = refusals(error, cls)
        raise RecipeError("\n".join(f"{where}: {line}" for line in lines))


def recipe_hash(recipe: Recipe) -> str:
    """Twelve hex digits that two recipes share when they ask for the same training (seed included)."""
    text = json.dumps(effective(recipe).model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def effective(recipe: Recipe) -> Recipe:
    """The recipe with what cannot matter put in one form.

    Windows become `C/W` (`brain` is `40/80`); weights of one for every label are no weights; focal loss
    with gamma 0 and no alpha is bce; AdamW without weight decay is Adam; a step, a plateau or a patience
    that cannot come due within the epochs is none.
    """
    changes = {
        "model": _with_numeric_windows(recipe.model),
        "loss": _effective_loss(recipe.loss),
        "optimizer": _effective_optimizer(recipe.optimizer),
        "schedule": _effective_schedule(recipe.schedule, recipe.training.epochs),
        "training": _effective_training(recipe.training),
    }
    return recipe.model_copy(update=changes)


def _with_numeric_windows(model: Model) -> Model:
    windows = (Window.parse(text) for text in model.windows)
    return model.model_copy(update={"windows": tuple(f"{float(w.center)}/{float(w.width)}" for w in windows)})


def _effective_loss(loss: Loss) -> Loss:
    if isinstance(loss, Focal) and loss.gamma == 0 and loss.alpha is None:
        loss = BCE(label_weights=loss.label_weights)
    ones = (1.0,) * len(LABELS)
    neutral = [key for key in ("label_weights", "pos_weight") if getattr(loss, key, None) == ones]
    return loss.model_copy(update=dict.fromkeys(neutral))


def _effective_optimizer(optimizer: Optimizer) -> Optimizer:
    if isinstance(optimizer, AdamW) and optimizer.weight_decay == 0:
        return Adam(lr=optimizer.lr)
    return optimizer


def _effective_schedule(schedule: Schedule, epochs: int) -> Schedule:
    first_drop = {"step": "every", "plateau": "patience"}.get(schedule.name)
    if first_drop and getattr(schedule, first_drop) >= epochs:
        return Constant()
    return schedule


def _effective_training(training: Training) -> Training:
    never = training.patience is not None and training.patience >= training.epochs
    return training.model_copy(update={"patience": None}) if never else training
