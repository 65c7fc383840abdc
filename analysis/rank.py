"""Trials ranked by their score, from what a run's folder holds."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.significance import Influence, auc_influence
from ichtune.config import METRIC_DIRECTIONS
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.labels import LABELS
from ichtune.search.run_folder import RunFolder, TrialRecord
from ichtune.search.study import trial_ends
from ichtune.training.experiment import folds_of
from ichtune.training.metrics import no_skill

TABLE_METRICS = (
    "auc",
    "average_precision",
    "subset_accuracy",
    "hamming_score",
    "f1",
    "precision",
    "recall",
    "weighted_log_loss",
    "loss",
)
DIVERGED = "diverged"
CERTAIN = ("score_low", "score_high", "tied_with_best", "rank_low", "rank_high")


@dataclass(frozen=True)
class RankedResults:
    """A run's trials, best first, each with the numbers of one epoch common to all folds: its best."""

    run: RunFolder
    metric: str

    @classmethod
    def of(cls, run: RunFolder | str | Path) -> "RankedResults":
        """The ranking of a run by the metric that it searched for.

        Raises:
            InputError: there is no run, or none of its trials finished an epoch.
        """
        folder = run if isinstance(run, RunFolder) else RunFolder.open(run)
        results = cls(folder, folder.asked["space"]["metric"])
        if not results.trials:
            raise InputError(f"{folder.path}: no trial finished an epoch, so there is nothing to rank")
        return results

    @property
    def maximised(self) -> bool:
        return METRIC_DIRECTIONS[self.metric] == "max"

    @cached_property
    def trials(self) -> list["RankedTrial"]:
        """Every trial that finished an epoch, best first; diverged ones last."""
        ends = trial_ends(self.run)
        ranked = [
            RankedTrial(record, self.metric, self.maximised, ends) for record in self.run.trial_records()
        ]
        return sorted(
            ranked, key=lambda trial: (trial.diverged, -trial.score if self.maximised else trial.score)
        )

    @cached_property
    def certain(self) -> pd.DataFrame:
        """How sure the ranking is, a row a trial: `score_low` and `score_high` (95 %, by patient), `tied_with_best`,
        `rank_low` and `rank_high` (the ranks it may have). Missing for metrics other than AUCs, and for trials
        without predictions to tell by.
        """
        table = pd.DataFrame(index=range(len(self.trials)), columns=list(CERTAIN), dtype=object)
        told = [row for row, trial in enumerate(self.trials) if trial.logits is not None]
        if not self.metric.startswith("auc") or not told:
            return table
        influence = self._influence([self.trials[row].logits for row in told])
        ends, ranks = influence.intervals(), influence.rank_intervals()
        tied = influence.tied_with(0)
        for place, row in enumerate(told):
            table.loc[row] = [*ends[place].tolist(), bool(tied[place]), *ranks[place].tolist()]
        return table

    @cached_property
    def corrected_best(self) -> float | None:
        """The best score less what choosing the best of so many has added to it; None where nobody can tell."""
        logits = [trial.logits for trial in self.trials if trial.logits is not None]
        if not self.metric.startswith("auc") or not logits:
            return None
        return self._influence(logits).corrected_best(maximised=self.maximised)

    def _influence(self, logits: list[Any]) -> Influence:
        store = SliceStore.open(self.run.asked["data"])
        label = self.metric.removeprefix("auc").removeprefix("_")
        columns = [LABELS.index(label)] if label else None
        folds = folds_of(store, self.run.asked["folds"])
        return auc_influence(logits, store.labels, store.patients, folds, columns)

    @property
    def best(self) -> "RankedTrial":
        return self.trials[0]

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row a trial: `rank, trial, score, score_std`, the metrics, epochs, `ended`, and what varies."""
        rows = [{"rank": rank, **trial.row()} for rank, trial in enumerate(self.trials, 1)]
        table = pd.DataFrame(rows)
        varying = varying_parameters([trial.record.params for trial in self.trials])
        values = [{name: trial.record.params.get(name) for name in varying} for trial in self.trials]
        params = pd.DataFrame(values, dtype=object)
        front = list(table.columns).index("score_std") + 1
        return pd.concat([table.iloc[:, :front], self.certain, table.iloc[:, front:], params], axis=1)

    @cached_property
    def no_skill(self) -> pd.DataFrame:
        """What predicting without looking scores on the same folds: a row a way, the metrics' mean over folds."""
        store = SliceStore.open(self.run.asked["data"])
        folds = store.fold_indices()[: self.run.asked["folds"]]
        scores = [_no_skill_scores(store.labels, train, valid) for train, valid in folds]
        rows = []
        for way in scores[0]:
            values = {
                m: _mean(np.array([fold[way].get(m, np.nan) for fold in scores])) for m in TABLE_METRICS
            }
            rows.append(
                {"trial": way, "score": values[self.metric]} | {column(m): v for m, v in values.items()}
            )
        return pd.DataFrame(rows)


@dataclass(frozen=True)
class RankedTrial:
    """One trial in a ranking."""

    record: TrialRecord
    metric: str
    maximised: bool
    ends: dict[int, str]

    @cached_property
    def best_epoch(self) -> dict[str, Any]:
        """The record of the trial's best epoch by the metric; the first where it never was defined."""
        sign = 1 if self.maximised else -1
        sound = [epoch for epoch in self.record.epochs if not epoch["diverged"]]
        defined = [epoch for epoch in sound if epoch["mean"][self.metric] is not None]
        return max(
            defined or self.record.epochs[:1], key=lambda epoch: sign * (epoch["mean"][self.metric] or 0)
        )

    @property
    def score(self) -> float:
        """The metric's mean over folds; the worst there is where it never was defined."""
        value = self.best_epoch["mean"][self.metric]
        return value if value is not None else (-np.inf if self.maximised else np.inf)

    @cached_property
    def logits(self) -> np.ndarray | None:
        """Out-of-fold logits `[N, 6]` of the best epoch; None where there are none, or none that are finite."""
        file = self.record.folder / "out_of_fold.npy"
        if self.diverged or not file.is_file():
            return None
        return np.load(file).astype(np.float32)

    @property
    def diverged(self) -> bool:
        return self.ended == DIVERGED

    @property
    def ended(self) -> str:
        """Why the trial ended: `last epoch`, `patience`, `asha`, `diverged`, `failed`, `interrupted`, or `running`."""
        return self.ends.get(self.record.number, "running")

    def row(self) -> dict[str, Any]:
        mean, std = self.best_epoch["mean"], self.best_epoch["std"]
        return {
            "trial": self.record.folder.name,
            "point": self.record.point or "",
            "score": self.score,
            "score_std": std[self.metric],
            **{column(name): mean.get(name) for name in TABLE_METRICS},
            "best_epoch": self.best_epoch["epoch"],
            "last_epoch": self.record.epochs[-1]["epoch"],
            "ended": self.ended,
        }


def column(metric: str) -> str:
    """A metric's column in tables; `loss` is the name of a parameter there."""
    return "valid_loss" if metric == "loss" else metric


def varying_parameters(params: list[dict[str, Any]]) -> list[str]:
    """The names of parameters that differ between trials, or that some trials have and others don't."""
    names = list(dict.fromkeys(name for trial in params for name in trial))
    return [name for name in names if len({repr(trial.get(name)) for trial in params}) > 1]


def _no_skill_scores(labels: np.ndarray, train: np.ndarray, valid: np.ndarray) -> dict[str, dict[str, float]]:
    positives, known = (labels[train] == 1).sum(axis=0), (~np.isnan(labels[train])).sum(axis=0)
    return no_skill(labels[valid], positives / np.maximum(known, 1))


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
