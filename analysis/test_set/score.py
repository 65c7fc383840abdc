"""Scores the few trials that a paper reports on the test set: once, at the end."""

from collections.abc import Sequence

import numpy as np
import torch

from analysis.ranking.trial import RankedTrial
from analysis.scoring.frozen import FrozenPredictor
from analysis.scoring.searched import searched_experiment
from analysis.test_set.held_out import HeldOut
from ichtune.errors import InputError
from ichtune.progress import Report
from ichtune.runs.trial_folder import HEADS
from ichtune.training.experiment import open_store


def score_on_test(held_out: HeldOut, trials: Sequence[RankedTrial], report: Report = lambda *_: None) -> None:
    """Score these trials on the test set, except those scored before.

    Raises:
        InputError: the store has no test set, or is not the one that was searched on; or another process is
            scoring this run's trials.
    """
    if not len(held_out.store.test):
        raise InputError(
            f"--test: {held_out.store.path} has no test set; `ichtune prepare --test-fraction 0.2` sets one aside"
        )
    held_out.run.refuse_while_searching("--test")
    with held_out.run.claimed("test scores"):
        missing = [trial for trial in trials if held_out.logits(trial) is None and is_scorable(trial)]
        if missing:
            held_out.keep({trial.name: _predicted(trial, report) for trial in missing})


def is_scorable(trial: RankedTrial) -> bool:
    """Whether the search kept the trial's whole model; trained backbones are not kept."""
    frozen = trial.record.recipe.model.train == "frozen"
    return frozen and (trial.record.folder / HEADS).is_file()


def _predicted(trial: RankedTrial, report: Report) -> np.ndarray:
    """The logits of the trial's models of all folds, float32 `[F, n, 6]`."""
    experiment = searched_experiment(trial.run.request, trial.record.recipe)
    folds = experiment.all_folds
    predictor = FrozenPredictor.load(trial, experiment, folds, torch.device("cpu"), report)
    return predictor.logits(open_store(experiment.store).test)
