"""Evaluates a model on a store: which slices, their predictions, and every table."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.calibration.scores import calibration_errors
from analysis.evaluation.chosen import Chosen, choose
from analysis.evaluation.options import EvaluateOptions
from analysis.evaluation.predictions import Predictions, by_unit
from analysis.evaluation.scores import (
    decisions_at_thresholds,
    label_scores,
    no_skill_scores,
    overall_scores,
)
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.inference.about import About, read_about
from ichtune.inference.trained_model import TrainedModel
from ichtune.labels import LABELS
from ichtune.progress import Report
from ichtune.training.experiment import scans_of
from ichtune.wording import plural

_AT_A_TIME = 256
"""About so many slices are read between two reports of progress."""


@dataclass(frozen=True)
class Plan:
    """A model and the slices of a store to evaluate it on, checked before anything is computed."""

    model: Path
    about: About
    store: SliceStore
    chosen: Chosen
    out: Path | None = None

    @classmethod
    def of(cls, model: str | Path, data: str | Path, options: EvaluateOptions = EvaluateOptions()) -> "Plan":
        """Check that a model can be evaluated on a store.

        Raises:
            InputError: there is no model or no store, none of the slices has a known label, or the model reads scans
                and the store has none.
        """
        folder, store = Path(model), SliceStore.open(data)
        about = read_about(folder)
        plan = cls(folder, about, store, choose(store, about, options.split), options.out)
        plan._check()
        return plan

    def _check(self) -> None:
        if not self.labelled:
            raise InputError(
                f"{self.store.path}: no label is known of any of the {len(self.chosen.rows):,} slices "
                f"({self.chosen.split}) or their scans, so there is nothing to score; evaluate on a labelled store"
            )
        head = self.about.recipe.head
        if head.reads_scans and scans_of(self.store).largest == 1:
            raise InputError(
                f"{self.model}: its {head.name} head reads whole scans, but {self.store.path} has no two slices with "
                "a position in a known series; prepare it from files or tables with series"
            )

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.absolute().name

    @property
    def data(self) -> str:
        """The store's name."""
        return self.store.path.absolute().name

    @property
    def folder(self) -> Path:
        """Where the results go: into the model's folder or, if that is read-only, the current one."""
        if self.out is not None:
            return self.out
        name = f"{self.data}-{self.chosen.split}"
        if os.access(self.model, os.W_OK):
            return self.model / "evaluation" / name
        return Path.cwd() / f"{self.name}-on-{name}"

    @cached_property
    def table(self) -> pd.DataFrame:
        """The rows of the store's table that are evaluated."""
        return self.store.table.iloc[self.chosen.rows].reset_index(drop=True)

    @cached_property
    def labelled(self) -> list[Predictions]:
        """The slices, scans and patients with their labels, as if each were predicted 0.5."""
        return by_unit(
            self._predictions(np.zeros((len(self.chosen.rows), len(LABELS)), np.float32)), self.table
        )

    @property
    def facts(self) -> dict[str, str]:
        """What is evaluated on what, in words by name."""
        scans = len(self.store.scans.table.iloc[np.unique(self.store.scans.of_row[self.chosen.rows])])
        counts = (
            plural(len(self.chosen.rows), "slice", "slices"),
            plural(scans, "scan", "scans"),
            plural(self.table["patient_id"].nunique(), "patient", "patients"),
        )
        return {
            "model": str(self.model),
            "store": str(self.store.path),
            "slices": f"{self.chosen.split} ({self.chosen.why})",
            "counts": ", ".join(counts),
            "prevalence": self._prevalence,
        }

    @property
    def _prevalence(self) -> str:
        first = self.labelled[0]
        shares = [f"{LABELS[column]} {first.prevalence[column]:.1%}" for column in first.known]
        return f"{', '.join(shares)} of {first.unit}s"

    @property
    def remarks(self) -> list[str]:
        """What to keep in mind when reading the scores."""
        return [remark for remark in (self.chosen.warning, *self._of_labels(), *self._of_images()) if remark]

    def _of_labels(self) -> Iterator[str]:
        units = [each.unit for each in self.labelled]
        if "slice" not in units:
            yield "the store knows the labels of whole scans only, so nothing is scored by slice"
        known = {column for each in self.labelled for column in each.known}
        unknown = [label for column, label in enumerate(LABELS) if column not in known]
        if unknown:
            yield f"not scored, as the store doesn't know them: {', '.join(unknown)}"

    def _of_images(self) -> Iterator[str]:
        seen, size = self.about.preprocessing, self.store.size
        if size < seen.size:
            yield (
                f"the store's slices of {size} pixels are enlarged to the model's {seen.size}, so they show less than "
                f"the model may need; prepare the store with --size {seen.size}"
            )
        if seen.neighbours and not self.store.scans.placed.any():
            yield (
                f"the model reads {seen.neighbours} slices before and after, but the store knows no series and "
                "positions, so each slice stands in for its neighbours"
            )

    def _predictions(self, logits: np.ndarray) -> Predictions:
        """The predictions by slice from the network's logits `[n, 6]`."""
        rows = self.chosen.rows
        return Predictions(
            "slice",
            self.about.calibration.logits(logits),
            logits.astype(np.float64),
            self.store.labels[rows],
            self.store.patients[rows],
            np.array([self.about.thresholds[label] for label in LABELS]),
        )

    def predicted(self, report: Report = lambda *_: None) -> "Evaluation":
        """Predict the slices; `report` receives how many are done, their number, and a remark.

        Raises:
            InputError: the model is damaged.
        """
        model, rows = TrainedModel.open(self.model), self.chosen.rows
        logits = np.empty((len(rows), len(LABELS)), np.float32)
        done = 0
        for places in _whole_scans(self.store.scans.of_row[rows]):
            logits[places] = model.logits(self.store.hu, rows[places], scans=self.store.scans)
            done += len(places)
            report(done, len(rows), "")
        return Evaluation(self, self._predictions(logits))


def _whole_scans(of_row: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the places of slices, some whole scans at a time, from the scan of each slice `[n]`."""
    order = np.argsort(of_row, kind="stable")
    begins = np.flatnonzero(np.diff(of_row[order], prepend=-1))
    cuts = begins[np.flatnonzero(np.diff(begins // _AT_A_TIME, prepend=0))]
    yield from (part for part in np.split(order, cuts) if len(part))


@dataclass(frozen=True)
class Evaluation:
    """A model's predictions of a store's slices, and what they are worth."""

    plan: Plan
    slices: Predictions

    @cached_property
    def units(self) -> list[Predictions]:
        """The predictions by slice, by scan and by patient, as far as labels are known and they differ."""
        return by_unit(self.slices, self.plan.table)

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
    def calibration(self) -> pd.DataFrame:
        """The errors of probabilities, before and after calibration; see `calibration_errors`."""
        return calibration_errors([each.judged for each in self.units])
