"""Our own small networks, for training from scratch."""

from collections.abc import Callable
from itertools import pairwise
from typing import Final

import torch
from torch import nn

from ichtune.errors import InputError
from ichtune.models.sources.drawing import weights_from
from ichtune.models.sources.protocol import Statistics
from ichtune.models.weights_files import WeightsError
from ichtune.recipe import SMALL, Model
from ichtune.wording import not_one_of


def cnn5(model: Model, channels: int) -> nn.Sequential:
    """Convolution, maximum over 2 x 2 pixels and dropout, once for each width, then a dense layer.

    With the head, these are the two dense layers of the small networks trained from scratch on head CT. Features:
    twice the last width.
    """
    widths = model.widths or CNN5_WIDTHS
    side = model.size >> len(widths)
    if not side:
        raise InputError(
            f"model.size: cnn5 halves an image once for each of its {len(widths)} widths, so it needs at least "
            f"{1 << len(widths)} pixels, got {model.size}"
        )
    stages = [
        nn.Sequential(
            nn.Conv2d(before, after, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Dropout2d(model.block_dropout),
        )
        for before, after in pairwise((channels, *widths))
    ]
    dense = (nn.Flatten(), nn.Linear(widths[-1] * side * side, 2 * widths[-1]), nn.ReLU())
    return nn.Sequential(*stages[:-1], nn.Sequential(*stages[-1], *dense))


class ResidualBlock(nn.Module):
    """A 3 x 3 convolution that halves the resolution and a 1 x 1 one, added to a 1 x 1 convolution of the input.

    He et al., CVPR 2016, with convolutions alone, so that any image size fits.
    """

    def __init__(self, before: int, after: int, dropout: float) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.around = nn.Conv2d(before, after, 1, stride=2, bias=False)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.dropout(torch.relu(self.body(images) + self.around(images)))


def fcn(model: Model, channels: int) -> nn.Sequential:
    """A residual block of 3 x 3 and 1 x 1 convolutions for each width, averaged over the image.

    Features: the last width.
    """
    widths = model.widths or FCN_WIDTHS
    blocks = [
        ResidualBlock(before, after, model.block_dropout) for before, after in pairwise((channels, *widths))
    ]
    return nn.Sequential(*blocks, nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()))


CNN5_WIDTHS: Final = (16, 32, 64, 128, 256)
FCN_WIDTHS: Final = (128, 128, 128, 128)
NETWORKS: Final[dict[str, Callable[[Model, int], nn.Module]]] = dict(zip(SMALL, (cnn5, fcn), strict=True))


class Small:
    """The source of `cnn5` and `fcn`; implements `BackboneSource`. They take one channel per window, e.g. grayscale."""

    libraries: tuple[str, ...] = ()

    def check(self, name: str) -> None:
        if name not in NETWORKS:
            raise InputError(f"model.backbone: {not_one_of(name, NETWORKS)}")

    def random(self, model: Model, seed: int) -> nn.Module:
        with weights_from(seed):
            return NETWORKS[model.backbone](model, model.channels)

    def imagenet(self, model: Model) -> nn.Module:
        raise WeightsError(
            f"model.weights: {model.backbone} has no ImageNet weights; use --set model.weights=random, and "
            "--set model.train=all to train it, or pass a file"
        )

    def published(
        self, model: Model, tensors: dict[str, torch.Tensor]
    ) -> tuple[nn.Module, dict[str, torch.Tensor]]:
        return self.random(model, seed=0), tensors

    def statistics(self, name: str) -> Statistics:
        half = torch.full((1,), 0.5)
        return Statistics(half, half)

    def image_size(self, name: str) -> int:
        return 224
