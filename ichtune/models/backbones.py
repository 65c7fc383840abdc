"""A network from any source as a backbone: images in, pooled features out."""

import copy
import hashlib
from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import fx, nn
from torch.fx.experimental.optimization import fuse

from ichtune.errors import InputError
from ichtune.models.first_layer import INPUTS
from ichtune.models.precision import resolved
from ichtune.models.pretrained import pretrained
from ichtune.models.sources import Statistics, source_of
from ichtune.recipe import Model, Precision, Trained

# How two channels fill the three of a network.
_FROM_TWO = (0, 1, 0)
# Modules that only hold the stages; other networks have their stages at the top level.
_CONTAINERS = ("features", "trunk_output", "encoder", "blocks", "layers", "stages")


def build_backbone(model: Model, *, seed: int, precision: Precision | Literal["auto"] = "auto") -> "Backbone":
    """Build the backbone that `model` describes; `seed` is for random weights.

    Raises:
        InputError: the name is unknown, the network can't take images of that size, or its weights can't be obtained.
    """
    network, inputs = pretrained(model, seed=seed)
    width = _width(network, model)
    backbone = Backbone(
        network, inputs, width=width, precision=resolved(precision), channels=_channels(network)
    )
    backbone.set_trained(model.train)
    return backbone


class Backbone(nn.Module):
    """Pooled features `[n, D]`, float32, of images `[n, C, H, W]`, float32 in 0..1.

    A single channel is repeated for the network's three; of two, the first is used again as the third.
    The backbone normalises its inputs, as its weights require. Modules that are not trained stay in evaluation
    mode, so that their batch normalisation statistics don't change.

    A frozen backbone is folded for speed when it first runs without gradients. Loading or moving weights and
    `set_trained` undo that; changing single tensors in place goes unnoticed.
    """

    def __init__(
        self,
        network: nn.Module,
        inputs: Statistics,
        *,
        width: int,
        precision: Precision,
        channels: int = INPUTS,
    ) -> None:
        super().__init__()
        self.network = network
        self.width = width
        """D, the number of features."""
        self.precision = precision
        self.mean: torch.Tensor
        self.std: torch.Tensor
        for name, values in zip(("mean", "std"), inputs, strict=True):
            in_turn = values[torch.arange(channels) % len(values)]
            self.register_buffer(name, in_turn.reshape(channels, 1, 1))
        # In tuples, so that torch doesn't register them as submodules.
        self._trained_modules: tuple[nn.Module, ...] = (network,)
        self._folded: tuple[nn.Module] | None = None

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.computed(images, self.precision)

    def computed(self, images: torch.Tensor, precision: Precision) -> torch.Tensor:
        """Return what a backbone of this precision would."""
        # Convolutions are up to twice as fast in this memory layout.
        inputs = self.normalized(images).contiguous(memory_format=torch.channels_last)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            features = self._network()(inputs)
        return features.flatten(1).float()

    def normalized(self, images: torch.Tensor) -> torch.Tensor:
        """Return the network's inputs: its number of channels (one is broadcast), by its mean and deviation."""
        if images.shape[1] == 2 and len(self.mean) == INPUTS:
            images = images[:, _FROM_TWO]
        return (images - self.mean) / self.std

    def set_trained(self, train: Trained) -> None:
        """Set which part is trained: nothing, the last stage, or everything.

        The last stage is the last module with at least two layers that have weights, plus everything after it:
        layer4 of a resnet, denseblock4 and norm5 of a densenet, the last blocks and the closing
        convolution of an efficientnet, the last encoder layer and norm of a vision transformer.
        """
        choices = {
            "frozen": lambda: (),
            "last": lambda: _last_stage(self.network),
            "all": lambda: (self.network,),
        }
        self._folded = None
        self._trained_modules = tuple(choices[train]())
        self.network.requires_grad_(False)
        for module in self._trained_modules:
            module.requires_grad_(True)
        self.train(self.training)

    def train(self, mode: bool = True) -> "Backbone":
        super().train(mode)
        self.network.eval()
        for module in self._trained_modules:
            module.train(mode)
        return self

    def weights_hash(self) -> str:
        """Return sixteen hex digits, equal for backbones that compute the same features from the same images."""
        content = hashlib.sha256()
        for name, tensor in sorted(self.state_dict().items()):
            content.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            content.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy())
        return content.hexdigest()[:16]

    def _network(self) -> nn.Module:
        """Return the network to run; if frozen and without gradients, with batch norms folded into convolutions.

        It is 20% faster and equal within rounding; hooks on submodules need gradients enabled.
        """
        if torch.is_grad_enabled() or self._trained_modules:
            return self.network
        if self._folded is None:
            self._folded = (_fold_batch_norms(self.network),)
        return self._folded[0]

    def _apply(self, *args: Any, **options: Any) -> "Backbone":  # called by `to`, `cuda` and the like
        self._folded = None
        return super()._apply(*args, **options)

    def _load_from_state_dict(
        self, *args: Any, **options: Any
    ) -> None:  # called by `load_state_dict`, of a whole model too
        self._folded = None
        super()._load_from_state_dict(*args, **options)


def _fold_batch_norms(network: nn.Module) -> nn.Module:
    try:
        return fuse(copy.deepcopy(network).eval(), inplace=True)
    except (fx.proxy.TraceError, TypeError, NameError):  # its control flow depends on its input
        return network


def _width(network: nn.Module, model: Model) -> int:
    """Return the number of features for an image of the model's size."""
    image = torch.zeros(1, _channels(network), model.size, model.size)
    try:
        with torch.no_grad():
            return network.eval()(image).flatten(1).shape[1]
    except (RuntimeError, AssertionError, ValueError) as error:
        fits = source_of(model.backbone).image_size(model.backbone)
        raise InputError(
            f"model.size: {model.backbone} can't take images of {model.size} x {model.size} ({error}); "
            f"--set model.size={fits} fits"
        ) from error


def _channels(network: nn.Module) -> int:
    """Return the number of channels of a network's images."""
    return next(layer.in_channels for layer in network.modules() if isinstance(layer, nn.Conv2d))


def _last_stage(network: nn.Module) -> Iterator[nn.Module]:
    for module in reversed(list(_stages(network))):
        yield module
        if sum(isinstance(layer, nn.Conv2d | nn.Linear) for layer in module.modules()) >= 2:
            return


def _stages(network: nn.Module) -> Iterator[nn.Module]:
    """Yield the network's modules in the order of use, stage by stage."""
    for name, module in network.named_children():
        if name in _CONTAINERS:
            yield from _stages(module)
        else:
            yield module
