"""A recipe as one typed value: model, loss, optimizer, schedule, sampler, augmentation and training."""

from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    field_validator,
)

from ichtune.data.windows import Window
from ichtune.labels import LABELS

PerLabel = Annotated[tuple[NonNegativeFloat, ...], Field(min_length=len(LABELS), max_length=len(LABELS))]
Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]


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
    size: Annotated[int, Field(ge=32, le=1024)] = 224
    train: Literal["frozen", "last", "all"] = "frozen"

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
    label_weights: PerLabel | None = None


class Focal(Section):
    name: Literal["focal"] = "focal"
    gamma: NonNegativeFloat = 2.0
    alpha: Annotated[float, Field(ge=0.0, le=1.0)] | None = 0.25
    """Weight of the positives; the negatives' is 1 - alpha."""
    label_weights: PerLabel | None = None


class MSE(Section):
    name: Literal["mse"] = "mse"
    label_weights: PerLabel | None = None


Loss = Annotated[BCE | Focal | MSE, Field(discriminator="name")]


class Adam(Section):
    name: Literal["adam"] = "adam"
    lr: PositiveFloat = 1e-3
    weight_decay: NonNegativeFloat = 0.0


class AdamW(Section):
    name: Literal["adamw"] = "adamw"
    lr: PositiveFloat = 1e-3
    weight_decay: NonNegativeFloat = 1e-2


class RAdam(Section):
    name: Literal["radam"] = "radam"
    lr: PositiveFloat = 1e-3
    weight_decay: NonNegativeFloat = 0.0


class SGD(Section):
    name: Literal["sgd"] = "sgd"
    lr: PositiveFloat = 1e-2
    weight_decay: NonNegativeFloat = 0.0
    momentum: Fraction = 0.9
    nesterov: bool = False


class RMSprop(Section):
    name: Literal["rmsprop"] = "rmsprop"
    lr: PositiveFloat = 1e-3
    weight_decay: NonNegativeFloat = 0.0
    momentum: Fraction = 0.0


Optimizer = Annotated[Adam | AdamW | RAdam | SGD | RMSprop, Field(discriminator="name")]


class Constant(Section):
    name: Literal["constant"] = "constant"


class Step(Section):
    name: Literal["step"] = "step"
    every: PositiveInt = 3
    """Epochs between two drops."""
    factor: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1


class Plateau(Section):
    name: Literal["plateau"] = "plateau"
    factor: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1
    patience: Annotated[int, Field(ge=0)] = 3
    """Epochs without a better validation loss before a drop."""


class Cosine(Section):
    name: Literal["cosine"] = "cosine"
    warmup_epochs: Annotated[int, Field(ge=0)] = 0


class OneCycle(Section):
    name: Literal["onecycle"] = "onecycle"
    warmup: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.3
    """Fraction of all batches in which the rate rises to the optimizer's lr."""


class FlatCosine(Section):
    name: Literal["flat_cosine"] = "flat_cosine"
    flat: Fraction = 0.7
    """Fraction of all batches before the cosine decay begins."""


Schedule = Annotated[Constant | Step | Plateau | Cosine | OneCycle | FlatCosine, Field(discriminator="name")]


class Training(Section):
    epochs: PositiveInt = 10
    batch_size: PositiveInt = 64
    patience: PositiveInt | None = None
    """Epochs without a better score before the trial stops itself."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    precision: Literal["bfloat16", "float32"] = "bfloat16"
    """What the backbone computes in (autocast); heads and losses are always float32."""


class Recipe(Section):
    """Everything that makes a training what it is, apart from the data."""

    model: Model = Model()
    loss: Loss = BCE()
    optimizer: Optimizer = Adam()
    schedule: Schedule = Constant()
    sampler: Literal["shuffle", "oversample"] = "shuffle"
    augmentation: Literal["normal", "moderate", "aggressive"] = "normal"
    training: Training = Training()
