"""A recipe's optimizer section as a torch optimizer."""

import inspect
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

import torch
from torch import nn, optim

from ichtune.recipe import Optimizer


def _uncompiled(optimizer: type[optim.Optimizer]) -> type[optim.Optimizer]:
    """Return the same optimizer without the wrappers that torch adds for `torch.compile`.

    Those wrappers import the whole compiler, which takes every training process as long as importing torch itself,
    and nothing is compiled here.
    """
    names = ("add_param_group", "state_dict", "load_state_dict")
    methods = {name: inspect.unwrap(getattr(optimizer, name)) for name in names}
    step = torch.no_grad()(inspect.unwrap(optimizer.step))
    return type(optimizer.__name__, (optimizer,), {**methods, "step": step})


# Fused halves Adam's step time on a CPU and is a single launch on a GPU; torch offers it for these three.
OPTIMIZERS: Final[dict[str, Callable[..., optim.Optimizer]]] = {
    "adam": partial(_uncompiled(optim.Adam), fused=True),
    "adamw": partial(_uncompiled(optim.AdamW), fused=True),
    "radam": _uncompiled(optim.RAdam),
    "sgd": partial(_uncompiled(optim.SGD), fused=True),
    "rmsprop": _uncompiled(optim.RMSprop),
}


def make_optimizer(
    config: Optimizer, parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]]
) -> optim.Optimizer:
    """Return a recipe's torch optimizer of parameters, or of groups of them that may have rates of their own.

    Weight decay is decoupled in AdamW, L2 in the others.
    """
    return OPTIMIZERS[config.name](parameters, **config.model_dump(exclude={"name"}))
