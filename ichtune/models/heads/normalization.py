"""How features are normalised before they enter a head."""

from collections.abc import Iterable
from typing import Self

import torch
from torch import nn
from torch.nn import functional

from ichtune.recipe import Normalize

_CONSTANT = 1e-6
"""A feature whose SD is below this is only centred."""


class Normalization(nn.Module):
    """Normalises the features of each of F folds: not at all, by feature over the training part, or by slice.

    `standard` needs `set_statistics` for each fold before its first use; they are saved and loaded with the heads.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, kind: Normalize, width: int, folds: int) -> None:
        super().__init__()
        self.kind = kind
        if kind == "standard":
            self.register_buffer("mean", torch.full((folds, width), torch.nan))
            self.register_buffer("std", torch.full((folds, width), torch.nan))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Normalise features `[F, B, D]`."""
        if self.kind == "standard":
            return (features - self.mean[:, None]) / self.std[:, None]
        return self._by_slice(features)

    def one(self, fold: int, features: torch.Tensor) -> torch.Tensor:
        """Normalise features `[n, D]` as those of one fold."""
        if self.kind == "standard":
            return (features - self.mean[fold]) / self.std[fold]
        return self._by_slice(features)

    def _by_slice(self, features: torch.Tensor) -> torch.Tensor:
        return functional.layer_norm(features, features.shape[-1:]) if self.kind == "layer" else features

    def lacks_statistics(self, fold: int) -> bool:
        """Whether `set_statistics` is still to be called for a fold."""
        return self.kind == "standard" and bool(self.mean[fold].isnan().any())

    @torch.no_grad()
    def set_statistics(self, fold: int, parts: Iterable[torch.Tensor]) -> None:
        """Take a fold's mean and SD of each feature from its training part, in parts `[n, D]`."""
        count, total, squares = 0, 0.0, 0.0
        for part in parts:
            part = part.double()
            count, total, squares = count + len(part), total + part.sum(0), squares + part.square().sum(0)
        mean = torch.as_tensor(total) / count
        std = (torch.as_tensor(squares) / count - mean.square()).clamp(min=0).sqrt()
        self.mean[fold] = mean
        self.std[fold] = torch.where(std < _CONSTANT, 1.0, std)

    def state(self, fold: int) -> dict[str, torch.Tensor]:
        """The statistics of a fold by name `[D]`, to read or to write; empty unless `standard`."""
        return {name: buffer[fold] for name, buffer in self.named_buffers()}

    def of(self, fold: int) -> Self:
        """Return a copy for one fold alone."""
        buffers = self.state(fold)
        width = len(buffers["mean"]) if buffers else 0
        copy = type(self)(self.kind, width, 1)
        for name, statistic in buffers.items():
            copy.get_buffer(name).data = statistic.detach().clone()[None]
        return copy


class Normalized(nn.Module):
    """A head after its normalisation, as one module on features `[n, D]`."""

    def __init__(self, normalization: Normalization, head: nn.Module) -> None:
        super().__init__()
        self.normalization = normalization
        self.head = head

    def forward(self, features: torch.Tensor, *sizes: object) -> torch.Tensor:
        return self.head(self.normalization.one(0, features), *sizes)
