"""Fine-tunes a trained model on another store, from its own weights on."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from analysis.calibration.wanted import Wanted
from analysis.ranking.differences import head_misfit, recipe_differences
from analysis.retraining.finetune_options import FinetuneOptions
from analysis.retraining.member import Member
from analysis.retraining.resumable import ResumableTraining
from analysis.retraining.train import claimed
from analysis.retraining.tuning import Tuning, of_folds
from analysis.retraining.write import TRAINED_WITH
from ichtune.cross_validation import CrossValidation
from ichtune.data.labels_of_scans import refuse_labels_of_scans
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.files import replacing
from ichtune.inference.about import About, Finetuned, read_about, write_about
from ichtune.inference.classifier import Classifier
from ichtune.inference.model_folder import write_model
from ichtune.inference.model_place import ModelPlace
from ichtune.inference.trained_model import TrainedModel
from ichtune.inference.training_data import TrainingData, read_training_data
from ichtune.metrics import is_defined
from ichtune.progress import Report
from ichtune.recipe import Recipe
from ichtune.recipe.flat import flat
from ichtune.remote import below
from ichtune.runs.records import without_nan
from ichtune.runs.request import installed
from ichtune.space import Space
from ichtune.space.phases import space_data
from ichtune.training.batches import Fold
from ichtune.training.experiment import Experiment, folds_of, units_of


@dataclass(frozen=True)
class FinetunePlan:
    """A fully checked fine-tuning, before anything is written or computed."""

    model: ModelPlace
    about: About
    store: SliceStore
    options: FinetuneOptions
    recipe: Recipe
    metric: str

    @property
    def folder(self) -> Path:
        """The new model's folder."""
        if self.options.out is not None:
            return self.options.out.absolute()
        return self.model.results(f"finetuned-{self.store.path.absolute().name}").absolute()

    @property
    def label(self) -> str:
        return self.folder.name

    def refuse_taken_label(self) -> None:
        """Raise an InputError if the folder is there already."""
        if self.folder.exists():
            raise InputError(f"{self.folder}: is there already; choose another --out")

    @property
    def fold(self) -> Fold:
        return folds_of(self.store, CrossValidation(self.store.info.folds))[self.options.fold]

    @property
    def member(self) -> Member:
        """The training."""
        settings: dict[str, Any] = flat(self.recipe) | {
            "metric": self.metric,
            "fold": self.options.fold,
            "store": self.store.fingerprint,
            "weights": self.about.weights_sha256,
        }
        experiment = Experiment(
            self.store.place, (), CrossValidation(self.store.info.folds), self.options.seed
        )
        return Member(
            "training",
            experiment,
            self.recipe,
            self.fold,
            None,
            self.metric,
            settings,
            start=self.model.folder,
        )

    @property
    def differences(self) -> dict[str, str]:
        """What differs from the training of the model that it starts from."""
        return {each.what: each.change for each in recipe_differences(self.about.recipe, self.recipe)}


def plan(model: str | Path, data: str | Path, options: FinetuneOptions | None = None) -> FinetunePlan:
    """Check a request for fine-tuning a model on another store.

    Raises:
        InputError: there is no single model, the store is its own or has no folds, or an option can't be used.
    """
    options, place, store = options or FinetuneOptions(), ModelPlace.of(model), SliceStore.open(data)
    about = read_about(place.folder)
    if about.members:
        raise InputError(
            f"{place}: an ensemble of {len(about.members)} models, and one model is fine-tuned at a time; give one of "
            f"them, e.g. {below(str(place), about.members[0])}, or the model of `ichtune retrain --final`"
        )
    if store.fingerprint in about.fingerprints:
        raise InputError(f"{store.path}: the model was trained on this store; give another")
    changed = _changed(about.recipe, options)
    recipe = changed.recipe({})
    if misfit := head_misfit(about.recipe, recipe):
        raise InputError(
            f"--set {misfit.what}: the model was trained with {misfit.change}, which its weights fit; leave it out"
        )
    seeded = recipe.training.model_copy(update={"seed": options.seed})
    recipe = recipe.model_copy(update={"training": seeded})
    planned = FinetunePlan(place, about, store, options, recipe, changed.metric)
    _check(planned)
    return planned


def _changed(recipe: Recipe, options: FinetuneOptions) -> Space:
    """The model's recipe with all changes and the metric, as a space without dimensions."""
    if not options.lr_factor > 0:
        raise InputError(f"--lr-factor: must be above 0, got {options.lr_factor:g}")
    changes: dict[str, object] = {}
    if recipe.phases:
        if options.epochs is not None:
            last = len(recipe.phases)
            raise InputError(
                f"--epochs: the recipe has {last} phases, each with its own; use e.g. --set "
                f"phases.{last}.epochs={options.epochs}"
            )
        for number, phase in enumerate(recipe.phases, start=1):
            changes[f"phases.{number}.optimizer.lr"] = phase.optimizer.lr * options.lr_factor
    else:
        changes["optimizer.lr"] = recipe.optimizer.lr * options.lr_factor
    if options.epochs is not None:
        changes["training.epochs"] = options.epochs
    own = {"name": "finetune", "metric": options.metric, **space_data(recipe)}
    changed = Space.parse(own, "finetune").changed({**changes, **options.changes})
    if changed.dimensions:
        raise InputError(
            f"--set {changed.dimensions[0].name}: a fine-tuning has a single recipe; give a single value"
        )
    return changed


def _check(plan: FinetunePlan) -> None:
    folds = folds_of(plan.store, CrossValidation(plan.store.info.folds))
    if plan.options.fold >= len(folds):
        raise InputError(
            f"--fold: {plan.store.path} has folds 0 to {len(folds) - 1}, got {plan.options.fold}"
        )
    refuse_labels_of_scans(plan.store)
    labels = plan.store.labels[plan.fold.valid]
    if not is_defined("loss", labels):
        raise InputError(
            f"--fold: no slice of fold {plan.options.fold} has a known label; choose another --fold"
        )
    if not is_defined(plan.metric, labels):
        raise InputError(
            f"--fold: {plan.metric} is undefined on fold {plan.options.fold}, where no label has both positives and "
            "negatives; choose another --fold, or --metric loss"
        )
    units_of(plan.store, plan.recipe.head)
    plan.refuse_taken_label()


def finetune(plan: FinetunePlan, report: Report = lambda *_: None) -> Path:
    """Train a model on, and write the new one's folder, which appears when everything is done; returns it.

    A training that was killed or interrupted resumes after its last epoch when the same plan is run again.

    Raises:
        InputError: another process is running it, an unfinished training with other settings is in the way, or the
            training diverged at once.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    member = plan.member
    with claimed(plan) as work:
        member.train(work, device, torch.get_num_threads(), report)
        training, made = member.begun(work), work / "model"
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
        _write(plan, member, training, made)
        os.replace(made, plan.folder)
    return plan.folder


def _write(plan: FinetunePlan, member: Member, training: ResumableTraining, folder: Path) -> None:
    assert plan.about.weights_sha256 is not None, "an ensemble is refused"
    before = Finetuned(
        model=plan.model.name,
        weights_sha256=plan.about.weights_sha256,
        fingerprints=plan.about.fingerprints,
    )
    origin = plan.about.origin.model_copy(
        update={
            "fold": plan.options.fold,
            "head": "warm",
            "epoch": training.best.epoch,
            "seed": plan.options.seed,
            "differences": plan.differences,
            "finetuned": before,
        }
    )
    preprocessing = plan.about.preprocessing.model_copy(update={"size": plan.recipe.model.size})
    write_model(
        folder,
        Classifier.of(member.trained(training)),
        recipe=plan.recipe,
        preprocessing=preprocessing,
        fingerprint=plan.store.fingerprint,
        origin=origin,
        versions=installed(TRAINED_WITH),
    )
    seen = read_training_data(plan.model.folder)
    if seen is not None:  # without it, nothing says what else the model was trained on
        TrainingData.of(plan.store).and_of(seen).write(folder)
    _calibrate(plan, folder)
    content = {
        "metric": plan.metric,
        "best_epoch": training.best.epoch,
        "ended": training.ended,
        "history": training.history,
    }
    with replacing(folder / "metrics.json") as file:
        file.write_text(json.dumps(without_nan(content), indent=2) + "\n")


def _calibrate(plan: FinetunePlan, folder: Path) -> None:
    """Calibrate the model and choose its thresholds on its validation fold, as those of a retrained model are."""
    store, fold = plan.store, plan.fold
    logits = TrainedModel.open(folder).logits(store.hu, fold.valid, scans=store.scans)
    sensitivity = plan.about.sensitivity
    tuned = of_folds(store, [fold], logits[None], Wanted(sensitivity=sensitivity), optimistic=True)
    write_about(folder, Tuning.of(tuned, store, {}).applied_to(read_about(folder)))
