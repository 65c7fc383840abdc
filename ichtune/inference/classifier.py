"""A backbone with one head: from images to logits."""

import torch
from torch import nn

from ichtune.models.backbones import Backbone
from ichtune.models.network import Network


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
