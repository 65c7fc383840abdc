"""One training from its first epoch, or its checkpoint, to its end: what is recorded, which epoch is kept, and why
it ended. The trials of a search, retraining and reruns with other seeds are all such sessions."""

import math
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ichtune.metrics import worst
from ichtune.runs.best_epoch import BestEpoch
from ichtune.runs.ends import TrialEnd
from ichtune.runs.records import EpochRecord
from ichtune.training.results import EpochResult


class SessionEpoch(NamedTuple):
    """An epoch of a session."""

    result: EpochResult
    record: EpochRecord
    is_best: bool
    """Whether it is the best so far, so the one to keep."""


class TrainingSession:
    """The state of a training besides its network: the best epoch, patience, and why it ended."""

    def __init__(self, metric: str, *, epochs: int, patience: int | None, micro_batches: int = 1) -> None:
        """`micro_batches` is recorded with each epoch."""
        self.epochs, self.micro_batches = epochs, micro_batches
        self.best = BestEpoch(metric, patience)
        self.ended: TrialEnd | None = None

    def state(self, result: EpochResult) -> dict[str, Any]:
        """What `resume` and `fit` go on from after an epoch; `torch.load(weights_only=True)` reads it."""
        return {"state": result.state(), "best": self.best.state_dict()}

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.best.load_state_dict(state["best"])

    def run(self, results: Iterator[EpochResult]) -> Iterator[SessionEpoch]:
        """Take epochs from `fit` until the training ends; `ended` is set by the time the last one is given."""
        while self.ended is None:
            begun = time.monotonic()
            result = next(results)
            is_best = self.best.update(result.epoch, result.mean(self.best.metric))
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
            yield SessionEpoch(result, record, is_best)

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
    """What is kept of an epoch that took so many seconds.

    Once a fold has diverged, the mean of the others is no score of the recipe: there is none.
    """
    folds = {**result.metrics, "train_loss": result.train_loss}
    return EpochRecord(
        epoch=result.epoch,
        diverged=result.diverged,
        mean={name: math.nan if result.diverged else nan_mean(values) for name, values in folds.items()},
        std={name: math.nan if result.diverged else _nan_std(values) for name, values in folds.items()},
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


def nan_mean(values: np.ndarray) -> float:
    """The mean over the folds that define a value; NaN where none does."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")


def _nan_std(values: np.ndarray) -> float:
    defined = values[~np.isnan(values)].astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # of a trial that diverges
        return float(defined.std(ddof=1)) if len(defined) > 1 else float("nan")
