"""The plan of a retraining: a ranked trial's recipe, what changes in it, and where the model goes."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from analysis.promotion.choose import LR_DIVISOR
from analysis.ranking.differences import Difference, flat, head_misfit, recipe_differences
from analysis.ranking.order import Ranking
from analysis.ranking.trial import RankedTrial
from analysis.retraining.factorial import combinations
from analysis.retraining.member import Member
from analysis.retraining.options import RetrainOptions
from analysis.scoring.searched import SearchedModel, searched_experiment
from ichtune.cross_validation import CrossValidation
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.metrics import evaluate
from ichtune.options import options_of
from ichtune.recipe import Recipe
from ichtune.runs.folder import RunFolder
from ichtune.space import Space
from ichtune.space.phases import space_data
from ichtune.training.batches import Fold
from ichtune.training.experiment import Experiment, folds_of, open_store, units_of
from ichtune.wording import not_one_of, plain, plural


@dataclass(frozen=True)
class RetrainPlan:
    """A fully checked retraining, before anything is written or computed."""

    ranking: Ranking
    """The ranking that the recipe was chosen from."""
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
    def folds(self) -> tuple[Fold, ...]:
        """The folds that have a model each, or one for each seed."""
        return self.searched.folds

    @property
    def store(self) -> SliceStore:
        return self.searched.store

    @property
    def trial(self) -> str:
        """The name of the ranked trial."""
        return self.searched.trial.record.folder.name

    @property
    def label(self) -> str:
        if self.options.label:
            return self.options.label
        several = [f"{len(self.folds)}-folds"] if len(self.folds) > 1 else []
        several += [f"{self.options.seeds}-seeds"] if self.options.seeds > 1 else []
        return "-".join([f"rank{self.options.rank}", str(self.recipe.model.train), *several])

    @property
    def folder(self) -> Path:
        """The model's folder."""
        return self.run.path / "retrain" / self.label

    @property
    def final_folder(self) -> Path:
        """The folder of the model that is trained on all folds."""
        return self.folder.with_name(f"{self.label}-final")

    @cached_property
    def members(self) -> list[Member]:
        """The trainings: those of each fold, seed after seed, one fold after another."""
        return [
            self._member(place, seed)
            for place in range(len(self.folds))
            for seed in range(self.options.seeds)
        ]

    def _member(self, place: int, seed: int) -> Member:
        fold = self.folds[place]
        name = f"fold{fold.index}" + (f"-seed{seed}" if self.options.seeds > 1 else "")
        return self._training(name, fold, place, seed)

    def final(self, epochs: int) -> Member:
        """The training on all folds, for this many epochs.

        No head of the search was trained on all folds, so a warm one is that of the first fold.
        """
        rows = self.store.train
        on_all = Fold(self.folds[0].index, rows, rows[:0])
        return replace(self._training("final", on_all, 0, 0), until=epochs)

    def _training(self, name: str, fold: Fold, place: int, seed: int) -> Member:
        training = self.recipe.training
        seeded = training.model_copy(update={"seed": training.seed + seed})
        recipe = self.recipe.model_copy(update={"training": seeded})
        settings = flat(recipe) | {
            "metric": self.metric,
            "trial": self.trial,
            "fold": fold.index,
            "head": self.options.head,
            "store": self.store.fingerprint,
        }
        head = self.searched.heads[place] if self.options.head == "warm" else None
        return Member(name, self.experiment, recipe, fold, head, self.metric, settings)

    @cached_property
    def differences(self) -> list[Difference]:
        """All differences between this training and the search's training of the same recipe."""
        metric = Difference("metric", self.run.request.space.metric, self.metric)
        besides = (metric, self._head(), self._views(), self._selection())
        changed = [change for change in besides if change.searched != change.retrained]
        return recipe_differences(self.searched.recipe, self.recipe) + changed

    def _head(self) -> Difference:
        epoch, random = self.searched.trial.best_epoch.epoch, "random"
        warm = f"the search's for {self._own} after epoch {epoch}"
        return Difference("head starts as", random, warm if self.options.head == "warm" else random)

    def _views(self) -> Difference:
        """The number of views: images show a new view of a slice every epoch, a smaller bank repeats its views."""
        epochs = self.recipe.training.epochs
        banked = self.searched.frozen and self.searched.recipe.augmentation != "normal"
        before = min(self.run.request.settings.views, self.searched.recipe.training.epochs)
        return Difference("augmented views of a slice", before if banked else epochs, epochs)

    def _selection(self) -> Difference:
        validation = self.experiment.validation
        mean = self._own if validation.trainings == 1 else f"the mean over {validation} folds"
        return Difference("best epoch by", mean, self._own)

    @property
    def _own(self) -> str:
        return f"fold {self.folds[0].index}" if len(self.folds) == 1 else "each fold"

    @cached_property
    def notes(self) -> list[str]:
        """What to keep in mind when reading the comparison."""
        notes = [
            "the best epoch was chosen on the validation part, so scores there are optimistic; "
            "nothing was chosen on the test set"
        ]
        if len(self.members) > 1:
            own = plural(self.options.seeds, "model", "models")
            folds = plural(len(self.folds), "fold", "folds")
            notes.append(
                f"validation: each fold by its own {own}, and the mean over {folds}; test: the mean probability of all"
            )
        if not self.searched.frozen:
            model = self.searched.recipe.model
            notes.append(
                f"the search trained the backbone ({model.train}) but kept only the heads: the retraining's backbone "
                f"starts from {model.weights} weights again, and the search's own model has its recorded validation "
                "scores but no test scores"
            )
        if self.recipe.head.reads_scans:
            size, first = self.recipe.training.batch_size, self.members[0]
            scans = first.units.per_batch(first.units.within(first.fold.train), size)
            notes.append(
                f"the {self.recipe.head.name} head reads whole scans: a batch of about {size} slices is "
                f"{plural(scans, 'scan', 'scans')}, so batch normalisation sees few patients at a time"
            )
        if not len(self.store.test):
            notes.append("the store has no test set, because it was prepared with --test-fraction 0")
        return notes

    def refuse_taken_label(self) -> None:
        """Refuse a label that is taken.

        Raises:
            InputError: there is already a model with this label.
        """
        for folder in (self.folder, *([self.final_folder] if self.options.final else [])):
            if folder.exists():
                raise InputError(
                    f"{folder}: there is already a model with this label; choose another --label"
                )


def plans(run: RunFolder | str | Path, options: RetrainOptions | None = None) -> list[RetrainPlan]:
    """Check a request for retrainings and return the plan of each model.

    Raises:
        InputError: there is no search to start from, the store is not the search's, a rank, fold, setting or label
            can't be used, options exclude each other, or pretrained weights are unavailable.
    """
    options = options or RetrainOptions()
    _check_together(options)
    ranking = Ranking.of(run)
    rank = options.rank if options.trial is None else _rank_of(ranking, options.trial)
    count, last = len(ranking.trials), rank + options.top - 1
    if rank <= count < last:
        raise InputError(
            f"--top: {ranking.run.path} has {count} ranked trials, so choose at most {count - rank + 1}, got "
            f"{options.top}"
        )
    each_rank = [replace(options, rank=each) for each in range(rank, last + 1)]
    return [_plan(ranking, each) for of_rank in each_rank for each in combinations(of_rank)]


def plan(run: RunFolder | str | Path, options: RetrainOptions | None = None) -> RetrainPlan:
    """Check a request for the retraining of a single recipe and return its plan; raises as `plans`."""
    return plans(run, replace(options or RetrainOptions(), top=1))[0]


def _plan(ranking: Ranking, options: RetrainOptions) -> RetrainPlan:
    _ = options.wanted
    trial = _ranked(ranking, options.rank)
    recipe = trial.record.recipe
    experiment = searched_experiment(ranking.run.request, recipe)
    searched = SearchedModel(trial, recipe, experiment, _folds(experiment, options))
    changed = _changed(recipe, ranking.metric, options)
    made = RetrainPlan(ranking, options, searched, changed.recipe({}), changed.metric)
    _check_label(made)
    _check_head(made)
    _check_metric(made)
    return made


def _check_together(options: RetrainOptions) -> None:
    """Refuse options that need or exclude one another."""
    if options.trial is not None and options.rank != 1:
        raise InputError("--trial: chooses the recipe, and so does --rank; leave out one")
    if options.folds is not None and options.fold:
        raise InputError("--folds: trains a model for each fold, and --fold for a single one; leave out one")
    if options.final and options.folds is None:
        raise InputError("--final: trains for the epochs that several folds found best; add e.g. --folds 5")
    if options.factors and options.top > 1:
        raise InputError("--compare: changes a single recipe, so it can't be given with --top; leave out one")
    if options.top > 1 and options.label:
        raise InputError("--label: names a single model, so it can't be given with --top; leave it out")


def _rank_of(ranking: Ranking, wanted: str) -> int:
    """The rank of a trial by its name, the name of its folder, or its number."""
    names = [(trial.record.folder.name, trial.name, str(trial.record.number)) for trial in ranking.trials]
    found = [rank for rank, of in enumerate(names, start=1) if wanted in of]
    if not found:
        raise InputError(f"--trial: {not_one_of(wanted, [name for name, *_ in names])}")
    return found[0]


def _ranked(ranking: Ranking, rank: int) -> RankedTrial:
    count = len(ranking.trials)
    if not 1 <= rank <= count:
        raise InputError(
            f"--rank: {ranking.run.path} has {count} ranked trials, so choose 1 to {count}, got {rank}"
        )
    return ranking.trials[rank - 1]


def _folds(experiment: Experiment, options: RetrainOptions) -> tuple[Fold, ...]:
    folds = folds_of(open_store(experiment.store), CrossValidation(experiment.validation.folds))
    if options.folds is not None:
        if options.folds > len(folds):
            raise InputError(
                f"--folds: the search has {plural(len(folds), 'fold', 'folds')}; must be at most that, got "
                f"{options.folds}"
            )
        return tuple(folds[: options.folds])
    if not 0 <= options.fold < len(folds):
        raise InputError(f"--fold: the search has folds 0 to {len(folds) - 1}, got {options.fold}")
    return (folds[options.fold],)


def _changed(recipe: Recipe, metric: str, options: RetrainOptions) -> Space:
    """The recipe and its metric with all changes, as a space without dimensions."""
    changes: dict[str, Any] = {
        option.recipe_key: value
        for option in options_of(RetrainOptions)
        if option.recipe_key and (value := getattr(options, option.name)) is not None
    }
    frozen = recipe.model.train == "frozen"
    if recipe.phases:
        changes = _for_phases(recipe, changes, frozen=frozen)
    elif frozen and options.lr is None:
        changes["optimizer.lr"] = recipe.optimizer.lr / LR_DIVISOR
    changes |= options.changes
    searched = {"name": "retrain", "metric": metric, **space_data(recipe)}
    space = Space.parse(searched, "retrain").changed(changes)
    if space.dimensions:
        raise InputError(
            f"--set {space.dimensions[0].name}: a retraining has a single recipe; give a single value"
        )
    return space


def _for_phases(recipe: Recipe, changes: dict[str, Any], *, frozen: bool) -> dict[str, Any]:
    """The same changes to a recipe with phases: those that train nothing but the head train the backbone too."""
    assert recipe.phases
    train = changes.pop("model.train")
    for key in ("optimizer.lr", "training.epochs"):
        if key in changes:
            raise InputError(
                f"--{key.partition('.')[2]}: the recipe has {len(recipe.phases)} phases, each with its own; use e.g. "
                f"--set phases.{len(recipe.phases)}.{key.removeprefix('training.')}={plain(changes[key])}"
            )
    for number, phase in enumerate(recipe.phases if frozen else (), start=1):
        changes[f"phases.{number}.train"] = train
        changes[f"phases.{number}.optimizer.lr"] = phase.optimizer.lr / LR_DIVISOR
    return changes


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
    _ = units_of(plan.store, plan.recipe.head)
    if warm or plan.searched.frozen:
        _ = plan.searched.heads


def _check_metric(plan: RetrainPlan) -> None:
    for fold in plan.folds:
        labels = plan.store.labels[fold.valid]
        scores = evaluate(np.zeros(labels.shape), labels)
        scores["loss"] = scores["weighted_log_loss"]  # one is defined if and only if the other is
        if np.isnan(scores[plan.metric]):
            raise InputError(
                f"--fold: {plan.metric} is undefined on fold {fold.index}, where no label has both positives and "
                "negatives; choose another --fold, or --set metric=loss"
            )
