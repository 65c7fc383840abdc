"""A recipe's optimizer section as a torch optimizer."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from torch import nn, optim

from ichtune.config import Optimizer

# Fused halves the time of Adam's step on a CPU and is one launch on a GPU; torch offers it for these three.
OPTIMIZERS: Final[dict[str, Callable[..., optim.Optimizer]]] = {
    "adam": partial(optim.Adam, fused=True),
    "adamw": partial(optim.AdamW, fused=True),
    "radam": optim.RAdam,
    "sgd": partial(optim.SGD, fused=True),
    "rmsprop": optim.RMSprop,
}


def make_optimizer(config: Optimizer, parameters: Iterable[nn.Parameter]) -> optim.Optimizer:
    """The torch optimizer of a recipe; weight decay is torch's: decoupled in AdamW, L2 in the others."""
    return OPTIMIZERS[config.name](parameters, **config.model_dump(exclude={"name"}))
