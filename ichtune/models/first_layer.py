"""The first layer of a network, for more channels than the three that its weights are for."""

import copy
from collections.abc import Iterable
from typing import Final

import torch
from torch import nn

from ichtune.recipe import SMALL, Model
from ichtune.wording import plural

INPUTS: Final = 3
"""The input channels of networks for colour pictures."""


def in_words(models: Iterable[Model]) -> str:
    """What networks see besides a single slice's windows, and whose first layers are widened for it; else empty."""
    seen = [model for model in models if model.channels > INPUTS or model.neighbours]
    images = " or ".join(dict.fromkeys(map(_channels, seen)))
    wide = dict.fromkeys(m.backbone for m in seen if m.channels > INPUTS and m.backbone not in SMALL)
    if not wide:
        return images
    return f"{images}; the first layer of {', '.join(wide)}, made for {INPUTS}, is widened by its own weights"


def _channels(model: Model) -> str:
    slices = f" of {1 + 2 * model.neighbours} slices" if model.neighbours else ""
    return f"{model.channels} channels ({plural(len(model.windows), 'window', 'windows')}{slices})"


def widened(network: nn.Module, model: Model) -> nn.Module:
    """Give a network as many input channels as the model has, by its own weights; up to three channels it stays as is.

    Channel c gets the weights of channel c mod 3, divided by how many channels get these, so that the same picture in
    all channels gives what it gave before.
    """
    if model.channels <= INPUTS:
        return network
    for name, layer in list(network.named_modules()):
        if isinstance(layer, nn.Conv2d) and layer.in_channels == INPUTS and layer.groups == 1:
            parent, _, own = name.rpartition(".")
            network.get_submodule(parent).register_module(own, _widened(layer, model.channels))
    return network


def _widened(layer: nn.Conv2d, channels: int) -> nn.Conv2d:
    wide = copy.deepcopy(layer)
    wide.in_channels = channels
    of = torch.arange(channels) % INPUTS
    shares = 1 / torch.bincount(of)[of]
    wide.weight = nn.Parameter(layer.weight.detach()[:, of] * shares[:, None, None])
    return wide
