"""Retraining the best recipes with other random seeds."""

import json
from collections.abc import Iterator
from typing import Any

import torch

from analysis.ranking.order import Ranking
from analysis.ranking.seed_noise import reruns
from analysis.ranking.trial import RankedTrial
from ichtune.bank.build import build
from ichtune.errors import InputError
from ichtune.models.heads import HeadState
from ichtune.progress import Report
from ichtune.runs.folder import RERUNS
from ichtune.runs.promoted import Promoted, promoted_heads
from ichtune.runs.records import without_nan
from ichtune.search.resume import resume
from ichtune.space.recipes import RECIPE
from ichtune.training.experiment import Experiment
from ichtune.training.session import TrainingSession


def rerun(ranking: Ranking, top: int, seeds: int, report: Report = lambda *_: None) -> list[dict[str, Any]]:
    """Train the best `top` recipes with `seeds` other seeds each, for as many epochs as in the search.

    Finished trainings are kept, even if this is interrupted, and not repeated. The search's own feature bank is used,
    so all seeds see the same augmented views. `report` receives the number of finished trainings.
    Returns all `reruns` of the run.

    Raises:
        InputError: the store is gone or another one, another process is running other seeds of this run, or its
            search has already trained each recipe with several.
    """
    if (own := ranking.validation.seeds) > 1:
        raise InputError(
            f"--seeds: the search {ranking.run.name} has trained each recipe with {own} seeds (--repeats {own}), which "
            "its ranking shows; for more, start a new search with more --repeats"
        )
    ranking.run.refuse_while_searching("--seeds")
    with ranking.run.claimed("other seeds"):
        return _rerun(ranking, top, seeds, report)


def _rerun(ranking: Ranking, top: int, seeds: int, report: Report) -> list[dict[str, Any]]:
    done = {(record["trial"], record["seed"]) for record in reruns(ranking.run)}
    chosen = [trial for trial in ranking.trials[:top] if not trial.diverged]
    wanted = [(trial, seed) for trial in chosen for seed in other_seeds(trial, seeds)]
    missing = [(trial, seed) for trial, seed in wanted if (trial.name, seed) not in done]
    if missing:
        plan = resume(ranking.run, {})
        build(plan.parts)
        experiment = plan.experiment
        with open(ranking.run.path / RERUNS, "a") as file:
            for number, (trial, seed) in enumerate(missing, len(wanted) - len(missing)):
                report(number, len(wanted), "")
                file.write(json.dumps(_train(experiment, trial, seed)) + "\n")
                file.flush()
        report(len(wanted), len(wanted), "")
    return reruns(ranking.run)


def other_seeds(trial: RankedTrial, count: int) -> Iterator[int]:
    """The seeds that follow the trial's own."""
    own = trial.record.recipe.training.seed
    return ((own + more) % 2**32 for more in range(1, count + 1))


def _train(experiment: Experiment, trial: RankedTrial, seed: int) -> dict[str, Any]:
    recipe = trial.record.recipe
    recipe = recipe.model_copy(update={"training": recipe.training.model_copy(update={"seed": seed})})
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    session = TrainingSession(
        trial.searched, epochs=trial.record.last.epoch, patience=recipe.training.patience
    )
    results = experiment.epochs(
        recipe, device=device, threads=torch.get_num_threads(), heads=_heads(experiment, trial)
    )
    scores = trial.scores_of([epoch.record for epoch in session.run(results)])
    return {
        "trial": trial.name,
        "seed": seed,
        "epochs": [epoch.epoch for epoch in scores.epochs],
        "mean": without_nan(scores.mean),
    }


def _heads(experiment: Experiment, trial: RankedTrial) -> list[HeadState] | None:
    """The heads that the trial started from; None if it wasn't promoted."""
    if Promoted.of(trial.run) is None:
        return None
    count = experiment.validation.folds
    folds = [fold.index % count for fold in experiment.all_folds]
    return promoted_heads(trial.run, trial.record.params[RECIPE], folds)
