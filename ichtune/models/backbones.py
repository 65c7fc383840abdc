"""A network from any source as a backbone: images in, pooled features out."""

import copy
import hashlib
from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import fx, nn
from torch.fx.experimental.optimization import fuse
from torch.nn.modules.batchnorm import _BatchNorm

from ichtune.errors import InputError
from ichtune.models.first_layer import INPUTS
from ichtune.models.precision import resolved
from ichtune.models.pretrained import pretrained
from ichtune.models.sources import Statistics, source_of
from ichtune.models.sources.wrong_size import wrong_size
from ichtune.models.stages import distances, stages
from ichtune.recipe import BatchNorm, Model, Precision, Trained

# How two channels fill the three of a network.
_FROM_TWO = (0, 1, 0)


def build_backbone(
    model: Model,
    *,
    seed: int,
    precision: Precision | Literal["auto"] = "auto",
    batch_norm: BatchNorm = "trained",
) -> "Backbone":
    """Build the backbone that `model` describes; `seed` is for random weights.

    Raises:
        InputError: the name is unknown, the network can't take images of that size, or its weights can't be obtained.
    """
    network, inputs = pretrained(model, seed=seed)
    width = _width(network, model)
    backbone = Backbone(
        network,
        inputs,
        width=width,
        precision=resolved(precision),
        channels=_channels(network),
        batch_norm=batch_norm,
    )
    try:
        backbone.set_trained(model.train)
    except ValueError as error:
        raise InputError(f"model.train: {model.backbone} {error}") from None
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
        batch_norm: BatchNorm = "trained",
    ) -> None:
        super().__init__()
        self.network = network
        self.batch_norm = batch_norm
        """Whether batch normalisation is trained with what it belongs to, or kept as it is."""
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
        """Set which part is trained: nothing, the last stage, so many of the last, or everything.

        Raises:
            ValueError: so many stages would be all, or more.
        """
        self._folded = None
        self._trained_modules = (self.network,) if train == "all" else tuple(self._last(train))
        self.network.requires_grad_(False)
        for module in self._trained_modules:
            module.requires_grad_(True)
        for module in self._kept:
            module.requires_grad_(False)
        self.train(self.training)

    def distances(self) -> dict[nn.Parameter, int]:
        """Return how many stages each parameter is away from the head, 1 for those of the last stage."""
        return distances(self.network)

    @property
    def _kept(self) -> list[nn.Module]:
        """The batch normalisation that is never trained."""
        if self.batch_norm == "trained":
            return []
        return [module for module in self.network.modules() if isinstance(module, _BatchNorm)]

    def _last(self, train: Trained) -> Iterator[nn.Module]:
        """Yield the modules of the last stages."""
        named = {"frozen": 0, "last": 1}
        count = train if isinstance(train, int) else named[train]
        own = stages(self.network)
        if count > 1 and count >= len(own):
            raise ValueError(
                f"has {len(own)} stages: train fewer of the last ones, or all of them; got {count}"
            )
        for stage in own[len(own) - count :]:
            yield from stage

    def train(self, mode: bool = True) -> "Backbone":
        super().train(mode)
        self.network.eval()
        for module in self._trained_modules:
            module.train(mode)
        for module in self._kept:
            module.eval()
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
        raise wrong_size(model, str(error), fits) from error


def _channels(network: nn.Module) -> int:
    """Return the number of channels of a network's images."""
    return next(layer.in_channels for layer in network.modules() if isinstance(layer, nn.Conv2d))
