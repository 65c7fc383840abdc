"""Retrains recipes of a search with their backbone, and compares each with the search's own model."""

import os
import shutil
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import torch
from filelock import FileLock, Timeout

from analysis.retraining.describe import Retrained, describe
from analysis.retraining.member import Member
from analysis.retraining.options import RetrainOptions
from analysis.retraining.plan import RetrainPlan
from analysis.retraining.planning import plan
from analysis.retraining.resumable import ResumableTraining
from analysis.retraining.run import Job, run_jobs
from analysis.scoring.predicted import Predicted, together
from ichtune.errors import InputError
from ichtune.inference.about import Origin, Preprocessing
from ichtune.inference.classifier import Classifier
from ichtune.inference.model_folder import write_ensemble, write_model
from ichtune.inference.trained_model import TrainedModel
from ichtune.inference.training_data import TrainingData
from ichtune.progress import Report
from ichtune.runs.folder import RunFolder
from ichtune.runs.request import installed

TRAINED_WITH: Final = ("ichtune", "torch", "torchvision", "monai", "albumentations", "numpy", "scikit-learn")


def retrain(
    run: RunFolder | str | Path, options: RetrainOptions | None = None, report: Report = lambda *_: None
) -> Retrained:
    """Retrain a ranked recipe of a finished search on images, with its backbone: `plan`, then `train`.

    Raises:
        InputError: the options can't be used, or the training diverged at once.
    """
    return train([plan(run, options)], report)[0]


def train(plans: Sequence[RetrainPlan], report: Report = lambda *_: None) -> list[Retrained]:
    """Run planned retrainings, their trainings side by side; a model's folder appears when everything is done.

    Trainings that were killed or interrupted resume after their last epoch when the same plans are run again. `report`
    receives the images done so far, the total over all epochs, and a remark.

    Returns the models in the order of the plans, the final one of a plan after that of its folds.

    Raises:
        InputError: another process is running one of them, an unfinished training with other settings is in the way, or
            a training diverged at once, which doesn't stop the others.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with ExitStack() as claims:
        works = [(each, claims.enter_context(claimed(each))) for each in plans]
        run_jobs([Job(member, work) for each, work in works for member in each.members], plans[0], report)
        finals = [Job(_final(each, work), work) for each, work in works if each.options.final]
        run_jobs(finals, plans[0], report)
        return [made for each, work in works for made in _made(each, work, device, report)]


class Claimable(Protocol):
    """A plan of a training, with the folder of its model."""

    @property
    def folder(self) -> Path: ...

    @property
    def label(self) -> str: ...

    def refuse_taken_label(self) -> None: ...


@contextmanager
def claimed(plan: Claimable) -> Generator[Path]:
    """A working folder for this process only, gone at the end.

    After an error or an interruption it remains, with the checkpoints to resume from.
    """
    work = plan.folder.with_name(f".{plan.label}.partial")
    work.mkdir(parents=True, exist_ok=True)
    lock = FileLock(work / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(
            f"{plan.folder}: another process is training this model now; choose another --label"
        ) from None
    try:
        plan.refuse_taken_label()
        yield work
        shutil.rmtree(work)
    finally:
        lock.release()


def _made(plan: RetrainPlan, work: Path, device: torch.device, report: Report) -> list[Retrained]:
    """Write the folders of a plan's models, whose trainings have ended, with their scores."""
    searched = plan.searched.predicted(device, report)
    trainings = [member.begun(work) for member in plan.members]
    folder = _empty(work / "model")
    _write_models(plan, folder, trainings)
    predicted = _predicted(plan, folder, trainings, device)
    made = [describe(plan, folder, plan.folder, searched, predicted, trainings)]
    places = [(folder, plan.folder)]
    if plan.options.final:
        member, final = _final(plan, work), _empty(work / "final")
        training = member.begun(work)
        _write_model(plan, final, member, training, fold=None)
        alone = TrainedModel.open(final, device)
        test = _logits(plan, alone, plan.store.test) if len(plan.store.test) else None
        on_all = Predicted(predicted.validation, test, predicted.trained_parameters)
        made.append(describe(plan, final, plan.final_folder, searched, on_all, [training]))
        places.append((final, plan.final_folder))
    for here, there in places:
        os.replace(here, there)
    return made


def _final(plan: RetrainPlan, work: Path) -> Member:
    """The training on all folds, for as many epochs as were best for half of the folds' models."""
    best = sorted(member.begun(work).best.epoch for member in plan.members)
    return plan.final(best[len(best) // 2])


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def _write_models(plan: RetrainPlan, folder: Path, trainings: Sequence[ResumableTraining]) -> None:
    """Write the models of all members: the only one into the folder itself, several below it as an ensemble."""
    if len(plan.members) == 1:
        _write_model(plan, folder, plan.members[0], trainings[0], fold=plan.folds[0].index)
        return
    for member, training in zip(plan.members, trainings, strict=True):
        (folder / member.name).mkdir()
        _write_model(plan, folder / member.name, member, training, fold=member.fold.index)
    names = [member.name for member in plan.members]
    write_ensemble(folder, names, recipe=plan.recipe, **_about(plan, fold=None, epoch=None))
    TrainingData.of(plan.store).write(folder)


def _write_model(
    plan: RetrainPlan, folder: Path, member: Member, training: ResumableTraining, *, fold: int | None
) -> None:
    epoch = len(training.history) if fold is None else training.best.epoch
    network = Classifier.of(member.trained(training))
    write_model(folder, network, recipe=member.recipe, **_about(plan, fold=fold, epoch=epoch))
    TrainingData.of(plan.store).write(folder)


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


def _predicted(
    plan: RetrainPlan, folder: Path, trainings: Sequence[ResumableTraining], device: torch.device
) -> Predicted:
    """What the models predict, as reloaded from their folders, just as their users will load them."""
    model = TrainedModel.open(folder, device)
    alone = [replace(model, networks=(network,)) for network in model.networks]
    seeds = plan.options.seeds
    validation = [
        together(
            np.stack([_logits(plan, each, fold.valid) for each in alone[place * seeds : (place + 1) * seeds]])
        )
        for place, fold in enumerate(plan.folds)
    ]
    test = _logits(plan, model, plan.store.test) if len(plan.store.test) else None
    return Predicted(validation, test, trainings[0].history[-1]["trained_parameters"])


def _logits(plan: RetrainPlan, model: TrainedModel, rows: np.ndarray) -> np.ndarray:
    return model.logits(plan.store.hu, rows, scans=plan.store.scans)
