"""A trial's model from a search, reassembled from what the run kept: heads on a frozen backbone's features."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from analysis.ranking.trial import RankedTrial
from analysis.scoring.comparison import ModelScores, Part
from analysis.scoring.frozen import FrozenPredictor, kept_head
from analysis.scoring.predicted import Predicted, mean_history
from ichtune.bank.plan import plan_parts
from ichtune.data.store import SliceStore
from ichtune.labels import LABELS
from ichtune.metrics import nan_mean
from ichtune.models.heads import HeadState
from ichtune.progress import Report
from ichtune.recipe import Recipe
from ichtune.runs.records import EpochRecord
from ichtune.runs.request import SearchRequest
from ichtune.training.batches import Fold
from ichtune.training.experiment import Experiment, open_store


@dataclass(frozen=True)
class SearchedModel:
    """A trial's models for one or more folds, as they were after the trial's best epoch.

    Validation slices of several folds are scored as in a ranking: each fold at the epoch that the other folds chose.
    """

    trial: RankedTrial
    recipe: Recipe
    experiment: Experiment
    folds: tuple[Fold, ...]

    @property
    def store(self) -> SliceStore:
        return open_store(self.experiment.store)

    @property
    def name(self) -> str:
        """Its name in tables: `frozen`, or `searched` if the search trained the backbone too."""
        return "frozen" if self.frozen else "searched"

    @property
    def frozen(self) -> bool:
        """Whether the backbone was frozen. Trained backbones are not kept, so only their recorded scores are known."""
        return self.recipe.model.train == "frozen"

    @cached_property
    def heads(self) -> list[HeadState]:
        """The folds' heads, in the format of `Heads.load`; see `kept_head`."""
        return [kept_head(self.trial, fold) for fold in self.folds]

    @cached_property
    def scored(self) -> list[EpochRecord]:
        """The epoch that each fold is scored at."""
        if len(self.folds) == 1 or (self.frozen and self._kept is None):
            return [self.trial.best_epoch] * len(self.folds)
        return [self.trial.scores.epochs[fold.index] for fold in self.folds]

    @cached_property
    def _kept(self) -> np.ndarray | None:
        """The search's predictions at the epochs that the other folds chose, `[N, 6]`; None for a single fold."""
        logits = self.trial.logits if len(self.folds) > 1 else None
        return logits if logits is None or logits.ndim == 2 else logits[0]

    @property
    def recorded(self) -> dict[str, float]:
        """The mean of the folds' validation metrics, as recorded by the search."""
        each = list(zip(self.folds, self.scored, strict=True))
        return {
            name: nan_mean(np.array([epoch.folds[name][fold.index] for fold, epoch in each]))
            for name in self.trial.best_epoch.folds
        }

    @property
    def history(self) -> list[dict[str, Any]]:
        """One record per epoch: `epoch`, `train_loss` and the metrics as `validation`, means over the folds."""
        return mean_history(
            [[epoch.of_fold(fold.index) for epoch in self.trial.record.epochs] for fold in self.folds]
        )

    def predicted(self, device: torch.device, report: Report) -> Predicted | None:
        """What a frozen backbone's heads predict; None if the backbone was trained, as it was not kept.

        The frozen backbone's features come from the bank; missing ones are computed.
        """
        if not self.frozen:
            return None
        frozen = FrozenPredictor.load(self.trial, self.experiment, self.folds, device, report)
        validation = [self._of_fold(place, frozen)[None] for place in range(len(self.folds))]
        test = frozen.logits(self.store.test) if len(self.store.test) else None
        epochs = tuple(epoch.epoch for epoch in self.scored)
        return Predicted(validation, test, frozen.trained_parameters, epochs)

    def _of_fold(self, place: int, frozen: FrozenPredictor) -> np.ndarray:
        """Logits of a fold's validation slices, float32 `[n_f, 6]`."""
        rows = self.folds[place].valid
        if self._kept is not None:
            return self._kept[rows].astype(np.float32)
        return frozen.logits(rows)[place] if len(rows) else np.empty((0, len(LABELS)), np.float32)

    def scores(self, predicted: Predicted | None, test: Part | None) -> ModelScores:
        """The scores of what the models predict or, if that isn't known, the recorded ones in validation."""
        if predicted is None:
            return ModelScores(self.trial.best_epoch.trained_parameters, {"validation": self.recorded})
        return predicted.scores(self.folds, self.store.labels, test, self.recipe.loss)

    def departures(self, scores: ModelScores) -> list[str]:
        """A note if the scores differ from the recorded ones because recomputed features differ."""
        if self._kept is not None:
            return []
        valid = scores.parts["validation"]
        apart = [
            f"{name} {value:.4f} then, {valid[name]:.4f} now"
            for name, value in self.recorded.items()
            if name in valid and not _close(value, valid[name])
        ]
        return (
            [f"the search's model no longer reproduces its recorded scores: {', '.join(apart)}"]
            if apart
            else []
        )


def searched_experiment(request: SearchRequest, recipe: Recipe) -> Experiment:
    """The search's experiment, with the part of the bank that its frozen model needs.

    Raises:
        InputError: the store is gone, or is not the one that was searched on.
    """
    store, settings, parts = request.open_store(), request.settings, []
    if recipe.model.train == "frozen":
        parts = plan_parts(
            store,
            [recipe.model],
            ["normal"],
            views=1,
            seed=settings.seed,
            precision=recipe.training.precision,
            engine=settings.engine,
            bank=settings.bank,
        )
    return Experiment(store.place, tuple(parts), request.validation, settings.seed)


def _close(one: float, other: float) -> bool:
    return math.isclose(one, other, abs_tol=1e-3) or (math.isnan(one) and math.isnan(other))
