"""Processes that train one network together, each on its share of every batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import distributed

T = TypeVar("T")


@dataclass(frozen=True)
class Team:
    """The members of torch's process group, of which this process is the one with number `rank`.

    All members have the same weights, draw the same batches, and take the same steps, by the sum of their gradients.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def of_this_process(cls) -> "Team":
        """Return the process group's team; a process without a group is one by itself."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return cls()
        return cls(distributed.get_rank(), distributed.get_world_size())

    @property
    def leads(self) -> bool:
        """Whether this member is the one that writes what all of them know."""
        return self.rank == 0

    def share(self, work: Sequence[T]) -> Sequence[T]:
        """Return this member's part of a list of work."""
        return work[self.rank :: self.size]

    @torch.no_grad()
    def add_up(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace each tensor (float32) by its sum over the members."""
        if self.size == 1 or not tensors:
            return
        together = torch.cat([tensor.flatten() for tensor in tensors])
        distributed.all_reduce(together)
        for tensor, total in zip(tensors, together.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(total.view_as(tensor))


ALONE = Team()
