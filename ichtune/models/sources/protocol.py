"""The interface of a source of backbones. Its networks have no classifier: images in, pooled features out.

Networks are for images of the model's size, and have random or ImageNet weights; what else a `Model` says is up to the
caller.
"""

from typing import NamedTuple, Protocol

import torch
from torch import nn

from ichtune.recipe import Model


class Statistics(NamedTuple):
    """Mean and standard deviation that a network's inputs are normalised with, as in its training."""

    mean: torch.Tensor
    """`[C]`, in turn for channels beyond the C-th."""
    std: torch.Tensor
    """`[C]`"""


class BackboneSource(Protocol):
    """Networks by their name in `model.backbone`."""

    @property
    def libraries(self) -> tuple[str, ...]:
        """The packages that its networks come from."""
        ...

    def check(self, name: str) -> None:
        """Refuse a name that isn't a backbone of this source.

        Raises:
            InputError: it has no network of that name, or one that can't be used here.
        """
        ...

    def random(self, model: Model, seed: int) -> nn.Module:
        """Return a network with random weights from `seed`, independent of torch's global generator."""
        ...

    def imagenet(self, model: Model) -> nn.Module:
        """Return a network with its ImageNet weights.

        Raises:
            WeightsError: they can't be obtained; the message lists alternatives.
        """
        ...

    def published(
        self, model: Model, tensors: dict[str, torch.Tensor]
    ) -> tuple[nn.Module, dict[str, torch.Tensor]]:
        """Return a network, and its state dict from a published file's tensors, without the classifier's."""
        ...

    def statistics(self, name: str) -> Statistics:
        """Return the input statistics of the ImageNet weights."""
        ...

    def image_size(self, name: str) -> int:
        """Return the image side in pixels that the ImageNet weights are meant for."""
        ...
