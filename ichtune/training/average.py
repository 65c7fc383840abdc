"""A moving average of weights over optimizer steps."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn


class MovingAverage:
    """The exponential moving average of tensors that are trained (Polyak and Juditsky, 1992; as in Tarvainen and
    Valpola, "Mean teachers are better role models", 2017).

    After step t, counted from 1, it is d average + (1 - d) trained, where d = min(decay, (1 + t) / (10 + t)), as in
    TensorFlow's `ExponentialMovingAverage`: the first steps soon forget the initial weights.

    Between epochs the tensors themselves hold the average, so that whoever predicts with them or keeps them uses it;
    during an epoch they hold what is trained.
    """

    def __init__(self, tensors: Sequence[torch.Tensor], decay: float) -> None:
        """Begin between epochs, with the values that the tensors have."""
        self.tensors, self.decay = list(tensors), decay
        self._steps = 0
        self._other = [tensor.detach().clone() for tensor in tensors]
        """The average during an epoch, between epochs what is trained."""

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange what is trained and its average: call this before and after the steps of an epoch."""
        for tensor, other in zip(self.tensors, self._other, strict=True):
            kept = tensor.clone()
            tensor.copy_(other)
            other.copy_(kept)

    @torch.no_grad()
    def update(self) -> None:
        """Add the tensors after a step to the average."""
        self._steps += 1
        decay = min(self.decay, (1 + self._steps) / (10 + self._steps))
        get_ema_multi_avg_fn(decay)(self._other, self.tensors, self._steps)

    def state_dict(self) -> dict[str, Any]:
        """Return what continues it between epochs, apart from the tensors."""
        return {"steps": self._steps, "trained": self._other}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._steps = state["steps"]
        for other, trained in zip(self._other, state["trained"], strict=True):
            other.copy_(trained)
