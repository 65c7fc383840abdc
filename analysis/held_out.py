"""The test set, which no search looks at: scored at the end, for the few trials that a paper tells of."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np
import torch
from scipy.special import expit, logit

from analysis.influence import Truth
from analysis.ranked_trial import RankedTrial
from analysis.searched import SearchedModel, searched_experiment
from ichtune.config import Recipe
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.files import replacing
from ichtune.models.heads import HeadStack, Network
from ichtune.progress import Report
from ichtune.search.run_folder import RunFolder
from ichtune.training.bank_build import build
from ichtune.training.batches import Fold
from ichtune.training.experiment import folds_of, open_store
from ichtune.training.predict import predict

# Mean probabilities of exactly 0 or 1 would have no logit that half precision holds.
_MOST_CERTAIN = 1e-7


@dataclass(frozen=True)
class HeldOut:
    """What trials of a run predict for the test set, as `RUN/test` keeps it."""

    run: RunFolder
    store: SliceStore

    @property
    def looks(self) -> list[dict[str, Any]]:
        """Each time that trials were scored on the test set: `at` (UTC) and `trials`."""
        file = self.run.path / "test" / "looks.json"
        return json.loads(file.read_text()) if file.is_file() else []

    @cached_property
    def truth(self) -> Truth:
        """The test set as one fold, on which all scores are made."""
        fold = Fold(0, self.store.train, self.store.test)
        return Truth(self.store.labels, self.store.patients, [fold])

    def logits(self, trial: RankedTrial) -> np.ndarray | None:
        """The trial's logits `[N, 6]` (float16, NaN outside the test set); None where it was not scored."""
        file = self.run.path / "test" / f"{trial.name}.npy"
        if not file.is_file():
            return None
        logits = np.full(self.store.labels.shape, np.nan, np.float16)
        logits[self.store.test] = np.load(file, allow_pickle=False)
        return logits

    def score(self, trials: Sequence[RankedTrial], report: Report = lambda *_: None) -> None:
        """Let these trials predict the test set, those that have not yet, and keep that they did.

        Raises:
            InputError: the store has no test set, or is not the one that was searched on.
        """
        if not len(self.store.test):
            raise InputError(
                f"--test: {self.store.path} has no test set; `ichtune prepare --test-fraction 0.2` sets one aside"
            )
        missing = [trial for trial in trials if self.logits(trial) is None and is_scorable(trial)]
        if not missing:
            return
        (self.run.path / "test").mkdir(exist_ok=True)
        for trial in missing:
            logits = _predicted(trial, report)
            with replacing(self.run.path / "test" / f"{trial.name}.npy") as file, open(file, "wb") as stream:
                np.save(stream, logits.astype(np.float16))
        look = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "trials": [trial.name for trial in missing],
        }
        with replacing(self.run.path / "test" / "looks.json") as file:
            file.write_text(json.dumps([*self.looks, look], indent=2) + "\n")


def is_scorable(trial: RankedTrial) -> bool:
    """Whether the search kept the trial's whole model: that of a trained backbone it did not."""
    frozen = trial.record.recipe["model"]["train"] == "frozen"
    return frozen and (trial.record.folder / "best.safetensors").is_file()


def _predicted(trial: RankedTrial, report: Report) -> np.ndarray:
    """The logit of the mean probability of the trial's models of all folds, float64 `[n, 6]`."""
    recipe = Recipe.parse(trial.record.recipe, trial.name)
    experiment = searched_experiment(trial.run.asked, recipe)
    store = open_store(experiment.store)
    build(experiment.parts, progress=report)
    source = experiment.features(recipe.model_copy(update={"augmentation": "normal"}))
    folds = folds_of(store, experiment.folds)
    network = Network(None, HeadStack(source.width, [fold.index for fold in folds], seed=0))
    for place, fold in enumerate(folds):
        network.heads.load(place, *SearchedModel(trial, recipe, experiment, fold).head)
    logits = predict(network, source, store.test, device=torch.device("cpu")).numpy()
    return logit(np.clip(expit(logits.astype(np.float64)).mean(axis=0), _MOST_CERTAIN, 1 - _MOST_CERTAIN))
