"""Where on a slice a model's answer comes from: activation maps by Grad-CAM.

Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", ICCV 2017.
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import cv2
import numpy as np
import torch
from torch import nn

from ichtune.data.scans import Scans
from ichtune.inference.trained_model import TrainedModel
from ichtune.models.backbones import Backbone
from ichtune.training.units import ScanUnits

# Parts of the class names of layers that mix places or number them in one row: transformers and mixers have them.
_MIXING: Final = ("Attention", "PatchEmbed")


def has_maps(model: TrainedModel) -> bool:
    """Whether a model's backbones keep the places of what they see, as networks of convolutions alone do."""
    modules = [module for network in model.networks for module in network.backbone.modules()]
    return not any(word in type(module).__name__ for module in modules for word in _MIXING)


@dataclass(frozen=True)
class ActivationMaps:
    """The activation maps of a series' slices.

    A map is the activation of the last layer with more than one place, weighted by how much the label's logit grows
    with each channel, without what speaks against the label (equations 1 and 2 of the paper). If the head reads scans,
    the logit is that of the same slice within its scan. The map of an ensemble is the mean of its members'.
    """

    model: TrainedModel
    hu: np.ndarray
    """Slices of the model's size, int16 [N, S, S]."""
    rows: np.ndarray
    """The series' slices from the feet towards the head, int64 [K]."""
    scans: Scans

    def of(self, place: int, label: int) -> np.ndarray:
        """Return the map of the slice at a place, float32 [S, S]: 1 at its highest; 0 all over if none is positive."""
        images = self._images(place)
        maps = [self._map(number, images, place, label) for number in range(len(self.model.networks))]
        size = self.hu.shape[1:]
        grown = [nn.functional.interpolate(one[None], size, mode="bilinear")[0, 0] for one in maps]
        mean = torch.stack(grown).mean(dim=0).cpu().numpy()
        highest = mean.max()
        return mean / highest if highest > 0 else mean

    def _map(self, number: int, images: torch.Tensor, place: int, label: int) -> torch.Tensor:
        """Return a network's map [1, h, w] in the layer's own size."""
        network = self.model.networks[number]
        # cuDNN has no gradients of recurrent layers in evaluation mode.
        with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
            with _seen(self._layers[number]) as seen:
                features = network.backbone.computed(images, "float32")
            logit = self._logits(number, features, place)[label]
            (gradient,) = torch.autograd.grad(logit, seen[0])
        weights = gradient.mean(dim=(2, 3), keepdim=True)
        return (weights * seen[0].detach()).sum(dim=1).relu()

    def _logits(self, number: int, features: torch.Tensor, place: int) -> torch.Tensor:
        """Return the logits [6] of the slice with these features [1, D]."""
        head = self.model.networks[number].head
        if not self.model.about.recipe.head.reads_scans:
            return head(features)[0]
        scan, own = self._scan_of(place)
        whole = self._features[number][scan].clone()
        whole[own] = features[0]
        return head(whole, np.array([len(whole)]))[own]

    def _scan_of(self, place: int) -> tuple[np.ndarray, int]:
        """Return the places in the series that the head reads with a place, and which of them it is itself."""
        rows = self._units.batch(self._units.within(self.rows[place : place + 1])).rows
        places = np.argsort(self.rows)[np.searchsorted(np.sort(self.rows), rows)]
        return places, int(np.flatnonzero(places == place)[0])

    @cached_property
    def _layers(self) -> list[nn.Module]:
        """The layer of each network whose activations are weighted."""
        images = self._images(0)
        return [last_layer(network.backbone, images) for network in self.model.networks]

    @cached_property
    def _units(self) -> ScanUnits:
        return ScanUnits.of(self.scans)

    def _images(self, place: int) -> torch.Tensor:
        source = self.model.images(self.hu, self.scans)
        (images,) = source.batches([self.rows[place : place + 1]], None)
        return images.to(self.model.device)

    @cached_property
    def _features(self) -> list[torch.Tensor]:
        """Each network's features [K, D] of the whole series."""
        with torch.no_grad():
            chunks = zip(*self.model.features(self.hu, self.rows, self.scans), strict=True)
            return [torch.cat(features) for features in chunks]


@torch.enable_grad()  # without gradients, a frozen backbone runs a folded copy of its layers
def last_layer(backbone: Backbone, images: torch.Tensor) -> nn.Module:
    """Return the last layer of a backbone whose output [n, C, h, w] has more than one place."""
    found: list[nn.Module] = []

    def look(module: nn.Module, inputs: object, output: object) -> None:
        if isinstance(output, torch.Tensor) and output.ndim == 4 and output[0, 0].numel() > 1:
            found.append(module)

    hooks = [module.register_forward_hook(look) for module in backbone.network.modules()]
    try:
        backbone.computed(images, "float32")
    finally:
        for hook in hooks:
            hook.remove()
    return found[-1]


@contextmanager
def _seen(layer: nn.Module) -> Generator[list[torch.Tensor]]:
    """Yield a list for a layer's output, from which on gradients are kept."""
    seen: list[torch.Tensor] = []

    def keep(module: nn.Module, inputs: object, output: torch.Tensor) -> torch.Tensor:
        # A layer that is used again counts the last time.
        seen[:] = [output.detach().requires_grad_()]
        return seen[0].clone()  # the next layer may change it in place

    hook = layer.register_forward_hook(keep)
    try:
        yield seen
    finally:
        hook.remove()


def on_slice(found: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return a map [S, S] of 0..1 on the slice [H, W] that was padded to a square for the model: uint8 [H, W]."""
    height, width = shape
    side = max(shape)
    grown = cv2.resize(found, (side, side), interpolation=cv2.INTER_LINEAR)
    top, left = (side - height) // 2, (side - width) // 2
    return np.rint(grown[top : top + height, left : left + width] * 255).astype(np.uint8)
