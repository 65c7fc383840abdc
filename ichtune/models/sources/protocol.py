"""The interface of a source of backbones. Its networks have no classifier: images in, pooled features out."""

from typing import NamedTuple, Protocol

import torch
from torch import nn


class Statistics(NamedTuple):
    """Mean and standard deviation that a network's inputs are normalised with, as in its training."""

    mean: torch.Tensor
    """`[3]`"""
    std: torch.Tensor
    """`[3]`"""


class BackboneSource(Protocol):
    """Networks by their name in `model.backbone`."""

    def check(self, name: str) -> None:
        """Refuse a name that isn't a backbone of this source.

        Raises:
            InputError: it has no network of that name, or one that can't be used here.
        """
        ...

    def random(self, name: str, seed: int) -> nn.Module:
        """Return a network with random weights from `seed`, independent of torch's global generator."""
        ...

    def imagenet(self, name: str) -> nn.Module:
        """Return a network with its newest ImageNet weights.

        Raises:
            WeightsError: they can't be obtained; the message lists alternatives.
        """
        ...

    def published(
        self, name: str, tensors: dict[str, torch.Tensor]
    ) -> tuple[nn.Module, dict[str, torch.Tensor]]:
        """Return a network, and its state dict from a published file's tensors, without the classifier's."""
        ...

    def statistics(self, name: str) -> Statistics:
        """Return the input statistics of the ImageNet weights."""
        ...

    def image_size(self, name: str) -> int:
        """Return the image side in pixels that the ImageNet weights are meant for."""
        ...
