"""What a retrained model is worth beside the search's own: its scores, tables, calibration and card."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from analysis.ranking.differences import Difference
from analysis.retraining.card import card_of
from analysis.retraining.course import Course
from analysis.retraining.plan import RetrainPlan
from analysis.retraining.tuning import VALIDATION, Tuning, of_folds
from analysis.scoring.comparison import ModelScores, Part, comparison_table, no_skill_scores, scored_parts
from analysis.scoring.paired import paired_differences
from analysis.scoring.predicted import Predicted, mean_history
from analysis.statistics.cohort import Cohort
from analysis.tables.paired import paired_table
from analysis.tables.table import Table
from analysis.tables.writers import write_table
from ichtune.cross_validation import CrossValidation
from ichtune.files import replacing
from ichtune.inference.about import read_about, write_about
from ichtune.inference.trained_model import TrainedModel
from ichtune.labels import LABELS
from ichtune.metrics import THRESHOLD, higher_is_better
from ichtune.runs.records import without_nan

TUNED: Final = "tuned"
"""The row of the model with its calibration and thresholds."""
OUT_OF_FOLD: Final = "out_of_fold.npz"
"""The out-of-fold predictions: `rows` of the store `[n]`, `folds` `[n]` and `logits` `[n, 6]`; and `test` `[m, 6]`."""


@dataclass(frozen=True)
class Retrained:
    """The outcome of a retraining."""

    folder: Path
    """The model's folder."""
    comparison: pd.DataFrame
    """The search's model and the retrained one, one row each; see `comparison_table`."""
    no_skill: pd.DataFrame
    """The same columns for no-skill predictors."""
    paired: pd.DataFrame
    """What the retraining adds to each score; see `paired_differences`. Empty if the search kept no predictions."""
    caption: str
    differences: list[Difference]
    notes: list[str]
    scores: dict[str, ModelScores]
    """The scores by row name of both tables."""


def describe(
    plan: RetrainPlan,
    folder: Path,
    target: Path,
    searched: Predicted | None,
    predicted: Predicted,
    trainings: Sequence[Course],
    remarks: Sequence[str] = (),
) -> Retrained:
    """Calibrate the model in `folder`, which will be `target`, and write its tables, metrics and card there.

    `remarks` are further notes.
    """
    parts = scored_parts(plan.store, plan.folds)
    tuning = _tune(plan, folder, parts, predicted)
    made = _outcome(plan, target, parts, searched, predicted, tuning, final=target == plan.final_folder)
    made.notes.extend(remarks)
    _write_predictions(plan, folder, predicted)
    _write_tables(plan, folder, made, tuning)
    _write_metrics(plan, folder, parts, made, trainings, predicted, tuning)
    card_of(plan, TrainedModel.open(folder), target, parts, made.notes, trainings, tuning).write(folder)
    return made


def _tune(plan: RetrainPlan, folder: Path, parts: list[Part], predicted: Predicted) -> Tuning:
    """Calibrate the model and choose its thresholds, and write both to its folder."""
    tuned = of_folds(
        plan.store, plan.folds, predicted.out_of_fold, plan.options.wanted, optimistic=plan.optimistic
    )
    others = {
        part.name: (part, predicted.on_test)
        for part in parts
        if part.name != VALIDATION and predicted.on_test is not None
    }
    tuning = Tuning.of(tuned, plan.store, others)
    write_about(folder, tuning.applied_to(read_about(folder)))
    return tuning


def _outcome(
    plan: RetrainPlan,
    target: Path,
    parts: list[Part],
    searched: Predicted | None,
    predicted: Predicted,
    tuning: Tuning,
    *,
    final: bool,
) -> Retrained:
    test = next((part for part in parts if part.name != VALIDATION), None)
    labels, before = plan.store.labels, plan.searched
    scores_before = before.scores(searched, test)
    retrained = predicted.scores(plan.folds, labels, test, plan.recipe.loss)
    changed = "; ".join(map(str, plan.differences))
    models = {
        before.name: scores_before,
        plan.own_name: retrained,
        TUNED: tuning.scores(retrained.trained_parameters),
    }
    no_skill = no_skill_scores(parts, Part.of("train", plan.store, plan.folds[0].train))
    on = f"fold {plan.folds[0].index}" if len(plan.folds) == 1 else f"{len(plan.folds)} folds"
    return Retrained(
        folder=target,
        comparison=comparison_table(models, parts),
        no_skill=comparison_table(no_skill, parts),
        paired=pd.DataFrame()
        if searched is None or plan.keeps_frozen
        else paired_differences(plan.store, plan.folds, searched, predicted),
        caption=f"{plan.run.name}, rank {plan.options.rank} ({plan.trial}), {on}. "
        f"{f'Changed: {changed}' if changed else 'As searched'}.",
        differences=plan.differences,
        notes=[
            *plan.notes,
            *([_FINAL] if final else []),
            f"{TUNED}: calibrated probabilities at the thresholds {_listed(tuning.tuned.thresholds)}, in validation "
            f"each chosen on other patients; all other models are uncalibrated, at {THRESHOLD}",
            *before.departures(scores_before),
            *_setback(plan, scores_before, retrained),
        ],
        scores=models | no_skill,
    )


_FINAL: Final = (
    "this model was trained on all folds, so validation shows the models of the folds, which it is expected to score "
    "like"
)


def _listed(thresholds: dict[str, float]) -> str:
    return ", ".join(f"{label} {value:.4g}" for label, value in thresholds.items())


def _setback(plan: RetrainPlan, searched: ModelScores, retrained: ModelScores) -> list[str]:
    """A note if the retrained model is worse in validation, and which one to use."""
    before, after = (model.parts[VALIDATION][plan.metric] for model in (searched, retrained))
    if not (after < before if higher_is_better(plan.metric) else after > before):
        return []
    if not plan.weighs_frozen:
        return [
            f"the retrained model is worse than the {plan.searched.name} one in validation ({plan.metric} {after:.4f} "
            f"instead of {before:.4f}); more --epochs or a lower --lr may help"
        ]
    return [
        f"the frozen model scores better out of fold ({plan.metric} {before:.4f}, retrained {after:.4f}), so it is the "
        f"one to use: {plan.frozen_folder}"
    ]


def _write_predictions(plan: RetrainPlan, folder: Path, predicted: Predicted) -> None:
    rows = np.concatenate([fold.valid for fold in plan.folds])
    folds = np.concatenate([np.full(len(fold.valid), fold.index) for fold in plan.folds])
    with replacing(folder / OUT_OF_FOLD) as file, open(file, "wb") as stream:
        test = np.empty((0, len(LABELS)), np.float32) if predicted.test is None else predicted.test
        np.savez_compressed(
            stream, rows=rows, folds=folds, logits=np.concatenate(predicted.validation), test=test
        )


def _write_tables(plan: RetrainPlan, folder: Path, made: Retrained, tuning: Tuning) -> None:
    behind = Cohort(plan.store, CrossValidation(plan.experiment.validation.folds)).population
    comparison = Table("comparison", made.caption, made.comparison, made.no_skill, behind, made.notes)
    paired = [paired_table(made.paired, plan.searched.name, behind)] if len(made.paired) else []
    for table in (comparison, *paired, *tuning.tables(behind)):
        write_table(folder, table)
    tuning.draw(folder)


def _write_metrics(
    plan: RetrainPlan,
    folder: Path,
    parts: list[Part],
    made: Retrained,
    trainings: Sequence[Course],
    predicted: Predicted,
    tuning: Tuning,
) -> None:
    train = Part.of("train", plan.store, plan.folds[0].train)
    content = {
        "metric": plan.metric,
        "scored_epochs": predicted.epochs,
        "soup": plan.soup,
        "trainings": {
            training.name: {"best_epoch": training.best_epoch, "ended": training.ended}
            for training in trainings
        },
        "parts": {part.name: part.about() for part in (train, *parts)},
        "models": {
            name: {"trained_parameters": scores.trained_parameters, **scores.parts}
            for name, scores in made.scores.items()
        },
        "paired": made.paired.to_dict("records"),
        "calibration": tuning.errors.to_dict("records"),
        "thresholds": tuning.decisions.to_dict("records"),
        "history": {
            plan.searched.name: plan.searched.history,
            plan.own_name: trainings[0].history
            if len(trainings) == 1
            else mean_history([training.history for training in trainings]),
        },
        "differences": [change._asdict() for change in made.differences],
        "notes": made.notes,
    }
    with replacing(folder / "metrics.json") as file:
        file.write_text(json.dumps(without_nan(content), indent=2) + "\n")
