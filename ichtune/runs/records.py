"""A trial on disk: its recipe, and a record per epoch."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ichtune.errors import InputError
from ichtune.json_text import read_json, read_json_lines
from ichtune.metrics import nan_mean
from ichtune.recipe import Recipe
from ichtune.runs.best_epoch import BestEpoch
from ichtune.runs.ends import TrialEnd

ABOUT, EPOCHS = "trial.json", "epochs.jsonl"


@dataclass(frozen=True)
class EpochRecord:
    """One epoch of a trial: means and deviations over folds, values per fold, and proof that each setting took effect.

    Undefined values are NaN here, and null in the file.
    """

    epoch: int
    diverged: bool
    mean: dict[str, float]
    """Over the folds where it is defined: `evaluate`'s metrics, `loss` and `train_loss`."""
    std: dict[str, float]
    folds: dict[str, list[float]]
    lr: list[float]
    """The rate of the epoch's last step, per fold like the lists below."""
    mean_lr: list[float]
    class_mix: list[list[float]]
    """The share of positives of each label among the rows drawn."""
    grad_norm: list[float]
    trained_parameters: int
    seconds: float
    batch_parts: int = 1
    """How many micro-batches each batch was split into."""
    objective: float = math.nan
    """The best mean of the search's metric so far; the metric's worst value if none was computed (Ray takes no NaN)."""
    scored: bool = True
    """Whether the objective was computed."""
    ended: TrialEnd | None = None
    """Why the trial ended after this epoch; None if it continued."""

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> "EpochRecord":
        """Parse a line of `epochs.jsonl`, ignoring keys that this version doesn't know.

        Raises:
            KeyError, TypeError, ValueError: it isn't such a record.
        """
        known: dict[str, Any] = {name: data[name] for name in _FIELDS if name in data}
        known |= {name: _by_name(known[name]) for name in ("mean", "std")}
        known["folds"] = {name: _floats(values) for name, values in data["folds"].items()}
        known["class_mix"] = [_floats(shares) for shares in data["class_mix"]]
        known["grad_norm"] = _floats(data["grad_norm"])
        # Older records lack this; there, only diverged epochs are known to have no score.
        known.setdefault("scored", not data["diverged"])
        if known.get("ended") is not None:
            known["ended"] = TrialEnd(known["ended"])
        return cls(**known)

    def to_json(self) -> str:
        return json.dumps(without_nan(vars(self)))

    def scalars(self) -> dict[str, float]:
        """Return the means over folds by the tag of their curve; once a fold has diverged there are no scores."""
        valid = {f"valid/{name}": value for name, value in self.mean.items() if name != "train_loss"}
        return valid | {
            "train/loss": self.mean["train_loss"],
            "train/lr": float(np.mean(self.mean_lr)),
            "train/grad_norm": nan_mean(np.array(self.grad_norm)),
            "train/positive_share": nan_mean(np.array(self.class_mix)[:, -1]),
        }

    def of_fold(self, fold: int) -> dict[str, Any]:
        """Return one fold's values as plain data, with None for undefined ones."""
        values = {name: by_fold[fold] for name, by_fold in self.folds.items()}
        return without_nan(
            {
                "epoch": self.epoch,
                "train_loss": values.pop("train_loss"),
                "lr": self.lr[fold],
                "mean_lr": self.mean_lr[fold],
                "grad_norm": self.grad_norm[fold],
                "trained_parameters": self.trained_parameters,
                "validation": values,
                "seconds": self.seconds,
            }
        )


_FIELDS = tuple(field.name for field in fields(EpochRecord))


@dataclass(frozen=True)
class TrialRecord:
    """A trial that finished at least one epoch."""

    folder: Path
    number: int
    params: dict[str, Any]
    recipe: Recipe
    recipe_hash: str
    point: str | None
    epochs: list[EpochRecord]

    @classmethod
    def read(cls, folder: Path) -> "TrialRecord | None":
        """Read the record in a trial's folder; None if no epoch was finished.

        Ignores an unfinished last line, which a killed process or a full disk leaves.

        Raises:
            InputError: the files are damaged.
        """
        try:
            about, lines = read_json(folder / ABOUT), read_json_lines(folder / EPOCHS)
        except FileNotFoundError:
            return None
        try:
            epochs = [EpochRecord.parse(line) for line in lines]
            recipe = Recipe.parse(about.pop("recipe"), folder.name)
            record = cls(folder=folder, recipe=recipe, epochs=epochs, **about)
            record._check()
            return record if epochs else None
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"{folder}: damaged ({error}); move the folder away to rank without it"
            ) from None

    def _check(self) -> None:
        """Raise a ValueError if a value has a type that no trial writes."""
        if not isinstance(self.number, int) or not isinstance(self.params, dict):
            raise ValueError("number must be an integer and params a mapping")
        if not isinstance(self.point, str | None) or not isinstance(self.recipe_hash, str):
            raise ValueError("point and recipe_hash must be strings")

    @property
    def last(self) -> EpochRecord:
        return self.epochs[-1]

    def best_epoch(self, metric: str) -> EpochRecord:
        """Return the epoch that a search by this metric kept."""
        return best_of(self.epochs, metric)


def best_of(epochs: Sequence[EpochRecord], metric: str) -> EpochRecord:
    """Return the best of a trial's epochs by a metric; the first if the metric was never defined."""
    best, kept = BestEpoch(metric, patience=None), epochs[0]
    for epoch in epochs:
        if not epoch.diverged and best.update(epoch.epoch, epoch.mean[metric]):
            kept = epoch
    return kept


def _by_name(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: math.nan if value is None else value for name, value in values.items()}


def _floats(values: Sequence[float | None]) -> list[float]:
    return [math.nan if value is None else value for value in values]


def without_nan(value: Any) -> Any:
    """Return the value with NaN replaced by None, since JSON has no NaN."""
    if isinstance(value, Mapping):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
