"""The plan of a retraining: a ranked trial's recipe, what changes in it, and where the model goes."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from analysis.promotion.choose import LR_DIVISOR
from analysis.ranking.differences import Difference, flat, head_misfit, recipe_differences
from analysis.ranking.order import Ranking
from analysis.ranking.trial import RankedTrial
from analysis.retraining.options import RetrainOptions
from analysis.scoring.searched import SearchedModel, searched_experiment
from ichtune.cross_validation import CrossValidation
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.metrics import evaluate
from ichtune.models.network import Network
from ichtune.options import options_of
from ichtune.recipe import Recipe
from ichtune.runs.folder import RunFolder
from ichtune.space import Space
from ichtune.training.batches import Fold
from ichtune.training.experiment import Experiment, folds_of, open_store, units_of
from ichtune.training.units import Units
from ichtune.wording import plain


@dataclass(frozen=True)
class RetrainPlan:
    """A fully checked retraining, before anything is written or computed."""

    ranking: Ranking
    options: RetrainOptions
    searched: SearchedModel
    recipe: Recipe
    """The recipe as it will be trained."""
    metric: str
    """The metric that chooses the best epoch."""

    @property
    def run(self) -> RunFolder:
        return self.ranking.run

    @property
    def experiment(self) -> Experiment:
        return self.searched.experiment

    @property
    def fold(self) -> Fold:
        return self.searched.fold

    @property
    def store(self) -> SliceStore:
        return self.searched.store

    @property
    def units(self) -> Units:
        """What the head reads at a time: slices or scans."""
        return units_of(self.store, self.recipe.head)

    @property
    def trial(self) -> str:
        """The name of the ranked trial."""
        return self.searched.trial.record.folder.name

    @property
    def label(self) -> str:
        return self.options.label or f"rank{self.options.rank}-{self.recipe.model.train}"

    @property
    def folder(self) -> Path:
        """The model's folder."""
        return self.run.path / "retrain" / self.label

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that the training depends on, as plain data by dotted key."""
        return flat(self.recipe) | {
            "metric": self.metric,
            "trial": self.trial,
            "fold": self.fold.index,
            "head": self.options.head,
            "store": self.store.fingerprint,
        }

    @cached_property
    def differences(self) -> list[Difference]:
        """All differences between this training and the search's training of the same recipe."""
        metric = Difference("metric", self.run.request.space.metric, self.metric)
        besides = (metric, self._head(), self._views(), self._selection())
        changed = [change for change in besides if change.searched != change.retrained]
        return recipe_differences(self.searched.recipe, self.recipe) + changed

    def _head(self) -> Difference:
        epoch, random = self.searched.trial.best_epoch.epoch, "random"
        warm = f"the search's for fold {self.fold.index} after epoch {epoch}"
        return Difference("head starts as", random, warm if self.options.head == "warm" else random)

    def _views(self) -> Difference:
        """The number of views: images show a new view of a slice every epoch, a smaller bank repeats its views."""
        epochs = self.recipe.training.epochs
        banked = self.searched.frozen and self.searched.recipe.augmentation != "normal"
        before = min(self.run.request.settings.views, self.searched.recipe.training.epochs)
        return Difference("augmented views of a slice", before if banked else epochs, epochs)

    def _selection(self) -> Difference:
        own = f"fold {self.fold.index}"
        validation = self.experiment.validation
        mean = own if validation.trainings == 1 else f"the mean over {validation} folds"
        return Difference("best epoch by", mean, own)

    @cached_property
    def notes(self) -> list[str]:
        """What to keep in mind when reading the comparison."""
        notes = [
            "the best epoch was chosen on the validation part, so scores there are optimistic; "
            "nothing was chosen on the test set"
        ]
        if not self.searched.frozen:
            model = self.searched.recipe.model
            notes.append(
                f"the search trained the backbone ({model.train}) but kept only the heads: the retraining's backbone "
                f"starts from {model.weights} weights again, and the search's own model has its recorded validation "
                "scores but no test scores"
            )
        if self.recipe.head.reads_scans:
            size = self.recipe.training.batch_size
            scans = self.units.per_batch(self.units.within(self.fold.train), size)
            notes.append(
                f"the {self.recipe.head.name} head reads whole scans: a batch of about {size} slices is {scans} "
                f"{'scan' if scans == 1 else 'scans'}, so batch normalisation sees few patients at a time"
            )
        if not len(self.store.test):
            notes.append("the store has no test set, because it was prepared with --test-fraction 0")
        return notes

    def network(self) -> Network:
        """The network at the start of the training."""
        network = self.experiment.network(self.recipe, self.fold)
        if self.options.head == "warm":
            network.heads.load(0, self.searched.head)
        return network

    def refuse_taken_label(self) -> None:
        """Refuse a label that is taken.

        Raises:
            InputError: there is already a model with this label.
        """
        if self.folder.exists():
            raise InputError(
                f"{self.folder}: there is already a model with this label; choose another --label"
            )


def plan(run: RunFolder | str | Path, options: RetrainOptions | None = None) -> RetrainPlan:
    """Check a request for a retraining and return its plan.

    Raises:
        InputError: there is no search to start from, the store is not the search's, a rank, fold, setting or label
            can't be used, or pretrained weights are unavailable.
    """
    options = options or RetrainOptions()
    _ = options.wanted
    ranking = Ranking.of(run)
    trial = _ranked(ranking, options.rank)
    recipe = trial.record.recipe
    experiment = searched_experiment(ranking.run.request, recipe)
    searched = SearchedModel(trial, recipe, experiment, _fold(experiment, options.fold))
    changed = _changed(recipe, ranking.metric, options)
    made = RetrainPlan(ranking, options, searched, changed.recipe({}), changed.metric)
    _check_label(made)
    _check_head(made)
    _check_metric(made)
    return made


def _ranked(ranking: Ranking, rank: int) -> RankedTrial:
    count = len(ranking.trials)
    if not 1 <= rank <= count:
        raise InputError(
            f"--rank: {ranking.run.path} has {count} ranked trials, so choose 1 to {count}, got {rank}"
        )
    return ranking.trials[rank - 1]


def _fold(experiment: Experiment, index: int) -> Fold:
    folds = folds_of(open_store(experiment.store), CrossValidation(experiment.validation.folds))
    if not 0 <= index < len(folds):
        raise InputError(f"--fold: the search has folds 0 to {len(folds) - 1}, got {index}")
    return folds[index]


def _changed(recipe: Recipe, metric: str, options: RetrainOptions) -> Space:
    """The recipe and its metric with all changes, as a space without dimensions."""
    frozen = recipe.model.train == "frozen"
    changes: dict[str, Any] = {
        option.recipe_key: value
        for option in options_of(RetrainOptions)
        if option.recipe_key and (value := getattr(options, option.name)) is not None
    }
    if frozen and options.lr is None:
        changes["optimizer.lr"] = recipe.optimizer.lr / LR_DIVISOR
    changes |= options.changes
    searched = {"name": "retrain", "metric": metric, **recipe.model_dump(mode="json")}
    space = Space.parse(searched, "retrain").changed(changes)
    if space.dimensions:
        raise InputError(
            f"--set {space.dimensions[0].name}: a retraining has a single recipe; give a single value"
        )
    return space


def _check_label(plan: RetrainPlan) -> None:
    if Path(plan.label).name != plan.label or plan.label.startswith("."):
        raise InputError(
            f"--label: {plan.label!r} must be a plain folder name, without a path or a leading dot"
        )
    plan.refuse_taken_label()


def _check_head(plan: RetrainPlan) -> None:
    """Refuse a head that was trained on another backbone, or that can't be read."""
    warm = plan.options.head == "warm"
    misfit = head_misfit(plan.searched.recipe, plan.recipe)
    if warm and misfit:
        raise InputError(
            f"{misfit.what}: the search's head was trained with {plain(misfit.searched)}, so it can't be used with "
            f"{plain(misfit.retrained)}; use --head fresh"
        )
    _ = plan.units
    if warm or plan.searched.frozen:
        _ = plan.searched.head


def _check_metric(plan: RetrainPlan) -> None:
    labels = plan.store.labels[plan.fold.valid]
    scores = evaluate(np.zeros(labels.shape), labels)
    scores["loss"] = scores["weighted_log_loss"]  # one is defined if and only if the other is
    if np.isnan(scores[plan.metric]):
        raise InputError(
            f"--fold: {plan.metric} is undefined on fold {plan.fold.index}, where no label has both positives and "
            "negatives; choose another --fold, or --set metric=loss"
        )
