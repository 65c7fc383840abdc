"""The heads of all folds in one file of tensors."""

from collections.abc import Mapping, Sequence
from typing import Final

import torch

from ichtune.models.heads.protocol import HeadState

# A linear head's one parameter goes by its fold alone, as it did before there were other heads.
_PLAIN: Final = "weights"


def pack(heads: Sequence[HeadState]) -> dict[str, torch.Tensor]:
    """Fold k's head as tensors `fold{k}.{name}`; a linear one is `fold{k}`, `[D + 1, 6]` with the bias as last row."""
    return {
        _key(fold, name): tensor.cpu().contiguous()
        for fold, head in enumerate(heads)
        for name, tensor in head.items()
    }


def unpack(tensors: Mapping[str, torch.Tensor], fold: int) -> HeadState:
    """A fold's head, as `Heads.load` takes it.

    Raises:
        KeyError: the file has no head of that fold.
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
