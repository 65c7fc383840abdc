"""Files of weights."""

from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError

from ichtune.errors import InputError
from ichtune.models.torch_file import load_torch


class WeightsError(InputError):
    """Weights that can't be had, or that are those of another network."""


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file by name, without running any code in it.

    Raises:
        WeightsError: the file is not there, or holds something else.
    """
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
