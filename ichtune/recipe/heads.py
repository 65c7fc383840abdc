"""The heads that a recipe can have on its backbone's features."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from ichtune.recipe.sections import Count, Fraction, Section

Normalize = Literal["none", "standard", "layer"]
"""How features are normalised before a head: `standard` by the mean and SD of each feature in the fold's training
part, `layer` by those of each slice over its features."""


class _Head(Section):
    reads_scans: ClassVar[bool] = False
    """Whether the head reads all slices of a scan to score each of them."""

    normalize: Normalize = "none"


class Linear(_Head):
    name: Literal["linear"] = "linear"


class MLP(_Head):
    """A hidden layer with ReLU."""

    name: Literal["mlp"] = "mlp"
    hidden: Count = 256
    dropout: Fraction = 0.0
    """On the hidden layer; `model.dropout` is on the features."""


class _ScanHead(_Head):
    reads_scans: ClassVar[bool] = True

    hidden: Count = 64
    layers: Count = 1
    dropout: Fraction = 0.0
    """On what each layer adds; `model.dropout` is on the features."""
    differences: bool = False
    """Whether the differences to the slices below and above are further inputs."""


class _Recurrent(_ScanHead):
    hidden: Count = 64
    """Units in each direction."""
    bidirectional: bool = True


class GRU(_Recurrent):
    name: Literal["gru"] = "gru"


class LSTM(_Recurrent):
    name: Literal["lstm"] = "lstm"


class Attention(_ScanHead):
    """A transformer encoder over the slices of a scan."""

    name: Literal["attention"] = "attention"
    heads: Count = 4
    """Attention heads, each with `hidden / heads` units."""
    positions: bool = True
    """Whether it sees which place in the scan each slice has."""

    @model_validator(mode="after")
    def _attention_heads_share_the_units(self) -> Self:
        if self.hidden % self.heads:
            raise ValueError(
                f"hidden must be a multiple of heads, got hidden={self.hidden}, heads={self.heads}"
            )
        return self


class Conv(_ScanHead):
    """Convolutions along the scan, with ReLU."""

    name: Literal["conv"] = "conv"
    kernel: Count = 3
    """Slices that a convolution spans; odd, so that it has a middle."""

    @field_validator("kernel")
    @classmethod
    def _kernel_has_a_middle(cls, kernel: int) -> int:
        if kernel % 2 == 0:
            raise ValueError(f"must be odd, got {kernel}")
        return kernel


ScanHead = GRU | LSTM | Attention | Conv
Head = Annotated[Linear | MLP | GRU | LSTM | Attention | Conv, Field(discriminator="name")]
