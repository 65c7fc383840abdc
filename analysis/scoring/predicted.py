"""What models of several folds predict: each fold's validation slices by its own, the test set by all together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from analysis.scoring.comparison import ModelScores, Part, score
from ichtune.averaging import together
from ichtune.metrics import nan_mean
from ichtune.recipe import Loss
from ichtune.training.batches import Fold
from ichtune.training.losses import make_loss


@dataclass(frozen=True)
class Predicted:
    """Uncalibrated logits, float32."""

    of_folds: list[np.ndarray]
    """Of each fold's validation slices by its models, one per seed, `[S, n_f, 6]`."""
    on_test: np.ndarray | None
    """Of the test set by all models, `[M, n, 6]`; None if there is no test set."""
    trained_parameters: int
    """Of one model."""
    epochs: tuple[int, ...]
    """The epoch of each fold's model, of each seed, that predicted its validation slices."""

    @property
    def out_of_fold(self) -> np.ndarray:
        """Of the validation slices of all folds, fold after fold, by the models of their fold, `[S, n, 6]`."""
        return np.concatenate(self.of_folds, axis=1)

    @cached_property
    def validation(self) -> list[np.ndarray]:
        """Of each fold's validation slices, `[n_f, 6]`: the logits of the mean probability of its models."""
        return [together(each) for each in self.of_folds]

    @cached_property
    def test(self) -> np.ndarray | None:
        """Of the test set, `[n, 6]`: the logits of the mean probability of all models."""
        return None if self.on_test is None else together(self.on_test)

    def scores(self, folds: Sequence[Fold], labels: np.ndarray, test: Part | None, loss: Loss) -> ModelScores:
        """The scores by part: in validation, the mean over the folds; `labels` are the store's, `[N, 6]`."""
        losses = [make_loss(loss, [labels[fold.train]], torch.device("cpu")) for fold in folds]
        by_fold = [
            score(logits, labels[fold.valid], its)
            for fold, logits, its in zip(folds, self.validation, losses, strict=True)
        ]
        parts = {"validation": mean_scores(by_fold)}
        if test is not None and self.test is not None:
            parts["test"] = score(self.test, test.labels, losses[0])
        return ModelScores(self.trained_parameters, parts)


def mean_scores(by_fold: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean over folds of each metric, where it is defined; the number of defined labels likewise."""
    return {name: nan_mean(np.array([scores[name] for scores in by_fold])) for name in by_fold[0]}


def mean_history(folds: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Trainings' records of each epoch, averaged over those that got that far."""
    longest = max(map(len, folds))
    return [
        _mean_record([records[number] for records in folds if number < len(records)])
        for number in range(longest)
    ]


def _mean_record(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    validation = {
        name: _mean([record["validation"][name] for record in records]) for name in records[0]["validation"]
    }
    return {
        "epoch": records[0]["epoch"],
        "train_loss": _mean([record["train_loss"] for record in records]),
        "validation": validation,
    }


def _mean(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None
