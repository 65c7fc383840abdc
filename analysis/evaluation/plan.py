"""What is to be evaluated: a model and slices of a store, checked before anything is computed."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.evaluation.chosen import Chosen, choose
from analysis.evaluation.options import EvaluateOptions
from analysis.evaluation.predictions import SLICE, Predictions, by_unit
from analysis.evaluation.shared import UNKNOWN, incomparable, shared
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.inference.about import About, read_about
from ichtune.inference.model_place import ModelPlace
from ichtune.inference.training_data import TrainingData, read_training_data
from ichtune.labels import LABELS
from ichtune.training.experiment import scans_of
from ichtune.wording import plural


@dataclass(frozen=True)
class Plan:
    """A model and the slices of a store to evaluate it on, checked before anything is computed."""

    model: ModelPlace
    about: About
    store: SliceStore
    chosen: Chosen
    seen: TrainingData | None
    """What the model was trained on, if its folder says so."""
    labels: tuple[str, ...]
    """The labels that may be scored: those that the model was trained on."""
    out: Path | None = None

    @classmethod
    def of(
        cls, model: str | Path | ModelPlace, data: str | Path, options: EvaluateOptions = EvaluateOptions()
    ) -> "Plan":
        """Check that a model can be evaluated on a store.

        Raises:
            InputError: there is no model or no store, none of the slices has a known label, or the model reads scans
                and the store has none.
        """
        place, store = ModelPlace.of(model), SliceStore.open(data)
        about, seen = read_about(place.folder), read_training_data(place.folder)
        labels = LABELS if seen is None else seen.labels
        plan = cls(place, about, store, choose(store, about, options.split), seen, labels, options.out)
        plan.check()
        return plan

    def check(self) -> None:
        """Raise an InputError if there is nothing to score, or the model reads scans and the store has none."""
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
    def own(self) -> bool:
        """Whether the model was trained on this store."""
        return self.store.fingerprint in self.about.fingerprints

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.name

    @property
    def data(self) -> str:
        """The store's name."""
        return self.store.path.absolute().name

    @property
    def folder(self) -> Path:
        """Where the results go; see `ModelPlace.results`."""
        if self.out is not None:
            return self.out
        return self.model.results("evaluation") / f"{self.data}-{self.chosen.split}"

    @cached_property
    def table(self) -> pd.DataFrame:
        """The rows of the store's table that are evaluated."""
        return self.store.table.iloc[self.chosen.rows].reset_index(drop=True)

    @cached_property
    def labelled(self) -> list[Predictions]:
        """The slices, scans and patients with their labels, as if each were predicted 0.5."""
        return by_unit(self.predictions(np.zeros((2, len(self.chosen.rows), len(LABELS)))), self.table)

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
            "store": str(self.store.place),
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
        remarks = (self.chosen.warning, *self._shared(), *self._of_labels(), *self._of_images())
        return [remark for remark in remarks if remark]

    def _shared(self) -> Iterator[str]:
        if self.chosen.warning:
            return
        if self.seen is not None:
            yield from shared(self.store, self.chosen.rows, self.seen)
            yield from () if self.own else incomparable(self.store, self.seen)
        elif not self.own:
            yield UNKNOWN

    def _of_labels(self) -> Iterator[str]:
        units = [each.unit for each in self.labelled]
        if "slice" not in units:
            yield "the store knows the labels of whole scans only, so nothing is scored by slice"
        known = {column for each in self.labelled for column in each.known}
        untrained = [label for label in LABELS if label not in self.labels]
        unknown = [
            label for column, label in enumerate(LABELS) if column not in known and label not in untrained
        ]
        if untrained:
            yield f"not scored, as the model was trained without them: {', '.join(untrained)}"
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

    def predictions(self, logits: np.ndarray) -> Predictions:
        """The predictions by slice from the model's raw and calibrated logits `[2, n, 6]`."""
        rows = self.chosen.rows
        return Predictions(
            SLICE,
            logits[1],
            logits[0],
            self.store.labels[rows],
            self.store.patients[rows],
            np.array([self.about.thresholds[label] for label in LABELS]),
        ).only(self.labels)
