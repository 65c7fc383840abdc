"""The optimizer steps of an epoch, for all folds side by side."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch

from ichtune.models.network import Network
from ichtune.recipe import Recipe
from ichtune.training.batches import Batch, Fold, Part, Source, Step, side_by_side
from ichtune.training.dropout import DropoutMasks
from ichtune.training.learner import Learner
from ichtune.training.losses import MaskedLoss


class StepRecords(NamedTuple):
    """What was recorded in the steps of an epoch, each `[steps, F]`."""

    counts: np.ndarray
    """The number of rows; a fold takes part in steps until its batches are used up."""
    losses: np.ndarray
    grad_norms: np.ndarray
    lrs: np.ndarray

    @property
    def mean_loss(self) -> np.ndarray:
        """The mean over the epoch's rows `[F]`."""
        return _mean(self.losses, self.counts)

    @property
    def mean_grad_norm(self) -> np.ndarray:
        return _mean(self.grad_norms, self.counts > 0)

    @property
    def mean_lr(self) -> np.ndarray:
        return _mean(self.lrs, self.counts > 0)

    @property
    def last_lr(self) -> np.ndarray:
        """The learning rate of each fold's last step `[F]`."""
        return self.lrs[(self.counts > 0).sum(axis=0) - 1, np.arange(self.lrs.shape[1])]


class Stepper:
    """Takes the steps of an epoch's batches with a network, whose heads are those of the folds."""

    def __init__(
        self,
        network: Network,
        source: Source,
        labels: np.ndarray,
        folds: Sequence[Fold],
        recipe: Recipe,
        loss: MaskedLoss,
        *,
        device: torch.device,
        micro_batches: int,
    ) -> None:
        self.network, self.source, self.labels, self.loss = network, source, labels, loss
        self.recipe, self.device, self.micro_batches = recipe, device, micro_batches
        self.fold_numbers = [fold.index for fold in folds]

    def run(self, batches: list[list[Batch]], learners: Sequence[Learner], epoch: int) -> StepRecords:
        """Train on the batches of each fold in the epoch (counted from 0)."""
        self.network.heads.begin_epoch(epoch)
        with self._seeded(epoch):
            return self._run(batches, learners, epoch)

    def _run(self, batches: list[list[Batch]], learners: Sequence[Learner], epoch: int) -> StepRecords:
        steps = side_by_side(batches)
        parts = [list(step.parts(self.micro_batches)) for step in steps]
        dropout = self._dropout(epoch)
        losses, norms, lrs = [], [], np.zeros((len(steps), len(batches)))
        self.network.train()
        inputs = self._inputs(parts, epoch)
        for step, its_parts, used in zip(steps, parts, lrs, strict=True):
            mask = dropout.draw(step.counts, self.network.heads.width).to(self.device) if dropout else None
            losses.append(self._backward(its_parts, inputs, mask))
            norms.append(self.network.gradient_norms())
            for head in np.flatnonzero(step.counts):
                used[head] = learners[head].step()
            self.network.zero_grad()
        counts = np.stack([step.counts for step in steps])
        return StepRecords(counts, torch.stack(losses).cpu().numpy(), torch.stack(norms).cpu().numpy(), lrs)

    def _backward(
        self, parts: list[Part], inputs: Iterator[torch.Tensor], mask: torch.Tensor | None
    ) -> torch.Tensor:
        """Return the losses `[F]` of a step in parts, leaving their gradients in the parameters."""
        targets = [self._targets(part.step) for part in parts]
        total = self.loss.total(torch.cat(targets, dim=1))
        losses = torch.zeros(len(self.fold_numbers), device=self.device)
        for part, target in zip(parts, targets, strict=True):
            dropout = None if mask is None else part.of(mask)
            loss = self.loss(self.network(next(inputs), dropout, part.step.sizes), target, total)
            loss.sum().backward()
            losses += loss.detach()
        return losses

    def _inputs(self, parts: list[list[Part]], epoch: int) -> Iterator[torch.Tensor]:
        rows = (part.step.rows.reshape(-1) for step in parts for part in step)
        return (inputs.to(self.device, non_blocking=True) for inputs in self.source.batches(rows, epoch))

    def _targets(self, step: Step) -> torch.Tensor:
        """Return the labels of a step `[F, B, 6]`; padding has unknown labels, so the loss ignores it."""
        targets = self.labels[step.rows]
        targets[np.arange(targets.shape[1]) >= step.counts[:, None]] = np.nan
        return torch.from_numpy(targets).to(self.device)

    def _dropout(self, epoch: int) -> DropoutMasks | None:
        rate, seed = self.recipe.model.dropout, self.recipe.training.seed
        return DropoutMasks(rate, self.fold_numbers, seed=seed, epoch=epoch) if rate else None

    @contextmanager
    def _seeded(self, epoch: int) -> Generator[None]:
        """Seed torch's own random numbers, which stochastic depth in a backbone draws, like all others."""
        if not self.network.trained_backbone:
            yield
            return
        key = [*b"backbone", self.recipe.training.seed, self.fold_numbers[0], epoch]
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))
            yield


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted mean over steps `[F]`; values with weight 0 don't matter, even NaN."""
    return np.where(weights > 0, values * weights, 0.0).sum(axis=0) / weights.sum(axis=0)
