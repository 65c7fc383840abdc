"""A training of one fold that stops early, keeps its best epoch, and goes on after being killed."""

import pickle
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ichtune.errors import InputError
from ichtune.files import replacing
from ichtune.training.results import EpochResult
from ichtune.training.stopping import BestEpoch
from ichtune.wording import plain


class ResumableTraining:
    """What is known of a training after each of its epochs, kept in a file from which it can go on."""

    def __init__(
        self, file: Path, settings: dict[str, Any], *, metric: str, epochs: int, patience: int | None
    ) -> None:
        """`settings` (plain data) are all that the training depends on; a file of others is refused.

        Raises:
            InputError: the file is of a training with other settings, or damaged.
        """
        self.file = file
        self.settings = settings
        self.epochs = epochs
        self.best = BestEpoch(metric, patience)
        self.weights: dict[str, torch.Tensor] = {}
        """The best epoch's, as `Network.load_trained_state` takes them."""
        self.history: list[dict[str, Any]] = []
        """A record an epoch, as plain data."""
        self.ended: str | None = None
        """`last epoch`, `patience` or `diverged`; None while it goes on."""
        self.state: dict[str, Any] | None = None
        """What `fit` resumes from; None before the first epoch."""
        if file.is_file():
            self._load()

    def run(self, results: Iterator[EpochResult]) -> Iterator[dict[str, Any]]:
        """Take the results that `fit` gives from `state` on until the training has ended; gives each epoch's record.

        Raises:
            InputError: it diverged before its metric was ever defined.
        """
        while self.ended is None:
            begun = time.monotonic()
            result = next(results)
            self._take(result, time.monotonic() - begun)
            self._save()
            yield self.history[-1]

    def _take(self, result: EpochResult, seconds: float) -> None:
        self.state = result.state()
        if self.best.update(result.epoch, result.mean(self.best.metric)):
            self.weights = self.state["network"]
        self.history.append(_record(result, seconds))
        self.ended = self._why_ended(result)
        if self.ended and not self.weights:
            raise InputError(
                f"optimizer.lr: the training diverged in epoch {result.epoch}, before any epoch had a defined "
                f"{self.best.metric}; take a lower --lr than {plain(float(result.lr[0]))}"
            )

    def _why_ended(self, result: EpochResult) -> str | None:
        if result.diverged:
            return "diverged"
        if result.epoch >= self.epochs:
            return "last epoch"
        return "patience" if self.best.out_of_patience else None

    def _save(self) -> None:
        content = {
            "settings": self.settings,
            "state": self.state,
            "best": self.best.state_dict(),
            "weights": self.weights,
            "history": self.history,
            "ended": self.ended,
        }
        with replacing(self.file) as file:
            torch.save(content, file)

    def _load(self) -> None:
        try:
            content = torch.load(self.file, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            raise InputError(f"{self.file}: damaged ({error}); delete it to begin anew") from None
        self._check(content["settings"])
        self.best.load_state_dict(content["best"])
        self.state, self.weights = content["state"], content["weights"]
        self.history, self.ended = content["history"], content["ended"]

    def _check(self, settings: dict[str, Any]) -> None:
        keys = [key for key in {**settings, **self.settings} if settings.get(key) != self.settings.get(key)]
        if keys:
            changes = (
                f"{key} was {plain(settings.get(key))}, is {plain(self.settings.get(key))}" for key in keys
            )
            raise InputError(
                f"{self.file.parent}: a training with other settings broke off here ({'; '.join(changes)}); choose "
                "another --label, or delete the folder to begin anew"
            )


def _record(result: EpochResult, seconds: float) -> dict[str, Any]:
    """An epoch of a single fold; what is undefined is None."""
    return {
        "epoch": result.epoch,
        "train_loss": _plain(result.train_loss),
        "lr": _plain(result.lr),
        "mean_lr": _plain(result.mean_lr),
        "grad_norm": _plain(result.grad_norm),
        "trained_parameters": int(result.trained_parameters[0]),
        "validation": {name: _plain(values) for name, values in result.metrics.items()},
        "seconds": seconds,
    }


def _plain(values: np.ndarray) -> float | None:
    return float(values[0]) if np.isfinite(values[0]) else None
