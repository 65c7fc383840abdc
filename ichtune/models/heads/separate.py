"""Heads that are a torch module per fold."""

import copy
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ichtune.labels import LABELS
from ichtune.models.dropout import HiddenDropout
from ichtune.models.heads.protocol import Heads, Sizes
from ichtune.recipe import MLP, Normalize

Key = tuple[int, ...]
"""What a head's random numbers depend on."""


class SeparateHeads(Heads):
    """A torch module per fold, initialised by torch's own rules and seeded by (seed, fold number).

    A module takes features `[n, D]`, the sizes of scans and the dropout of its features `[n, D]`, both optional.
    """

    def __init__(
        self,
        width: int,
        folds: Sequence[int],
        seed: int,
        make: Callable[[int, Key], nn.Module],
        normalize: Normalize = "none",
    ) -> None:
        """`make` returns an untrained module for a width and the key of its dropout."""
        super().__init__(width, folds, normalize)
        self.each = nn.ModuleList()
        for fold in folds:
            key = (*b"head", seed, fold)
            with _seeded(key):
                self.each.append(make(width, key))

    def _logits(
        self, inputs: torch.Tensor, dropout: torch.Tensor | None, sizes: Sequence[Sizes] | None
    ) -> torch.Tensor:
        rows, logits = inputs.shape[1], []
        for fold, head in enumerate(self.each):
            # Padding would draw random numbers that a fold alone doesn't.
            real = rows if sizes is None else int(np.sum(sizes[fold]))
            mask = None if dropout is None else dropout[fold, :real]
            logits.append(functional.pad(head(inputs[fold, :real], None, mask), (0, 0, 0, rows - real)))
        return torch.stack(logits)

    def _one(self, head: int, inputs: torch.Tensor, sizes: Sizes | None) -> torch.Tensor:
        return self.each[head](inputs, sizes)

    def _export(self, head: int) -> nn.Module:
        return copy.deepcopy(self.each[head])

    def gradient_norms(self) -> torch.Tensor:
        """Return the norm of each head's gradient `[F]`; 0 for a head without a batch in the step."""
        by_head = ([p.grad for p in head.parameters() if p.grad is not None] for head in self.each)
        return torch.stack([nn.utils.get_total_norm(gradients) for gradients in by_head])

    def _named(self, head: int) -> dict[str, nn.Parameter]:
        return dict(self.each[head].named_parameters())


class HiddenLayer(nn.Module):
    """A head with one hidden layer: features `[n, D]` to logits `[n, 6]`."""

    def __init__(self, config: MLP, width: int, key: Key) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, config.hidden)
        self.dropout = HiddenDropout(config.dropout, key)
        self.output = nn.Linear(config.hidden, len(LABELS))

    def forward(
        self, features: torch.Tensor, sizes: Sizes | None = None, dropout: torch.Tensor | None = None
    ) -> torch.Tensor:
        dropped = features if dropout is None else features * dropout
        return self.output(self.dropout(self.hidden(dropped).relu()))


@contextmanager
def _seeded(key: Key) -> Generator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))
        yield
