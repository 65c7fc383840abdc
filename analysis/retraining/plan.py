"""The plan of a retraining: a ranked trial's recipe, what changes in it, and where the model goes."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final

from analysis.ranking.differences import Difference, recipe_differences
from analysis.ranking.order import Ranking
from analysis.retraining.member import Member
from analysis.retraining.options import RetrainOptions
from analysis.scoring.searched import SearchedModel
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.recipe import Recipe
from ichtune.recipe.flat import flat
from ichtune.runs.folder import RunFolder
from ichtune.training.batches import Fold
from ichtune.training.experiment import Experiment
from ichtune.wording import plural

RETRAINED: Final = "retrained"
"""The name of a retrained model in tables."""


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
    soup: int = 0
    """If the model averages weights, the number of seeds that those averaged were chosen from."""

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

    @property
    def frozen_folder(self) -> Path:
        """The folder of the search's own frozen model, if it scores better out of fold."""
        return self.folder.with_name(f"{self.label}-frozen")

    @property
    def soup_folder(self) -> Path:
        """The folder of the average of the seeds' weights, if it helps."""
        return self.folder.with_name(f"{self.label}-soup")

    @property
    def keeps_frozen(self) -> bool:
        """Whether the model is the search's own, with nothing to train."""
        return self.options.train == "frozen"

    @property
    def weighs_frozen(self) -> bool:
        """Whether the search's own frozen model is compared out of fold with the retrained one, and kept if better."""
        return not self.keeps_frozen and self.searched.frozen and len(self.folds) > 1

    @property
    def own_name(self) -> str:
        """The model's name in tables, uncalibrated."""
        return self.searched.name if self.keeps_frozen else RETRAINED

    @cached_property
    def members(self) -> list[Member]:
        """The trainings: those of each fold, seed after seed, one fold after another; none if nothing is trained."""
        if self.keeps_frozen:
            return []
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
        training = () if self.keeps_frozen else (self._head(), self._views(), self._selection())
        besides = (metric, *training)
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
        notes = [self._scored]
        if len(self.folds) * self.options.seeds > 1:
            own = "model" if self.options.seeds == 1 else f"{self.options.seeds} models"
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
        if self.recipe.head.reads_scans and not self.keeps_frozen:
            size, first = self.recipe.training.batch_size, self.members[0]
            scans = first.units.per_batch(first.units.within(first.fold.train), size)
            notes.append(
                f"the {self.recipe.head.name} head reads whole scans: a batch of about {size} slices is "
                f"{plural(scans, 'scan', 'scans')}, so batch normalisation sees few patients at a time"
            )
        if not len(self.store.test):
            notes.append("the store has no test set, because it was prepared with --test-fraction 0")
        return notes

    @property
    def optimistic(self) -> bool:
        """Whether validation slices are scored at epochs that were chosen on them."""
        return self.soup > 0 or len(self.folds) == 1

    @property
    def _scored(self) -> str:
        """Which epoch validation scores are those of."""
        if self.soup:
            return (
                "in validation, the seeds that are averaged were chosen by the other folds, but each one's best epoch "
                "by the fold itself, so scores there are optimistic; nothing was chosen on the test set"
            )
        kept = "the epoch best for all" if self.keeps_frozen else "its own best epoch"
        if len(self.folds) == 1:
            return (
                "the best epoch was chosen on the validation part, so scores there are optimistic; "
                "nothing was chosen on the test set"
            )
        return (
            "in validation, each fold is scored at the epoch that is best for the other folds, of those that all "
            f"finished; its model keeps the weights of {kept}; nothing was chosen on the test set"
        )

    def refuse_taken_label(self) -> None:
        """Refuse a label that is taken.

        Raises:
            InputError: there is already a model with this label.
        """
        beside = [self.final_folder] if self.options.final else []
        beside += [self.soup_folder] if self.options.soup else []
        beside += [self.frozen_folder] if self.weighs_frozen else []
        for folder in (self.folder, *beside):
            if folder.exists():
                raise InputError(
                    f"{folder}: there is already a model with this label; choose another --label"
                )
