"""The heads of all folds in one file of tensors."""

from collections.abc import Mapping, Sequence
from typing import Final

import torch
from torch import nn

from ichtune.models.heads.normalization import Normalized
from ichtune.models.heads.protocol import HeadState

# The one parameter of a linear head is named by its fold alone, as before there were other kinds of heads.
_PLAIN: Final = "weights"


def pack(heads: Sequence[HeadState]) -> dict[str, torch.Tensor]:
    """Return the heads as tensors `fold{k}.{name}`; a linear one is `fold{k}`, `[D + 1, 6]` with the bias last."""
    return {
        _key(fold, name): tensor.cpu().contiguous()
        for fold, head in enumerate(heads)
        for name, tensor in head.items()
    }


def unpack(tensors: Mapping[str, torch.Tensor], fold: int) -> HeadState:
    """Return a fold's head for `Heads.load`.

    Raises:
        KeyError: the file has no head for that fold.
    """
    plain, prefix = _key(fold, _PLAIN), _key(fold, "")
    head = {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}
    if plain in tensors:
        head[_PLAIN] = tensors[plain]
    if not head:
        raise KeyError(plain)
    return head


def exported_state(exported: nn.Module) -> HeadState:
    """Return the head for `Heads.load` from the module that `Heads.export` made of it."""
    if isinstance(exported, Normalized):
        statistics = exported.normalization.state(0).items()
        return {f"normalization.{name}": tensor for name, tensor in statistics} | exported_state(
            exported.head
        )
    if isinstance(exported, nn.Linear):
        return {_PLAIN: torch.cat([exported.weight.T, exported.bias[None]])}
    return dict(exported.named_parameters())


def _key(fold: int, name: str) -> str:
    return f"fold{fold}" if name == _PLAIN else f"fold{fold}.{name}"
