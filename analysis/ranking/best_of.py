"""The best of several trials of one recipe, each fold scored by the one that the other folds chose."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from analysis.ranking.trial import RankedTrial
from analysis.statistics.influence import Truth
from ichtune.cross_validation import CrossValidation
from ichtune.metrics import nan_mean
from ichtune.runs.best_epoch import EpochsByOtherFolds


@dataclass(frozen=True)
class BestOf:
    """A choice among trials, scored without having chosen them on the patients that score them.

    The best trial's own score is too good, as it was chosen for it. So each fold is scored by the trial that is best on
    the other folds, as an epoch is in `FoldScores`. With a single fold that can't be avoided.
    """

    trials: Sequence[RankedTrial]
    """At least one, best first, all scored on the same folds."""
    metric: str
    validation: CrossValidation

    @property
    def best(self) -> RankedTrial:
        """The trial with the best score."""
        return self.trials[0]

    @property
    def too_good(self) -> bool:
        """Whether the choice was made on the patients that the score is about."""
        return len(self.trials) > 1 and self.validation.folds == 1

    @cached_property
    def score(self) -> float:
        return nan_mean(np.array([self._folds[of][fold] for fold, of in enumerate(self._chosen)]))

    @property
    def has_logits(self) -> bool:
        return all(self.trials[of].logits is not None for of in set(self._chosen))

    def logits(self, truth: Truth) -> np.ndarray:
        """The predictions that the score is about, as `RankedTrial.logits`: each fold's by the trial chosen for it."""
        kept = {of: logits for of in set(self._chosen) if (logits := self.trials[of].logits) is not None}
        if len(kept) == 1:
            return next(iter(kept.values()))
        mixed = np.full_like(kept[self._chosen[0]], np.nan)
        for fold, of in zip(truth.folds, self._chosen, strict=True):
            target, source = (
                (mixed, kept[of]) if mixed.ndim == 2 else (mixed[fold.round], kept[of][fold.round])
            )
            target[fold.valid] = source[fold.valid]
        return mixed

    @cached_property
    def _folds(self) -> list[np.ndarray]:
        return [trial.scores.folds[self.metric] for trial in self.trials]

    @cached_property
    def _chosen(self) -> list[int]:
        """The place of the trial that scores each fold."""
        chosen = EpochsByOtherFolds(self.metric, self.validation.rounds)
        for number, folds in enumerate(self._folds, 1):  # epochs are counted from 1
            chosen.update(number, folds)
        return [number - 1 for number in chosen.epochs]
