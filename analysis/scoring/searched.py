"""The model that a search had of a trial's fold: its head and its scores, put together from what the run kept."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from analysis.ranking.trial import RankedTrial
from analysis.scoring.comparison import ModelScores, Part, score
from ichtune.bank.build import build
from ichtune.bank.plan import plan_parts
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.models.heads import HeadState, make_heads
from ichtune.models.heads.saved import unpack
from ichtune.models.network import Network
from ichtune.progress import Report
from ichtune.recipe import Recipe
from ichtune.runs.request import SearchRequest
from ichtune.training.batches import Fold
from ichtune.training.experiment import Experiment, open_store
from ichtune.training.losses import make_loss
from ichtune.training.predict import predict


@dataclass(frozen=True)
class SearchedModel:
    """A trial's model of one fold, as it was after the trial's best epoch."""

    trial: RankedTrial
    recipe: Recipe
    experiment: Experiment
    fold: Fold

    @property
    def store(self) -> SliceStore:
        return open_store(self.experiment.store)

    @property
    def name(self) -> str:
        """What a table calls it: `frozen`, or `searched` where the search trained the backbone too."""
        return "frozen" if self.frozen else "searched"

    @property
    def frozen(self) -> bool:
        """Whether the backbone was frozen. A trained one was not kept, so that model is known by its record alone."""
        return self.recipe.model.train == "frozen"

    @cached_property
    def head(self) -> HeadState:
        """The fold's head, as `Heads.load` takes it.

        Raises:
            InputError: the trial kept no head, or its file is damaged.
        """
        file = self.trial.record.folder / "best.safetensors"
        if not file.is_file():
            raise InputError(
                f"{file.parent}: the trial kept no head, as its score was never defined; choose another --rank"
            )
        try:
            return unpack(load_file(file), self.fold.index)
        except (SafetensorError, KeyError) as error:
            raise InputError(f"{file}: damaged ({error}); choose another --rank") from None

    @property
    def recorded(self) -> dict[str, float]:
        """The fold's validation metrics as the search wrote them down."""
        folds = self.trial.best_epoch.folds
        return {name: values[self.fold.index] for name, values in folds.items()}

    @property
    def history(self) -> list[dict[str, Any]]:
        """A record an epoch: `epoch`, `train_loss`, and the fold's metrics as `validation`."""
        kept = ("epoch", "train_loss", "validation")
        whole = (epoch.of_fold(self.fold.index) for epoch in self.trial.record.epochs)
        return [{name: epoch[name] for name in kept} for epoch in whole]

    def scores(self, parts: list[Part], device: torch.device, report: Report) -> ModelScores:
        """Of a frozen backbone on all parts; else the recorded ones, which are of the validation part alone.

        The frozen backbone's features come from the bank, and are computed where it lacks them.
        """
        if not self.frozen:
            return ModelScores(self.trial.best_epoch.trained_parameters, {"validation": self.recorded})
        build(self.experiment.parts, progress=report)
        source = self.experiment.features(self.recipe.model_copy(update={"augmentation": "normal"}))
        network = Network(None, make_heads(self.recipe, source.width, [self.fold.index])).to(device)
        network.heads.load(0, self.head)
        loss = make_loss(self.recipe.loss, [self.store.labels[self.fold.train]], torch.device("cpu"))

        def scores(part: Part) -> dict[str, float]:
            logits = predict(network, source, part.rows, device=device, head=0)[0]
            return score(logits.cpu().numpy(), part.labels, loss)

        by_part = {part.name: scores(part) for part in parts}
        trained = sum(parameter.numel() for parameter in network.heads.parameters_of(0))
        return ModelScores(trained, by_part)

    def departures(self, scores: ModelScores) -> list[str]:
        """A note if the scores are not the recorded ones: the features were computed anew and came out otherwise."""
        valid = scores.parts["validation"]
        apart = [
            f"{name} {value:.4f} then, {valid[name]:.4f} now"
            for name, value in self.recorded.items()
            if name in valid and not _close(value, valid[name])
        ]
        return (
            [f"the search's model no longer scores as it did in the search: {', '.join(apart)}"]
            if apart
            else []
        )


def searched_experiment(request: SearchRequest, recipe: Recipe) -> Experiment:
    """The search's experiment, with what of the bank it takes to score its model of a frozen backbone.

    Raises:
        InputError: the store is gone, or not the one that was searched on.
    """
    store, seed, bank, parts = request.open_store(), request.settings.seed, request.settings.bank, []
    if recipe.model.train == "frozen":
        precision = recipe.training.precision
        parts = plan_parts(
            store, [recipe.model], ["normal"], views=1, seed=seed, precision=precision, bank=bank
        )
    return Experiment(store.path, tuple(parts), request.folds, seed)


def _close(one: float, other: float) -> bool:
    return math.isclose(one, other, abs_tol=1e-3) or (math.isnan(one) and math.isnan(other))
