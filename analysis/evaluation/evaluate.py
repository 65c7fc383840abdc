"""Evaluates a model on slices of a store: their predictions, and every score."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from analysis.calibration.scores import calibration_errors
from analysis.evaluation.plan import Plan
from analysis.evaluation.predictions import SLICE, Predictions, by_unit
from analysis.evaluation.scores import (
    decisions_at_thresholds,
    label_scores,
    no_skill_scores,
    overall_scores,
)
from analysis.evaluation.subgroups import subgroups
from ichtune.inference.trained_model import TrainedModel
from ichtune.inference.whole_scans import whole_scans
from ichtune.labels import LABELS
from ichtune.progress import Report


def evaluate(plan: Plan, report: Report = lambda *_: None) -> "Evaluation":
    """Predict the slices of a plan; `report` receives how many are done, their number, and a remark.

    Raises:
        InputError: the model is damaged.
    """
    model, rows = TrainedModel.open(plan.model.folder), plan.chosen.rows
    logits = np.empty((2, len(rows), len(LABELS)))
    done = 0
    for places in whole_scans(plan.store.scans.of_row[rows]):
        logits[:, places] = model.raw_and_calibrated_logits(
            plan.store.hu, rows[places], scans=plan.store.scans
        )
        done += len(places)
        report(done, len(rows), "")
    return Evaluation(plan, plan.predictions(logits))


@dataclass(frozen=True)
class Evaluation:
    """A model's predictions of a store's slices, and what they are worth."""

    plan: Plan
    slices: Predictions

    @cached_property
    def units(self) -> list[Predictions]:
        """The predictions by slice, by scan and by patient, as far as labels are known and they differ."""
        return by_unit(self.slices, self.plan.table, self.plan.labels)

    @cached_property
    def overall(self) -> pd.DataFrame:
        return overall_scores(self.units)

    @cached_property
    def no_skill(self) -> pd.DataFrame:
        return no_skill_scores(self.units)

    @cached_property
    def by_label(self) -> pd.DataFrame:
        return label_scores(self.units)

    @cached_property
    def decisions(self) -> pd.DataFrame:
        return decisions_at_thresholds(self.units)

    @cached_property
    def subgroups(self) -> pd.DataFrame:
        """How the model does on subgroups of slices; empty if no slice has a known label."""
        first = self.units[0]
        return subgroups(first, self.plan.table) if first.unit == SLICE else pd.DataFrame()

    @cached_property
    def calibration(self) -> pd.DataFrame:
        """The errors of probabilities, before and after calibration; see `calibration_errors`."""
        return calibration_errors([each.judged for each in self.units])
