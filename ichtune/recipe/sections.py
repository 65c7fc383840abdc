"""The sections of a recipe as typed values: model, loss, optimizer, schedule and training."""

from typing import Annotated, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from ichtune.labels import LABELS
from ichtune.windows import Window
from ichtune.wording import shown


def _no_truth_value(value: object) -> object:
    if isinstance(value, bool):  # Python and pydantic treat true as 1
        raise ValueError(f"must be a number, got {shown(value)}")
    return value


def _not_all_zero(weights: tuple[float, ...]) -> tuple[float, ...]:
    if not any(weights):
        raise ValueError(f"must be above 0 for at least one label, got {shown(list(weights))}")
    return weights


def _all_parse(windows: tuple[str, ...]) -> tuple[str, ...]:
    for text in windows:
        Window.parse(text)
    return windows


Number = Annotated[float, BeforeValidator(_no_truth_value)]
Whole = Annotated[int, BeforeValidator(_no_truth_value)]
Positive = Annotated[Number, Field(gt=0)]
NonNegative = Annotated[Number, Field(ge=0)]
Fraction = Annotated[Number, Field(ge=0, lt=1)]
Count = Annotated[Whole, Field(ge=1)]
WholeOrZero = Annotated[Whole, Field(ge=0)]
Trained = Literal["frozen", "last", "all"] | Annotated[int, Field(strict=True, ge=2)]
"""How much of a backbone is trained besides the head: nothing, the last stage, this many of the last (from 2 on),
everything."""
Precision = Literal["bfloat16", "float32"]
PerLabel = Annotated[tuple[NonNegative, ...], Field(min_length=len(LABELS), max_length=len(LABELS))]
Windows = Annotated[tuple[str, ...], Field(min_length=1, max_length=3), AfterValidator(_all_parse)]
"""Names or `C/W` in HU, one per channel."""
LabelWeights = Annotated[PerLabel, AfterValidator(_not_all_zero)]


class Section(BaseModel):
    """Base of all sections of a recipe: frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


SMALL: Final = ("cnn5", "fcn")
"""Our own networks, whose widths are hyperparameters."""


class Model(Section):
    backbone: str = "resnet18"
    """`efficientnet_lite0` (1, 2), any torchvision classification network, `timm/NAME` or `timm/NAME.TAG`, or one of
    our own small networks `cnn5` and `fcn`."""
    weights: str = "imagenet"
    """`imagenet`, `random`, or the path of a weights file."""
    dropout: Fraction = 0.0
    windows: Windows = ("brain",)
    """Names or `C/W`, one per channel; a single one is repeated for the network's three channels."""
    neighbours: Annotated[Whole, Field(ge=0, le=2)] = 0
    """How many slices before and after, by z within the series, are further channels."""
    size: Annotated[Whole, Field(ge=32, le=1024)] = 224
    train: Trained = "frozen"
    """`frozen` trains the head alone, `last` the last stage and the head, a number that many of the last stages (as in
    gradual unfreezing, Howard and Ruder, "Universal language model fine-tuning for text classification", 2018), `all`
    everything."""
    widths: Annotated[tuple[Count, ...], Field(min_length=1, max_length=8)] | None = None
    """Channels of each stage of `cnn5` (16, 32, 64, 128, 256 if not given) or `fcn` (128, 128, 128, 128)."""
    block_dropout: Fraction = 0.0
    """Share of channels dropped after each stage of `cnn5` or `fcn` in training."""

    @property
    def channels(self) -> int:
        """C, the number of channels of the images: each window of each slice."""
        return len(self.windows) * (1 + 2 * self.neighbours)

    @field_validator("windows", mode="before")
    @classmethod
    def _one_window_is_a_list(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value


class BCE(Section):
    name: Literal["bce"] = "bce"
    pos_weight: Literal["balanced"] | PerLabel | None = None
    """`balanced` means negatives/positives of each label in the fold's training set."""
    smoothing: Fraction = 0.0
    """s of label smoothing (Szegedy et al., "Rethinking the Inception architecture", 2016, section 7) between the two
    classes of each label: the loss of a label y is that of y (1 - s) + s / 2."""
    label_weights: LabelWeights | None = None


class Focal(Section):
    name: Literal["focal"] = "focal"
    gamma: NonNegative = 2.0
    alpha: Annotated[Number, Field(ge=0, le=1)] | None = 0.25
    """Weight of positives; negatives have 1 - alpha."""
    label_weights: LabelWeights | None = None


class MSE(Section):
    name: Literal["mse"] = "mse"
    label_weights: LabelWeights | None = None


class Asymmetric(Section):
    """The loss of Ridnik et al., "Asymmetric loss for multi-label classification", 2021, with its defaults.

    A positive with probability p costs -(1 - p)^gamma_pos log p, a negative -q^gamma_neg log(1 - q), where
    q = max(p - clip, 0).
    """

    name: Literal["asymmetric"] = "asymmetric"
    gamma_pos: NonNegative = 0.0
    gamma_neg: NonNegative = 4.0
    clip: Fraction = 0.05
    """Negatives with a probability below it cost nothing."""
    label_weights: LabelWeights | None = None


Loss = Annotated[BCE | Focal | MSE | Asymmetric, Field(discriminator="name")]


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


class _Schedule(Section):
    @property
    def follows_loss(self) -> bool:
        """Whether the rate depends on the validation loss."""
        return False


class Constant(_Schedule):
    name: Literal["constant"] = "constant"


class Step(_Schedule):
    name: Literal["step"] = "step"
    every: Count = 3
    """Epochs between two drops."""
    factor: Annotated[Number, Field(gt=0, lt=1)] = 0.1


class Plateau(_Schedule):
    name: Literal["plateau"] = "plateau"
    factor: Annotated[Number, Field(gt=0, lt=1)] = 0.1
    patience: WholeOrZero = 3
    """Epochs without a better validation loss before a drop."""

    @property
    def follows_loss(self) -> bool:
        return True


class Cosine(_Schedule):
    name: Literal["cosine"] = "cosine"
    warmup_epochs: WholeOrZero = 0
    drop: Annotated[Number, Field(gt=0, lt=1)] | None = None
    """What the rate is also multiplied by, from then on, whenever the validation loss stops improving after the
    warm-up; None for a cosine alone."""
    drop_patience: WholeOrZero = 3
    """Epochs without a better validation loss before a drop."""

    @property
    def follows_loss(self) -> bool:
        return self.drop is not None


class OneCycle(_Schedule):
    name: Literal["onecycle"] = "onecycle"
    warmup: Annotated[Number, Field(gt=0, lt=1)] = 0.3
    """Fraction of all batches in which the rate rises to the optimizer's lr."""


class FlatCosine(_Schedule):
    name: Literal["flat_cosine"] = "flat_cosine"
    flat: Fraction = 0.7
    """Fraction of all batches before the cosine decay begins."""


Schedule = Annotated[Constant | Step | Plateau | Cosine | OneCycle | FlatCosine, Field(discriminator="name")]


class Training(Section):
    epochs: Count = 10
    batch_size: Count = 64
    steps: Count | None = None
    """Optimizer steps of an epoch, which goes on in the data where the one before it stopped; None for a pass over
    all of it."""
    patience: Count | None = None
    """Epochs without a better score before the trial stops."""
    seed: Annotated[Whole, Field(ge=0, lt=2**32)] = 0
    mixup: NonNegative = 0.0
    """alpha of mixup (Zhang et al., 2018): what is trained on are mixtures of two slices in a share with the
    distribution Beta(alpha, alpha), mixed as features if the backbone is frozen, otherwise as images. 0 for none."""
    average: Fraction = 0.0
    """Decay per step of an exponential moving average of the trained weights, which is validated and kept in their
    place; 0 for none."""
    precision: Precision | Literal["auto"] = "auto"
    """Precision of the backbone (autocast), `auto` by machine; heads and losses are always float32."""
