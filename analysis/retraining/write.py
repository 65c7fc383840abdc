"""Writes the models of a retraining: the only one into the folder itself, several below it as an ensemble."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from analysis.retraining.plan import RetrainPlan
from ichtune.inference.about import Origin, Preprocessing
from ichtune.inference.classifier import Classifier
from ichtune.inference.model_folder import write_ensemble, write_model
from ichtune.inference.training_data import TrainingData
from ichtune.models.network import Network
from ichtune.recipe import Recipe
from ichtune.runs.request import installed

TRAINED_WITH: Final = ("ichtune", "torch", "torchvision", "monai", "albumentations", "numpy", "scikit-learn")


class Trained(NamedTuple):
    """A network to be written."""

    name: str
    network: Network
    recipe: Recipe
    fold: int | None
    """Its validation fold; None if it was trained on all."""
    epoch: int | None
    """The epoch that its weights are from; None for an average."""


def write_models(plan: RetrainPlan, folder: Path, models: Iterable[Trained], *, several: bool) -> None:
    """Write models one after the other, so that only one need be in memory; `several` as an ensemble."""
    names, seen = [], TrainingData.of(plan.store)
    for model in models:
        names.append(model.name)
        place = folder / model.name if several else folder
        place.mkdir(exist_ok=True)
        about = _about(plan, fold=model.fold, epoch=model.epoch)
        write_model(place, Classifier.of(model.network), recipe=model.recipe, **about)
        seen.write(place)
    if several:
        write_ensemble(folder, names, recipe=plan.recipe, **_about(plan, fold=None, epoch=None))
        seen.write(folder)


def _about(plan: RetrainPlan, *, fold: int | None, epoch: int | None) -> dict[str, object]:
    origin = Origin(
        run=plan.run.name,
        rank=plan.options.rank,
        trial=plan.trial,
        fold=fold,
        head=plan.options.head,
        epoch=epoch,
        seed=plan.experiment.seed,
        differences={change.what: change.change for change in plan.differences},
    )
    return {
        "preprocessing": Preprocessing.of(plan.recipe.model),
        "fingerprint": plan.store.fingerprint,
        "origin": origin,
        "versions": installed(TRAINED_WITH),
    }
