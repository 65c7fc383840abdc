"""A recipe's schedule section as a torch scheduler that is stepped at the right time."""

from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    LinearLR,
    LRScheduler,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)

from ichtune.recipe import Constant, Cosine, FlatCosine, OneCycle, Plateau, Schedule, Step


class LearningRate:
    """The learning rate of one optimizer; call it after every batch and epoch, and it changes when due.

    If the optimizer has groups with rates of their own, all change by the same factor.

    `step` changes after epochs, `plateau` by the validation loss of each epoch; `cosine` with its linear warm-up,
    `onecycle` and `flat_cosine` change after every batch. A cosine with a `drop` changes by the validation loss, too.
    """

    def __init__(self, config: Schedule, optimizer: Optimizer, *, epochs: int, batches: int) -> None:
        """`batches` is the number of batches in each of the `epochs`."""
        self._optimizer = optimizer
        self._by_batch = isinstance(config, Cosine | OneCycle | FlatCosine)
        self._scheduler = _scheduler(config, optimizer, batches, epochs * batches)
        self._drops, self._drops_after = None, 0
        if isinstance(config, Cosine) and config.drop is not None:
            self._drops = _plateau(optimizer, config.drop, config.drop_patience)
            self._drops_after = config.warmup_epochs * batches

    @property
    def value(self) -> float:
        """The rate of the next step, of the first group."""
        return float(self._optimizer.param_groups[0]["lr"])

    def after_batch(self) -> None:
        """Call this after every optimizer step."""
        if self._by_batch:
            self._scheduler.step()

    def after_epoch(self, valid_loss: float) -> None:
        """Call this after every epoch, once `after_batch` has been called for its last batch."""
        if isinstance(self._scheduler, ReduceLROnPlateau):
            self._scheduler.step(valid_loss)
        elif not self._by_batch:
            self._scheduler.step()
        elif self._drops and self._scheduler.last_epoch >= self._drops_after:
            self._drops.step(valid_loss)  # the cosine goes on from the rate that it finds

    def state_dict(self) -> dict[str, Any]:
        state = self._scheduler.state_dict()
        return {**state, "drops": self._drops.state_dict()} if self._drops else state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        own = {key: value for key, value in state.items() if key != "drops"}
        self._scheduler.load_state_dict(own)
        if self._drops:
            self._drops.load_state_dict(state["drops"])


def _scheduler(config: Schedule, optimizer: Optimizer, batches: int, total: int) -> LRScheduler:
    """Return torch's scheduler for `total` batches, `batches` per epoch."""
    match config:
        case Constant():
            return ConstantLR(optimizer, factor=1.0)
        case Step():
            return StepLR(optimizer, step_size=config.every, gamma=config.factor)
        case Plateau():
            return _plateau(optimizer, config.factor, config.patience)
        case Cosine():
            warmup = config.warmup_epochs * batches
            rise = LinearLR(optimizer, start_factor=1 / max(warmup, 1), total_iters=warmup)
            return _then_cosine(rise, optimizer, warmup, total)
        case FlatCosine():
            flat = ConstantLR(optimizer, factor=1.0)
            return _then_cosine(flat, optimizer, round(config.flat * total), total)
        case OneCycle():
            return _one_cycle(optimizer, config.warmup, total)


def _plateau(optimizer: Optimizer, factor: float, patience: int) -> ReduceLROnPlateau:
    # With the default `eps`, torch would not lower rates that are small already.
    return ReduceLROnPlateau(optimizer, mode="min", factor=factor, patience=patience, eps=0.0)


def _then_cosine(first: LRScheduler, optimizer: Optimizer, start: int, total: int) -> LRScheduler:
    """Run another scheduler up to batch `start`, then half a cosine wave down to 0 at `total`."""
    decay = CosineAnnealingLR(optimizer, T_max=max(total - start, 1))
    return SequentialLR(optimizer, [first, decay], milestones=[start])


def _one_cycle(optimizer: Optimizer, warmup: float, total: int) -> LRScheduler:
    # The rise and the fall need at least one batch each, or torch divides by zero.
    total = max(total, 3)
    return OneCycleLR(
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=total,
        pct_start=max(warmup, 2 / total),
        # Keep the recipe's momentum.
        cycle_momentum=False,
    )
