"""Models scored on the same slices, side by side, with what no-skill predictors score there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.special import expit

from ichtune.data.store import SliceStore
from ichtune.labels import ANY, LABELS
from ichtune.metric_names import METRICS
from ichtune.metrics import evaluate, no_skill
from ichtune.training.batches import Fold
from ichtune.training.losses import MaskedLoss


@dataclass(frozen=True)
class Part:
    """A part of a store: its rows (int64 `[n]`), their labels `[n, 6]`, and its number of patients."""

    name: str
    rows: np.ndarray
    labels: np.ndarray
    patients: int

    @classmethod
    def of(cls, name: str, store: SliceStore, rows: np.ndarray) -> "Part":
        return cls(name, rows, store.labels[rows], len(set(store.patients[rows])))

    @property
    def prevalence(self) -> np.ndarray:
        """The share of positives among the known values of each label `[6]`; NaN if none is known."""
        known = np.maximum((~np.isnan(self.labels)).sum(axis=0), 1)
        return np.where(np.isnan(self.labels).all(axis=0), np.nan, np.nansum(self.labels, axis=0) / known)

    def about(self) -> dict[str, Any]:
        """The part's slices, patients and prevalence, as plain data."""
        prevalence = dict(zip(LABELS, self.prevalence.tolist(), strict=True))
        return {"slices": len(self.rows), "patients": self.patients, "prevalence": prevalence}


def scored_parts(store: SliceStore, folds: Sequence[Fold]) -> list[Part]:
    """The parts that folds' models are scored on: their validation parts and, if there is one, the test set."""
    valid = np.concatenate([fold.valid for fold in folds])
    parts = [Part.of("validation", store, valid), Part.of("test", store, store.test)]
    return [part for part in parts if len(part.rows)]


@dataclass(frozen=True)
class ModelScores:
    """A model's scores on each part, by part name: those of `evaluate`, and the loss."""

    trained_parameters: int
    parts: dict[str, dict[str, float]]

    def row(self, parts: list[Part]) -> dict[str, Any]:
        row: dict[str, Any] = {"trained_parameters": self.trained_parameters}
        for part in parts:
            scores = self.parts.get(part.name, {})
            row[f"{part.name}_prevalence_{ANY}"] = part.prevalence[LABELS.index(ANY)]
            row |= {f"{part.name}_{metric}": scores.get(metric, np.nan) for metric in METRICS}
        return row


def score(logits: np.ndarray, labels: np.ndarray, loss: MaskedLoss) -> dict[str, float]:
    """All metrics of logits `[n, 6]` (float32) against labels `[n, 6]`, as after a training epoch."""
    metrics = evaluate(expit(logits.astype(np.float64)), labels)
    value = loss(torch.from_numpy(logits)[None], torch.from_numpy(labels)[None])
    return metrics | {"loss": np.nan if np.isnan(labels).all() else float(value[0])}


def no_skill_scores(parts: list[Part], train: Part) -> dict[str, ModelScores]:
    """What no-skill predictors score: always negative, and each label's prevalence in training."""
    # A label unknown in training has no score, so any number will do as its probability.
    prevalence = np.nan_to_num(train.prevalence)
    by_part = {part.name: no_skill(part.labels, prevalence) for part in parts}
    ways = next(iter(by_part.values()))
    return {way: ModelScores(0, {name: scores[way] for name, scores in by_part.items()}) for way in ways}


def comparison_table(models: Mapping[str, ModelScores], parts: list[Part]) -> pd.DataFrame:
    """One row per model: `model, trained_parameters`, and per part `<part>_prevalence_any` and `<part>_<metric>`.

    The prevalence is included because a shift in it moves most scores.
    """
    return pd.DataFrame([{"model": name} | scores.row(parts) for name, scores in models.items()])
