"""The interface of heads, whatever their kind."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import nn

HeadState = dict[str, torch.Tensor]
"""The parameters of one fold's head by name."""


class Heads(nn.Module, ABC):
    """The heads of F folds side by side: features `[F, B, D]` in, logits `[F, B, 6]` out.

    A subclass keeps each of its parameters as an `nn.ParameterList` with one entry per fold. So every fold has its
    own leaf parameters and optimizer, and a fold without a batch in a step is simply not stepped.
    """

    def __init__(self, width: int, folds: Sequence[int]) -> None:
        super().__init__()
        self.width = width
        """D, the number of features."""
        self._count = len(folds)

    def __len__(self) -> int:
        return self._count

    @abstractmethod
    def forward(self, features: torch.Tensor) -> torch.Tensor: ...

    @abstractmethod
    def one(self, head: int, features: torch.Tensor) -> torch.Tensor:
        """Return the logits `[n, 6]` of a single head for features `[n, D]`."""

    @abstractmethod
    def export(self, head: int) -> nn.Module:
        """Return a copy of a head as a plain torch module that maps features `[n, D]` to logits `[n, 6]`."""

    def parameters_of(self, head: int) -> list[nn.Parameter]:
        """Return the parameters of a single head."""
        return list(self._named(head).values())

    def state(self, head: int) -> HeadState:
        """Return a copy of a head's parameters."""
        return {name: parameter.detach().clone() for name, parameter in self._named(head).items()}

    @torch.no_grad()
    def load(self, head: int, state: HeadState) -> None:
        """Restore a head from a `state`.

        Raises:
            ValueError: the state belongs to a head of another kind or width.
        """
        own = self._named(head)
        if _shapes(state) != _shapes(own):
            raise ValueError(f"this head's parameters are {_shapes(own)}, got {_shapes(state)}")
        for name, parameter in own.items():
            parameter.copy_(state[name])

    def gradient_norms(self) -> torch.Tensor:
        """Return the norm of each head's gradient `[F]`."""
        norms = []
        for _, parameters in self._lists():
            gradients = torch.stack([parameter.grad for parameter in parameters])
            norms.append(torch.linalg.vector_norm(gradients, dim=tuple(range(1, gradients.ndim))))
        return norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack(norms), dim=0)

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
