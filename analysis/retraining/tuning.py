"""The calibration and thresholds of a retrained model, and what they are worth on validation and test slices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from analysis.calibration.out_of_fold import OutOfFold
from analysis.calibration.scores import Judged, calibration_errors, decisions
from analysis.calibration.tune import Tuned
from analysis.calibration.wanted import Wanted
from analysis.pictures.reliability import calibration
from analysis.pictures.style import save
from analysis.scoring.comparison import ModelScores, Part
from analysis.scoring.predicted import mean_scores
from analysis.tables.table import Table
from analysis.tables.tuning import calibration_table, thresholds_table
from ichtune.data.store import SliceStore
from ichtune.inference.about import About
from ichtune.training.batches import Fold

VALIDATION: Final = "validation"
_REMARK: Final = "slightly optimistic, as the best epoch was chosen on them"
_BY_OTHERS: Final = "each at the epoch that is best for the others"
_SHARED: Final = "the same for all models of the ensemble, whose calibrated probabilities are averaged"


@dataclass(frozen=True)
class Tuning:
    """A model's calibration and thresholds, and each part's slices as trained and tuned."""

    tuned: Tuned
    parts: list[Judged]

    @classmethod
    def of(cls, tuned: Tuned, store: SliceStore, others: Mapping[str, tuple[Part, np.ndarray]]) -> "Tuning":
        """Tuned on its out-of-fold predictions; `others` are further parts, with all models' logits `[M, n, 6]`."""
        judged = [
            Judged.of(name, tuned, logits, part.labels, store.patients[part.rows])
            for name, (part, logits) in others.items()
        ]
        return cls(tuned, [Judged.cross_fitted(VALIDATION, tuned), *judged])

    @cached_property
    def errors(self) -> pd.DataFrame:
        """What calibration changes; see `calibration_errors`."""
        return calibration_errors(self.parts)

    @cached_property
    def decisions(self) -> pd.DataFrame:
        """What the thresholds do; see `decisions`."""
        return decisions(self.parts)

    def tables(self, population: pd.DataFrame) -> list[Table]:
        return [
            calibration_table(self.errors, self.tuned.calibration, population),
            thresholds_table(self.decisions, self.tuned.thresholds_chosen, population),
        ]

    def draw(self, folder: Path) -> None:
        """Write the picture of the calibration, before and after, to a folder."""
        judged = self.parts[0]
        save(calibration(judged.before.logits, judged.after.logits, judged.labels), folder, "calibration")

    def scores(self, trained_parameters: int) -> ModelScores:
        """The tuned model's scores, in validation the mean over the folds; without a loss, which is the network's."""
        folds = self.tuned.out_of_fold.folds
        validation, *others = self.parts
        by_fold = [validation.take(folds == fold).scores for fold in np.unique(folds)]
        parts = {VALIDATION: mean_scores(by_fold)} | {judged.part: judged.scores for judged in others}
        return ModelScores(trained_parameters, parts)

    def applied_to(self, about: About) -> About:
        """The description of a model, with its calibration and thresholds."""
        wanted = self.tuned.wanted
        return about.model_copy(
            update={
                "calibration": self.tuned.calibration,
                "thresholds": self.tuned.thresholds,
                "thresholds_by": wanted.rule,
                "sensitivity": wanted.sensitivity,
                "thresholds_chosen": self.tuned.thresholds_chosen,
            }
        )


def of_folds(
    store: SliceStore, folds: Sequence[Fold], logits: np.ndarray, wanted: Wanted, *, optimistic: bool
) -> Tuned:
    """Calibration and thresholds chosen on the folds' validation slices, fold by fold, from the logits `[S, n, 6]` of
    each fold's S models; `optimistic` if their best epochs were chosen on these slices."""
    rows = np.concatenate([fold.valid for fold in folds])
    numbers = np.concatenate([np.full(len(fold.valid), fold.index) for fold in folds])
    remark = "; ".join([_REMARK if optimistic else _BY_OTHERS, *([_SHARED] if len(folds) > 1 else [])])
    return Tuned(OutOfFold(logits, store.labels[rows], store.patients[rows], numbers, remark), wanted)
