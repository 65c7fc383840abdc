"""Retrains the best recipe of a search with its backbone, and compares it with the search's own model."""

import json
import os
import shutil
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import torch
from filelock import FileLock, Timeout

from analysis.ranking.differences import Difference
from analysis.retraining.card import card_of
from analysis.retraining.plan import RetrainOptions, RetrainPlan, plan
from analysis.retraining.resumable import ResumableTraining
from analysis.retraining.tuning import VALIDATION, Tuning, of_one_fold
from analysis.scoring.comparison import (
    ModelScores,
    Part,
    comparison_table,
    no_skill_scores,
    score,
    scored_parts,
)
from analysis.statistics.cohort import Cohort
from analysis.tables.table import Table
from analysis.tables.writers import write_table
from ichtune.cross_validation import CrossValidation
from ichtune.errors import InputError
from ichtune.files import replacing
from ichtune.inference.model_folder import (
    Classifier,
    Origin,
    Preprocessing,
    TrainedModel,
    read_about,
    write_about,
    write_model,
)
from ichtune.metrics import THRESHOLD, higher_is_better
from ichtune.models.network import Network
from ichtune.progress import Report
from ichtune.runs.folder import RunFolder
from ichtune.runs.records import without_nan
from ichtune.runs.request import installed
from ichtune.training.batches import Source
from ichtune.training.fit import fit
from ichtune.training.losses import make_loss

TRAINED_WITH: Final = ("ichtune", "torch", "torchvision", "monai", "albumentations", "numpy", "scikit-learn")
RETRAINED, TUNED = "retrained", "tuned"
"""The rows of the retrained model: as trained, and with its calibration and thresholds."""


@dataclass(frozen=True)
class Retrained:
    """The outcome of a retraining."""

    folder: Path
    """The model's folder."""
    comparison: pd.DataFrame
    """The search's model and the retrained one, one row each; see `comparison_table`."""
    no_skill: pd.DataFrame
    """The same columns for no-skill predictors."""
    caption: str
    differences: list[Difference]
    notes: list[str]
    scores: dict[str, ModelScores]
    """The scores by row name of both tables."""


def retrain(
    run: RunFolder | str | Path, options: RetrainOptions | None = None, report: Report = lambda *_: None
) -> Retrained:
    """Retrain a ranked recipe of a finished search on images, with its backbone: `plan`, then `train`.

    Raises:
        InputError: the options can't be used, or the training diverged at once.
    """
    return train(plan(run, options), report)


def train(plan: RetrainPlan, report: Report = lambda *_: None) -> Retrained:
    """Run a planned retraining; the model's folder appears when everything is done.

    A training that was killed or interrupted resumes after its last epoch when the same plan is run again. `report`
    receives the images done so far, the total over all epochs, and a remark.

    Raises:
        InputError: another process is running it, an unfinished training with other settings is in the way, or the
            training diverged at once.
    """
    with _claimed(plan) as work:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        parts = scored_parts(plan.store, plan.fold)
        searched = plan.searched.scores(parts, device, report)
        network, training = _fit(plan, work / "checkpoint.pt", device, report)
        folder = work / "model"
        folder.mkdir(exist_ok=True)
        _write_model(plan, folder, network, training.best.epoch)
        logits = _predicted(plan, folder, parts, device)
        tuning = _tune(plan, folder, parts, logits)
        retrained = _scores(plan, logits, parts, training)
        made = _outcome(plan, parts, searched, retrained, tuning)
        _write_tables(plan, folder, made, tuning)
        _write_metrics(plan, folder, parts, made, training, tuning)
        card_of(plan, TrainedModel.open(folder), parts, made.notes, training, tuning).write(folder)
    return made


@contextmanager
def _claimed(plan: RetrainPlan) -> Generator[Path]:
    """A working folder for this process only; at the end its `model` becomes the plan's folder.

    After an error or an interruption it remains, with the checkpoint to resume from.
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
        os.replace(work / "model", plan.folder)
        shutil.rmtree(work)
    finally:
        lock.release()


def _fit(
    plan: RetrainPlan, checkpoint: Path, device: torch.device, report: Report
) -> tuple[Network, ResumableTraining]:
    """The network after its best epoch, and the training that produced it."""
    settings = plan.recipe.training
    training = ResumableTraining(
        checkpoint, plan.settings, metric=plan.metric, epochs=settings.epochs, patience=settings.patience
    )
    network = plan.network()
    images = plan.experiment.images(plan.recipe, threads=torch.get_num_threads())
    epoch = len(plan.fold.train) + len(plan.fold.valid)
    # A fresh head that normalises by the training part reads it once before the first epoch.
    before = len(plan.fold.train) if network.heads.normalization.lacks_statistics(0) else 0
    done = before + len(training.history) * epoch if training.state else 0
    source = _Watched(images, done, before + settings.epochs * epoch, report)
    results = fit(
        network,
        source,
        plan.store.labels,
        [plan.fold],
        plan.recipe,
        device=device,
        resume=training.state,
        units=plan.units,
    )
    for record in training.run(results):
        best = f"best {plan.metric} {training.best.value:.4f}"
        source.remark = f"{record['epoch']} of {settings.epochs} epochs, {best} (epoch {training.best.epoch})"
    network.load_trained_state(training.weights)
    return network, training


class _Watched:
    """A source that reports how many images it has delivered."""

    def __init__(self, source: Source, done: int, total: int, report: Report) -> None:
        self.source, self.done, self.total, self.report = source, done, total, report
        self.remark = ""

    def batches(self, chunks: Iterable[np.ndarray], epoch: int | None) -> Iterator[torch.Tensor]:
        for images in self.source.batches(chunks, epoch):
            self.done += len(images)
            self.report(self.done, self.total, self.remark)
            yield images


def _write_model(plan: RetrainPlan, folder: Path, network: Network, epoch: int) -> None:
    write_model(
        folder,
        Classifier.of(network),
        preprocessing=Preprocessing.of(plan.recipe.model),
        recipe=plan.recipe,
        fingerprint=plan.store.fingerprint,
        origin=Origin(
            run=plan.run.name,
            rank=plan.options.rank,
            trial=plan.trial,
            fold=plan.fold.index,
            head=plan.options.head,
            epoch=epoch,
            seed=plan.experiment.seed,
            differences={change.what: change.change for change in plan.differences},
        ),
        versions=installed(TRAINED_WITH),
    )


def _predicted(
    plan: RetrainPlan, folder: Path, parts: list[Part], device: torch.device
) -> dict[str, np.ndarray]:
    """The logits of each part, by the model as reloaded from its folder, just as its users will load it."""
    model = TrainedModel.open(folder, device)
    return {part.name: model.logits(plan.store.hu, part.rows, scans=plan.store.scans) for part in parts}


def _tune(plan: RetrainPlan, folder: Path, parts: list[Part], logits: dict[str, np.ndarray]) -> Tuning:
    """Calibrate the model and choose its thresholds, and write both to its folder."""
    tuned = of_one_fold(plan.store, plan.fold, logits[VALIDATION], plan.options.wanted)
    others = {part.name: (part, logits[part.name]) for part in parts if part.name != VALIDATION}
    tuning = Tuning.of(tuned, plan.store, others)
    write_about(folder, tuning.applied_to(read_about(folder)))
    return tuning


def _scores(
    plan: RetrainPlan, logits: dict[str, np.ndarray], parts: list[Part], training: ResumableTraining
) -> ModelScores:
    """The scores of the model as trained, at 0.5."""
    loss = make_loss(plan.recipe.loss, [plan.store.labels[plan.fold.train]], torch.device("cpu"))
    by_part = {part.name: score(logits[part.name], part.labels, loss) for part in parts}
    return ModelScores(training.history[-1]["trained_parameters"], by_part)


def _outcome(
    plan: RetrainPlan, parts: list[Part], searched: ModelScores, retrained: ModelScores, tuning: Tuning
) -> Retrained:
    tuned = tuning.scores(retrained.trained_parameters)
    models = {plan.searched.name: searched, RETRAINED: retrained, TUNED: tuned}
    no_skill = no_skill_scores(parts, Part.of("train", plan.store, plan.fold.train))
    trained = f"{plan.run.name}, rank {plan.options.rank} ({plan.trial}), fold {plan.fold.index}"
    return Retrained(
        folder=plan.folder,
        comparison=comparison_table(models, parts),
        no_skill=comparison_table(no_skill, parts),
        caption=f"{trained}. Changed: {'; '.join(map(str, plan.differences))}.",
        differences=plan.differences,
        notes=[
            *plan.notes,
            f"{TUNED}: calibrated probabilities at the thresholds {_listed(tuning.tuned.thresholds)}, in validation "
            f"each chosen on other patients; all other models are uncalibrated, at {THRESHOLD}",
            *plan.searched.departures(searched),
            *_setback(plan, searched, retrained),
        ],
        scores=models | no_skill,
    )


def _listed(thresholds: dict[str, float]) -> str:
    return ", ".join(f"{label} {value:.4g}" for label, value in thresholds.items())


def _setback(plan: RetrainPlan, searched: ModelScores, retrained: ModelScores) -> list[str]:
    """A note if the retrained model is worse in validation."""
    before, after = (model.parts["validation"][plan.metric] for model in (searched, retrained))
    if not (after < before if higher_is_better(plan.metric) else after > before):
        return []
    return [
        f"the retrained model is worse than the {plan.searched.name} one in validation ({plan.metric} {after:.4f} "
        f"instead of {before:.4f}); more --epochs or a lower --lr may help"
    ]


def _write_tables(plan: RetrainPlan, folder: Path, made: Retrained, tuning: Tuning) -> None:
    behind = Cohort(plan.store, CrossValidation(plan.experiment.validation.folds)).population
    comparison = Table("comparison", made.caption, made.comparison, made.no_skill, behind, made.notes)
    for table in (comparison, *tuning.tables(behind)):
        write_table(folder, table)
    tuning.draw(folder)


def _write_metrics(
    plan: RetrainPlan,
    folder: Path,
    parts: list[Part],
    made: Retrained,
    training: ResumableTraining,
    tuning: Tuning,
) -> None:
    train = Part.of("train", plan.store, plan.fold.train)
    content = {
        "metric": plan.metric,
        "best_epoch": training.best.epoch,
        "ended": training.ended,
        "parts": {part.name: part.about() for part in (train, *parts)},
        "models": {
            name: {"trained_parameters": scores.trained_parameters, **scores.parts}
            for name, scores in made.scores.items()
        },
        "calibration": tuning.errors.to_dict("records"),
        "thresholds": tuning.decisions.to_dict("records"),
        "history": {plan.searched.name: plan.searched.history, RETRAINED: training.history},
        "differences": [change._asdict() for change in made.differences],
        "notes": made.notes,
    }
    with replacing(folder / "metrics.json") as file:
        file.write_text(json.dumps(without_nan(content), indent=2) + "\n")
