"""What a search's driver and its trials wrote for people to read."""

from ichtune.errors import InputError
from ichtune.files import read_bounded
from ichtune.json_text import MOST_BYTES
from ichtune.runs.folder import LOG, RunFolder
from ichtune.runs.trial_folder import ERRORS


def driver_log(run: RunFolder) -> str:
    """Return the log of all drivers of a run.

    Raises:
        InputError: there is none, as in runs of earlier versions.
    """
    file = run.path / LOG
    if not file.is_file():
        raise InputError(f"{run}: has no {LOG}; no search has begun here, or an earlier version made the run")
    return read_bounded(file, MOST_BYTES).rstrip()


def trial_errors(run: RunFolder, trial: str) -> str:
    """Return the tracebacks of a trial's attempts; `trial` is its number or the name of its folder.

    Raises:
        InputError: there is no such trial.
    """
    for folder in run.trial_folders():
        if trial == folder.path.name or (trial.isdecimal() and int(trial) == folder.number):
            file = folder.path / ERRORS
            return (
                read_bounded(file, MOST_BYTES).rstrip()
                if file.is_file()
                else f"{folder.path.name}: no errors"
            )
    raise InputError(f"{run}: has no trial {trial!r} (yet); `ichtune rank` lists the trials")
