"""A trial's model from a search, reassembled from what the run kept: heads on a frozen backbone's features."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from analysis.ranking.trial import RankedTrial
from analysis.scoring.comparison import ModelScores, Part, score
from analysis.scoring.frozen import FrozenPredictor, kept_head
from ichtune.bank.plan import plan_parts
from ichtune.data.store import SliceStore
from ichtune.models.heads import HeadState
from ichtune.progress import Report
from ichtune.recipe import Recipe
from ichtune.runs.request import SearchRequest
from ichtune.training.batches import Fold
from ichtune.training.experiment import Experiment, open_store
from ichtune.training.losses import make_loss


@dataclass(frozen=True)
class SearchedModel:
    """A trial's model for one fold, as it was after the trial's best epoch."""

    trial: RankedTrial
    recipe: Recipe
    experiment: Experiment
    fold: Fold

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
    def head(self) -> HeadState:
        """The fold's head, in the format of `Heads.load`; see `kept_head`."""
        return kept_head(self.trial, self.fold)

    @property
    def recorded(self) -> dict[str, float]:
        """The fold's validation metrics as recorded by the search."""
        folds = self.trial.best_epoch.folds
        return {name: values[self.fold.index] for name, values in folds.items()}

    @property
    def history(self) -> list[dict[str, Any]]:
        """One record per epoch: `epoch`, `train_loss`, and the fold's metrics as `validation`."""
        kept = ("epoch", "train_loss", "validation")
        whole = (epoch.of_fold(self.fold.index) for epoch in self.trial.record.epochs)
        return [{name: epoch[name] for name in kept} for epoch in whole]

    def scores(self, parts: list[Part], device: torch.device, report: Report) -> ModelScores:
        """The scores on all parts for a frozen backbone; otherwise the recorded ones, on the validation part only.

        The frozen backbone's features come from the bank; missing ones are computed.
        """
        if not self.frozen:
            return ModelScores(self.trial.best_epoch.trained_parameters, {"validation": self.recorded})
        frozen = FrozenPredictor.load(self.trial, self.experiment, [self.fold], device, report)
        loss = make_loss(self.recipe.loss, [self.store.labels[self.fold.train]], torch.device("cpu"))
        by_part = {part.name: score(frozen.logits(part.rows)[0], part.labels, loss) for part in parts}
        return ModelScores(frozen.trained_parameters, by_part)

    def departures(self, scores: ModelScores) -> list[str]:
        """A note if the scores differ from the recorded ones because recomputed features differ."""
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
    return Experiment(store.path, tuple(parts), request.validation, settings.seed)


def _close(one: float, other: float) -> bool:
    return math.isclose(one, other, abs_tol=1e-3) or (math.isnan(one) and math.isnan(other))
