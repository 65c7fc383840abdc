"""A trial's scores, each fold's at an epoch that the other folds chose."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ichtune.metrics import nan_mean, nan_std
from ichtune.runs.best_epoch import EpochsByOtherFolds
from ichtune.runs.records import EpochRecord


def by_seed(folds: np.ndarray, seeds: int) -> list[float]:
    """The mean over folds `[F]` for each training seed; NaN where undefined on all of them."""
    return [nan_mean(of) for of in folds.reshape(seeds, -1)]


@dataclass(frozen=True)
class FoldScores:
    """Each fold's metrics at the epoch that was best for the other folds.

    At the epoch best for all folds, scores are too good, because it was chosen on the patients that they are about
    (nested selection: Varma and Simon, BMC Bioinformatics 2006). With a single fold that can't be avoided.
    """

    epochs: tuple[EpochRecord, ...]
    """The epoch of each fold."""
    places: tuple[int, ...]
    """Each fold's place in the records of epochs."""

    @classmethod
    def of(cls, epochs: Sequence[EpochRecord], metric: str, rounds: int = 1) -> "FoldScores":
        """Choose the epochs by the metric that the search optimized; diverged ones are passed over.

        `rounds` is the number of cross-validations that the folds belong to.
        """
        sound = [epoch for epoch in epochs if not epoch.diverged]
        if not sound:
            return cls._of_all((epochs[0],) * len(epochs[0].folds[metric]))
        chosen = EpochsByOtherFolds(metric, rounds)
        for epoch in sound:
            chosen.update(epoch.epoch, epoch.folds[metric])
        by_number = {epoch.epoch: epoch for epoch in sound}
        return cls._of_all(tuple(by_number[number] for number in chosen.epochs))

    @classmethod
    def _of_all(cls, epochs: tuple[EpochRecord, ...]) -> "FoldScores":
        return cls(epochs, tuple(range(len(epochs))))

    def only(self, folds: Sequence[int]) -> "FoldScores":
        """Return the scores of some of the folds, at the same epochs."""
        return FoldScores(
            tuple(self.epochs[fold] for fold in folds), tuple(self.places[fold] for fold in folds)
        )

    @property
    def diverged(self) -> bool:
        """Whether no epoch was sound."""
        return self.epochs[0].diverged

    @cached_property
    def folds(self) -> dict[str, np.ndarray]:
        """Each metric's values `[F]`; NaN where undefined."""
        names = self.epochs[0].folds
        return {
            name: np.array(
                [epoch.folds[name][place] for place, epoch in zip(self.places, self.epochs, strict=True)]
            )
            for name in names
        }

    @cached_property
    def mean(self) -> dict[str, float]:
        """Each metric's mean over the folds where it is defined."""
        return {name: np.nan if self.diverged else nan_mean(values) for name, values in self.folds.items()}

    @cached_property
    def std(self) -> dict[str, float]:
        """Each metric's standard deviation over the folds where it is defined."""
        return {name: np.nan if self.diverged else nan_std(values) for name, values in self.folds.items()}
