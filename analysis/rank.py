"""Trials ranked by their score, from what a run's folder holds, with how sure that is."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.influence import Measure, Truth, is_measurable
from analysis.knobs import idle_knobs
from analysis.population import no_skill_rows, splits
from analysis.ranked_trial import RankedTrial, varying_parameters
from analysis.seed_noise import SeedNoise
from analysis.significance import Scores
from ichtune.data.store import SliceStore
from ichtune.errors import InputError
from ichtune.labels import LABELS
from ichtune.metrics import higher_is_better
from ichtune.runs.ends import TrialEnd
from ichtune.runs.folder import RunFolder
from ichtune.runs.study import trial_ends
from ichtune.training.experiment import folds_of
from ichtune.wording import not_one_of

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
CERTAIN = (
    "score_low",
    "score_high",
    "difference",
    "difference_low",
    "difference_high",
    "p_value",
    "tied_with_best",
    "rank_low",
    "rank_high",
)


@dataclass(frozen=True)
class RankedResults:
    """The trials of a run, or of several over one store, best first; each with the numbers of the epoch it kept."""

    runs: tuple[RunFolder, ...]
    metric: str

    @classmethod
    def of(
        cls,
        run: RunFolder | str | Path,
        *,
        metric: str | None = None,
        label: str | None = None,
        compare: RunFolder | str | Path | None = None,
        data: Path | None = None,
    ) -> "RankedResults":
        """The ranking of a run by a recorded metric, by default the one that it searched for.

        `label` ranks by the metric of that label alone; `compare` puts the trials of a second run beside them. `data`
        is where their store is now, if it was moved.

        Raises:
            InputError: there is no run, none of its trials finished an epoch, the metric was not recorded, or the
                second run was scored on another store or other folds.
        """
        runs = tuple(_opened(place, data) for place in (run, compare) if place is not None)
        for other in runs[1:]:
            if other.path == runs[0].path:
                raise InputError(f"--compare: {other} is the same run; name another one over the same store")
            _refuse_other_data(runs[0], other)
        asked_metric = metric or runs[0].request.space.metric
        results = cls(runs, f"{asked_metric}_{label}" if label else asked_metric)
        for folder in runs:
            if not any(trial.run is folder for trial in results._found):
                raise InputError(f"{folder.path}: no trial finished an epoch, so there is nothing to rank")
        _check_metric(results._found[0], asked_metric, label)
        return results

    @property
    def run(self) -> RunFolder:
        """The run, or the first of those compared: what is written goes into its folder."""
        return self.runs[0]

    @property
    def folder(self) -> Path:
        """Where tables go: the run's results, or below them where the ranking is by another metric than the search."""
        own = self.metric == self.run.request.space.metric
        return self.run.results if own else self.run.results / self.metric

    @property
    def maximised(self) -> bool:
        return higher_is_better(self.metric)

    @cached_property
    def store(self) -> SliceStore:
        return self.run.request.open_store()

    @cached_property
    def splits(self) -> pd.DataFrame:
        """The slices and patients of the store's splits and folds, by the name of the part."""
        return splits(self.store)

    @cached_property
    def truth(self) -> Truth:
        """What the predictions are measured by."""
        return Truth(self.store.labels, self.store.patients, folds_of(self.store, self.run.request.folds))

    @cached_property
    def _found(self) -> list[RankedTrial]:
        return [trial for run in self.runs for trial in _trials(run, self.metric)]

    @cached_property
    def trials(self) -> list[RankedTrial]:
        """Every trial that finished an epoch, best first; undefined scores after those, diverged ones last."""
        return sorted(self._found, key=lambda trial: trial.order)

    @property
    def best(self) -> RankedTrial:
        return self.trials[0]

    @cached_property
    def measured(self) -> list[int]:
        """The trials, by place, whose scores can be told from their predictions."""
        if not is_measurable(self.metric):
            return []
        return [
            place
            for place, trial in enumerate(self.trials)
            if np.isfinite(trial.score) and trial.logits is not None
        ]

    @cached_property
    def measure(self) -> Measure:
        """How scores follow from predictions."""
        return Measure(self.metric, self.truth)

    @cached_property
    def scores(self) -> Scores | None:
        """The scores of the `measured` trials with their errors by patient; None where there is none.

        The values are the recorded ones; the kept predictions, of half precision, give their errors.
        """
        if not self.measured:
            return None
        found = Scores.of(self.measure, map(self._logits, self.measured))
        return replace(found, values=np.array([self.trials[place].score for place in self.measured]))

    def _logits(self, place: int) -> np.ndarray:
        logits = self.trials[place].logits
        assert logits is not None
        return logits

    @cached_property
    def certain(self) -> pd.DataFrame:
        """How sure the ranking is, a row a trial; nothing in the rows of trials without predictions to tell by.

        `score_low`, `score_high`: the 95 % interval by patient. `difference` to the first trial, with its paired
        interval `difference_low`, `difference_high`; `p_value` after Holm's correction over all pairs;
        `tied_with_best`; `rank_low`, `rank_high`: the ranks that the trial may have.
        """
        table = pd.DataFrame(index=range(len(self.trials)), columns=list(CERTAIN), dtype=object)
        if self.scores is not None:
            numbers = np.hstack([self.scores.intervals(), self.scores.differences(0)])
            table.iloc[self.measured, :5] = numbers.astype(object)
            table.iloc[self.measured, 5] = self.scores.adjusted[0].astype(object)
            table.iloc[self.measured, 6] = self.scores.tied_with(0).astype(object)
            table.iloc[self.measured, 7:] = self.scores.rank_intervals().astype(object)
        return table

    @cached_property
    def corrected_best(self) -> float | None:
        """The best score less what choosing the best of so many has added to it; None where nobody can tell."""
        return None if self.scores is None else self.scores.corrected_best()

    @cached_property
    def noise_floor(self) -> float:
        """What two trainings of one recipe may differ by, by their seeds alone; NaN before `--seeds` was asked for."""
        return SeedNoise(self.run).floor(self.metric)

    @cached_property
    def varying(self) -> list[str]:
        """The parameters that differ between trials."""
        return varying_parameters([trial.record.params for trial in self.trials])

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row a trial, with the columns that docs/tables.md tells of, and one for each parameter that varies."""
        notes = idle_knobs(self.trials)
        rows = pd.DataFrame(
            [
                self._front(rank, trial)
                | self.certain.iloc[rank - 1].to_dict()
                | _back(trial, notes[rank - 1])
                for rank, trial in enumerate(self.trials, 1)
            ]
        )
        seeds = SeedNoise(self.run).table(self.metric).reindex(rows["trial"]).reset_index(drop=True)
        seeds["noise_floor"] = self.noise_floor
        front = list(rows.columns).index("rank_high") + 1
        values = [{name: trial.record.params.get(name) for name in self.varying} for trial in self.trials]
        params = pd.DataFrame(values, dtype=object)
        return pd.concat([rows.iloc[:, :front], seeds, rows.iloc[:, front:], params], axis=1)

    def _front(self, rank: int, trial: RankedTrial) -> dict[str, object]:
        named = {"run": trial.run.name} if len(self.runs) > 1 else {}
        return {
            "rank": rank,
            **named,
            "trial": trial.name,
            "point": trial.record.point or "",
            "score": trial.score,
            "score_std": trial.best_epoch.std[self.metric],
        }

    @cached_property
    def no_skill(self) -> pd.DataFrame:
        """What predicting without looking scores on the same folds: a row a way, the metrics' mean over folds."""
        ways = no_skill_rows(self.store, list(self.truth.folds))
        return pd.DataFrame(
            [
                {"trial": way, "score": values.get(self.metric, np.nan)}
                | {column(name): values[name] for name in TABLE_METRICS if name in values}
                | {"defined_labels": values["defined_labels"]}
                for way, values in ways.items()
            ]
        )

    def by_label(self, places: list[int]) -> pd.DataFrame:
        """The AUC and average precision of each label, with 95 % intervals by patient, for trials by their place.

        Columns `rank, trial, label, positive_patients`, and for both metrics `auc, auc_low, auc_high`.
        """
        rows = [row for place in places if place in self.measured for row in self._labels_of(place)]
        return pd.DataFrame(rows)

    def _labels_of(self, place: int) -> Iterator[dict[str, object]]:
        logits, trial = self._logits(place), self.trials[place]
        searched = self.truth.codes >= 0
        for place_of_label, label in enumerate(LABELS):
            positive = searched & (self.truth.labels[:, place_of_label] == 1)
            row: dict[str, object] = {"rank": place + 1, "trial": trial.name, "label": label}
            row["positive_patients"] = len(set(self.truth.codes[positive]))
            for metric in ("auc", "average_precision"):
                scores = Scores.of(Measure(f"{metric}_{label}", self.truth), [logits])
                low, high = scores.intervals()[0]
                row |= {metric: scores.values[0], f"{metric}_low": low, f"{metric}_high": high}
            yield row


def column(metric: str) -> str:
    """A metric's column in tables; `loss` is the name of a parameter there."""
    return "valid_loss" if metric == "loss" else metric


def _back(trial: RankedTrial, note: str) -> dict[str, object]:
    mean = trial.best_epoch.mean
    return {
        **{column(name): mean.get(name, np.nan) for name in (*TABLE_METRICS, "defined_labels")},
        "best_epoch": trial.best_epoch.epoch,
        "last_epoch": trial.record.last.epoch,
        "ended": trial.ended,
        "note": note,
    }


def _opened(run: RunFolder | str | Path, data: Path | None) -> RunFolder:
    return run if isinstance(run, RunFolder) else RunFolder.open(run, data)


def _trials(run: RunFolder, metric: str) -> Iterator[RankedTrial]:
    ends, searched = trial_ends(run), run.request.space.metric
    for record in run.trial_records():
        yield RankedTrial(run, record, metric, searched, ends.get(record.number, TrialEnd.RUNNING))


def _refuse_other_data(run: RunFolder, other: RunFolder) -> None:
    for what, name in (("store", "fingerprint"), ("number of folds", "folds")):
        ours, theirs = getattr(run.request, name), getattr(other.request, name)
        if ours != theirs:
            raise InputError(
                f"--compare: {other} was scored on another {what} than {run} ({theirs}, not {ours}), so their scores "
                "can't stand in one table; search on the same store and folds"
            )


def _check_metric(trial: RankedTrial, metric: str, label: str | None) -> None:
    recorded = [name for name in trial.record.epochs[0].mean if name not in ("defined_labels", "train_loss")]
    if metric not in recorded:
        raise InputError(f"--metric: {not_one_of(metric, recorded)}")
    if label is None:
        return
    if label not in LABELS:
        raise InputError(f"--label: {not_one_of(label, LABELS)}")
    if f"{metric}_{label}" not in recorded:
        by_label = [name for name in recorded if f"{name}_{label}" in recorded]
        raise InputError(
            f"--label: {metric} is not recorded by label, {' and '.join(by_label)} are; add --metric"
        )
