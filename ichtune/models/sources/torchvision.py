"""torchvision's classification networks."""

import pickle
import re
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from ichtune.errors import InputError
from ichtune.models.sources.drawing import weights_from
from ichtune.models.sources.protocol import Statistics
from ichtune.models.sources.torchvision_without_compiler import torchvision
from ichtune.models.weights_files import WeightsError
from ichtune.recipe import Model
from ichtune.wording import did_you_mean

# Files of densenets have names that torchvision's loader converts: denselayer1.norm.1 -> .norm1
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])")


class Torchvision:
    """The source of torchvision's networks; implements `BackboneSource`."""

    libraries = ("torchvision",)

    def __init__(self, others: Sequence[str] = ()) -> None:
        """`others` are the names of other sources, which a misspelled name may mean."""
        self.others = others

    def check(self, name: str) -> None:
        known = torchvision.models.list_models(module=torchvision.models)
        if name not in known:
            if name in torchvision.models.list_models():
                raise InputError(f"model.backbone:{name!r} is not for classification; use e.g. resnet18")
            mend = (
                did_you_mean(name, [*known, *self.others])
                or "; use one such as resnet18, densenet121 or efficientnet_b0"
            )
            raise InputError(f"model.backbone: there is no classification network {name!r}{mend}")
        if name in ("googlenet", "inception_v3"):
            raise InputError(
                f"model.backbone: {name} trains with auxiliary outputs, which aren't supported; use e.g. resnet18"
            )

    def random(self, model: Model, seed: int) -> nn.Module:
        network, _ = _drawn(model.backbone, seed)
        return network

    def imagenet(self, model: Model) -> nn.Module:
        name = model.backbone
        weights = _default_weights(name)
        try:
            network = torchvision.models.get_model(name, weights=weights)
        except (OSError, RuntimeError, pickle.UnpicklingError) as error:
            file, folder = weights.url.rpartition("/")[2], Path(torch.hub.get_dir(), "checkpoints")
            raise WeightsError(
                f"model.weights: the ImageNet weights of {name} can't be downloaded from {weights.url} ({error}); "
                f"start from random ones with --set model.weights=random, or get {file} elsewhere and either put it "
                f"into {folder} or pass it with --set model.weights=PATH"
            ) from error
        _remove_classifier(network)
        return network

    def published(
        self, model: Model, tensors: dict[str, torch.Tensor]
    ) -> tuple[nn.Module, dict[str, torch.Tensor]]:
        network, classifier = _drawn(model.backbone, seed=0)
        own = {
            _OLD_DENSENET.sub(r"\1\2", key): tensor
            for key, tensor in tensors.items()
            if not key.startswith(f"{classifier}.")
        }
        return network, own

    def statistics(self, name: str) -> Statistics:
        transforms = _default_weights(name).transforms()
        return Statistics(torch.tensor(transforms.mean), torch.tensor(transforms.std))

    def image_size(self, name: str) -> int:
        (size,) = _default_weights(name).transforms().crop_size
        return size


def _default_weights(name: str) -> torchvision.models.WeightsEnum:
    """Return torchvision's newest ImageNet weights of a network, with their image preprocessing."""
    return torchvision.models.get_model_weights(name)["DEFAULT"]


def _drawn(name: str, seed: int) -> tuple[nn.Module, str]:
    """Return a network with random weights from `seed`, and the name of the classifier removed from it."""
    with weights_from(seed):
        network = torchvision.models.get_model(name, weights=None)
    return network, _remove_classifier(network)


def _remove_classifier(network: nn.Module) -> str:
    """Replace the classifier, and a dropout right before it, by the identity; return the classifier's name.

    The classifier is the last linear or convolutional layer (the latter in squeezenets), because torchvision
    registers layers in the order of use.
    """
    name = [name for name, layer in network.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)][-1]
    parent, _, own = name.rpartition(".")
    siblings = list(network.get_submodule(parent).named_children())
    position = [sibling for sibling, _ in siblings].index(own)
    if position and isinstance(siblings[position - 1][1], nn.Dropout):
        network.get_submodule(parent).register_module(siblings[position - 1][0], nn.Identity())
    network.get_submodule(parent).register_module(own, nn.Identity())
    return name
