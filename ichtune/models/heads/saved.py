"""The heads of all folds in one file of tensors."""

from collections.abc import Mapping, Sequence
from typing import Final

import torch

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


def _key(fold: int, name: str) -> str:
    return f"fold{fold}" if name == _PLAIN else f"fold{fold}.{name}"
