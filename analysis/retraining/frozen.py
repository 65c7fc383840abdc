"""The search's own model on its frozen backbone, kept in a folder like a retrained one."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from analysis.retraining.course import Course
from analysis.retraining.describe import Retrained, describe
from analysis.retraining.plan import RetrainPlan
from analysis.retraining.write import Trained, write_models
from analysis.scoring.predicted import Predicted
from ichtune.metrics import higher_is_better


def frozen_is_better(plan: RetrainPlan, made: Retrained) -> bool:
    """Whether the search's own frozen model scores higher out of fold than the retrained one, in the plan's metric."""
    if not plan.weighs_frozen:
        return False
    before, after = (
        made.scores[name].parts["validation"][plan.metric] for name in (plan.searched.name, plan.own_name)
    )
    return before > after if higher_is_better(plan.metric) else before < after


def frozen_plan(plan: RetrainPlan) -> RetrainPlan:
    """The plan that keeps the frozen model of a retraining, beside its own."""
    options = replace(
        plan.options,
        train="frozen",
        label=plan.frozen_folder.name,
        head="warm",
        seeds=1,
        soup=False,
        final=False,
    )
    return replace(plan, options=options, recipe=plan.searched.recipe)


def keep_frozen(
    plan: RetrainPlan, folder: Path, searched: Predicted, remarks: Sequence[str] = ()
) -> Retrained:
    """Write the search's own model, or those of several folds as an ensemble, calibrated and described."""
    write_models(plan, folder, _models(plan), several=len(plan.folds) > 1)
    trial = plan.searched.trial
    courses = [
        Course(
            f"fold{fold.index}",
            [epoch.of_fold(fold.index) for epoch in trial.record.epochs],
            trial.best_epoch.epoch,
            trial.ended,
        )
        for fold in plan.folds
    ]
    return describe(plan, folder, plan.folder, searched, searched, courses, remarks)


def _models(plan: RetrainPlan) -> Iterator[Trained]:
    for fold, head in zip(plan.folds, plan.searched.heads, strict=True):
        network = plan.experiment.network(plan.recipe, fold)
        network.heads.load(0, head)
        epoch = plan.searched.trial.best_epoch.epoch
        yield Trained(f"fold{fold.index}", network, plan.recipe, fold.index, epoch)
