"""The trials of a search ordered by score, read from its run's folder."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from pathlib import Path

import numpy as np

from analysis.ranking.trial import RankedTrial, varying_parameters
from ichtune.cross_validation import CrossValidation
from ichtune.errors import InputError
from ichtune.labels import LABELS
from ichtune.metrics import higher_is_better
from ichtune.runs.ends import TrialEnd
from ichtune.runs.folder import RunFolder
from ichtune.runs.study import trial_ends
from ichtune.wording import not_one_of


@dataclass(frozen=True)
class Ranking:
    """The trials of one run, or of several on one store, best first, with the numbers of their kept epoch."""

    runs: tuple[RunFolder, ...]
    metric: str
    trials: list[RankedTrial]
    """Every trial that finished an epoch, best first; then undefined scores, and diverged trials last."""

    @classmethod
    def of(
        cls,
        run: RunFolder | str | Path,
        *,
        metric: str | None = None,
        label: str | None = None,
        compare: RunFolder | str | Path | None = None,
        data: str | Path | None = None,
    ) -> "Ranking":
        """Rank a run by a recorded metric, by default the one that it optimized.

        `label` ranks by that label's metric only, `compare` adds the trials of a second run, and `data` is the store's
        new location if it was moved. Of two runs with different numbers of folds, partitions or seeds, only what both
        have counts.

        Raises:
            InputError: there is no run, none of its trials finished an epoch, the metric was not recorded, or the
                second run used another store.
        """
        runs = tuple(_opened(place, data) for place in (run, compare) if place is not None)
        for other in runs[1:]:
            if other.path == runs[0].path:
                raise InputError(f"--compare: {other} is the same run; name another one on the same store")
            _refuse_other_store(runs[0], other)
        wanted = metric or runs[0].request.space.metric
        ranked_by = f"{wanted}_{label}" if label else wanted
        validation = _common(runs)
        found = [trial for folder in runs for trial in trials_of(folder, ranked_by, validation)]
        for folder in runs:
            if not any(trial.run is folder for trial in found):
                raise InputError(f"{folder}: no trial finished an epoch, so there is nothing to rank")
        _check_metric(found[0], wanted, label)
        return cls(runs, ranked_by, sorted(found, key=lambda trial: trial.order))

    @property
    def run(self) -> RunFolder:
        """The run, or the first of those compared, whose folder gets the output."""
        return self.runs[0]

    @property
    def names(self) -> str:
        """The runs' names, for captions."""
        return " and ".join(run.name for run in self.runs)

    @property
    def validation(self) -> CrossValidation:
        """The folds that a score is the mean over: those that all runs have."""
        return _common(self.runs)

    @property
    def cut(self) -> list[RunFolder]:
        """The runs of which only a part of the cross-validation counts, as another run lacks the rest."""
        return [run for run in self.runs if run.request.validation != self.validation]

    @property
    def folder(self) -> Path:
        """Where tables are written: the run's results, or a subfolder of them for another metric than the search's."""
        own = self.metric == self.run.request.space.metric
        return self.run.results if own else self.run.results / self.metric

    @cached_property
    def maximised(self) -> bool:
        return higher_is_better(self.metric)

    @property
    def best(self) -> RankedTrial:
        return self.trials[0]

    @property
    def usable(self) -> bool:
        """Whether any trial ended with a score and without diverging; if not, there is no best one."""
        return any(not trial.diverged and np.isfinite(trial.score) for trial in self.trials)

    @cached_property
    def varying(self) -> list[str]:
        """The parameters that differ between trials."""
        return varying_parameters([trial.record.params for trial in self.trials])


def _opened(run: RunFolder | str | Path, data: str | Path | None) -> RunFolder:
    return run if isinstance(run, RunFolder) else RunFolder.open(run, data)


def _common(runs: Sequence[RunFolder]) -> CrossValidation:
    return reduce(CrossValidation.common, (run.request.validation for run in runs))


def trials_of(run: RunFolder, metric: str, validation: CrossValidation) -> Iterator[RankedTrial]:
    """Yield a run's trials by number, scored by a metric on this part of its cross-validation."""
    ends, searched = trial_ends(run), run.request.space.metric
    part = None if validation == run.request.validation else validation
    for record in run.trial_records():
        yield RankedTrial(run, record, metric, searched, ends.get(record.number, TrialEnd.RUNNING), part)


def _refuse_other_store(run: RunFolder, other: RunFolder) -> None:
    ours, theirs = run.request.fingerprint, other.request.fingerprint
    if ours != theirs:
        raise InputError(
            f"--compare: {other} used another store than {run} ({theirs}, not {ours}), so their scores are not "
            "comparable; search on the same store"
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
            f"--label: {metric} is not recorded by label, but {' and '.join(by_label)} are; add --metric"
        )
