"""A trial as a ranking sees it: the metrics of each fold at the epoch that the other folds chose."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ichtune.arrays import map_array
from ichtune.averaging import mean_prediction
from ichtune.cross_validation import CrossValidation
from ichtune.errors import InputError
from ichtune.metrics import higher_is_better, nan_mean
from ichtune.runs.ends import TrialEnd
from ichtune.runs.fold_scores import FoldScores
from ichtune.runs.folder import RunFolder
from ichtune.runs.records import EpochRecord, TrialRecord
from ichtune.runs.trial_folder import OUT_OF_FOLD, kept_file


@dataclass(frozen=True)
class RankedTrial:
    """One trial of a run, scored by a metric."""

    run: RunFolder
    record: TrialRecord
    metric: str
    """The metric that it is ranked by."""
    searched: str
    """The metric that the search optimized, which chose the epochs."""
    ended: TrialEnd
    part: CrossValidation | None = None
    """The part of its run's cross-validation that it is scored on; None for all of it."""

    @cached_property
    def name(self) -> str:
        return self.record.folder.name

    @cached_property
    def short_name(self) -> str:
        """The name of its point; its number if it has none, or one that reads like the number of another trial.

        The points of a promoted run are its recipes, named after trials of the earlier run.
        """
        point = self.record.point or ""
        return f"{self.record.number:04d}" if not point or point.isdecimal() else point

    @cached_property
    def best_epoch(self) -> EpochRecord:
        """The epoch whose model the search kept, the best for all folds; the first if the score was never defined."""
        return self.record.best_epoch(self.searched)

    @cached_property
    def scores(self) -> FoldScores:
        """Every metric of each fold, at the epoch that the other folds chose."""
        scores = self.scores_of(self.record.epochs)
        return scores.only(self.part.folds_within(self.run.request.validation)) if self.part else scores

    def scores_of(self, epochs: Sequence[EpochRecord]) -> FoldScores:
        """The scores of some epochs of this recipe on all folds of its run, chosen as the trial's own."""
        return FoldScores.of(epochs, self.searched, self.run.request.validation.rounds)

    @cached_property
    def score(self) -> float:
        """The metric's mean over folds; NaN if it was never defined before the training diverged."""
        return self.scores.mean[self.metric]

    @cached_property
    def searched_score(self) -> float:
        """The score as the search saw it: too good, because its epoch was chosen on the patients that it is about."""
        if self.best_epoch.diverged:
            return np.nan
        if self.part is None:
            return self.best_epoch.mean[self.metric]
        folds = self.best_epoch.folds[self.metric]
        return nan_mean(
            np.array([folds[place] for place in self.part.folds_within(self.run.request.validation)])
        )

    @cached_property
    def diverged(self) -> bool:
        return self.ended == TrialEnd.DIVERGED

    @property
    def order(self) -> tuple[bool, bool, float]:
        """The sort key of a ranking: sound trials first, then defined scores, then better ones."""
        undefined = bool(np.isnan(self.score))
        return self.diverged, undefined, 0.0 if undefined else -self.score if self.maximised else self.score

    @cached_property
    def maximised(self) -> bool:
        return higher_is_better(self.metric)

    @property
    def logits(self) -> np.ndarray | None:
        """The out-of-fold logits of those epochs, float16 `[N, 6]` on disk; None if none are kept or not finite.

        `[N, 6]`, or `[R, N, 6]` of R > 1 rounds of cross-validation: `Measure` takes either.

        Raises:
            InputError: the file is damaged, or has other contents.
        """
        mend = "remove it to rank without it"
        file = None if self.diverged else kept_file(self.record.folder, OUT_OF_FOLD, mend)
        if file is None:
            return None
        try:
            logits = map_array(file)
        except (ValueError, EOFError) as error:
            raise InputError(f"{file}: damaged ({error}); {mend}") from None
        rounds = self.run.request.validation.rounds
        several = (rounds,) if rounds > 1 else ()
        if logits.dtype != np.float16 or logits.ndim < 2 or logits.shape[:-2] != several:
            raise InputError(f"{file}: holds {logits.dtype} {logits.shape}, not float16 logits; {mend}")
        return logits if self.part is None or not several else self._of_part(logits, self.part)

    def _of_part(self, logits: np.ndarray, part: CrossValidation) -> np.ndarray:
        kept = part.rounds_within(self.run.request.validation)
        return logits[kept[0]] if len(kept) == 1 else logits[kept]

    @property
    def mean_logits(self) -> np.ndarray | None:
        """One out-of-fold prediction per slice, `[N, 6]`: the mean probability over the rounds; see `logits`."""
        logits = self.logits
        return logits if logits is None or logits.ndim == 2 else mean_prediction(logits)


def varying_parameters(params: list[dict[str, Any]]) -> list[str]:
    """The names of parameters that differ between trials, or that only some trials have."""
    names = list(dict.fromkeys(name for trial in params for name in trial))
    return [name for name in names if len({repr(trial.get(name)) for trial in params}) > 1]
