"""The state of a training between epochs, and what an epoch consists of."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Final

import numpy as np
import torch
from scipy.special import expit

from ichtune.metrics import evaluate
from ichtune.models.heads import HeadState
from ichtune.models.network import Network
from ichtune.recipe import Recipe, phases_of
from ichtune.training.batches import Batch, Fold, Source, in_batches
from ichtune.training.learner import Learner
from ichtune.training.losses import make_loss
from ichtune.training.parameter_groups import parameter_groups
from ichtune.training.predict import whole_units
from ichtune.training.results import EpochResult
from ichtune.training.samplers import make_sampler
from ichtune.training.steps import Stepper, StepRecords
from ichtune.training.team import ALONE, Team
from ichtune.training.units import SLICES, Units
from ichtune.training.validation import validate

PREDICTED_AT_ONCE: Final = 256


class Trainer:
    """Trains and validates all folds epoch by epoch; see `fit`."""

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
        team: Team = ALONE,
    ) -> None:
        self.epoch = 0
        """Number of finished epochs."""
        self.micro_batches, self.units, self.team = micro_batches, units, team
        self.network = network.to(device)
        self.source, self.labels, self.folds, self.device = source, labels, folds, device
        self.loss = make_loss(recipe.loss, [labels[fold.train] for fold in folds], device)
        trained = [units.within(fold.train) for fold in folds]
        self.per_batch = [units.per_batch(each, recipe.training.batch_size) for each in trained]
        """How many units a batch of each fold has."""
        steps = recipe.training.steps
        self.samplers = [
            make_sampler(
                recipe.sampler,
                fold,
                labels,
                recipe.training.seed,
                units,
                per_epoch=steps and steps * count,
            )
            for fold, count in zip(folds, self.per_batch, strict=True)
        ]
        self.batches = [
            steps or len(in_batches(each, count)) for each, count in zip(trained, self.per_batch, strict=True)
        ]
        """How many batches an epoch of each fold has."""
        self.phases, self.decay = phases_of(recipe), recipe.training.average
        self.finetuning = recipe.finetuning
        self.phase = 0
        self.learners = self._begun(self.phase)
        self.stepper = Stepper(
            network,
            source,
            labels,
            folds,
            recipe,
            self.loss,
            device=device,
            micro_batches=micro_batches,
            team=team,
        )

    def _begun(self, phase: int) -> list[Learner]:
        """Begin a phase: return the folds' learners."""
        its = self.phases[phase]
        if len(self.phases) > 1:
            self.network.set_trained(its.train)
        return [
            Learner(
                parameter_groups(self.network, head, its.optimizer.lr, self.finetuning),
                self.network.trained_statistics,
                its,
                batches=batches,
                decay=self.decay,
            )
            for head, batches in enumerate(self.batches)
        ]

    def _enter(self, phase: int) -> None:
        if phase != self.phase:
            self.phase, self.learners = phase, self._begun(phase)

    def next_epoch(self) -> EpochResult:
        self._enter(self._phase_at(self.epoch))
        batches = [
            [self.units.batch(batch) for batch in in_batches(order(self.epoch), count)]
            for order, count in zip(self.samplers, self.per_batch, strict=True)
        ]
        with ExitStack() as averages:
            for learner in self.learners:
                averages.enter_context(learner.training())
            steps = self.stepper.run(batches, self.learners, self.epoch)
        logits, losses = validate(
            self.network,
            self.source,
            self.labels,
            self.folds,
            self.loss,
            units=self.units,
            batch_size=max(1, PREDICTED_AT_ONCE // (self.micro_batches * self.team.size)),
            team=self.team,
        )
        for learner, loss in zip(self.learners, losses, strict=True):
            learner.lr.after_epoch(float(loss))
        self.epoch += 1
        return self._result(batches, steps, logits, losses)

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

    def _result(
        self, batches: list[list[Batch]], steps: StepRecords, logits: list[np.ndarray], losses: np.ndarray
    ) -> EpochResult:
        scores = [
            evaluate(expit(own.astype(np.float64)), self.labels[fold.valid])
            for own, fold in zip(logits, self.folds, strict=True)
        ]
        drawn = [self.labels[np.concatenate([batch.rows for batch in fold])] for fold in batches]
        return EpochResult(
            epoch=self.epoch,
            metrics={name: np.array([score[name] for score in scores]) for name in scores[0]}
            | {"loss": losses},
            train_loss=steps.mean_loss,
            lr=steps.last_lr,
            mean_lr=steps.mean_lr,
            class_mix=np.stack(list(map(_prevalence, drawn))),
            grad_norm=steps.mean_grad_norm,
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
        self._enter(self._phase_at(self.epoch - 1))
        self.network.load_trained_state(state["network"])
        for learner, saved in zip(self.learners, state["learners"], strict=True):
            learner.load_state(saved)

    def _phase_at(self, epoch: int) -> int:
        """Return which phase an epoch, counted from 0, belongs to."""
        ends = np.cumsum([phase.epochs for phase in self.phases])
        return int(np.searchsorted(ends, epoch, side="right"))


def _prevalence(labels: np.ndarray) -> np.ndarray:
    """Return the share of positives among each label's known values `[6]`; NaN if none is known."""
    positives, known = (labels > 0.5).sum(axis=0), (~np.isnan(labels)).sum(axis=0)
    return np.where(known > 0, positives / np.maximum(known, 1), np.nan)
