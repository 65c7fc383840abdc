"""What a source of backbones offers. Its networks come without their classifier: images in, pooled features out."""

from typing import NamedTuple, Protocol

import torch
from torch import nn


class Statistics(NamedTuple):
    """What a network's inputs are normalised by, as it was trained."""

    mean: torch.Tensor
    """`[3]`"""
    std: torch.Tensor
    """`[3]`"""


class BackboneSource(Protocol):
    """Networks by name, as `model.backbone` has it."""

    def check(self, name: str) -> None:
        """Refuse what is no backbone of this source.

        Raises:
            InputError: it has none of that name, or one that has no place here.
        """
        ...

    def random(self, name: str, seed: int) -> nn.Module:
        """A network with weights drawn from `seed`, whatever torch's global generator is at."""
        ...

    def imagenet(self, name: str) -> nn.Module:
        """A network with its newest ImageNet weights.

        Raises:
            WeightsError: they can't be had; the message has the ways out.
        """
        ...

    def published(
        self, name: str, tensors: dict[str, torch.Tensor]
    ) -> tuple[nn.Module, dict[str, torch.Tensor]]:
        """A network, and what of a published file's tensors it takes, by its own names: all but the classifier's."""
        ...

    def statistics(self, name: str) -> Statistics:
        """What the inputs of the ImageNet weights are normalised by."""
        ...

    def image_size(self, name: str) -> int:
        """The pixels along a side of the images that the ImageNet weights are meant for."""
        ...
