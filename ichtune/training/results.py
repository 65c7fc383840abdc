"""What training reports after each epoch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class EpochResult:
    """The state of affairs after an epoch, of F folds; arrays are `[F]` in the order of the folds."""

    epoch: int
    """How many epochs are done."""
    metrics: dict[str, np.ndarray]
    """`evaluate` on each fold's validation part, and the recipe's loss on it as `loss`."""
    train_loss: np.ndarray
    """Mean over the epoch's rows, while the heads were learning."""
    lr: np.ndarray
    """The learning rate that the epoch's last step used."""
    mean_lr: np.ndarray
    class_mix: np.ndarray
    """`[F, 6]`: how often each label was positive among the known ones of the rows drawn."""
    grad_norm: np.ndarray
    """Mean over the epoch's steps."""
    trained_parameters: np.ndarray
    """How many numbers each fold trains."""
    logits: list[np.ndarray]
    """Float32 `[n_f, 6]` a fold: its validation rows' logits, the fold's out-of-fold predictions."""
    state: Callable[[], dict[str, Any]]
    """What resuming needs, as copies that `torch.load(weights_only=True)` reads; call it before the next epoch."""

    @property
    def diverged(self) -> bool:
        """Whether a loss or a prediction of any fold is not finite."""
        return not (
            np.isfinite(self.train_loss).all() and all(np.isfinite(logits).all() for logits in self.logits)
        )

    def mean(self, metric: str) -> float:
        """A metric's mean over the folds in which it is defined; NaN if it is in none, or training diverged."""
        values = self.metrics[metric]
        defined = values[~np.isnan(values)]
        return float("nan") if self.diverged or not len(defined) else float(defined.mean())


def merge(results: Sequence[EpochResult]) -> EpochResult:
    """The results of folds trained apart, for the same epoch, as the one result of all folds."""
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
        state=lambda: {"epoch": first.epoch, "apart": [result.state() for result in results]},
    )
