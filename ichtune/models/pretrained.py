"""What a backbone starts from: ImageNet weights, seeded random ones, or a file."""

import pickle
import re
import threading
from pathlib import Path
from typing import NamedTuple

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from ichtune.config import Model
from ichtune.errors import InputError
from ichtune.models.zoo import torchvision
from ichtune.torch_file import load_torch

# Densenets of torchvision were saved with names that its own loader changes: denselayer1.norm.1 -> .norm1
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])")

# Torch draws a network's first weights from one generator for all threads.
_DRAWING = threading.Lock()


class WeightsError(InputError):
    """Weights that can't be had, or that are those of another network."""


class Pretrained(NamedTuple):
    """A torchvision network without its classifier, and the input statistics that its weights go with."""

    network: nn.Module
    mean: torch.Tensor
    """`[3]`"""
    std: torch.Tensor
    """`[3]`"""


def pretrained(model: Model, *, seed: int) -> Pretrained:
    """The network that `model` names with the weights it names; `seed` is that of random weights.

    Inputs are normalised as the weights were trained: torchvision's own statistics (for most ImageNet weights
    mean 0.485, 0.456, 0.406 and standard deviation 0.229, 0.224, 0.225), 0.5 and 0.5 for random weights, and
    what a file of ours says.

    Raises:
        WeightsError: the weights can't be fetched or read, or are those of another network.
    """
    if model.weights == "imagenet":
        return _imagenet(model.backbone)
    if model.weights == "random":
        half = torch.full((3,), 0.5)
        return Pretrained(_random(model.backbone, seed)[0], half, half)
    return _from_file(model.backbone, Path(model.weights))


def default_weights(name: str) -> torchvision.models.WeightsEnum:
    """The newest ImageNet weights that torchvision has for a network, and how their images are prepared."""
    return torchvision.models.get_model_weights(name)["DEFAULT"]


def _imagenet(name: str) -> Pretrained:
    weights = default_weights(name)
    try:
        network = torchvision.models.get_model(name, weights=weights)
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        file, folder = weights.url.rpartition("/")[2], Path(torch.hub.get_dir(), "checkpoints")
        raise WeightsError(
            f"model.weights: the ImageNet weights of {name} can't be had from {weights.url} ({error}); start "
            f"from random ones with --set model.weights=random, or get {file} elsewhere and either put it "
            f"into {folder} or name it with --set model.weights=PATH"
        ) from error
    _remove_classifier(network)
    return Pretrained(network, *_statistics(name))


def _statistics(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    transforms = default_weights(name).transforms()
    return torch.tensor(transforms.mean), torch.tensor(transforms.std)


def _random(name: str, seed: int) -> tuple[nn.Module, str]:
    """A network drawn from `seed`, and the name of the classifier that it came with."""
    with _DRAWING, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # `torch.manual_seed` would reseed the GPUs too
        network = torchvision.models.get_model(name, weights=None)
    return network, _remove_classifier(network)


def _remove_classifier(network: nn.Module) -> str:
    """Put the identity in the place of the classifier and of a dropout right before it; gives its name.

    The classifier is the last linear or convolutional layer (the latter in squeezenets), as torchvision
    registers layers in the order of their use.
    """
    name = [name for name, part in network.named_modules() if isinstance(part, nn.Linear | nn.Conv2d)][-1]
    parent, _, own = name.rpartition(".")
    siblings = list(network.get_submodule(parent).named_children())
    position = [sibling for sibling, _ in siblings].index(own)
    if position and isinstance(siblings[position - 1][1], nn.Dropout):
        network.get_submodule(parent).register_module(siblings[position - 1][0], nn.Identity())
    network.get_submodule(parent).register_module(own, nn.Identity())
    return name


def _from_file(name: str, path: Path) -> Pretrained:
    tensors = _read(path)
    # A whole model of ours holds the backbone's part under its name, beside the head's.
    tensors = {key[9:]: tensor for key, tensor in tensors.items() if key.startswith("backbone.")} or tensors
    network, classifier = _random(name, seed=0)
    if "mean" in tensors and "std" in tensors:
        mean, std = (tensors.pop(key).float().flatten() for key in ("mean", "std"))
        state = {key.removeprefix("network."): tensor for key, tensor in tensors.items()}
    else:
        mean, std = _statistics(name)
        state = {
            _OLD_DENSENET.sub(r"\1\2", key): tensor
            for key, tensor in tensors.items()
            if not key.startswith(f"{classifier}.")
        }
    _load(network, state, f"{path}: these are not the weights of {name}")
    return Pretrained(network, mean, std)


def _read(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise WeightsError(
            f"model.weights: {str(path)!r} is neither imagenet nor random nor a file that is there"
        )
    try:
        read = safetensors.torch.load_file if path.suffix == ".safetensors" else load_torch
        tensors = read(path)
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise WeightsError(f"{path}: not a file of weights (.safetensors, .pth): {error}") from error
    if not isinstance(tensors, dict) or not all(isinstance(part, torch.Tensor) for part in tensors.values()):
        raise WeightsError(f"{path}: must hold a plain state dict, which names tensors and nothing else")
    return tensors


def _load(network: nn.Module, state: dict[str, torch.Tensor], refusal: str) -> None:
    try:
        missing, unexpected = network.load_state_dict(state, strict=False)
    except RuntimeError as error:  # a tensor of another shape
        raise WeightsError(f"{refusal}: {error}") from error
    # Files from before torch 0.4.1 don't count batches.
    missing = [key for key in missing if not key.endswith("num_batches_tracked")]
    problems = [
        f"{len(keys)} {what} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"
        for keys, what in ((missing, "missing"), (unexpected, "unexpected"))
        if keys
    ]
    if problems:
        raise WeightsError(f"{refusal}: {', '.join(problems)}")
