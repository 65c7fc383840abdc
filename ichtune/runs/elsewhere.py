"""Runs at a URI, seen from a machine that doesn't search in them."""

from pathlib import Path

from ichtune.errors import InputError
from ichtune.files import refuse_ways_out
from ichtune.progress import Report
from ichtune.remote import Remote, is_uri
from ichtune.runs.folder import DRIVER, JOURNAL, LOG, REQUEST, RunFolder
from ichtune.runs.records import ABOUT, EPOCHS
from ichtune.runs.trial_folder import ERRORS

READ = (REQUEST, JOURNAL, DRIVER, LOG, ABOUT, EPOCHS, ERRORS)
"""Files that say how a search is getting on."""
ORIGIN = ".fetched-from"
"""In a fetched run, the URI that it is a copy of."""


def watched(place: str | Path) -> RunFolder:
    """Open the run in a folder or at a URI to look at it while it may be searched.

    Of a run at a URI, only what a person reads is downloaded, into a copy apart from a driver's own.

    Raises:
        InputError: there is no run, or the URI can't be reached.
    """
    if not is_uri(place):
        return RunFolder.open(place)
    remote = _place_of_run(str(place))
    run = RunFolder(remote.watched, remote)
    run.pull(lambda name: name.rpartition("/")[2] in READ)
    RunFolder.open(run.path)  # refuses what is no run
    return run


def fetch(uri: str, folder: Path, report: Report) -> int:
    """Download the run at a URI into a folder, which is a run once all of it is there.

    Only what has changed is downloaded, so a fetch that broke off goes on. Returns the number of files. `report` is
    called with the bytes so far.

    Raises:
        InputError: there is no run, the URI can't be reached, or the folder holds something else.
    """
    remote, copy, origin = _place_of_run(uri), RunFolder.at(folder), folder / ORIGIN
    if origin.is_file() and origin.read_text(encoding="utf-8") == uri:
        refuse_ways_out(folder)
    else:
        copy.refuse_if_taken()
    copy.make()
    with copy.claimed("fetch"):
        origin.write_text(uri, encoding="utf-8")
        return remote.pull(folder, last=REQUEST, report=report)


def _place_of_run(uri: str) -> Remote:
    if not is_uri(uri):
        raise InputError(f"{uri}: not a URI; a run in a folder needs no fetching")
    remote = Remote(uri)
    if not remote.has(REQUEST):
        raise InputError(f"{uri}: no search run here (no {REQUEST}); check the URI")
    return remote
