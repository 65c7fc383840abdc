"""Which epoch is best, and when to stop waiting for a better one."""

from typing import Any

from ichtune.metrics import higher_is_better


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
