"""How a search is getting on, from its folder alone."""

import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime

from ichtune.runs.driver import Driver
from ichtune.runs.ends import TrialEnd
from ichtune.runs.folder import RunFolder
from ichtune.runs.records import EPOCHS
from ichtune.runs.study import settled_trials, trial_ends
from ichtune.wording import duration


@dataclass(frozen=True)
class Status:
    """The state of a run's search; times in seconds since 1970."""

    run: RunFolder
    done: int
    wanted: int
    ends: Counter[TrialEnd]
    best: tuple[float, str] | None
    """The best score so far, and its trial's name."""
    last_record: float | None
    """When the last epoch was recorded."""
    driver: Driver | None

    @classmethod
    def of(cls, run: RunFolder) -> "Status":
        """Read the status of a run.

        Raises:
            InputError: a file is damaged.
        """
        request = run.request
        written = [file.stat().st_mtime for file in run.trials.glob(f"*/{EPOCHS}")]
        return cls(
            run,
            settled_trials(run) if run.journal.is_file() else 0,
            request.settings.trials,
            Counter(trial_ends(run).values()) if run.journal.is_file() else Counter(),
            best_score(run, maximised=request.space.direction == "max"),
            max(written, default=None),
            Driver.of(run),
        )

    @property
    def is_searching(self) -> bool:
        """Whether a driver is at work, by its lock on this machine or its reports from another."""
        return self.run.is_searching or bool(self.driver and self.driver.is_alive)

    @property
    def running(self) -> int:
        """Trials that have begun and not ended."""
        begun = sum(1 for _ in self.run.trial_folders())
        return max(0, begun - self.ends.total()) if self.is_searching else 0

    def lines(self) -> list[str]:
        """Return the status in words, a line per fact."""
        ends = ", ".join(f"{count} {end}" for end, count in sorted(self.ends.items()))
        running = f", {self.running} running" if self.is_searching else ""
        lines = [f"trials:  {self.done} of {self.wanted} done{running}{f' ({ends})' if ends else ''}"]
        if self.best:
            lines.append(f"best:    {self.run.request.space.metric} {self.best[0]:.4f} by {self.best[1]}")
        if self.last_record is not None:
            at = datetime.fromtimestamp(self.last_record, UTC).isoformat(timespec="seconds")
            lines.append(
                f"record:  the last one {duration(max(0, time.time() - self.last_record))} ago ({at})"
            )
        return [*lines, f"driver:  {self._driver()}"]

    def _driver(self) -> str:
        driver = self.driver
        if driver is None:
            return "searching on this machine" if self.is_searching else "none has reported"
        where = f"on {driver.host}, process {driver.process}"
        if not self.is_searching:
            after = duration(max(0, time.time() - driver.seen))
            how = driver.ended or "no longer reports, so it was killed or its machine is gone"
            return f"{how} {after} ago, {where}" if driver.ended else f"{how}; last seen {after} ago {where}"
        elapsed = time.time() - driver.began
        new = self.done - driver.done_before
        left = (
            f"about {duration(elapsed / new * (self.wanted - self.done))} left"
            if new > 0
            else "time left unknown"
        )
        return f"searching {where}, for {duration(elapsed)}, {left}"


def best_score(run: RunFolder, *, maximised: bool) -> tuple[float, str] | None:
    """Return the best score of any trial so far and the trial's name; None if no epoch has one."""
    scores = [
        (epoch.objective, record.folder.name)
        for record in run.trial_records()
        for epoch in record.epochs
        if epoch.scored
    ]
    return (max if maximised else min)(scores, key=lambda score: score[0], default=None)
