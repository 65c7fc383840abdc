"""Retrains recipes of a search with their backbone, and compares each with the search's own model."""

import os
import shutil
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock, Timeout

from analysis.retraining.describe import Retrained, describe
from analysis.retraining.frozen import frozen_is_better, frozen_plan, keep_frozen
from analysis.retraining.member import Member
from analysis.retraining.options import RetrainOptions
from analysis.retraining.out_of_fold import logits_of_folds
from analysis.retraining.plan import RetrainPlan
from analysis.retraining.planning import plan
from analysis.retraining.resumable import ResumableTraining
from analysis.retraining.run import Job, run_jobs
from analysis.retraining.soup import Soup
from analysis.retraining.write import Trained, write_models
from analysis.scoring.predicted import Predicted
from ichtune.errors import InputError
from ichtune.inference.trained_model import TrainedModel
from ichtune.progress import Report
from ichtune.runs.folder import RunFolder


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
        works = [(each, claims.enter_context(_claimed(each))) for each in plans]
        run_jobs([Job(member, work) for each, work in works for member in each.members], plans[0], report)
        finals = [Job(_final(each, work), work) for each, work in works if each.options.final]
        run_jobs(finals, plans[0], report)
        return [made for each, work in works for made in _made(each, work, device, report)]


@contextmanager
def _claimed(plan: RetrainPlan) -> Generator[Path]:
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
    folder = _empty(work / "model")
    if plan.keeps_frozen:
        assert searched is not None, "a frozen model predicts"
        made = [keep_frozen(plan, folder, searched)]
        os.replace(folder, plan.folder)
        return made
    trainings = [member.begun(work) for member in plan.members]
    models = (
        _model(member, training, fold=member.fold.index)
        for member, training in zip(plan.members, trainings, strict=True)
    )
    write_models(plan, folder, models, several=len(plan.members) > 1)
    predicted = _predicted(plan, folder, trainings, device)
    courses = [training.course for training in trainings]
    soup = Soup(plan, trainings, device) if plan.options.soup else None
    remarks = [] if soup is None else [soup.remark]
    made = [describe(plan, folder, plan.folder, searched, predicted, courses, remarks)]
    places = [(folder, plan.folder)]
    if soup is not None and soup.helps:
        here = _empty(work / "soup")
        made.append(_keep_soup(plan, soup, here, searched, predicted.trained_parameters))
        places.append((here, plan.soup_folder))
    if plan.options.final:
        member, final = _final(plan, work), _empty(work / "final")
        training = member.begun(work)
        write_models(plan, final, [_model(member, training, fold=None)], several=False)
        on_all = replace(predicted, on_test=_on_test(plan, TrainedModel.open(final, device)))
        made.append(describe(plan, final, plan.final_folder, searched, on_all, [training.course]))
        places.append((final, plan.final_folder))
    if searched is not None and frozen_is_better(plan, made[0]):
        beside, frozen = frozen_plan(plan), _empty(work / "frozen")
        remark = f"kept as it scores better out of fold than the retrained model, {plan.label}"
        made.append(keep_frozen(beside, frozen, searched, [remark]))
        places.append((frozen, beside.folder))
    for here, there in places:
        os.replace(here, there)
    return made


def _keep_soup(
    plan: RetrainPlan, soup: Soup, folder: Path, searched: Predicted | None, trained_parameters: int
) -> Retrained:
    """Write the fold-wise averages of weights as an ensemble, with what they score."""
    options = replace(plan.options, seeds=1, soup=False, final=False, label=plan.soup_folder.name)
    beside = replace(plan, options=options, soup=plan.options.seeds)
    models = (
        Trained(f"fold{fold.index}", soup.network(place, soup.seeds), plan.recipe, fold.index, None)
        for place, fold in enumerate(plan.folds)
    )
    write_models(beside, folder, models, several=True)
    chosen = [
        training.course
        for index, training in enumerate(soup.trainings)
        if index % plan.options.seeds in soup.seeds
    ]
    of_folds = [logits[None] for logits in soup.out_of_fold]
    test = _on_test(plan, TrainedModel.open(folder, soup.device))
    predicted = Predicted(of_folds, test, trained_parameters, ())
    return describe(beside, folder, beside.folder, searched, predicted, chosen, [soup.remark])


def _final(plan: RetrainPlan, work: Path) -> Member:
    """The training on all folds, for as many epochs as were best for half of the folds' models."""
    best = sorted(member.begun(work).best.epoch for member in plan.members)
    return plan.final(best[len(best) // 2])


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def _model(member: Member, training: ResumableTraining, *, fold: int | None) -> Trained:
    return Trained(member.name, member.trained(training), member.recipe, fold, training.course.best_epoch)


def _predicted(
    plan: RetrainPlan, folder: Path, trainings: Sequence[ResumableTraining], device: torch.device
) -> Predicted:
    """What the models predicted out of fold while they were trained, and what they predict of the test set.

    For that they are reloaded from their folders, just as their users will load them.
    """
    validation, epochs = logits_of_folds(trainings, plan.options.seeds, plan.metric)
    test = _on_test(plan, TrainedModel.open(folder, device))
    return Predicted(validation, test, trainings[0].history[-1]["trained_parameters"], tuple(epochs))


def _on_test(plan: RetrainPlan, model: TrainedModel) -> np.ndarray | None:
    """The test set's logits by each of a model's networks, `[M, n, 6]`; None if there is no test set."""
    rows, store = plan.store.test, plan.store
    if not len(rows):
        return None
    alone = [replace(model, networks=(network,)) for network in model.networks]
    return np.stack([each.logits(store.hu, rows, scans=store.scans) for each in alone])
