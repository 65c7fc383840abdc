"""Files of weights: other people's, and our own format, which is defined here.

A model of ours is one safetensors file. `backbone.mean` and `backbone.std` normalise the inputs,
`backbone.network.*` is the backbone's network, and `head.*` the head. Files of a backbone alone lack the
`backbone.` prefix.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from ichtune.errors import InputError
from ichtune.files import replacing
from ichtune.models.torch_file import load_torch

_BACKBONE: Final = "backbone."
_NETWORK: Final = "network."


class WeightsError(InputError):
    """Weights that can't be obtained, or that belong to another network."""


class OurBackbone(NamedTuple):
    """The backbone in a file of our own format."""

    mean: torch.Tensor
    """`[3]`"""
    std: torch.Tensor
    """`[3]`"""
    network: dict[str, torch.Tensor]
    """State dict of the network without its classifier."""


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors in a file by name, without running any code in it.

    Raises:
        WeightsError: the file is missing or is not a file of weights.
    """
    if not path.is_file():
        raise WeightsError(f"model.weights: {str(path)!r} is neither imagenet, random nor an existing file")
    try:
        read = safetensors.torch.load_file if path.suffix == ".safetensors" else load_torch
        tensors = read(path)
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise WeightsError(f"{path}: not a file of weights (.safetensors, .pth): {error}") from error
    if not isinstance(tensors, dict) or not all(
        isinstance(tensor, torch.Tensor) for tensor in tensors.values()
    ):
        raise WeightsError(f"{path}: must be a plain state dict that contains only tensors")
    return tensors


def backbone_tensors(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors under `backbone.` in a whole model, without that prefix; all of them if there are none."""
    inside = {key: tensor for key, tensor in tensors.items() if key.startswith(_BACKBONE)}
    return {key.removeprefix(_BACKBONE): tensor for key, tensor in (inside or tensors).items()}


def our_backbone(tensors: Mapping[str, torch.Tensor]) -> OurBackbone | None:
    """Return the backbone of our own format in `backbone_tensors`; None if they are in another format."""
    if not {"mean", "std"} <= tensors.keys():
        return None
    mean, std = (tensors[key].float().flatten() for key in ("mean", "std"))
    network = {key: tensor for key, tensor in tensors.items() if key not in ("mean", "std")}
    return OurBackbone(mean, std, {key.removeprefix(_NETWORK): tensor for key, tensor in network.items()})


def write_classifier(path: Path, classifier: nn.Module) -> None:
    """Write a classifier with modules `backbone` and `head` in our own format."""
    # Copied, because safetensors refuses tensors that share memory, as mean and std may. Not by its `save_file`,
    # which makes files that only their owner can read.
    weights = {
        name: tensor.cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in classifier.state_dict().items()
    }
    with replacing(path) as file:
        file.write_bytes(safetensors.torch.save(weights))


def load_classifier(path: Path, classifier: nn.Module) -> None:
    """Load what `write_classifier` wrote.

    Raises:
        WeightsError: the file is damaged, or belongs to another network.
    """
    try:
        classifier.load_state_dict(safetensors.torch.load_file(path))
    except (SafetensorError, RuntimeError) as error:
        raise WeightsError(str(error)) from None
