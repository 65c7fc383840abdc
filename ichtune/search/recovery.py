"""Recover a run whose driver died: record what had ended, and queue again what was running."""

from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from ichtune.runs.ends import TrialEnd
from ichtune.runs.folder import RunFolder
from ichtune.runs.records import TrialRecord
from ichtune.runs.study import (
    CONTINUES,
    ENDED,
    POINT,
    RECIPE,
    REPEATS,
    is_settled,
    open_study,
    run_number,
)


def recover(run: RunFolder) -> int:
    """Make a run ready to continue, however it ended; returns the number of settled trials.

    A trial that was running is marked as interrupted, and its continuation is queued. If this process is killed too,
    the next one finds the same state and completes the recovery.
    """
    if not run.journal.is_file():
        return 0
    _mend(run.journal)
    try:
        study = open_study(run.journal)
    except KeyError:  # killed before the study was made
        return 0
    trials = study.get_trials(deepcopy=False)
    continued = {trial.user_attrs.get(CONTINUES) for trial in trials}
    records = {record.number: record for record in run.trial_records()}
    for trial in trials:
        running = trial.state == TrialState.RUNNING
        if running and REPEATS in trial.user_attrs:
            _tell(study, trial, TrialEnd.REPEATED, TrialState.FAIL)
        elif running and (ended := _unrecorded_end(study, trial, records)):
            _tell_end(study, trial, ended)
        elif running or (
            trial.user_attrs.get(ENDED) == TrialEnd.INTERRUPTED and REPEATS not in trial.user_attrs
        ):
            if trial.number not in continued:
                _enqueue_again(study, trial)
            if running:
                _tell(study, trial, TrialEnd.INTERRUPTED, TrialState.FAIL)
    return sum(map(is_settled, study.get_trials(deepcopy=False)))


def _mend(journal: Path) -> None:
    """Remove a half-written last line, left by a driver that was killed or ran out of disk, and stale locks."""
    content = journal.read_bytes()
    if content and not content.endswith(b"\n"):
        with open(journal, "r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)
    for lock in journal.parent.glob(f"{journal.name}.lock*"):
        lock.unlink(missing_ok=True)


def _unrecorded_end(
    study: optuna.Study, trial: FrozenTrial, records: dict[int, TrialRecord]
) -> TrialRecord | None:
    """The trial's record, if the trial ended but the driver died before noting it."""
    record = records.get(run_number(study, trial))
    same = record is not None and record.recipe_hash == trial.user_attrs.get(RECIPE)
    return record if same and record.last.ended else None


def _tell_end(study: optuna.Study, trial: FrozenTrial, record: TrialRecord) -> None:
    live = optuna.Trial(study, trial._trial_id)
    for epoch in record.epochs:
        if epoch.epoch not in trial.intermediate_values:
            live.report(epoch.objective, epoch.epoch)
    assert record.last.ended
    _tell(study, trial, record.last.ended, TrialState.COMPLETE, record.last.objective)


def _enqueue_again(study: optuna.Study, trial: FrozenTrial) -> None:
    """Queue a trial's continuation; if it broke off while being proposed, with the parameters known by then."""
    params = trial.system_attrs.get("fixed_params", {}) | trial.params
    point = trial.user_attrs.get(POINT)
    if params:
        study.enqueue_trial(params, user_attrs={CONTINUES: trial.number} | ({POINT: point} if point else {}))


def _tell(
    study: optuna.Study, trial: FrozenTrial, ended: TrialEnd, state: TrialState, value: float | None = None
) -> None:
    optuna.Trial(study, trial._trial_id).set_user_attr(ENDED, ended)
    study.tell(trial.number, value, state=state)
