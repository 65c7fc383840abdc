"""Made-up finished searches of any size, to measure and test ranking without training anything.

A trial's predictions follow from the quality of its recipe, which `quality` defines: the optimizer, its rate, the
loss and the augmentation matter, dropout hardly, and the sampler not at all.
"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy.special import expit

from ichtune.cross_validation import CrossValidation
from ichtune.data.store import SliceStore
from ichtune.labels import LABELS
from ichtune.metrics import evaluate
from ichtune.recipe import Recipe
from ichtune.runs.best_epoch import BestEpoch, EpochsByOtherFolds
from ichtune.runs.ends import TrialEnd
from ichtune.runs.folder import RunFolder
from ichtune.runs.request import SearchRequest
from ichtune.runs.settings import SearchSettings
from ichtune.runs.study import ENDED
from ichtune.search.proposals import make_sampler
from ichtune.search.scheduler import Halving
from ichtune.search.searcher import OBJECTIVE, StudySearcher
from ichtune.search.trial import trial_folder_name
from ichtune.search.tuner import first_trials
from ichtune.space import Space
from ichtune.training.experiment import folds_of
from ichtune.training.results import EpochResult
from ichtune.training.session import record_of
from tests.made_up.records import new_run
from tests.made_up.spaces import USUAL

Quality = Callable[[dict[str, Any]], float]
BEST_LR = {"adam": 1e-3, "radam": 1e-3, "sgd": 1e-2}


def quality(params: dict[str, Any]) -> float:
    """Return how much higher a recipe's logits are where there is a hemorrhage."""
    optimizer = params.get("optimizer", "adam")
    rate = next((value for name, value in params.items() if name.endswith(".lr")), BEST_LR[optimizer])
    off = math.log10(rate / BEST_LR[optimizer])
    loss = 0.25 if params.get("loss") == "focal" else 0.0
    level = {"normal": 0.0, "moderate": 0.15, "aggressive": 0.05}[params.get("augmentation", "normal")]
    return (
        1.0
        - 0.35 * off**2
        - (0.15 if optimizer == "sgd" else 0)
        + loss
        + level
        - 0.1 * params.get("model.dropout", 0)
    )


def made_up_run(
    runs: Path,
    store: SliceStore,
    trials: int,
    *,
    name: str = "made-up",
    space: Space | None = None,
    seed: int = 0,
) -> RunFolder:
    """Make a finished search with random sampling and ASHA, as `ichtune search` leaves it, except for the heads."""
    space = space or USUAL.changed({"model.weights": "random"})
    folds = store.info.folds
    settings = SearchSettings(
        trials=trials, name=name, runs=runs, folds=folds, sampler="random", seed=seed, engine="torch"
    )
    run = new_run(runs / name, SearchRequest.now(store, space, settings))
    halving = Halving(
        metric=OBJECTIVE,
        mode=space.direction,
        max_epochs=space.max_epochs,
        grace=min(settings.grace, space.max_epochs),
        reduction=settings.reduction,
    )
    searcher = StudySearcher(
        run.journal, space, lambda _: make_sampler("random", seed, space), halving.has_stopped
    )
    for params, point in first_trials("random", space):
        searcher.enqueue(params, point)
    world = World(store, folds, seed)
    for number in range(trials):
        trial: Any = SimpleNamespace(trial_id=f"ray{number}")
        halving.on_trial_add(None, trial)  # ty: ignore[invalid-argument-type]
        config = searcher.suggest(trial.trial_id)
        assert isinstance(config, dict), "the space has no more recipes"
        for report in world.train(run, space, config):
            searcher.on_trial_result(trial.trial_id, report)
            if ENDED in report or halving.on_trial_result(None, trial, report) == halving.STOP:
                break
        searcher.on_trial_complete(trial.trial_id, report)
    return run


class World:
    """What all recipes have in common: the labels, and how hard each slice and each patient is."""

    def __init__(
        self, store: SliceStore, folds: int, seed: int, quality: Quality = quality, stream: int = 2
    ) -> None:
        """`quality` is a recipe's, by its parameters; runs with another `stream` have other noise by trial."""
        self.quality, self.stream = quality, stream
        rng = np.random.default_rng([seed, 1])
        self.labels, self.folds, self.seed = store.labels, folds_of(store, CrossValidation(folds)), seed
        _, patient = np.unique(store.patients, return_inverse=True)
        by_patient = rng.normal(0, 0.6, (int(patient.max()) + 1, len(LABELS)))[patient]
        self.hardness = (by_patient + rng.normal(0, 0.6, self.labels.shape) - 2.5).astype(np.float32)

    def train(self, run: RunFolder, space: Space, config: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Write the files of a trial one epoch at a time; yield what it reports."""
        recipe, params = space.recipe(config["params"]), config["params"]
        folder = run.trial(trial_folder_name(config))
        folder.begin(config["number"], params, recipe, config["point"], done=0)
        own = np.random.default_rng([self.seed, self.stream, config["number"]]).normal(
            0, 0.3, self.labels.shape
        )
        best = BestEpoch(space.metric, recipe.training.patience)
        by_others, kept = EpochsByOtherFolds(space.metric), np.full(self.labels.shape, np.nan, np.float32)
        for epoch in range(1, recipe.training.epochs + 1):
            learned = self.quality(params) * (1 - math.exp(-epoch / 1.5))
            logits = self.hardness + own.astype(np.float32) + np.float32(learned) * self.labels
            result = self._result(epoch, recipe, logits)
            best.update(epoch, result.mean(space.metric))
            folder.keep_heads(b"")
            for fold in by_others.update(epoch, result.metrics[space.metric]):
                kept[self.folds[fold].valid] = logits[self.folds[fold].valid]
            folder.keep_logits(kept[np.newaxis])
            ended = TrialEnd.LAST_EPOCH if epoch == recipe.training.epochs else None
            folder.add_epoch(
                record_of(result, 0.01, micro_batches=1, objective=best.value, scored=True, ended=ended)
            )
            if ended:
                folder.seal()
            yield {"epoch": epoch, OBJECTIVE: best.value} | ({ENDED: ended} if ended else {})

    def _result(self, epoch: int, recipe: Recipe, logits: np.ndarray) -> EpochResult:
        scores = [evaluate(expit(logits[fold.valid]), self.labels[fold.valid]) for fold in self.folds]
        metrics = {name: np.array([fold[name] for fold in scores]) for name in scores[0]}
        metrics["loss"] = metrics["weighted_log_loss"]
        count, prevalence = len(self.folds), np.nanmean(self.labels, axis=0)
        decay = 1.0 if recipe.schedule.name == "constant" else 1 - 0.9 * epoch / recipe.training.epochs
        rate = np.full(count, recipe.optimizer.lr * decay)
        drawn = prevalence if recipe.sampler == "shuffle" else np.maximum(prevalence, 0.5)
        return EpochResult(
            epoch=epoch,
            metrics=metrics,
            train_loss=metrics["loss"] * 0.95,
            lr=rate,
            mean_lr=rate,
            class_mix=np.tile(drawn, (count, 1)),
            grad_norm=np.full(count, 1 / epoch),
            trained_parameters=np.full(count, 3078),
            logits=[logits[fold.valid] for fold in self.folds],
            heads=list,
            state=dict,
        )
