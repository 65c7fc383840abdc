"""Optimizer, learning rate and average of one fold."""

import copy
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from ichtune.recipe import Phase
from ichtune.training.average import MovingAverage
from ichtune.training.optimizers import make_optimizer
from ichtune.training.schedules import LearningRate


class Learner:
    """The optimizer of a fold's parameters, its learning rates and, if the recipe averages, their moving average.

    Each phase of a training has a new one, which begins with the weights that the phase before it left.
    """

    def __init__(
        self,
        groups: Sequence[dict[str, Any]],
        statistics: Sequence[torch.Tensor],
        phase: Phase,
        *,
        batches: int,
        decay: float,
    ) -> None:
        """`groups` are parameters with their rates, the head's first; `statistics` are averaged with the parameters, by
        `decay`; `batches` is their number in an epoch.
        """
        self.optimizer = make_optimizer(phase.optimizer, groups)
        self.lr = LearningRate(phase.schedule, self.optimizer, epochs=phase.epochs, batches=batches)
        self.average = MovingAverage([*self.parameters, *statistics], decay) if decay else None

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The parameters being trained."""
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    @contextmanager
    def training(self) -> Generator[None]:
        """The steps of an epoch: outside of it, the parameters hold their average."""
        if self.average is None:
            yield
            return
        self.average.swap()
        yield
        self.average.swap()

    def step(self) -> float:
        """Take a step and return the learning rate it used."""
        used = self.lr.value
        self.optimizer.step()
        self.lr.after_batch()
        if self.average is not None:
            self.average.update()
        return used

    def state(self) -> dict[str, Any]:
        return copy.deepcopy({name: part.state_dict() for name, part in self._parts().items()})

    def load_state(self, state: dict[str, Any]) -> None:
        # Otherwise the optimizer would keep updating the tensors in `state`.
        state = copy.deepcopy(state)
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def _parts(self) -> dict[str, Any]:
        parts = {"optimizer": self.optimizer, "lr": self.lr, "average": self.average}
        return {name: part for name, part in parts.items() if part is not None}
