"""Progress of long work: a bar with rate and time left on a terminal, an occasional line in a log."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

LOG_EVERY_S = 10.0

Report = Callable[[int, int, str], None]
"""Called with the amount done, the total, and a remark."""


@contextmanager
def progress(what: str, unit: str, console: Console) -> Generator[Report]:
    """Yield the function to report progress with; `what` is being done to `unit`s."""
    if console.is_terminal:
        with _bar(unit, console) as bar:
            task = bar.add_task(what, total=None, remark="")
            yield lambda done, total, remark: bar.update(task, completed=done, total=total, remark=remark)
    else:
        yield _LogLines(what, unit, console)


def _bar(unit: str, console: Console) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        _Rate(unit),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[remark]}"),
    )
    return Progress(*columns, console=console, expand=True, speed_estimate_period=60)


class _Rate(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f} {self.unit}/s" if task.speed else "")


class _LogLines:
    """Prints progress as plain lines: the first, the last, and one every LOG_EVERY_S seconds in between."""

    def __init__(self, what: str, unit: str, console: Console) -> None:
        self.what, self.unit, self.console = what, unit, console
        self.start: tuple[float, int] | None = None
        self.done = 0
        self.last = -float("inf")

    def __call__(self, done: int, total: int, remark: str) -> None:
        now = time.monotonic()
        if self.start is None or done < self.done:  # fewer: the next of several works has begun
            self.start = (now, done)
        self.done = done
        if done < total and now - self.last < LOG_EVERY_S:
            return
        self.last = now
        elapsed = now - self.start[0]
        rate = (done - self.start[1]) / elapsed if elapsed > 0 else 0.0
        left = f", {(total - done) / rate:,.0f} s left" if rate and done < total else ""
        pace = f", {rate:,.0f} {self.unit}/s" if rate else ""
        tail = f", {remark}" if remark else ""
        self.console.print(f"{self.what}: {done:,} of {total:,}{pace}{left}{tail}", soft_wrap=True)
