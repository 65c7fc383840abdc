"""The optimizer steps of an epoch, for all folds side by side."""

import math
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import NamedTuple

import numpy as np
import torch

from ichtune.models.network import Network
from ichtune.recipe import Recipe
from ichtune.training.batches import Batch, Fold, Part, Source, Step, side_by_side
from ichtune.training.dropout import DropoutMasks
from ichtune.training.learner import Learner
from ichtune.training.losses import MaskedLoss
from ichtune.training.mixup import Mix, MixedInputs, Mixup
from ichtune.training.shared_batch_norm import SharedBatchNorm
from ichtune.training.team import ALONE, Team


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
        team: Team = ALONE,
    ) -> None:
        self.team = team
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
        parts = [list(step.parts(self.micro_batches * self.team.size)) for step in steps]
        dropout, mixes = self._dropout(epoch), self._mixes(steps, epoch)
        losses, norms, lrs = [], [], np.zeros((len(steps), len(batches)))
        self.network.train()
        inputs = self._inputs([self.team.share(its) for its in parts], mixes, epoch)
        for step, its_parts, mix, used in zip(steps, parts, mixes, lrs, strict=True):
            mask = dropout.draw(step.counts, self.network.heads.width).to(self.device) if dropout else None
            losses.append(self._backward(its_parts, mix, inputs, mask))
            self._add_up_gradients(learners)
            norms.append(self.network.gradient_norms())
            for head in np.flatnonzero(step.counts):
                used[head] = learners[head].step()
            self.network.zero_grad()
        counts = np.stack([step.counts for step in steps])
        shares = torch.stack(losses)
        self.team.add_up([shares])
        return StepRecords(counts, shares.cpu().numpy(), torch.stack(norms).cpu().numpy(), lrs)

    def _backward(
        self, parts: list[Part], mix: Mix | None, inputs: Iterator[torch.Tensor], mask: torch.Tensor | None
    ) -> torch.Tensor:
        """Return the losses `[F]` of this member's share of a step, leaving their gradients in the parameters."""
        targets = [self._targets(part, mix) for part in parts]
        total = self.loss.total(torch.cat([first for (first, _), *_ in targets], dim=1))
        losses = torch.zeros(len(self.fold_numbers), device=self.device)
        own = self.team.share(list(zip(parts, targets, strict=True)))
        for part, its_targets in own:
            dropout = None if mask is None else part.of(mask)
            images = next(inputs)
            with self._together():
                logits = self.network(images, dropout, part.step.sizes)
            shares = [share * self.loss(logits, target, total) for target, share in its_targets]
            loss = torch.stack(shares).sum(dim=0)
            loss.sum().backward()
            losses += loss.detach()
        if self.network.trains_batch_norm and len(own) < math.ceil(len(parts) / self.team.size):
            self._lend_statistics()
        return losses

    def _together(self) -> AbstractContextManager[object]:
        """Let batch normalisation see the parts of all members."""
        return SharedBatchNorm() if self.team.size > 1 else nullcontext()

    def _lend_statistics(self) -> None:
        """Take part in the batch normalisation of the others' last parts without images of one's own."""
        size = self.recipe.model.size
        with self._together():
            none = torch.zeros(0, self.recipe.model.channels, size, size, device=self.device)
            self.network.features(none).sum().backward()

    def _add_up_gradients(self, learners: Sequence[Learner]) -> None:
        """Give every member the gradients of whole batches; one without a part of a batch has none of its own."""
        if self.team.size == 1:
            return
        parameters = list(dict.fromkeys(p for learner in learners for p in learner.parameters))
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        self.team.add_up([parameter.grad for parameter in parameters if parameter.grad is not None])

    def _inputs(
        self, parts: Sequence[Sequence[Part]], mixes: Sequence[Mix | None], epoch: int
    ) -> Iterator[torch.Tensor]:
        """Yield the inputs of every part of every step, mixed if the step has a mix."""
        pairs = [(part, mix) for step, mix in zip(parts, mixes, strict=True) for part in step]
        mixed = [None if mix is None else MixedInputs(part, mix) for part, mix in pairs]
        rows = [
            part.step.rows.reshape(-1) if one is None else one.rows
            for (part, _), one in zip(pairs, mixed, strict=True)
        ]
        for inputs, one in zip(self.source.batches(rows, epoch), mixed, strict=True):
            there = inputs.to(self.device, non_blocking=True)
            yield there if one is None else one(there)

    def _targets(self, part: Part, mix: Mix | None) -> list[tuple[torch.Tensor, torch.Tensor | float]]:
        """Return the labels of a part `[F, B, 6]`, each with the share `[F]` of its loss.

        Padding has unknown labels, so the loss ignores it. The loss of a mixture is the mixture of the losses, as in
        the authors' code of mixup; for bce it is the loss of the mixed labels. A label is known if both slices have it.
        """
        own = self._labels(part.step.rows, part.step.counts)
        if mix is None:
            return [(own, 1.0)]
        partners = part.of(torch.from_numpy(mix.partners)).numpy()
        other = self._labels(partners, part.step.counts)
        share = torch.from_numpy(mix.share).to(self.device)
        unknown = own.isnan() | other.isnan()
        return [
            (own.masked_fill(unknown, torch.nan), share),
            (other.masked_fill(unknown, torch.nan), 1 - share),
        ]

    def _labels(self, rows: np.ndarray, counts: np.ndarray) -> torch.Tensor:
        """Return the labels of rows `[F, B, 6]`, unknown beyond the first `counts` `[F]`."""
        labels = self.labels[rows]
        labels[np.arange(labels.shape[1]) >= counts[:, None]] = np.nan
        return torch.from_numpy(labels).to(self.device)

    def _mixes(self, steps: Sequence[Step], epoch: int) -> Sequence[Mix | None]:
        alpha, seed = self.recipe.training.mixup, self.recipe.training.seed
        if not alpha:
            return [None] * len(steps)
        mixup = Mixup(alpha, self.fold_numbers, seed=seed, epoch=epoch)
        return [mixup.draw(step) for step in steps]

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
        key += [self.team.rank] if self.team.rank else []  # members draw for different slices
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))
            yield


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted mean over steps `[F]`; values with weight 0 don't matter, even NaN."""
    return np.where(weights > 0, values * weights, 0.0).sum(axis=0) / weights.sum(axis=0)
