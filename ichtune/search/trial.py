"""One trial on Ray: a recipe trained epoch by epoch, scored on its folds, and recorded in its own folder."""

import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from ray.tune import Trainable

from ichtune.config import recipe_hash
from ichtune.models.heads.saved import pack
from ichtune.search.disk import DISK_FULL, is_disk_full
from ichtune.search.failures import is_out_of_memory
from ichtune.search.run_folder import ENDED, RunFolder, slug
from ichtune.search.searcher import OBJECTIVE
from ichtune.search.study import INTERRUPTED
from ichtune.search.tensorboard import TrialBoard
from ichtune.space import Space
from ichtune.training.experiment import Experiment, folds_of, open_store
from ichtune.training.metrics import worst
from ichtune.training.results import EpochResult
from ichtune.training.stopping import BestEpoch

CHECKPOINT_EVERY_S = 1.0
"""Epochs of heads take milliseconds: so much of them is lost at most. A longer epoch is kept each time."""


@dataclass(frozen=True)
class TrialJob:
    """What every trial of a search is given."""

    experiment: Experiment
    space: Space
    run: RunFolder
    threads: int


def trial_folder_name(config: dict[str, Any]) -> str:
    """A trial's name: its number, its point's name if it has one, and the branches that it took."""
    words = [value for value in config["params"].values() if isinstance(value, str)]
    return slug(config["number"], [config["point"]] if config["point"] else words)


class SearchTrial(Trainable):
    """Ray's view of a trial; the actor lives on from one to the next, and each begins with nothing of the last."""

    def setup(self, config: dict[str, Any], job: TrialJob) -> None:  # ty: ignore[incompatible-method-override]
        # Ray also makes actors for trials that it then gives to others, so the trial begins with its first epoch.
        self.job = job
        self.run: _TrialRun | None = None
        torch.set_num_threads(job.threads)

    def step(self) -> dict[str, Any]:
        try:
            self.run = self.run or _TrialRun(self.job, self.config)
            return self.run.next_epoch()
        except Exception as error:
            if is_disk_full(error):
                # No fault of the recipe's: the trial waits for the search to be resumed, and the search ends.
                value = worst(self.job.space.metric)  # Ray takes no result without one
                return {
                    "epoch": 0,
                    OBJECTIVE: value,
                    ENDED: INTERRUPTED,
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
    """A trial from its first epoch to its last."""

    def __init__(self, job: TrialJob, config: dict[str, Any]) -> None:
        self.job = job
        self.recipe = job.space.recipe(config["params"])
        self.best = BestEpoch(job.space.metric, self.recipe.training.patience)
        self.folder = job.run.trial(trial_folder_name(config))
        self.hash = recipe_hash(self.recipe)
        checkpoint = self.folder.begin(
            {
                "number": config["number"],
                "params": config["params"],
                "recipe": self.recipe.model_dump(mode="json"),
                "recipe_hash": self.hash,
                "point": config["point"],
            }
        )
        if checkpoint:
            self.best.load_state_dict(checkpoint["best"])
        self.board = TrialBoard(self.folder.path, config["params"])
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.parts = self.folder.batch_parts
        self.epochs: Iterator[EpochResult] = job.experiment.epochs(
            self.recipe,
            device=device,
            threads=job.threads,
            resume=checkpoint and checkpoint["state"],
            parts=self.parts,
        )
        self.saved = time.monotonic()
        self.last: EpochResult | None = None

    def next_epoch(self) -> dict[str, Any]:
        begun = time.monotonic()
        result = next(self.epochs)
        metric = self.job.space.metric
        if self.best.update(result.epoch, result.mean(metric)):
            self.folder.keep_best(pack(result.heads()), self._out_of_fold(result))
        ended = self._why_ended(result)
        value = worst(metric) if result.diverged or np.isnan(self.best.value) else self.best.value
        record = epoch_record(result, seconds=time.monotonic() - begun)
        self.folder.add_epoch({**record, "batch_parts": self.parts, OBJECTIVE: value, ENDED: ended})
        self.board.add(result.epoch, {"best_so_far": self.best.value, **scalars(result)})
        self._checkpoint(result, ended)
        self.last = result
        return {
            "epoch": result.epoch,
            OBJECTIVE: value,
            "diverged": result.diverged,
            **({ENDED: ended, "done": True} if ended else {}),
        }

    def _checkpoint(self, result: EpochResult, ended: str | None) -> None:
        """Keep what a retry goes on from, but not after every epoch of those that take milliseconds."""
        if ended:
            self.folder.drop_checkpoint()
        elif time.monotonic() - self.saved >= CHECKPOINT_EVERY_S:
            content = {"recipe_hash": self.hash, "state": result.state(), "best": self.best.state_dict()}
            self.folder.save_checkpoint(content)
            self.saved = time.monotonic()

    def _why_ended(self, result: EpochResult) -> str | None:
        if result.diverged:
            return "diverged"
        if result.epoch >= self.recipe.training.epochs:
            return "last epoch"
        return "patience" if self.best.out_of_patience else None

    def _out_of_fold(self, result: EpochResult) -> np.ndarray:
        """Every slice's logits `[N, 6]` by the fold that validates on it, NaN elsewhere."""
        store = open_store(self.job.experiment.store)
        logits = np.full(store.labels.shape, np.nan, np.float32)
        for fold, values in zip(folds_of(store, self.job.experiment.folds), result.logits, strict=True):
            logits[fold.valid] = values
        return logits

    def close(self) -> None:
        if self.last is not None:
            final = self.last.mean(self.job.space.metric)
            outcome = {"best": self.best.value, "final": final, "diverged": float(self.last.diverged)}
            self.board.add(self.last.epoch, {f"outcome/{name}": value for name, value in outcome.items()})
        self.board.close()
        self.folder.push()


def epoch_record(result: EpochResult, *, seconds: float) -> dict[str, Any]:
    """An epoch as plain data: means and deviations over folds, each fold's values, and what proves the knobs acted."""
    folds = {**result.metrics, "train_loss": result.train_loss}
    return {
        "epoch": result.epoch,
        "diverged": result.diverged,
        "mean": {name: _finite(_nan_mean(values)) for name, values in folds.items()},
        "std": {name: _finite(_nan_std(values)) for name, values in folds.items()},
        "folds": {name: [_finite(value) for value in values] for name, values in folds.items()},
        "lr": result.lr.tolist(),
        "mean_lr": result.mean_lr.tolist(),
        "class_mix": [[_finite(share) for share in fold] for fold in result.class_mix],
        "grad_norm": [_finite(norm) for norm in result.grad_norm],
        "trained_parameters": int(result.trained_parameters[0]),
        "seconds": seconds,
    }


def scalars(result: EpochResult) -> dict[str, float]:
    """An epoch's means over folds by TensorBoard tag."""
    valid = {f"valid/{name}": _nan_mean(values) for name, values in result.metrics.items()}
    return valid | {
        "train/loss": _nan_mean(result.train_loss),
        "train/lr": float(result.mean_lr.mean()),
        "train/grad_norm": _nan_mean(result.grad_norm),
        "train/positive_share": _nan_mean(result.class_mix[:, -1]),
    }


def _nan_mean(values: np.ndarray) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")


def _nan_std(values: np.ndarray) -> float:
    defined = values[~np.isnan(values)].astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # of a trial that diverges
        return float(defined.std(ddof=1)) if len(defined) > 1 else float("nan")


def _finite(value: float) -> float | None:
    """JSON has no NaN."""
    return float(value) if np.isfinite(value) else None
