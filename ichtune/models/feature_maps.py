"""Feature maps of a network: which layers have them, and their outputs as channels on a grid of positions."""

import math
from collections.abc import Callable
from typing import Final

import torch
from torch import nn

from ichtune.errors import InputError
from ichtune.wording import did_you_mean

# Inside attention, outputs are laid out by head, and a matrix of tokens by tokens would look like a grid.
_INSIDE: Final = ("attn", "attention")


def as_grid(output: object, tokens_before: int) -> torch.Tensor | None:
    """A layer's output as `[n, C, h, h]`; None if it has no square grid of at least 2 x 2 positions.

    It may be `[n, C, h, h]`, `[n, h, h, C]` as in a Swin transformer, or tokens `[n, T, C]` as in a vision transformer,
    of which the first `tokens_before` (class and register tokens) have no place in the image.
    """
    if not isinstance(output, torch.Tensor):
        return None
    if output.ndim == 3:
        side = math.isqrt(max(output.shape[1] - tokens_before, 0))
        if side * side != output.shape[1] - tokens_before:
            return None
        output = output[:, tokens_before:].unflatten(1, (side, side))
    if output.ndim != 4:
        return None
    _, second, third, last = output.shape
    if third != last and second == third:
        output = output.movedim(-1, 1)
    height, width = output.shape[2:]
    return output if height == width > 1 else None


def tokens_before(network: nn.Module) -> int:
    """The number of tokens before those of a transformer's patches."""
    known = getattr(network, "num_prefix_tokens", None)  # timm
    if isinstance(known, int):
        return known
    return 1 if hasattr(network, "class_token") else 0  # torchvision


def last_feature_map(network: nn.Module, images: torch.Tensor) -> str:
    """The name of the last layer whose output is a grid on which the features of `images` `[n, C, S, S]` depend.

    They must depend on more than one position: a vision transformer's last block ends with the patches' tokens too, but
    only the class token is read from there on, so its last map is that of the block's first norm. The images must be
    such that the layers respond, noise for example.

    Raises:
        InputError: no layer has a grid.
    """
    before, outputs = tokens_before(network), _outputs(network, images)
    features = outputs.pop("").flatten(1)
    direction = torch.linspace(-1, 1, features.numel(), device=features.device).reshape(features.shape).cos()
    for name, output in reversed(outputs.items()):
        if as_grid(output, before) is None:
            continue
        (gradient,) = torch.autograd.grad(
            features, output, direction, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        grid = as_grid(gradient, before)
        if grid is not None and int((grid != 0).any(dim=(0, 1)).sum()) > 1:
            return name
    raise InputError(f"no layer of {type(network).__name__} has a grid of positions at this image size")


def check_feature_map(network: nn.Module, images: torch.Tensor, name: str) -> None:
    """Raise an InputError if there is no layer of this name, or its output for `images` has no grid of positions."""
    outputs = _outputs(network, images)
    if not name or name not in outputs:
        mend = did_you_mean(name, outputs) or f"; use one of {', '.join(_top(network))}, or one inside them"
        raise InputError(f"--layer: this network has no layer {name!r}{mend}")
    if as_grid(outputs[name], tokens_before(network)) is None:
        raise InputError(
            f"--layer {name}: its output {list(outputs[name].shape)} has no grid of positions; omit --layer, and the "
            "last layer that has one is used"
        )


def _outputs(network: nn.Module, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """The output of every layer outside attention by its name, in the order in which they are done; last of all ""."""
    found: dict[str, torch.Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            if isinstance(output, torch.Tensor):
                found.pop(name, None)  # a layer used again is done when it was used last
                found[name] = output

        return hook

    hooks = [
        layer.register_forward_hook(keep(name))
        for name, layer in network.named_modules()
        if not any(part in name for part in _INSIDE)
    ]
    try:
        with torch.enable_grad():
            network(images.detach().requires_grad_())
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _top(network: nn.Module) -> list[str]:
    return [name for name, _ in network.named_children()]
