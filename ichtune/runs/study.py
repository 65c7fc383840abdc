"""The Optuna study of a run: the only record of how every trial ended."""

from pathlib import Path
from typing import Literal

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from ichtune.errors import InputError
from ichtune.runs.ends import TrialEnd
from ichtune.runs.folder import RunFolder

STUDY = "search"
MOST_BYTES = 2_000_000_000
"""Size limit of a journal, which is read completely."""
_DAMAGED = (KeyError, ValueError, TypeError, AttributeError, IndexError, AssertionError, RecursionError)
RAY_TRIAL, RECIPE, POINT = "ray_trial", "recipe", "point"
"""User attributes of an Optuna trial."""
ENDED = "ended"
"""How it ended, a `TrialEnd`; also the key in results reported to Ray."""
CONTINUES, REPEATS = "continues", "repeats"
"""User attributes with the number of another trial: the attempt that this one continues, or one of the same recipe."""


def open_study(journal: Path, *, direction: Literal["maximize", "minimize"] | None = None) -> optuna.Study:
    """Open the study in a run's journal; with a direction, create it if there is none yet.

    Raises:
        InputError: the journal is damaged, or larger than that of any search.
        KeyError: there is no study, and no direction to create one.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it would report every trial a second time
    if journal.is_file() and journal.stat().st_size > MOST_BYTES:
        raise InputError(f"{journal}: larger than {MOST_BYTES:,} bytes, the limit for a journal")
    try:
        storage = JournalStorage(JournalFileBackend(str(journal)))
    except _DAMAGED as error:
        raise InputError(f"{journal}: damaged ({error})") from None
    if direction is None:
        return optuna.load_study(study_name=STUDY, storage=storage)
    return optuna.create_study(study_name=STUDY, storage=storage, direction=direction, load_if_exists=True)


def trial_of(study: optuna.Study, number: int) -> FrozenTrial:
    """Return a trial; `study.get_trials` would list all of them, which a driver of thousands can't do at each step."""
    storage = study._storage
    return storage.get_trial(storage.get_trial_id_from_study_id_trial_number(study._study_id, number))


def is_settled(trial: FrozenTrial) -> bool:
    """Whether a trial counts towards the requested number: it was trained and has finally ended."""
    if REPEATS in trial.user_attrs:
        return False
    ended = trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
    return ended or trial.user_attrs.get(ENDED) == TrialEnd.FAILED


def trial_ends(run: RunFolder) -> dict[int, TrialEnd]:
    """Return how each trial of a run ended, by folder number, without those that are running or never began."""
    try:
        study = open_study(run.journal)
    except KeyError:  # as in `settled_trials`
        return {}
    trials = study.get_trials(deepcopy=False)
    own = (t for t in trials if {ENDED, RECIPE} <= t.user_attrs.keys() and REPEATS not in t.user_attrs)
    try:  # the last attempt counts
        return {run_number(study, trial): TrialEnd(trial.user_attrs[ENDED]) for trial in own}
    except ValueError as error:
        raise InputError(f"{run.journal}: damaged ({error})") from None


def repeated_trials(run: RunFolder) -> int:
    """Return how many proposals repeated a recipe of the run and reused its result."""
    return sum(REPEATS in trial.user_attrs for trial in open_study(run.journal).get_trials(deepcopy=False))


def settled_trials(run: RunFolder) -> int:
    """Return how many of a run's trials are settled."""
    try:
        return sum(map(is_settled, open_study(run.journal).get_trials(deepcopy=False)))
    except KeyError:  # the run ended before its study was created
        return 0


def run_number(study: optuna.Study, trial: FrozenTrial) -> int:
    """Return the number of a trial's folder: that of the first attempt, if this trial continues one."""
    while (before := trial.user_attrs.get(CONTINUES)) is not None:
        if before not in range(trial.number):  # else a trial that continues itself would loop forever
            raise InputError(
                f"trial {trial.number} can't continue trial {before}; the run's journal is damaged"
            )
        trial = trial_of(study, before)
    return trial.number
