"""ASHA that remembers which trials it stopped, and that can learn from an earlier run of the search."""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from optuna.trial import FrozenTrial
from ray.tune.experiment import Trial
from ray.tune.schedulers import AsyncHyperBandScheduler

from ichtune.search.searcher import each_epoch


class Halving(AsyncHyperBandScheduler):
    """Ray's ASHA on epochs; `has_stopped` says whether it was ASHA that ended a trial."""

    def __init__(self, *, metric: str, mode: str, max_epochs: int, grace: int, reduction: float) -> None:
        super().__init__(
            time_attr="epoch",
            metric=metric,
            mode=mode,
            max_t=max_epochs,
            grace_period=grace,
            reduction_factor=reduction,
        )
        self.stopped: set[str] = set()

    def remember(self, trials: Iterable[FrozenTrial]) -> None:
        """Add trials of an earlier run to the rungs, so that new ones are compared with them too."""
        for trial in trials:
            past: Any = SimpleNamespace(trial_id=f"past-{trial.number}")
            self.on_trial_add(None, past)  # ty: ignore[invalid-argument-type]
            for epoch, value in sorted(trial.intermediate_values.items()):
                super().on_trial_result(None, past, {"epoch": epoch, self._metric: value})  # ty: ignore[invalid-argument-type]

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        for each in each_epoch(result):
            if super().on_trial_result(tune_controller, trial, each) == self.STOP:
                self.stopped.add(trial.trial_id)
                return self.STOP
        return self.CONTINUE

    def has_stopped(self, trial_id: str) -> bool:
        return trial_id in self.stopped
