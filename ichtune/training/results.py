"""What training reports after each epoch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ichtune.models.heads import HeadState


@dataclass(frozen=True)
class EpochResult:
    """The outcome of an epoch for F folds; arrays are `[F]` in the order of the folds."""

    epoch: int
    """Number of finished epochs."""
    metrics: dict[str, np.ndarray]
    """`evaluate` on each fold's validation rows, plus the recipe's loss there as `loss`."""
    train_loss: np.ndarray
    """Mean over the epoch's rows, computed during training."""
    lr: np.ndarray
    """The learning rate of the epoch's last step."""
    mean_lr: np.ndarray
    class_mix: np.ndarray
    """`[F, 6]`: the share of positives among each label's known values in the rows drawn."""
    grad_norm: np.ndarray
    """Mean over the epoch's steps."""
    trained_parameters: np.ndarray
    """Number of trained parameters per fold."""
    logits: list[np.ndarray]
    """Each fold's logits on its validation rows, float32 `[n_f, 6]`: its out-of-fold predictions."""
    heads: Callable[[], list[HeadState]]
    """Returns copies of the folds' heads; call it before the next epoch."""
    state: Callable[[], dict[str, Any]]
    """Returns copies of what resuming needs, for `torch.load(weights_only=True)`; call it before the next epoch."""

    @property
    def diverged(self) -> bool:
        """Whether any fold has a non-finite loss or prediction."""
        return not (
            np.isfinite(self.train_loss).all() and all(np.isfinite(logits).all() for logits in self.logits)
        )

    def mean(self, metric: str) -> float:
        """Return a metric's mean over the folds where it is defined; NaN if there is none, or if training diverged."""
        values = self.metrics[metric]
        defined = values[~np.isnan(values)]
        return float("nan") if self.diverged or not len(defined) else float(defined.mean())


def merge(results: Sequence[EpochResult]) -> EpochResult:
    """Merge the results of folds trained apart, for the same epoch, into one."""
    first = results[0]

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(result, name) for result in results])

    return EpochResult(
        epoch=first.epoch,
        metrics={
            name: np.concatenate([result.metrics[name] for result in results]) for name in first.metrics
        },
        train_loss=joined("train_loss"),
        lr=joined("lr"),
        mean_lr=joined("mean_lr"),
        class_mix=joined("class_mix"),
        grad_norm=joined("grad_norm"),
        trained_parameters=joined("trained_parameters"),
        logits=[logits for result in results for logits in result.logits],
        heads=lambda: [head for result in results for head in result.heads()],
        state=lambda: {"epoch": first.epoch, "apart": [result.state() for result in results]},
    )
