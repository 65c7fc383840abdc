"""One training from its first epoch or checkpoint to its end: what is recorded, which epoch is kept, and why it
ended. Trials of a search, retraining and reruns with other seeds all use it."""

import math
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from ichtune.metrics import nan_mean, nan_std, worst
from ichtune.runs.best_epoch import BestEpoch, EpochsByOtherFolds
from ichtune.runs.ends import TrialEnd
from ichtune.runs.records import EpochRecord
from ichtune.training.results import EpochResult


class SessionEpoch(NamedTuple):
    """An epoch of a session."""

    result: EpochResult
    record: EpochRecord
    is_best: bool
    """Whether it is the best so far, and so the one whose model is kept."""
    scored_folds: list[int]
    """The folds whose out-of-fold predictions are to be kept from it, as it is the best so far by the other folds."""


class TrainingSession:
    """The state of a training apart from its network: the best epoch, patience, and why it ended."""

    def __init__(
        self, metric: str, *, epochs: int, patience: int | None, micro_batches: int = 1, rounds: int = 1
    ) -> None:
        """`micro_batches` is recorded with each epoch; the folds are those of `rounds` cross-validations."""
        self.epochs, self.micro_batches = epochs, micro_batches
        self.best = BestEpoch(metric, patience)
        self.by_others = EpochsByOtherFolds(metric, rounds)
        self.ended: TrialEnd | None = None

    def state(self, result: EpochResult) -> dict[str, Any]:
        """Return what `resume` and `fit` need to continue after an epoch, for `torch.load(weights_only=True)`."""
        return {"state": result.state(), **self.state_dict()}

    def state_dict(self) -> dict[str, Any]:
        """Return the chosen epochs, as `resume` needs them."""
        return {"best": self.best.state_dict(), "by_others": self.by_others.state_dict()}

    def resume(self, state: dict[str, Any]) -> None:
        """Continue from a `state` or `state_dict`."""
        self.best.load_state_dict(state["best"])
        self.by_others.load_state_dict(state["by_others"])

    def run(self, results: Iterator[EpochResult]) -> Iterator[SessionEpoch]:
        """Yield epochs from `fit` until the training ends; `ended` is set before the last one is yielded."""
        while self.ended is None:
            begun = time.monotonic()
            result = next(results)
            is_best = self.best.update(result.epoch, result.mean(self.best.metric))
            scored_folds = (
                []
                if result.diverged
                else self.by_others.update(result.epoch, result.metrics[self.best.metric])
            )
            self.ended = self._why_ended(result)
            scored = not (result.diverged or math.isnan(self.best.value))
            record = record_of(
                result,
                time.monotonic() - begun,
                micro_batches=self.micro_batches,
                objective=self.best.value if scored else worst(self.best.metric),
                scored=scored,
                ended=self.ended,
            )
            yield SessionEpoch(result, record, is_best, scored_folds)

    def _why_ended(self, result: EpochResult) -> TrialEnd | None:
        if result.diverged:
            return TrialEnd.DIVERGED
        if result.epoch >= self.epochs:
            return TrialEnd.LAST_EPOCH
        return TrialEnd.PATIENCE if self.best.out_of_patience else None


def record_of(
    result: EpochResult,
    seconds: float,
    *,
    micro_batches: int,
    objective: float,
    scored: bool,
    ended: TrialEnd | None,
) -> EpochRecord:
    """Return the record of an epoch that took this many seconds.

    Once a fold has diverged, the recipe has no score: the mean of the other folds is not one.
    """
    folds = {**result.metrics, "train_loss": result.train_loss}
    return EpochRecord(
        epoch=result.epoch,
        diverged=result.diverged,
        mean={name: math.nan if result.diverged else nan_mean(values) for name, values in folds.items()},
        std={name: math.nan if result.diverged else nan_std(values) for name, values in folds.items()},
        folds={name: values.tolist() for name, values in folds.items()},
        lr=result.lr.tolist(),
        mean_lr=result.mean_lr.tolist(),
        class_mix=result.class_mix.tolist(),
        grad_norm=result.grad_norm.tolist(),
        trained_parameters=int(result.trained_parameters[0]),
        seconds=seconds,
        batch_parts=micro_batches,
        objective=objective,
        scored=scored,
        ended=ended,
    )
