"""The model card of a retraining."""

from analysis.model_card.card import Card, Training
from analysis.retraining.plan import RetrainPlan
from analysis.retraining.resumable import ResumableTraining
from analysis.retraining.tuning import Tuning
from analysis.scoring.comparison import Part
from analysis.statistics.cohort import Cohort
from ichtune.cross_validation import CrossValidation
from ichtune.inference.model_folder import TrainedModel


def card_of(
    plan: RetrainPlan,
    model: TrainedModel,
    parts: list[Part],
    notes: list[str],
    training: ResumableTraining,
    tuning: Tuning,
) -> Card:
    """The card of a model as reloaded from its folder."""
    return Card(
        folder=plan.folder,
        about=model.about,
        training=Training(
            epochs=len(training.history),
            ended=str(training.ended),
            metric=plan.metric,
            trained_parameters=training.history[-1]["trained_parameters"],
            parameters=sum(parameter.numel() for parameter in model.network.parameters()),
        ),
        ranking=plan.ranking,
        cohort=Cohort(plan.store, CrossValidation(plan.experiment.validation.folds)),
        rows={"training": plan.fold.train} | {part.name: part.rows for part in parts},
        parts=tuning.parts,
        errors=tuning.errors,
        decisions=tuning.decisions,
        notes=notes,
    )
