"""A network of any source as a backbone: pictures in, pooled features out."""

import copy
import hashlib
from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import fx, nn
from torch.fx.experimental.optimization import fuse

from ichtune.errors import InputError
from ichtune.models.precision import resolved
from ichtune.models.pretrained import pretrained
from ichtune.models.sources import Statistics, source_of
from ichtune.recipe import Model, Precision, Trained

# The channels of two windows that fill a network's three.
_FROM_TWO = (0, 1, 0)
# Parts of networks that only hold the stages; elsewhere the stages stand at the top.
_CONTAINERS = ("features", "trunk_output", "encoder", "blocks", "layers")


def build_backbone(model: Model, *, seed: int, precision: Precision | Literal["auto"] = "auto") -> "Backbone":
    """The backbone that `model` describes; `seed` is that of random weights.

    Raises:
        InputError: an unknown name, a size the network can't take, or weights that can't be had.
    """
    network, inputs = pretrained(model, seed=seed)
    backbone = Backbone(network, inputs, width=_width(network, model), precision=resolved(precision))
    backbone.set_trained(model.train)
    return backbone


class Backbone(nn.Module):
    """Pooled features `[n, D]`, float32, of images `[n, C, H, W]`, float32 in 0..1, with one to three windows.

    A single window is repeated for the network's three channels; of two, the first comes again as third.
    Normalisation is the backbone's, as it goes with the weights. What is not trained stays in evaluation mode,
    so that the statistics of its batch normalisation don't move.

    What is frozen is folded for speed when it first computes without gradients. Loading or moving weights and
    `set_trained` undo that; changes of single tensors in place go unnoticed.
    """

    def __init__(self, network: nn.Module, inputs: Statistics, *, width: int, precision: Precision) -> None:
        super().__init__()
        self.network = network
        self.width = width
        """D, the number of features."""
        self.precision = precision
        self.mean: torch.Tensor
        self.std: torch.Tensor
        self.register_buffer("mean", inputs.mean.reshape(3, 1, 1).clone())
        self.register_buffer("std", inputs.std.reshape(3, 1, 1).clone())
        # In tuples, where torch does not take them for parts of this module.
        self._trained_parts: tuple[nn.Module, ...] = (network,)
        self._folded: tuple[nn.Module] | None = None

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if images.shape[1] == 2:
            images = images[:, _FROM_TWO]
        # One window spreads over the three channels here. Of this layout convolutions are up to twice as fast.
        inputs = ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            features = self._network()(inputs)
        return features.flatten(1).float()

    def set_trained(self, train: Trained) -> None:
        """Let nothing, the last stage, or everything be trained.

        The last stage is the last part of the network with two or more layers that have weights, and all that
        follows it: layer4 of a resnet, denseblock4 and norm5 of a densenet, the last blocks and the closing
        convolution of an efficientnet, the last encoder layer and norm of a vision transformer.
        """
        choices = {
            "frozen": lambda: (),
            "last": lambda: _last_stage(self.network),
            "all": lambda: (self.network,),
        }
        self._folded = None
        self._trained_parts = tuple(choices[train]())
        self.network.requires_grad_(False)
        for part in self._trained_parts:
            part.requires_grad_(True)
        self.train(self.training)

    def train(self, mode: bool = True) -> "Backbone":
        super().train(mode)
        self.network.eval()
        for part in self._trained_parts:
            part.train(mode)
        return self

    def weights_hash(self) -> str:
        """Sixteen hex digits that two backbones share when they compute the same from the same images."""
        content = hashlib.sha256()
        for name, tensor in sorted(self.state_dict().items()):
            content.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            content.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy())
        return content.hexdigest()[:16]

    def _network(self) -> nn.Module:
        """What to compute with: while frozen and without gradients, convolutions that hold their batch norms.

        That is a fifth faster and the same within rounding; hooks on the network's own parts need gradients on.
        """
        if torch.is_grad_enabled() or self._trained_parts:
            return self.network
        if self._folded is None:
            self._folded = (_fold_batch_norms(self.network),)
        return self._folded[0]

    def _apply(self, *args: Any, **options: Any) -> "Backbone":  # what `to`, `cuda` and the like go through
        self._folded = None
        return super()._apply(*args, **options)

    def _load_from_state_dict(
        self, *args: Any, **options: Any
    ) -> None:  # `load_state_dict`, a whole model's too
        self._folded = None
        super()._load_from_state_dict(*args, **options)


def _fold_batch_norms(network: nn.Module) -> nn.Module:
    try:
        return fuse(copy.deepcopy(network).eval(), inplace=True)
    except fx.proxy.TraceError:  # its way depends on its input
        return network


def _width(network: nn.Module, model: Model) -> int:
    """The number of features of an image of the model's size."""
    image = torch.zeros(1, 3, model.size, model.size)
    try:
        with torch.no_grad():
            return network.eval()(image).flatten(1).shape[1]
    except (RuntimeError, AssertionError, ValueError) as error:
        fits = source_of(model.backbone).image_size(model.backbone)
        raise InputError(
            f"model.size: {model.backbone} can't take images of {model.size} x {model.size} ({error}); "
            f"--set model.size={fits} fits"
        ) from error


def _last_stage(network: nn.Module) -> Iterator[nn.Module]:
    for part in reversed(list(_parts(network))):
        yield part
        if sum(isinstance(layer, nn.Conv2d | nn.Linear) for layer in part.modules()) >= 2:
            return


def _parts(network: nn.Module) -> Iterator[nn.Module]:
    """The network's parts in the order of their use, stage by stage."""
    for name, part in network.named_children():
        if name in _CONTAINERS:
            yield from _parts(part)
        else:
            yield part
