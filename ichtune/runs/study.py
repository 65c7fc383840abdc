"""The Optuna study of a run: the one record of every trial's fate, and how to read it."""

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
"""Of a journal, which is read whole."""
_DAMAGED = (KeyError, ValueError, TypeError, AttributeError, IndexError, AssertionError, RecursionError)
RAY_TRIAL, RECIPE, POINT = "ray_trial", "recipe", "point"
"""User attributes of an Optuna trial."""
ENDED = "ended"
"""How it ended, a `TrialEnd`: also the key of a result that Ray hears of."""
CONTINUES, REPEATS = "continues", "repeats"
"""User attributes that hold another trial's number: of the attempt that this one goes on with, of the same recipe."""


def open_study(journal: Path, *, direction: Literal["maximize", "minimize"] | None = None) -> optuna.Study:
    """The study in a run's journal; with a direction it is made where there is none yet.

    Raises:
        InputError: the journal is damaged, or larger than any search's.
        KeyError: there is no study, and no direction to make one with.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it would report every trial once more
    if journal.is_file() and journal.stat().st_size > MOST_BYTES:
        raise InputError(f"{journal}: larger than {MOST_BYTES:,} bytes, which no search's journal is")
    try:
        storage = JournalStorage(JournalFileBackend(str(journal)))
    except _DAMAGED as error:
        raise InputError(f"{journal}: damaged ({error})") from None
    if direction is None:
        return optuna.load_study(study_name=STUDY, storage=storage)
    return optuna.create_study(study_name=STUDY, storage=storage, direction=direction, load_if_exists=True)


def is_settled(trial: FrozenTrial) -> bool:
    """Whether a trial counts towards the number requested: it was trained, and its end is final."""
    if REPEATS in trial.user_attrs:
        return False
    ended = trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
    return ended or trial.user_attrs.get(ENDED) == TrialEnd.FAILED


def trial_ends(run: RunFolder) -> dict[int, TrialEnd]:
    """How each trial of a run ended, by the number of its folder; those that go on, or never began, are left out."""
    study = open_study(run.journal)
    trials = study.get_trials(deepcopy=False)
    own = (t for t in trials if {ENDED, RECIPE} <= t.user_attrs.keys() and REPEATS not in t.user_attrs)
    try:  # the last attempt's counts
        return {run_number(study, trial): TrialEnd(trial.user_attrs[ENDED]) for trial in own}
    except ValueError as error:
        raise InputError(f"{run.journal}: damaged ({error})") from None


def repeated_trials(run: RunFolder) -> int:
    """How many proposals were a recipe that the run had tried already, and took its result."""
    return sum(REPEATS in trial.user_attrs for trial in open_study(run.journal).get_trials(deepcopy=False))


def settled_trials(run: RunFolder) -> int:
    """How many of a run's trials are settled."""
    try:
        return sum(map(is_settled, open_study(run.journal).get_trials(deepcopy=False)))
    except KeyError:  # the run ended before its study was made
        return 0


def run_number(study: optuna.Study, trial: FrozenTrial) -> int:
    """The number of a trial's folder: that of the attempt which it goes on with, if there is one."""
    trials = study.get_trials(deepcopy=False)
    while (before := trial.user_attrs.get(CONTINUES)) is not None:
        if before not in range(trial.number):  # else one that goes on with itself would have no end
            raise InputError(
                f"trial {trial.number} can't go on with trial {before}; the run's journal is damaged"
            )
        trial = trials[before]
    return trial.number
