"""Training as one generator of epochs, for heads on cached features and for whole networks on images."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.special import expit
from torch.nn.utils.rnn import pad_sequence

from ichtune.errors import InputError
from ichtune.metrics import evaluate
from ichtune.models.heads import HeadState
from ichtune.models.network import Network
from ichtune.recipe import Recipe
from ichtune.training.batches import Batch, Fold, Part, Source, Step, in_batches, side_by_side
from ichtune.training.dropout import DropoutMasks
from ichtune.training.learner import Learner
from ichtune.training.losses import make_loss
from ichtune.training.predict import predict, whole_units
from ichtune.training.results import EpochResult, merge
from ichtune.training.samplers import make_sampler
from ichtune.training.units import SLICES, Units

PREDICTED_AT_ONCE = 256


def fit(
    network: Network,
    source: Source,
    labels: np.ndarray,
    folds: Sequence[Fold],
    recipe: Recipe,
    *,
    device: torch.device,
    resume: dict[str, Any] | None = None,
    micro_batches: int = 1,
    units: Units = SLICES,
) -> Iterator[EpochResult]:
    """Train the network's heads, one per fold, and yield one result per epoch.

    Folds that train side by side get the same numbers as each would alone. They share the backbone, so it must be
    frozen; `fit_folds_apart` trains backbones. Everything computed from data (balanced weights, the sampler's
    weights) uses only the fold's own training rows of `labels` `[N, 6]` (NaN = unknown).

    Randomness depends only on (seed, fold, epoch), so resuming from a result's `state()` reproduces the epochs that
    would have followed bit for bit (on a GPU, if its kernels are deterministic).

    Calling `network.set_trained` between two epochs changes what is trained from then on. Resuming after that needs
    a network with the same parameters trained.

    A batch consists of whole `units`. The recipe's batch size counts slices: of scans, a batch has as many as have
    that many slices on average in the fold's training part, at least one.

    Heads with `standard` normalisation that have no statistics yet take those of the fold's training part without
    augmentation, before the first epoch.

    If memory doesn't hold a whole batch, `micro_batches` splits each one, between its units. Their gradients add up
    to the batch's, within rounding; only trained batch normalisation sees them separately.

    Raises:
        InputError: a fold has no known label to train on.
        ValueError: the numbers of heads and folds differ, several folds share a trained backbone, or the state to
            resume belongs to other folds.
    """
    _check(network, labels, folds, units)
    training = _Training(network, source, labels, folds, recipe, device, micro_batches, units)
    if resume is None:
        training.normalise()
    else:
        training.load_state(resume)
    while training.epoch < recipe.training.epochs:
        yield training.next_epoch()


def fit_folds_apart(
    networks: Sequence[Network],
    source: Source,
    labels: np.ndarray,
    folds: Sequence[Fold],
    recipe: Recipe,
    *,
    device: torch.device,
    resume: dict[str, Any] | None = None,
    micro_batches: int = 1,
    units: Units = SLICES,
) -> Iterator[EpochResult]:
    """Train one network per fold, each with its own backbone and single head, taking turns epoch by epoch.

    Yields and raises the same as `fit`.
    """
    states = [None] * len(folds) if resume is None else resume["apart"]
    trainings = [
        fit(
            network,
            source,
            labels,
            [fold],
            recipe,
            device=device,
            resume=state,
            micro_batches=micro_batches,
            units=units,
        )
        for network, fold, state in zip(networks, folds, states, strict=True)
    ]
    for results in zip(*trainings, strict=True):
        yield merge(results)


def _check(network: Network, labels: np.ndarray, folds: Sequence[Fold], units: Units) -> None:
    if len(network.heads) != len(folds):
        raise ValueError(f"each fold needs one head, got {len(folds)} folds and {len(network.heads)} heads")
    for fold in folds:
        if np.isnan(labels[fold.train]).all():
            raise InputError(
                f"fold {fold.index}: none of its {len(fold.train)} training slices has a known label"
            )
        for rows in (fold.train, fold.valid):
            if units.batch(units.within(rows)).sizes.sum() != len(rows):
                raise ValueError(
                    f"fold {fold.index}: a part must consist of whole units, but cuts through some"
                )


class _Steps(NamedTuple):
    """What was recorded in the steps of an epoch, each `[steps, F]`."""

    counts: np.ndarray
    losses: np.ndarray
    grad_norms: np.ndarray
    lrs: np.ndarray


class _Training:
    """The state of `fit`, and the two halves of an epoch: training and validation."""

    def __init__(
        self,
        network: Network,
        source: Source,
        labels: np.ndarray,
        folds: Sequence[Fold],
        recipe: Recipe,
        device: torch.device,
        micro_batches: int,
        units: Units,
    ) -> None:
        self.epoch = 0
        self.micro_batches, self.units = micro_batches, units
        self.network = network.to(device)
        self.source, self.labels, self.folds, self.recipe, self.device = source, labels, folds, recipe, device
        self.loss = make_loss(recipe.loss, [labels[fold.train] for fold in folds], device)
        self.samplers = [
            make_sampler(recipe.sampler, fold, labels, recipe.training.seed, units) for fold in folds
        ]
        trained = [units.within(fold.train) for fold in folds]
        self.per_batch = [units.per_batch(each, recipe.training.batch_size) for each in trained]
        """How many units a batch of each fold has."""
        self.learners = [
            Learner(network.trained_parameters(head), recipe, len(in_batches(each, count)))
            for head, (each, count) in enumerate(zip(trained, self.per_batch, strict=True))
        ]
        self.valid_labels = [labels[fold.valid] for fold in folds]

    def next_epoch(self) -> EpochResult:
        self._follow_network()
        batches = [
            [self.units.batch(batch) for batch in in_batches(order(self.epoch), count)]
            for order, count in zip(self.samplers, self.per_batch, strict=True)
        ]
        self.network.heads.begin_epoch(self.epoch)
        with self._seeded():
            steps = self._train(batches)
        logits, losses = self._validate()
        for learner, loss in zip(self.learners, losses, strict=True):
            learner.lr.after_epoch(float(loss))
        self.epoch += 1
        return self._result(batches, steps, logits, losses)

    def _follow_network(self) -> None:
        """Make the learners train the parameters that the network trains now."""
        if self.network.trained_backbone and len(self.folds) > 1:
            raise ValueError(f"{len(self.folds)} folds would share one trained backbone: use fit_folds_apart")
        for head, learner in enumerate(self.learners):
            learner.train(self.network.trained_parameters(head))

    @torch.no_grad()
    def normalise(self) -> None:
        """Give each head the statistics of its fold's training part, if it normalises by them and has none."""
        normalization = self.network.heads.normalization
        for place, fold in enumerate(self.folds):
            if normalization.lacks_statistics(place):
                self.network.eval()
                chunks = (chunk.rows for chunk in whole_units(SLICES, fold.train, PREDICTED_AT_ONCE))
                inputs = (part.to(self.device) for part in self.source.batches(chunks, None))
                normalization.set_statistics(place, map(self.network.features, inputs))

    def _train(self, batches: list[list[Batch]]) -> _Steps:
        steps = side_by_side(batches)
        parts = [list(step.parts(self.micro_batches)) for step in steps]
        dropout = self._dropout()
        losses, norms, lrs = [], [], np.zeros((len(steps), len(batches)))
        self.network.train()
        inputs = self._inputs(parts)
        for step, its_parts, used in zip(steps, parts, lrs, strict=True):
            mask = dropout.draw(step.counts, self.network.heads.width).to(self.device) if dropout else None
            losses.append(self._backward(its_parts, inputs, mask))
            norms.append(self.network.gradient_norms())
            for head in np.flatnonzero(step.counts):
                used[head] = self.learners[head].step()
            self.network.zero_grad()
        counts = np.stack([step.counts for step in steps])
        return _Steps(counts, torch.stack(losses).cpu().numpy(), torch.stack(norms).cpu().numpy(), lrs)

    def _backward(
        self, parts: list[Part], inputs: Iterator[torch.Tensor], mask: torch.Tensor | None
    ) -> torch.Tensor:
        """Return the losses `[F]` of a step in parts, leaving their gradients in the parameters."""
        targets = [self._targets(part.step) for part in parts]
        total = self.loss.total(torch.cat(targets, dim=1))
        losses = torch.zeros(len(self.folds), device=self.device)
        for part, target in zip(parts, targets, strict=True):
            dropout = None if mask is None else part.of(mask)
            loss = self.loss(self.network(next(inputs), dropout, part.step.sizes), target, total)
            loss.sum().backward()
            losses += loss.detach()
        return losses

    def _inputs(self, parts: list[list[Part]]) -> Iterator[torch.Tensor]:
        rows = (part.step.rows.reshape(-1) for step in parts for part in step)
        return (inputs.to(self.device, non_blocking=True) for inputs in self.source.batches(rows, self.epoch))

    def _targets(self, step: Step) -> torch.Tensor:
        """Return the labels of a step `[F, B, 6]`; padding has unknown labels, so the loss ignores it."""
        targets = self.labels[step.rows]
        targets[np.arange(targets.shape[1]) >= step.counts[:, None]] = np.nan
        return torch.from_numpy(targets).to(self.device)

    def _dropout(self) -> DropoutMasks | None:
        rate, seed = self.recipe.model.dropout, self.recipe.training.seed
        return (
            DropoutMasks(rate, [fold.index for fold in self.folds], seed=seed, epoch=self.epoch)
            if rate
            else None
        )

    @contextmanager
    def _seeded(self) -> Generator[None]:
        """Seed torch's own random numbers, which stochastic depth in a backbone draws, like all others."""
        if not self.network.trained_backbone:
            yield
            return
        key = [*b"backbone", self.recipe.training.seed, self.folds[0].index, self.epoch]
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))
            yield

    def _validate(self) -> tuple[list[np.ndarray], np.ndarray]:
        """Return each fold's validation logits `[n_f, 6]`, and the losses `[F]`, NaN without a known label."""
        size = max(1, PREDICTED_AT_ONCE // self.micro_batches)
        logits = [
            predict(
                self.network,
                self.source,
                fold.valid,
                device=self.device,
                head=head,
                units=self.units,
                batch_size=size,
            )[0]
            for head, fold in enumerate(self.folds)
        ]
        labels = [torch.from_numpy(labels).to(self.device) for labels in self.valid_labels]
        losses = self.loss(
            pad_sequence(logits, batch_first=True),
            pad_sequence(labels, batch_first=True, padding_value=float("nan")),
        )
        known = [not np.isnan(labels).all() for labels in self.valid_labels]
        return [fold.cpu().numpy() for fold in logits], np.where(known, losses.cpu().numpy(), np.nan)

    def _result(
        self, batches: list[list[Batch]], steps: _Steps, logits: list[np.ndarray], losses: np.ndarray
    ) -> EpochResult:
        scores = [
            evaluate(expit(fold.astype(np.float64)), labels)
            for fold, labels in zip(logits, self.valid_labels, strict=True)
        ]
        taken = steps.counts > 0
        return EpochResult(
            epoch=self.epoch,
            metrics={name: np.array([score[name] for score in scores]) for name in scores[0]}
            | {"loss": losses},
            train_loss=_mean(steps.losses, steps.counts),
            # A fold takes part in the steps of an epoch until its batches are used up.
            lr=steps.lrs[taken.sum(axis=0) - 1, np.arange(len(batches))],
            mean_lr=_mean(steps.lrs, taken),
            class_mix=np.stack(
                [_prevalence(self.labels[np.concatenate([batch.rows for batch in fold])]) for fold in batches]
            ),
            grad_norm=_mean(steps.grad_norms, taken),
            trained_parameters=np.array(
                [sum(p.numel() for p in learner.parameters) for learner in self.learners]
            ),
            logits=logits,
            heads=self.head_states,
            state=self.state,
        )

    def head_states(self) -> list[HeadState]:
        return [self.network.heads.state(head) for head in range(len(self.folds))]

    def state(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "folds": [int(fold.index) for fold in self.folds],
            "network": self.network.trained_state(),
            "learners": [learner.state() for learner in self.learners],
        }

    def load_state(self, state: dict[str, Any]) -> None:
        indices = [fold.index for fold in self.folds]
        if state.get("folds") != indices:
            raise ValueError(f"resuming needs the state of folds {indices}, got that of {state.get('folds')}")
        self.epoch = state["epoch"]
        self.network.load_trained_state(state["network"])
        for learner, saved in zip(self.learners, state["learners"], strict=True):
            learner.load_state(saved)


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted mean over steps `[F]`; values with weight 0 don't matter, even NaN."""
    return np.where(weights > 0, values * weights, 0.0).sum(axis=0) / weights.sum(axis=0)


def _prevalence(labels: np.ndarray) -> np.ndarray:
    """Return the share of positives among each label's known values `[6]`; NaN if none is known."""
    positives, known = (labels > 0.5).sum(axis=0), (~np.isnan(labels)).sum(axis=0)
    return np.where(known > 0, positives / np.maximum(known, 1), np.nan)
