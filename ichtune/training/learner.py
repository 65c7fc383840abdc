"""Optimizer and learning rate of one fold."""

import copy
from collections.abc import Sequence
from typing import Any

from torch import nn

from ichtune.recipe import Recipe
from ichtune.training.optimizers import make_optimizer
from ichtune.training.schedules import LearningRate


class Learner:
    """The optimizer of a fold's parameters, and its learning rate."""

    def __init__(self, parameters: Sequence[nn.Parameter], recipe: Recipe, batches: int) -> None:
        """`batches` is the number of batches in an epoch."""
        self.optimizer = make_optimizer(recipe.optimizer, parameters)
        self.lr = LearningRate(
            recipe.schedule, self.optimizer, epochs=recipe.training.epochs, batches=batches
        )

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The parameters being trained."""
        return self.optimizer.param_groups[0]["params"]

    def train(self, parameters: Sequence[nn.Parameter]) -> None:
        """Train these parameters from now on; those that were already trained keep their optimizer state."""
        if [*map(id, parameters)] == [*map(id, self.parameters)]:
            return
        self.optimizer.param_groups[0]["params"] = list(parameters)
        for gone in self.optimizer.state.keys() - set(parameters):
            del self.optimizer.state[gone]

    def step(self) -> float:
        """Take a step and return the learning rate it used."""
        used = self.lr.value
        self.optimizer.step()
        self.lr.after_batch()
        return used

    def state(self) -> dict[str, Any]:
        return copy.deepcopy({"optimizer": self.optimizer.state_dict(), "lr": self.lr.state_dict()})

    def load_state(self, state: dict[str, Any]) -> None:
        # Otherwise the optimizer would keep updating the tensors in `state`.
        state = copy.deepcopy(state)
        self.optimizer.load_state_dict(state["optimizer"])
        self.lr.load_state_dict(state["lr"])
