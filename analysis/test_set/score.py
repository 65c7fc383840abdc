"""Scores the few trials that a paper tells of on the test set: once, at the end."""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.special import expit, logit

from analysis.ranking.trial import RankedTrial
from analysis.scoring.searched import SearchedModel, searched_experiment
from analysis.test_set.held_out import HeldOut
from ichtune.bank.build import build
from ichtune.errors import InputError
from ichtune.models.heads import make_heads
from ichtune.models.network import Network
from ichtune.progress import Report
from ichtune.training.experiment import folds_of, open_store
from ichtune.training.predict import predict

# Mean probabilities of exactly 0 or 1 would have no logit that half precision holds.
_MOST_CERTAIN = 1e-7


def score_on_test(held_out: HeldOut, trials: Sequence[RankedTrial], report: Report = lambda *_: None) -> None:
    """Let these trials predict the test set, those that have not yet.

    Raises:
        InputError: the store has no test set, or is not the one that was searched on; or another process
            is scoring this run's trials.
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
    """Whether the search kept the trial's whole model: that of a trained backbone it did not."""
    frozen = trial.record.recipe.model.train == "frozen"
    return frozen and (trial.record.folder / "best.safetensors").is_file()


def _predicted(trial: RankedTrial, report: Report) -> np.ndarray:
    """The logit of the mean probability of the trial's models of all folds, float64 `[n, 6]`."""
    recipe = trial.record.recipe
    experiment = searched_experiment(trial.run.request, recipe)
    store = open_store(experiment.store)
    build(experiment.parts, progress=report)
    source = experiment.features(recipe.model_copy(update={"augmentation": "normal"}))
    folds = folds_of(store, experiment.folds)
    network = Network(None, make_heads(recipe, source.width, [fold.index for fold in folds]))
    for place, fold in enumerate(folds):
        network.heads.load(place, SearchedModel(trial, recipe, experiment, fold).head)
    logits = predict(network, source, store.test, device=torch.device("cpu")).numpy()
    return logit(np.clip(expit(logits.astype(np.float64)).mean(axis=0), _MOST_CERTAIN, 1 - _MOST_CERTAIN))
