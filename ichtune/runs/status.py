"""How a search is getting on, from what its run has on disk or at a URI."""

import socket
import tempfile
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from ichtune.metrics import higher_is_better
from ichtune.runs.driver import LOG, SIGN, Driver
from ichtune.runs.ends import TrialEnd
from ichtune.runs.folder import JOURNAL, REQUEST, RunFolder
from ichtune.runs.records import ABOUT, EPOCHS
from ichtune.runs.study import settled_trials, trial_ends
from ichtune.runs.trial_folder import ERRORS

_LOST_AFTER_S: Final = 60.0
"""A driver that has given no sign for so long is gone, or can't reach the run's folder."""
_NEEDED: Final = (REQUEST, JOURNAL, SIGN, LOG, ABOUT, EPOCHS, ERRORS)
"""What is read; the rest of a run, such as its heads, can be large."""


@dataclass(frozen=True)
class Status:
    """How a search is getting on."""

    run: RunFolder
    driver: Driver | None
    """Its last sign; None of a run from before there were any."""
    done: int
    """Trials that count towards the requested number."""
    wanted: int
    ends: Counter[TrialEnd]
    best: tuple[float, str] | None
    """The best score so far and the trial that has it."""
    running: dict[str, int]
    """The epochs that each running trial has finished, by its name."""

    @classmethod
    def of(cls, run: RunFolder) -> "Status":
        """Return the status of a run.

        Raises:
            InputError: a file of the run is damaged.
        """
        ends = trial_ends(run)
        better = max if higher_is_better(run.request.space.metric) else min
        scores: list[tuple[float, str]] = []
        running = {}
        for record in run.trial_records():
            scores += [(epoch.objective, record.folder.name) for epoch in record.epochs if epoch.scored]
            if record.number not in ends:
                running[record.folder.name] = len(record.epochs)
        return cls(
            run=run,
            driver=Driver.read(run.path),
            done=settled_trials(run),
            wanted=run.request.settings.trials,
            ends=Counter(ends.values()),
            best=better(scores, key=lambda score: score[0]) if scores else None,
            running=running,
        )

    @property
    def is_driven(self) -> bool:
        """Whether a driver is at work, as far as can be seen from here."""
        if self.driver is None or self.driver.ended is not None:
            return False
        if self.driver.host == socket.gethostname() and not self.run.remote:
            return self.run.is_searching
        return self.driver.seconds_ago() < _LOST_AFTER_S

    @property
    def seconds_left(self) -> float:
        """The estimated time left at the pace since the driver began; NaN without one, or before any trial ended."""
        since = self.done - self.driver.done_before if self.driver and self.is_driven else 0
        return self.driver.seconds / since * (self.wanted - self.done) if self.driver and since else np.nan


@contextmanager
def looked_at(place: str | Path) -> Generator[RunFolder]:
    """A run to look at while its search goes on: of one at a URI, what a look needs is copied for as long as it lasts.

    Raises:
        InputError: there is no run, or the URI can't be reached.
    """
    there = RunFolder.at(place)
    if there.remote is None:
        yield RunFolder.open(place)
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / there.remote.name
        copy.mkdir()
        there.remote.pull(copy, lambda name: name.rpartition("/")[2] in _NEEDED)
        RunFolder.open(copy)
        yield RunFolder(copy, there.remote)
