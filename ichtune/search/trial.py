"""One trial on Ray: a recipe trained epoch by epoch, scored on its folds, and recorded in its folder."""

import time
import traceback
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from ray.tune import Trainable
from safetensors.torch import save

from ichtune.metrics import nan_std, worst
from ichtune.models.heads import HeadState
from ichtune.models.heads.saved import pack
from ichtune.recipe import recipe_hash
from ichtune.runs.ends import TrialEnd
from ichtune.runs.fold_scores import by_seed
from ichtune.runs.folder import RunFolder
from ichtune.runs.promoted import promoted_heads
from ichtune.runs.records import EpochRecord
from ichtune.runs.study import ENDED
from ichtune.runs.trial_folder import slug
from ichtune.search.disk import DISK_FULL, is_disk_full
from ichtune.search.failures import is_out_of_memory
from ichtune.search.searcher import EARLIER, OBJECTIVE, SCORED
from ichtune.search.tensorboard import TensorBoardWriter
from ichtune.space import RECIPE, Space
from ichtune.training.checkpoint import DamagedCheckpoint, load_checkpoint, save_checkpoint
from ichtune.training.experiment import Experiment, open_store
from ichtune.training.results import EpochResult
from ichtune.training.session import TrainingSession

CHECKPOINT_EVERY_S = 1.0
"""Epochs of heads take milliseconds, so at most this much is lost; longer epochs are saved every time."""


@dataclass(frozen=True)
class TrialJob:
    """What all trials of a search share."""

    experiment: Experiment
    space: Space
    run: RunFolder
    threads: int
    promotes: bool = False
    """Whether trials start from the heads that the run promoted."""
    on_gpu: bool = False
    """Whether each trial has a share of a GPU. Ray doesn't hide GPUs from a trial that has none."""

    @property
    def device(self) -> torch.device:
        """Where trials train."""
        return torch.device("cuda" if self.on_gpu and torch.cuda.is_available() else "cpu")


def trial_folder_name(config: dict[str, Any]) -> str:
    """A trial's name: its number, then its point's name or the branches that it took."""
    words = [value for value in config["params"].values() if isinstance(value, str)]
    return slug(config["number"], [config["point"]] if config["point"] else words)


class SearchTrial(Trainable):
    """A trial as Ray sees it. Ray reuses the actor for later trials; no state carries over."""

    def setup(self, config: dict[str, Any], job: TrialJob) -> None:  # ty: ignore[incompatible-method-override]
        # Ray may give an actor made for one trial to another, so the trial starts with its first epoch, not here.
        self.job = job
        self.run: _TrialRun | None = None
        torch.set_num_threads(job.threads)

    def step(self) -> dict[str, Any]:
        try:
            self.run = self.run or _TrialRun(self.job, self.config)
            return self.run.next_epoch()
        except Exception as error:
            if is_disk_full(error):
                # Not the recipe's fault: the search ends, and the trial continues when it is resumed.
                value = worst(self.job.space.metric)  # Ray requires a value
                return {
                    "epoch": 0,
                    OBJECTIVE: value,
                    ENDED: TrialEnd.INTERRUPTED,
                    DISK_FULL: str(error),
                    "done": True,
                }
            folder = self.job.run.trial(trial_folder_name(self.config))
            folder.keep_error(traceback.format_exc())
            if is_out_of_memory(error):
                folder.split_batches()
            raise

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.cleanup()
        return True

    def cleanup(self) -> None:
        if self.run is not None:
            self.run.close()
            self.run = None

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        raise NotImplementedError("trials keep their state in the run's own folder")


class _TrialRun:
    """A trial's session in its folder, from its first epoch to its last."""

    def __init__(self, job: TrialJob, config: dict[str, Any]) -> None:
        self.job = job
        recipe = job.space.recipe(config["params"])
        self.folder = job.run.trial(trial_folder_name(config))
        self.folder.fetch()
        self.hash = recipe_hash(recipe)
        self.all_folds = job.experiment.all_folds
        self.out_of_fold: np.ndarray | None = None
        """Logits `[R, N, 6]` of each slice by the fold that validates on it, at that fold's epoch; NaN elsewhere."""
        before = self._checkpoint()
        done = before["state"]["epoch"] if before else 0
        self.folder.begin(config["number"], config["params"], recipe, config["point"], done=done)
        micro_batches = self.folder.micro_batches
        self.session = TrainingSession(
            job.space.metric,
            epochs=recipe.training.epochs,
            patience=recipe.training.patience,
            micro_batches=micro_batches,
            rounds=job.experiment.validation.rounds,
        )
        self.earlier: list[float] = []
        """The objectives of an earlier attempt, until they are reported."""
        if before:
            self.session.resume(before)
            self.earlier = self.folder.objectives()
        self.tensorboard = TensorBoardWriter(self.folder.path, config["params"])
        self.epochs = self.session.run(
            job.experiment.epochs(
                recipe,
                device=job.device,
                threads=job.threads,
                resume=before and before["state"],
                micro_batches=micro_batches,
                heads=self._promoted_heads(config["params"].get(RECIPE)),
            )
        )
        self.saved = time.monotonic()
        self.last: EpochRecord | None = None
        self.best: EpochRecord | None = None

    def _promoted_heads(self, recipe: str | None) -> list[HeadState] | None:
        """The heads that a promoted recipe starts from; None for a trial of an ordinary search."""
        if not self.job.promotes or recipe is None:
            return None
        # Every round begins with the heads of the store's own folds.
        count = self.job.experiment.validation.folds
        return promoted_heads(self.job.run, recipe, [fold.index % count for fold in self.all_folds])

    def next_epoch(self) -> dict[str, Any]:
        result, record, is_best, scored_folds = next(self.epochs)
        if is_best:
            self.best = record
            self.folder.keep_heads(save(pack(result.heads())))
        if scored_folds:
            self._keep_out_of_fold(result, scored_folds)
        self.folder.add_epoch(record)
        self.tensorboard.add(record.epoch, {"best_so_far": self.session.best.value, **record.scalars()})
        self._keep_checkpoint(result)
        self.last = record
        earlier, self.earlier = self.earlier, []
        return {
            "epoch": record.epoch,
            OBJECTIVE: record.objective,
            SCORED: record.scored,
            "diverged": record.diverged,
            **({EARLIER: earlier} if earlier else {}),
            **({ENDED: record.ended, "done": True} if record.ended else {}),
        }

    def _checkpoint(self) -> dict[str, Any] | None:
        """The checkpoint of an interrupted attempt at this recipe, with the logits that it kept until then.

        None if there is none, or it is damaged or from an earlier version.
        """
        try:
            content = load_checkpoint(self.folder.checkpoint)
        except (FileNotFoundError, DamagedCheckpoint):
            return None
        if content["recipe_hash"] != self.hash or "by_others" not in content:  # or an earlier version's
            return None
        self.out_of_fold = self.folder.kept_logits()
        return None if self.out_of_fold is None else content

    def _keep_checkpoint(self, result: EpochResult) -> None:
        """Save a checkpoint for retries, but not after every epoch if epochs take milliseconds."""
        if self.session.ended:
            self.folder.drop_checkpoint()
        elif time.monotonic() - self.saved >= CHECKPOINT_EVERY_S:
            content = {"recipe_hash": self.hash, **self.session.state(result)}
            save_checkpoint(self.folder.checkpoint, content)
            self.folder.push()
            self.saved = time.monotonic()

    def _keep_out_of_fold(self, result: EpochResult, folds: list[int]) -> None:
        """Keep the logits of these folds' validation slices, and those of the other folds from earlier epochs."""
        if self.out_of_fold is None:
            shape = open_store(self.job.experiment.store).labels.shape
            self.out_of_fold = np.full((self.job.experiment.validation.rounds, *shape), np.nan, np.float32)
        for number in folds:
            fold = self.all_folds[number]
            self.out_of_fold[fold.round, fold.valid] = result.logits[number]
        self.folder.keep_logits(self.out_of_fold)

    def close(self) -> None:
        if self.last is not None:
            final, diverged = self.last.mean[self.job.space.metric], float(self.last.diverged)
            outcome = {"best": self.session.best.value, "final": final, "diverged": diverged}
            seeds = self.job.experiment.validation.seeds
            if seeds > 1 and self.best is not None:
                by_metric = np.array(self.best.folds[self.job.space.metric])
                outcome["seed_std"] = nan_std(np.array(by_seed(by_metric, seeds)))
            self.tensorboard.add(
                self.last.epoch, {f"outcome/{name}": value for name, value in outcome.items()}
            )
        self.tensorboard.close()
        self.folder.seal()
        self.folder.push()
