"""Sends a run's records to its trackers, while it is searched and afterwards; a failure never stops the search."""

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from typing import Final

from ichtune.runs.folder import RunFolder
from ichtune.tracking.mlflow_tracker import first_line
from ichtune.tracking.tracked_runs import identity
from ichtune.tracking.trackers import Tracker
from ichtune.wording import pasteable

EVERY_S: Final = 10.0
_SHARE: Final = 20
"""Sending takes at most one in so many seconds of a search."""
LAST_S: Final = 120.0
"""How long the end of a command waits for a tracker."""


def send(run: RunFolder, tracker: Tracker) -> None:
    """Send what a tracker lacks of a run; a search whose study hasn't begun has nothing to send.

    Raises:
        InputError: the run's records are damaged.
        Exception: the tracker's own, if its server has gone away.
    """
    if search := identity(run):
        tracker.send(search, run)


@contextmanager
def sending(run: RunFolder, trackers: Sequence[Tracker], tell: Callable[[str], None]) -> Generator[None]:
    """Keep trackers up to date while the context lasts, each from a thread of its own.

    `tell` gets a line when a tracker fails, and when it has recovered.
    """
    ended = Event()
    threads = [
        Thread(target=_keep_sending, args=(run, tracker, ended, tell), daemon=True) for tracker in trackers
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join(LAST_S)


def send_all(run: RunFolder, trackers: Sequence[Tracker]) -> list[str]:
    """Send a run to trackers side by side; returns for each what went wrong, empty if nothing did."""
    problems = [f"{tracker}: takes longer than {LAST_S:g} s" for tracker in trackers]

    def attempt(number: int, tracker: Tracker) -> None:
        problems[number] = _problem(run, tracker)

    threads = [Thread(target=attempt, args=item, daemon=True) for item in enumerate(trackers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LAST_S)
    return [
        problem
        and f"{problem}; to send what is missing: {pasteable('ichtune', 'log', run, '--to', tracker.later)}"
        for problem, tracker in zip(problems, trackers, strict=True)
    ]


def _keep_sending(run: RunFolder, tracker: Tracker, ended: Event, tell: Callable[[str], None]) -> None:
    wait, failing = EVERY_S, False
    while not ended.wait(wait):
        began = time.monotonic()
        problem = _problem(run, tracker)
        if problem and not failing:
            tell(f"{problem}; the search goes on, and what is missing will be sent later")
        elif failing and not problem:
            tell(f"{tracker}: works again, and has everything so far")
        failing = bool(problem)
        wait = max(EVERY_S, _SHARE * (time.monotonic() - began))


def _problem(run: RunFolder, tracker: Tracker) -> str:
    """Send; returns what went wrong, or nothing."""
    try:
        send(run, tracker)
    except Exception as error:  # trackers raise what the libraries below them raise
        return f"{tracker}: {first_line(error)}"
    return ""
