"""The model card of a retraining."""

from collections.abc import Sequence
from pathlib import Path

from analysis.model_card.card import Card, Training
from analysis.retraining.course import Course
from analysis.retraining.plan import RetrainPlan
from analysis.retraining.tuning import Tuning
from analysis.scoring.comparison import Part
from analysis.statistics.cohort import Cohort
from ichtune.cross_validation import CrossValidation
from ichtune.inference.trained_model import TrainedModel


def card_of(
    plan: RetrainPlan,
    model: TrainedModel,
    target: Path,
    parts: list[Part],
    notes: list[str],
    trainings: Sequence[Course],
    tuning: Tuning,
) -> Card:
    """The card of a model as reloaded from its folder, which will be `target`."""
    lengths = sorted({len(training.history) for training in trainings})
    trained = plan.folds[0].train if len(plan.folds) == 1 and target == plan.folder else plan.store.train
    return Card(
        folder=target,
        about=model.about,
        training=Training(
            epochs=" to ".join(map(str, sorted({lengths[0], lengths[-1]}))),
            ended=", ".join(sorted({str(training.ended) for training in trainings})),
            best=", ".join(str(training.best_epoch) for training in trainings),
            metric=plan.metric,
            searched=plan.keeps_frozen,
            trained_parameters=trainings[0].history[-1]["trained_parameters"],
            parameters=sum(parameter.numel() for parameter in model.networks[0].parameters()),
        ),
        ranking=plan.ranking,
        cohort=Cohort(plan.store, CrossValidation(plan.experiment.validation.folds)),
        rows={"training": trained} | {part.name: part.rows for part in parts},
        parts=tuning.parts,
        errors=tuning.errors,
        decisions=tuning.decisions,
        notes=notes,
    )
