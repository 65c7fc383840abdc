"""The interface of heads, whatever their kind."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import nn

from ichtune.models.dropout import HiddenDropout
from ichtune.models.heads.normalization import Normalization, Normalized
from ichtune.recipe import Normalize

HeadState = dict[str, torch.Tensor]
"""The parameters of one fold's head by name, and what its features are normalised by."""
Sizes = np.ndarray | Sequence[int]
"""The number of slices of each scan, int64 `[u]`; the slices of a batch are scan after scan, each from the feet
towards the head."""


class Heads(nn.Module, ABC):
    """The heads of F folds side by side: features `[F, B, D]` in, logits `[F, B, 6]` out.

    A subclass keeps each of its parameters as an `nn.ParameterList` with one entry per fold. So every fold has its
    own leaf parameters and optimizer, and a fold without a batch in a step is simply not stepped.
    """

    def __init__(self, width: int, folds: Sequence[int], normalize: Normalize = "none") -> None:
        super().__init__()
        self.width = width
        """D, the number of features."""
        self.normalization = Normalization(normalize, width, len(folds))
        self._count = len(folds)

    def __len__(self) -> int:
        return self._count

    def forward(
        self,
        features: torch.Tensor,
        dropout: torch.Tensor | None = None,
        sizes: Sequence[Sizes] | None = None,
    ) -> torch.Tensor:
        """Return logits `[F, B, 6]`; `dropout` `[F, B, D]` multiplies the normalised features.

        `sizes` are those of each fold's scans, together at most B; what follows them is padding, whose logits mean
        nothing. Without them, each fold has a single scan of B slices. Heads that read single slices ignore them.
        """
        return self._logits(self.normalization(features), dropout, sizes)

    def one(self, head: int, features: torch.Tensor, sizes: Sizes | None = None) -> torch.Tensor:
        """Return the logits `[n, 6]` of a single head for features `[n, D]`."""
        return self._one(head, self.normalization.one(head, features), sizes)

    def export(self, head: int) -> nn.Module:
        """Return a copy of a head as a plain torch module that maps features `[n, D]` to logits `[n, 6]`.

        If it reads scans, the features are those of one scan, or `sizes` follow as a second argument.
        """
        exported = self._export(head).eval()
        if self.normalization.kind == "none":
            return exported
        return Normalized(self.normalization.of(head), exported).eval()

    @abstractmethod
    def _logits(
        self, inputs: torch.Tensor, dropout: torch.Tensor | None, sizes: Sequence[Sizes] | None
    ) -> torch.Tensor: ...

    @abstractmethod
    def _one(self, head: int, inputs: torch.Tensor, sizes: Sizes | None) -> torch.Tensor: ...

    @abstractmethod
    def _export(self, head: int) -> nn.Module: ...

    def begin_epoch(self, epoch: int) -> None:
        """Begin the dropout of hidden features of an epoch (counted from 0)."""
        for module in self.modules():
            if isinstance(module, HiddenDropout):
                module.begin_epoch(epoch)

    def parameters_of(self, head: int) -> list[nn.Parameter]:
        """Return the parameters of a single head."""
        return list(self._named(head).values())

    def state(self, head: int) -> HeadState:
        """Return a copy of a head's parameters and of what its features are normalised by."""
        return {name: tensor.detach().clone() for name, tensor in self._tensors(head).items()}

    @torch.no_grad()
    def load(self, head: int, state: HeadState) -> None:
        """Restore a head from a `state`.

        Raises:
            ValueError: the state belongs to a head of another kind or width.
        """
        own = self._tensors(head)
        if _shapes(state) != _shapes(own):
            raise ValueError(f"this head's parameters are {_shapes(own)}, got {_shapes(state)}")
        for name, tensor in own.items():
            tensor.copy_(state[name])

    def gradient_norms(self) -> torch.Tensor:
        """Return the norm of each head's gradient `[F]`."""
        norms = []
        for _, parameters in self._lists():
            gradients = torch.stack([parameter.grad for parameter in parameters])
            norms.append(torch.linalg.vector_norm(gradients, dim=tuple(range(1, gradients.ndim))))
        return norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack(norms), dim=0)

    def _tensors(self, head: int) -> dict[str, torch.Tensor]:
        statistics = self.normalization.state(head).items()
        return {**self._named(head), **{f"normalization.{name}": tensor for name, tensor in statistics}}

    def _named(self, head: int) -> dict[str, nn.Parameter]:
        return {name: parameters[head] for name, parameters in self._lists()}

    def _lists(self) -> list[tuple[str, nn.ParameterList]]:
        return [
            (name, parameters)
            for name, parameters in self.named_children()
            if isinstance(parameters, nn.ParameterList)
        ]


def _shapes(state: Mapping[str, torch.Tensor]) -> dict[str, list[int]]:
    return {name: list(tensor.shape) for name, tensor in state.items()}
