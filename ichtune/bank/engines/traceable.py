"""A backbone in plain operations, as other engines convert it."""

import torch
from torch import nn

from ichtune.models.backbones import Backbone


class Traceable(nn.Module):
    """A backbone without autocast and memory layout, which are torch's own means."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.eval()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.backbone.network(self.backbone.normalized(images)).flatten(1)
