"""Which epoch is best, and when to stop waiting for a better one."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ichtune.metrics import higher_is_better, nan_mean


class BestEpoch:
    """The best epoch so far by a metric's mean over folds, one epoch common to all folds."""

    def __init__(self, metric: str, patience: int | None) -> None:
        """`patience` is the number of epochs without a better value before giving up; None waits forever."""
        self.metric = metric
        self.patience = patience
        self._maximised = higher_is_better(metric)
        self.epoch = 0
        self.value = float("nan")
        self._waited = 0

    def update(self, epoch: int, value: float) -> bool:
        """Add an epoch's value; return whether it is the best so far. NaN never is."""
        better = value > self.value if self._maximised else value < self.value
        first = self.epoch == 0 and value == value
        if better or first:
            self.epoch, self.value, self._waited = epoch, value, 0
            return True
        self._waited += 1
        return False

    @property
    def out_of_patience(self) -> bool:
        return self.patience is not None and self._waited >= self.patience

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "value": self.value, "waited": self._waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch, self.value, self._waited = state["epoch"], state["value"], state["waited"]


class EpochsByOtherFolds:
    """Each fold's best epoch so far by the mean of the other folds: no fold chooses the epoch that scores it.

    Of several rounds of cross-validation, one after the other, only the folds of the same round count: those of another
    hold the same patients.

    A fold without others, or with others where the metric is undefined, chooses its own. Until a metric is defined,
    a fold has its first epoch.
    """

    def __init__(self, metric: str, rounds: int = 1) -> None:
        """`rounds` is the number of cross-validations, each with as many folds."""
        self.metric, self.rounds = metric, rounds
        self._best: list[BestEpoch] = []
        self.epochs: list[int] = []

    def update(self, epoch: int, values: Sequence[float] | np.ndarray) -> list[int]:
        """Add an epoch's value on each fold; return the folds for which it is the best so far."""
        first = not self._best
        if first:
            self._best = [BestEpoch(self.metric, None) for _ in values]
            self.epochs = [epoch] * len(values)
        better = [
            best.update(epoch, others)
            for best, others in zip(self._best, _of_others(values, self.rounds), strict=True)
        ]
        chosen = [fold for fold, is_better in enumerate(better) if is_better or first]
        for fold in chosen:
            self.epochs[fold] = epoch
        return chosen

    def state_dict(self) -> dict[str, Any]:
        return {"epochs": list(self.epochs), "best": [best.state_dict() for best in self._best]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epochs = list(state["epochs"])
        self._best = [BestEpoch(self.metric, None) for _ in self.epochs]
        for best, saved in zip(self._best, state["best"], strict=True):
            best.load_state_dict(saved)


def _of_others(values: Sequence[float] | np.ndarray, rounds: int) -> list[float]:
    """For each fold, the mean of all others of its round; its own value if there is none."""
    each = np.asarray(values, np.float64).reshape(rounds, -1)
    others = [nan_mean(np.delete(folds, fold)) for folds in each for fold in range(len(folds))]
    own = each.ravel().tolist()
    return [mine if other != other else other for mine, other in zip(own, others, strict=True)]
